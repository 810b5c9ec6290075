# SPDX-License-Identifier: Apache-2.0
"""Entry point of ``python -m tools.soak``."""

import sys

from tools.soak import cli

sys.exit(cli.main(sys.argv[1:]))
