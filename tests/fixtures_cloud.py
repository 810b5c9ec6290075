# SPDX-License-Identifier: Apache-2.0
"""The real cloud of ``tools/cloud``, for tests of drivers and of the whole agent."""

from collections.abc import Callable, Iterator
import os
import pathlib
from typing import NoReturn

import pytest

from tools import cloud as clouds

_ROOT = pathlib.Path(__file__).parents[1]
#: Names a cloud that runs already and is left running.
RUNNING = "GLANCE_SYNC_TEST_CLOUD"


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark by which tests of the real cloud are chosen or left out."""
    config.addinivalue_line("markers", "cloud: needs the real cloud of tools/cloud")


@pytest.fixture(scope="session")
def cloud(missing_service: Callable[[str], NoReturn]) -> Iterator[clouds.Cloud]:
    """Bring up the cloud ``test``, and take it down at the end."""
    running = os.environ.get(RUNNING)
    found = clouds.Cloud(_ROOT, running or "test")
    try:
        if running:
            found.describe()
        else:
            found.up()
    except clouds.CloudError as exc:
        missing_service(f"no cloud: {exc}")
    yield found
    if not running:
        found.down()
