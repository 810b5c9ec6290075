# SPDX-License-Identifier: Apache-2.0
"""What is said of an operator's YAML file that is wrong."""

from collections.abc import Callable
import pathlib

import pytest

from glance_sync_agent import errors


def problems(load: Callable[[pathlib.Path], object], file: pathlib.Path) -> list[tuple[int, str]]:
    """Return what is wrong in a file, as pairs of line and complaint."""
    with pytest.raises(errors.ConfigurationError) as caught:
        load(file)
    lines = [line.removeprefix(f"{file}:") for line in str(caught.value).splitlines()]
    return [(int(number), said.strip()) for number, said in (line.split(":", 1) for line in lines)]
