# SPDX-License-Identifier: Apache-2.0
"""Which images are snapshots that Nova or Cinder made."""

from glance_sync_agent.domain import remotes
from glance_sync_agent.domain.images import Image

#: The property with which Nova and Cinder name the kind of an image.
IMAGE_TYPE = "image_type"
SNAPSHOT = "snapshot"
BACKUP = "backup"  # one of a series of snapshots, of which Nova deletes the oldest
TYPES = (SNAPSHOT, BACKUP)

_BLOCK_DEVICES = "block_device_mapping"
_INSTANCE = "instance_uuid"
_SHELVED = "-shelved"


def is_snapshot(image: Image) -> bool:
    """Tell whether Nova or Cinder made an image from a server or a volume."""
    return is_typed(image) or any(
        remotes.remote_data(location) is not None for location in image.locations or ()
    )


def is_typed(image: Image) -> bool:
    """Tell whether an image has the type of a snapshot. Listings can filter by that."""
    return image.metadata.properties.get(IMAGE_TYPE) in TYPES


def is_volume_backed(image: Image) -> bool:
    """Tell whether an image is Nova's record of a server whose disks are volumes.

    Such a record has no bytes. One of its properties names the snapshots of the volumes
    (nova/compute/api.py: snapshot_volume_backed).
    """
    return image.size == 0 and _BLOCK_DEVICES in image.metadata.properties


def is_shelved(image: Image) -> bool:
    """Tell whether Nova keeps a shelved server in an image.

    Only its name distinguishes it from a snapshot (nova/compute/api.py: shelve). So a user can
    change the answer by renaming an image.
    """
    name, properties = image.metadata.name, image.metadata.properties
    return (
        properties.get(IMAGE_TYPE) == SNAPSHOT
        and _INSTANCE in properties
        and name is not None
        and name.endswith(_SHELVED)
    )
