# SPDX-License-Identifier: Apache-2.0
"""What commands about an image need: the database, and its tasks."""

from collections.abc import Iterator, Sequence
import contextlib

from glance_sync_agent import wiring
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers.sql import task_store


@contextlib.contextmanager
def opened(current: wiring.CurrentSettings) -> Iterator[task_store.SqlTaskStore]:
    """Open the database that sync.conf names."""
    with contextlib.closing(task_store.SqlTaskStore(current.settings.connection)) as store:
        yield store


def require(store: task_store.SqlTaskStore, image_ids: Sequence[images.ImageId]) -> None:
    """Make sure that one of some images has a task.

    :raises UsageError: none has.
    """
    if not any(True for image_id in image_ids for _ in store.find([image_id])):
        raise _unknown(image_ids[0])


def of_image(
    store: task_store.SqlTaskStore, image_id: images.ImageId, region: images.RegionId | None = None
) -> list[tasks.Task]:
    """Return the tasks of an image.

    :raises UsageError: there is none.
    """
    found = list(store.list(image_id=image_id, region=region))
    if not found:
        raise _unknown(image_id, f" in region {region}" if region else "")
    return found


def _unknown(image_id: images.ImageId, where: str = "") -> console.UsageError:
    return console.UsageError(
        f"no copy of image {image_id} is known or awaited{where}; "
        f"'glance-sync explain {image_id}' tells where it belongs, "
        f"'glance-sync sync {image_id}' has the agent look at it"
    )
