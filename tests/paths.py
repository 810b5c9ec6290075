# SPDX-License-Identifier: Apache-2.0
"""Where the files are that tests read."""

import pathlib
from typing import Final

ROOT: Final = pathlib.Path(__file__).parents[1]
SAMPLES: Final = ROOT / "tests" / "samples"
