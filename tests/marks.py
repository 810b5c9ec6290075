# SPDX-License-Identifier: Apache-2.0
"""What the mark of a copy is, said a second time and without the domain.

An image is a copy of an agent if the mark that it bears names the image itself. Nova, Cinder,
glance-replicator and scripts hand all properties on, so that others bear a mark as well.
"""

from collections.abc import Mapping
from typing import Any

SOURCE_ID = "glance_sync_source_id"
SOURCE_REGION = "glance_sync_source_region"
COPY_ID = "glance_sync_copy_id"
COPY_REGION = "glance_sync_copy_region"
SYNCED_PROPERTIES = "glance_sync_properties"
#: What a mark consists of.
NAMES = (SOURCE_ID, SOURCE_REGION, COPY_ID, COPY_REGION)


def source_of(record: Mapping[str, Any], region: str) -> tuple[str, str] | None:
    """Return region and id of the source of a copy; None: the image is no copy.

    :param record: as the API shows it.
    :param region: where it is.
    """
    if (record.get(COPY_ID), record.get(COPY_REGION)) != (record["id"], region):
        return None
    source_id, source_region = record.get(SOURCE_ID), record.get(SOURCE_REGION)
    return (source_region, source_id) if source_id and source_region else None


def source_id(record: Mapping[str, Any], region: str) -> str | None:
    """Return the id of the source of a copy; None: the image is no copy."""
    source = source_of(record, region)
    return source and source[1]


def are_on(record: Mapping[str, Any]) -> bool:
    """Tell whether an image bears any part of a mark, whoever put it there."""
    return any(name in record for name in NAMES)
