# SPDX-License-Identifier: Apache-2.0
"""Who may see and use an image: what of a change takes that from somebody, and what gives it.

What narrows follows a source to every copy, also to one that is not wanted any more, and goes
alone and first. What widens goes only where the image is wanted, and last: after the bytes, on
a new look at the source. Another owner does both: the one that was may not use the copy any
more, whoever comes instead.
"""

import dataclasses
from typing import TypeVar

from glance_sync_agent.domain.changes import SetActive
from glance_sync_agent.domain.changes import UpdateMetadata
from glance_sync_agent.domain.images import Image

PRIVATE = "private"
SHARED = "shared"
_COMMUNITY = "community"
_PUBLIC = "public"
_VISIBILITY = "visibility"
_OWNER = "owner"

C = TypeVar("C", UpdateMetadata, SetActive)

#: Each visibility with the wider ones: the owner, the members too, all who know the id, all.
_WIDER = {
    PRIVATE: frozenset({SHARED, _COMMUNITY, _PUBLIC}),
    SHARED: frozenset({_COMMUNITY, _PUBLIC}),
    _COMMUNITY: frozenset({_PUBLIC}),
}


def is_narrower(visibility: object, than: str) -> bool:
    """Tell whether fewer people see an image of one visibility than one of another."""
    return isinstance(visibility, str) and than in _WIDER.get(visibility, ())


def narrowed(change: C) -> C | None:
    """Return what of a change takes something from somebody; None: nothing.

    That is a narrower visibility, another owner, members that go, and a deactivation. Members
    that go because everybody may use the image lose nothing. Only another owner gets something
    by it, too.
    """
    if isinstance(change, SetActive):
        return None if change.active else change
    visibility = change.attributes.get(_VISIBILITY)
    is_narrow = is_narrower(visibility, change.copy.metadata.visibility)
    may_lose = is_narrow or visibility is None
    taken = {_OWNER, _VISIBILITY} if is_narrow else {_OWNER}
    members = [member for member, status in change.members.items() if status is None]
    kept = dataclasses.replace(
        change,
        attributes={name: value for name, value in change.attributes.items() if name in taken},
        tags=None,
        properties={},
        members=dict.fromkeys(members if may_lose else ()),
    )
    return kept if kept.attributes or kept.members else None


def widens(change: UpdateMetadata | SetActive) -> bool:
    """Tell whether a change gives something to somebody."""
    if isinstance(change, SetActive):
        return change.active
    if _OWNER in change.attributes:
        return True
    visibility = change.attributes.get(_VISIBILITY)
    if visibility is not None and not is_narrower(visibility, change.copy.metadata.visibility):
        return True
    return any(status is not None for status in change.members.values())


def first_visibility(visibility: str) -> str:
    """Return the visibility of a new record, which nobody but its owner sees.

    A shared image has no members then, so that it need not be changed later.
    """
    return SHARED if visibility == SHARED else PRIVATE


def before_data(source: Image, copy: Image) -> Image:
    """Return a source as the record of its copy should look that has no data yet."""
    visibility = first_visibility(source.metadata.visibility)
    members = {one: copy.members[one] for one in source.members if one in copy.members}
    return dataclasses.replace(
        source,
        metadata=dataclasses.replace(source.metadata, visibility=visibility),
        members=members,
    )


def is_seen_later(source: Image) -> bool:
    """Tell whether somebody besides the owner of a copy may see it once it has its data."""
    visibility = source.metadata.visibility
    return visibility != first_visibility(visibility) or bool(source.members)
