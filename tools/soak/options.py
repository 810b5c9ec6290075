# SPDX-License-Identifier: Apache-2.0
"""The options of ``tools/soak.sh``, which explains them itself.

Run as a program it only checks them: with any Python, before anything is installed.
"""

import argparse
from collections.abc import Sequence
import sys

_DEFAULT_MINUTES = 20.0
_DEFAULT_SECONDS = 240.0


class _Parser(argparse.ArgumentParser):
    def error(self, message):  # type: ignore[no-untyped-def]  # as in the base
        self.exit(2, f"error: {message}; see tools/soak.sh --help\n")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; exit with status 2 if there is something wrong with them."""
    parser = _Parser(prog="tools/soak.sh", add_help=False, allow_abbrev=False)
    parser.add_argument("minutes", nargs="?", type=_positive, default=_DEFAULT_MINUTES)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--converge", type=_positive, default=_DEFAULT_SECONDS)
    parser.add_argument("--name", default="soak")
    return parser.parse_args(arguments)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number greater than 0")
    return value


if __name__ == "__main__":
    parse(sys.argv[1:])
