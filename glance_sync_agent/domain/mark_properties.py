# SPDX-License-Identifier: Apache-2.0
"""The properties that the agent writes on copies.

The mark names the source and the copy itself. Nova, Cinder and scripts pass it on to other
images, so a mark alone proves nothing: see :mod:`domain.identity`.
"""

from collections.abc import Mapping
import functools
import json
from typing import Any

from glance_sync_agent.domain import images

SOURCE_ID = "glance_sync_source_id"
SOURCE_REGION = "glance_sync_source_region"
COPY_ID = "glance_sync_copy_id"
COPY_REGION = "glance_sync_copy_region"
#: JSON list of the custom properties that the agent wrote. The agent keeps all others.
SYNCED = "glance_sync_properties"
NAMES = (SOURCE_ID, SOURCE_REGION, COPY_ID, COPY_REGION, SYNCED)

#: Properties that no copy has. Because of them, Glance would delete the key of the source
#: together with the copy (glance/api/v2/images.py: _delete_encryption_key).
KEY_POLICIES = frozenset(
    {"cinder_encryption_key_deletion_policy", "os_encrypt_key_deletion_policy"}
)

_REGION_CHARACTERS = 255  # Keystone's own limit


def read(properties: Mapping[str, Any]) -> images.Mark | None:
    """Read the mark among the properties of an image; None if any part is missing or invalid.

    Anybody can write these properties. Their values become part of requests to other Glances and
    of log lines, so only ids and printable region names are valid.
    """
    ids = [properties.get(name) for name in (SOURCE_ID, COPY_ID)]
    names = [properties.get(name) for name in (SOURCE_REGION, COPY_REGION)]
    if not all(map(images.is_image_id, ids)) or not all(map(_is_region_name, names)):
        return None
    source = images.SourceKey(image_id=str(ids[0]), region=str(names[0]))
    return images.Mark(source=source, copy_id=str(ids[1]), copy_region=str(names[1]))


def read_synced(text: object) -> frozenset[str]:
    """Read the list of synced properties; an invalid list is empty."""
    return _listed(text) if isinstance(text, str) else frozenset()


# Most copies have the same few properties.
@functools.lru_cache(maxsize=256)
def _listed(text: str) -> frozenset[str]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        return frozenset()
    if not isinstance(names, list):
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str))


def of_copy(
    source: images.Image, copy_id: images.ImageId, copy_region: images.RegionId
) -> dict[str, str]:
    """Return the properties that mark a new record as a copy of ``source``."""
    return {
        SOURCE_ID: source.image_id,
        SOURCE_REGION: source.region,
        COPY_ID: copy_id,
        COPY_REGION: copy_region,
        SYNCED: synced(source),
    }


def synced(source: images.Image) -> str:
    """Return the list of synced properties for a copy of ``source``."""
    return json.dumps(sorted(replicated(source)))


def replicated(source: images.Image) -> Mapping[str, str]:
    """Return the custom properties that a copy gets from its source."""
    properties = source.metadata.properties
    return {name: value for name, value in properties.items() if name not in KEY_POLICIES}


def _is_region_name(value: object) -> bool:
    is_text = isinstance(value, str) and 0 < len(value) <= _REGION_CHARACTERS
    return is_text and str(value).isprintable()
