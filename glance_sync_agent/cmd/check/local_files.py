# SPDX-License-Identifier: Apache-2.0
"""Files of this machine with secrets."""

import pathlib
import stat


def is_exposed(path: pathlib.Path) -> bool:
    """Tell whether every user of this machine can read a file."""
    return path.is_file() and bool(path.stat().st_mode & stat.S_IROTH)
