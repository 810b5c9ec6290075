# SPDX-License-Identifier: Apache-2.0
"""What commands about an image need: its argument, the database, its tasks."""

import argparse
from collections.abc import Iterator
import contextlib

from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers import keystone
from glance_sync_agent.drivers import task_store


def add_image(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Add the argument IMAGE, a UUID."""
    parser.add_argument(
        "image",
        nargs=nargs,
        metavar="IMAGE",
        type=_parsed,
        help="id of the image in the cascading region",
    )


def check_region(catalogue: keystone.Keystone, name: str | None) -> None:
    """Compare a region that was named with those of the catalogue.

    :raises UnknownRegion: it is not there.
    """
    if name is None:
        return
    known = catalogue.regions()
    if images.RegionId(name) not in known:
        raise errors.UnknownRegion(
            f"there is no region {name} in Keystone's catalogue; there are "
            f"{', '.join(sorted(known))}"
        )


def _parsed(text: str) -> images.ImageId:
    try:
        return images.image_id(text)
    except errors.NotificationError as exc:
        raise argparse.ArgumentTypeError(
            f"{exc}; 'glance-sync status --image NAME' finds the id of a name"
        ) from exc


def id_or_name(text: str | None) -> tuple[images.ImageId | None, str | None]:
    """Tell which of the two a text is; two times None without a text."""
    try:
        return (None, None) if text is None else (images.image_id(text), None)
    except errors.NotificationError:
        return None, text


@contextlib.contextmanager
def opened(current: wiring.CurrentSettings) -> Iterator[task_store.TaskStore]:
    """Open the database that sync.conf names."""
    store = wiring.open_task_store(current)
    try:
        yield store
    finally:
        store.close()


def of_image(
    store: task_store.TaskStore, image_id: images.ImageId, region: str | None = None
) -> list[tasks.Task]:
    """Return the tasks of an image.

    :raises SyncError: there is none.
    """
    found = list(store.list(image_id=image_id, region=images.RegionId(region) if region else None))
    if not found:
        where = f" in region {region}" if region else ""
        raise errors.SyncError(
            f"no copy of image {image_id} is known or awaited{where}; "
            f"'glance-sync explain {image_id}' tells where it belongs, "
            f"'glance-sync sync {image_id}' has the agent look at it"
        )
    return found
