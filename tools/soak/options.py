# SPDX-License-Identifier: Apache-2.0
"""The options of ``tools/soak.sh``, which has their help texts.

As a program it only checks them. It works with any Python, before an installation.
"""

import argparse
from collections.abc import Sequence
import sys

from tools import command_line

_DEFAULT_MINUTES = 20.0
_DEFAULT_SECONDS = 240.0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; exit with status 2 if they have a mistake."""
    number = command_line.positive("a number greater than 0")
    parser = command_line.Parser("tools/soak.sh")
    parser.add_argument("minutes", nargs="?", type=number, default=_DEFAULT_MINUTES)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--converge", type=number, default=_DEFAULT_SECONDS)
    parser.add_argument("--name", default="soak")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    parse(sys.argv[1:])
