# SPDX-License-Identifier: Apache-2.0
"""Entry point of ``python -m tools.demo``."""

import sys

try:
    from tools.demo import cli
except KeyboardInterrupt:  # the libraries take a second to load
    sys.exit(130)

sys.exit(cli.main(sys.argv[1:]))
