# SPDX-License-Identifier: Apache-2.0
"""The parser of the tools' options. It works with any Python, before an installation."""

import argparse
from collections.abc import Callable


class Parser(argparse.ArgumentParser):
    """Reports a mistake in one line, and names the command that explains the options."""

    def __init__(self, tool: str) -> None:
        """Know no option yet.

        :param tool: the path of the script, which has the help text.
        """
        super().__init__(prog=tool, add_help=False, allow_abbrev=False)

    def error(self, message):  # type: ignore[no-untyped-def]  # as in the base
        """Exit with status 2."""
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def positive(expected: str) -> Callable[[str], float]:
    """Return a parser of numbers greater than 0.

    :param expected: names such a number in the error.
    """

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"'{text}' is not {expected}")
        return value

    return read
