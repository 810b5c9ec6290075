# SPDX-License-Identifier: Apache-2.0
"""The real cloud of ``tools/cloud``, for tests of drivers and of the whole agent."""

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
from typing import NoReturn

import pytest

from tools import cloud as clouds

_ROOT = pathlib.Path(__file__).parents[1]
#: Names the cloud to use instead of ``test``.
CLOUD_NAME = "GLANCE_SYNC_TEST_CLOUD"


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark by which tests of the real cloud are chosen or left out."""
    config.addinivalue_line("markers", "cloud: needs the real cloud of tools/cloud")


@pytest.fixture(scope="session")
def cloud(
    missing_service: Callable[[str], NoReturn], worker_id: str
) -> Iterator[clouds.Cloud]:
    """Give a cloud that is up; one that ran before is left running.

    Each worker of pytest-xdist has its own.
    """
    name = os.environ.get(CLOUD_NAME, "test")
    found = clouds.Cloud(_ROOT, name if worker_id == "master" else f"{name}-{worker_id}")
    ran = _runs(found)
    try:
        found.up()
    except clouds.CloudError as exc:
        missing_service(f"no cloud: {exc}")
    _send_first_notification(found)
    yield found
    if not ran:
        found.down()


def _send_first_notification(cloud: clouds.Cloud) -> None:
    """Make the queue of the notifications, as it is wherever an image was ever published."""
    images = cloud.glance().images
    images.delete(images.create(name="first").id)


def _runs(cloud: clouds.Cloud) -> bool:
    with contextlib.suppress(clouds.CloudError):
        return any(service.pid for service in cloud.status())
    return False
