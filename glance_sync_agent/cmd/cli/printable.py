# SPDX-License-Identifier: Apache-2.0
"""Text of other people, such as the name of an image, without what steers a terminal."""

import logging
import unicodedata

# Control characters, halves of surrogate pairs, and separators of lines.
_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# What turns the direction of the text that follows, so that it reads as something else.
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def escaped(text: str, *, keep: str = "") -> str:
    r"""Return a text that can be shown: ESC, for instance, becomes ``\x1b``.

    :param keep: characters that stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in keep or not _steers(one) else _escape(one) for one in text)


def lines(text: str) -> str:
    """Return the same, and keep the ends of its lines and tabs, which are ours."""
    return escaped(text, keep="\n\t")


class Formatter(logging.Formatter):
    """Formats records for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return lines(super().format(record))


def _steers(character: str) -> bool:
    return (
        unicodedata.category(character) in _CATEGORIES
        or unicodedata.bidirectional(character) in _DIRECTIONS
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
