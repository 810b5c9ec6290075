# SPDX-License-Identifier: Apache-2.0
"""Text of users, such as the name of an image, without what controls a terminal."""

import logging
import unicodedata

# Control characters, halves of surrogate pairs, and separators of lines.
_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
# These change the direction of the text that follows, so that it reads as something else.
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def escaped(text: str, *, keep: str = "") -> str:
    r"""Return a text that is safe to show: ESC, for instance, becomes ``\x1b``.

    :param keep: characters that stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(one if one in keep or not _controls(one) else _escape(one) for one in text)


def lines(text: str) -> str:
    """Return a text that is safe to show, with its line ends and tabs."""
    return escaped(text, keep="\n\t")


class Formatter(logging.Formatter):
    """Formats records for a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return lines(super().format(record))


def _controls(character: str) -> bool:
    return (
        unicodedata.category(character) in _CATEGORIES
        or unicodedata.bidirectional(character) in _DIRECTIONS
    )


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
