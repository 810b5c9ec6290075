# SPDX-License-Identifier: Apache-2.0
"""The options of ``tools/demo.sh``, which has their help texts.

As a program it only checks them. It works with any Python, before an installation.
"""

import argparse
from collections.abc import Sequence
import sys

from tools import command_line

_DEFAULT_MIB = 256
_DEFAULT_SECONDS = 600.0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; exit with status 2 if they have a mistake."""
    seconds = command_line.positive("a number of seconds")
    parser = command_line.Parser("tools/demo.sh")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--attach", action="store_true")
    parser.add_argument("--size", type=_positive, default=_DEFAULT_MIB)
    parser.add_argument("--timeout", type=seconds, default=_DEFAULT_SECONDS)
    parser.add_argument("--name", default="demo")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    value = int(text) if text.isascii() and text.isdigit() else 0
    if not value:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of MiB, 1 or more")
    return value


if __name__ == "__main__":
    parse(sys.argv[1:])
