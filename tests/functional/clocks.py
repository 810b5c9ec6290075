# SPDX-License-Identifier: Apache-2.0
"""Hosts whose clock is wrong."""

import pathlib
import shutil
import subprocess

import pytest

#: What the clock is ahead by, see fast_clock.c.
AHEAD_SECONDS = 3600


def an_hour_fast(directory: pathlib.Path) -> dict[str, str]:
    """Return the environment of a process whose clock is an hour fast.

    :param directory: gets the library that makes it so.
    """
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler, for a clock that is fast")
    library = directory / "fast_clock.so"
    source = pathlib.Path(__file__).with_name("fast_clock.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"], check=True
    )
    return {"LD_PRELOAD": str(library)}
