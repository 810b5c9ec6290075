# SPDX-License-Identifier: Apache-2.0
"""Records of the Images API v2, read into images."""

from collections.abc import Mapping
import datetime
import types
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import remotes

#: Prefixes of properties that the agent and Glance use themselves.
_RESERVED = ("glance_sync_", "os_glance_")
# What is no custom property (glance/api/v2/images.py: get_base_properties).
_BASE = frozenset(
    "id status size virtual_size checksum os_hash_algo os_hash_value created_at updated_at tags"
    " self file schema locations direct_url stores deleted deleted_at".split()
).union(images.ATTRIBUTES)


def parse(record: Mapping[str, Any], region: images.RegionId) -> images.Image:
    """Read an image as ``GET /v2/images/ID`` returns it.

    Members are not part of that answer, so the image has none.

    :raises NotificationError: the id is not a UUID or the status is unknown.
    """
    try:
        status = images.ImageStatus(record["status"])
    except (KeyError, ValueError) as exc:
        raise errors.NotificationError(f"image of region {region}: bad status: {exc}") from exc
    algo, value = record.get("os_hash_algo"), record.get("os_hash_value")
    locations = _locations(record.get("locations"))
    return images.Image(
        image_id=images.image_id(record.get("id")),
        region=region,
        status=status,
        size=record.get("size"),
        multihash=images.Multihash(algo=algo, value=value.lower()) if algo and value else None,
        metadata=_metadata(record),
        mark=mark_properties.read(record),
        synced_properties=mark_properties.read_synced(record.get(mark_properties.SYNCED)),
        locations=locations,
        remote=remotes.only_remote_data(locations or ()),
        created_at=time_of(record.get("created_at")),
        updated_at=time_of(record.get("updated_at")),
    )


def time_of(text: object) -> datetime.datetime | None:
    """Read a time as Glance writes it; None if it is invalid."""
    try:
        found = datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    # Glance's times are UTC, and end in Z.
    return found if found is None or found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _metadata(record: Mapping[str, Any]) -> images.Metadata:
    attributes = {
        key: value for key in images.ATTRIBUTES if (value := record.get(key)) is not None
    }
    properties = {
        key: value
        for key, value in record.items()
        if key not in _BASE and value is not None and not key.startswith(_RESERVED)
    }
    return images.Metadata(
        **attributes,
        tags=frozenset(record.get("tags") or ()),
        properties=types.MappingProxyType(properties),
    )


def _locations(listed: object) -> tuple[images.Location, ...] | None:
    """Read the locations that Glance shows, without invalid ones."""
    if not isinstance(listed, list):
        return None
    return tuple(
        images.Location(url=one["url"], metadata=types.MappingProxyType(one["metadata"]))
        for one in listed
        if isinstance(one, dict)
        and isinstance(one.get("url"), str)
        and isinstance(one.get("metadata"), dict)
    )
