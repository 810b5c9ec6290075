# SPDX-License-Identifier: Apache-2.0
"""What the options of the tools have in common; for any Python, before anything is installed."""

import argparse
from collections.abc import Callable


class Parser(argparse.ArgumentParser):
    """Tells a mistake in one line, and where to read about the options."""

    def __init__(self, tool: str) -> None:
        """Know no option yet.

        :param tool: the path of the script, which explains itself.
        """
        super().__init__(prog=tool, add_help=False, allow_abbrev=False)

    def error(self, message):  # type: ignore[no-untyped-def]  # as in the base
        """Exit with status 2."""
        self.exit(2, f"error: {message}; see {self.prog} --help\n")


def positive(told: str) -> Callable[[str], float]:
    """Return what reads a number greater than 0.

    :param told: what another text is not.
    """

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"'{text}' is not {told}")
        return value

    return read
