# SPDX-License-Identifier: Apache-2.0
"""The difference between the record of a copy and that of its source."""

from collections.abc import Mapping
from typing import TypeVar

from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import narrowing
from glance_sync_agent.domain.actions import UpdateMetadata
from glance_sync_agent.domain.images import Image

V = TypeVar("V")


def change(source: Image, copy: Image) -> UpdateMetadata | None:
    """Return what to change next about the record of a copy; None: nothing.

    What narrows access comes first, alone. Glance applies a change whole or not at all, and may
    refuse the rest for good, such as a property above its quota. Users who lost access to the
    source would then keep it to the copy.

    :param source: as its copy should look.
    """
    attributes = {
        name: getattr(source.metadata, name)
        for name in images.ATTRIBUTES
        if getattr(source.metadata, name) != getattr(copy.metadata, name)
    }
    tags = source.metadata.tags if source.metadata.tags != copy.metadata.tags else None
    properties = _property_changes(source, copy)
    members = _changes(source.members, copy.members, removable=frozenset(copy.members))
    if not (attributes or tags is not None or properties or members):
        return None
    whole = UpdateMetadata(
        copy=copy, attributes=attributes, tags=tags, properties=properties, members=members
    )
    return narrowing.narrowed(whole) or whole


def _property_changes(source: Image, copy: Image) -> dict[str, str | None]:
    wanted = mark_properties.replicated(source)
    removable = copy.synced_properties | mark_properties.KEY_POLICIES
    changes: dict[str, str | None] = {
        **_changes(wanted, copy.metadata.properties, removable=removable)
    }
    if copy.synced_properties != frozenset(wanted):
        changes[mark_properties.SYNCED] = mark_properties.synced(source)
    return changes


def _changes(
    wanted: Mapping[str, V], actual: Mapping[str, V], *, removable: frozenset[str]
) -> dict[str, V | None]:
    changes: dict[str, V | None] = {
        key: value for key, value in wanted.items() if key not in actual or actual[key] != value
    }
    changes |= {key: None for key in actual if key not in wanted and key in removable}
    return changes
