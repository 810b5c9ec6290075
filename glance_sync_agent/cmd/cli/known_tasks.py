# SPDX-License-Identifier: Apache-2.0
"""The tasks of an image that an operator named."""

from collections.abc import Sequence

from glance_sync_agent.cmd.cli import console
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers.sql import task_store


def require(store: task_store.SqlTaskStore, image_ids: Sequence[images.ImageId]) -> None:
    """Check that at least one of these images has a task.

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
        f"image {image_id} has no task{where}; "
        f"'glance-sync explain {image_id}' shows where it belongs, "
        f"'glance-sync sync {image_id}' requests its copies"
    )
