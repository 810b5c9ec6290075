# SPDX-License-Identifier: Apache-2.0
"""What Nova, Cinder, glance-replicator and scripts make of an image, as they really do.

Each function takes the record of an image as the API shows it, and returns the body of the request
that makes the other one; so users of a fake Glance and of a real one make the same images.
tests/fakes/users.py sends them to a fake one, tests/functional/servers.py to a real one.
"""

from collections.abc import Mapping
import json
from typing import Any

from glance_sync_agent.domain import images

Record = Mapping[str, Any]
Body = dict[str, Any]

SNAPSHOT = "snapshot"
BACKUP = "backup"
#: ``[DEFAULT] non_inheritable_image_properties`` and what Nova never hands on
#: (nova/compute/utils.py: NON_INHERITABLE_IMAGE_PROPERTIES).
NON_INHERITABLE = frozenset(
    {
        "cache_in_nova",
        "bittorrent",
        "img_signature_hash_method",
        "img_signature",
        "img_signature_key_type",
        "img_signature_certificate_uuid",
        "cinder_encryption_key_id",
        "cinder_encryption_key_deletion_policy",
    }
)
_NEVER_KEPT = frozenset({"mappings", "block_device_mapping"})  # nova/utils.py: SM_SKIP_KEYS
_MOST_BYTES = 255  # of a value; nova/utils.py: get_system_metadata_from_image
INSTANCE = "5a1d6c0e-2f5c-4c0a-9d8c-7e1b0f6a9c33"
VOLUME = "0c7be5a4-1b55-4a05-8f4d-2d6f7a1e9b20"
#: Base attributes of the schema of images, which are no properties.
_BASE = frozenset(
    "id name status visibility protected os_hidden owner size virtual_size checksum os_hash_algo"
    " os_hash_value min_disk min_ram disk_format container_format created_at updated_at tags self"
    " file schema locations direct_url stores deleted deleted_at".split()
)
#: What makes an image the same one elsewhere (glance/cmd/replicator.py).
_REPLICATED = (
    "id", "name", "disk_format", "container_format", "min_disk", "min_ram", "owner", "protected",
    "visibility",
)


def properties(record: Record) -> dict[str, str]:
    """Return all custom properties of an image."""
    return {
        name: value
        for name, value in record.items()
        if name not in _BASE and not name.startswith("os_glance_")
    }


def handed_on(record: Record) -> dict[str, str]:
    """Return what Nova keeps of an image with a server, and gives to what it makes of that."""
    return {
        name: _cut(value)
        for name, value in properties(record).items()
        if name not in NON_INHERITABLE | _NEVER_KEPT
    }


def snapshot(
    record: Record, *, project: str, image_type: str = SNAPSHOT, by: str | None = None
) -> Body:
    """Return what Nova asks for when a server that was booted from an image is imaged.

    The answer is a queued record, and :func:`upload` is what comes next. Before that, only those
    of a backup have formats.

    :param project: of the server.
    :param image_type: ``SNAPSHOT``, also for a server that is shelved, or ``BACKUP``.
    :param by: project of who asks for it, if not the server's own.
    """
    body = _snapshot(record, project, image_type)
    if by is not None and by != project:
        # An administrator's, for which the server's project is made a member.
        body |= {"visibility": "shared", "owner": by, "instance_owner": project}
    if image_type == BACKUP:
        body |= _formats(record)
    return body


def upload(record: Record, *, project: str) -> Body:
    """Return what Nova changes on its queued record before it sends the data."""
    return {
        "disk_format": "raw",
        "container_format": record.get("container_format") or "bare",
        "image_location": "snapshot",
        "image_state": "available",
        "owner_id": project,
    }


def volume_backed(record: Record, *, project: str) -> Body:
    """Return what Nova asks for when the disks of a server are volumes; no bytes come into it."""
    device = {
        "source_type": "snapshot",
        "destination_type": "volume",
        "snapshot_id": VOLUME,
        "boot_index": 0,
    }
    return _snapshot(record, project, None) | {
        "disk_format": "raw",
        "container_format": "bare",
        "block_device_mapping": json.dumps([device]),
        "bdm_v2": "True",
        "root_device_name": "/dev/vda",
    }


def volume(record: Record, *, project: str) -> Body:
    """Return what Cinder asks for when a volume that was made of an image becomes one.

    Cinder cuts nothing (cinder/volume/api.py: copy_volume_to_image).
    """
    return {
        **{
            name: value
            for name, value in properties(record).items()
            if not name.startswith("img_signature")
        },
        **_formats(record),
        "name": "volume",
        "owner": project,
        "visibility": "private",
    }


def scripted(record: Record, **own: Any) -> Body:
    """Return what somebody asks for who copies all properties of an image by a script.

    :param own: what is not as on that image.
    """
    own.setdefault("name", "by a script")
    own.setdefault("owner", record.get("owner"))
    own.setdefault("visibility", "private")
    return {**properties(record), **_formats(record), **own}


def replicated(record: Record) -> Body:
    """Return what glance-replicator asks of another region: the same image, with the same id."""
    same = {name: record[name] for name in _REPLICATED if record.get(name) is not None}
    return {**properties(record), **same}


def _snapshot(record: Record, project: str, image_type: str | None) -> Body:
    own = {
        "instance_uuid": INSTANCE,
        "user_id": "4f0d3c6e8a1b4f0c9d2e7a5b6c8d9e0f",
        "owner_user_name": "user",
        "owner_project_name": "project",
        "boot_roles": "member,reader",
    }
    if image_type is not None:
        own["image_type"] = image_type
    return {
        # A server that was booted from a snapshot still names the image before that.
        "base_image_ref": record["id"],
        **handed_on(record),
        **own,
        "name": "server",
        "min_disk": record.get("min_disk") or 0,
        "min_ram": record.get("min_ram") or 0,
        "owner": project,
        "visibility": "private",
    }


def _formats(record: Record) -> Body:
    return {
        "disk_format": record.get("disk_format") or "raw",
        "container_format": record.get("container_format") or "bare",
        "min_disk": record.get("min_disk") or 0,
        "min_ram": record.get("min_ram") or 0,
    }


def _cut(value: str) -> str:
    """Cut a value as Nova does, which never leaves half a character."""
    return str(value).encode()[:_MOST_BYTES].decode(errors="ignore")


def is_attribute(name: str) -> bool:
    """Tell whether a field of a body is no property."""
    return name in {*images.ATTRIBUTES, "tags"}
