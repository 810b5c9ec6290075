# SPDX-License-Identifier: Apache-2.0
"""Access to an image: which part of a change takes it away, and which part gives it.

What narrows access follows a source to every copy, even to an unwanted one. It goes alone and
first. What widens access goes only to wanted copies, and last: after the bytes, on a new look at
the source. A new owner does both: the former owner loses the copy.
"""

import dataclasses
from typing import TypeVar

from glance_sync_agent.domain.actions import Action
from glance_sync_agent.domain.actions import DeleteCopy
from glance_sync_agent.domain.actions import SetActive
from glance_sync_agent.domain.actions import UpdateMetadata
from glance_sync_agent.domain.images import Image

PRIVATE = "private"
SHARED = "shared"
_COMMUNITY = "community"
_PUBLIC = "public"
_VISIBILITY = "visibility"
_OWNER = "owner"

C = TypeVar("C", UpdateMetadata, SetActive)

#: Each visibility with the wider ones: for the owner, members, users who know the id, all.
_WIDER = {
    PRIVATE: frozenset({SHARED, _COMMUNITY, _PUBLIC}),
    SHARED: frozenset({_COMMUNITY, _PUBLIC}),
    _COMMUNITY: frozenset({_PUBLIC}),
}


def is_narrower(visibility: object, than: str) -> bool:
    """Tell whether fewer people see an image of one visibility than one of another."""
    return isinstance(visibility, str) and than in _WIDER.get(visibility, ())


def narrowed(change: C) -> C | None:
    """Return the part of a change that takes access away; None: nothing does.

    That is a narrower visibility, a new owner, removed members, and a deactivation. Members who
    are removed because everybody may use the image lose nothing. Only a new owner also gains
    access.
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


def has_new_owner(change: UpdateMetadata) -> bool:
    """Tell whether a change gives a copy to another project."""
    return _OWNER in change.attributes


def hidden(copy: Image) -> UpdateMetadata | None:
    """Return what hides a copy from everybody but its owner; None: nothing needs to.

    Members of a private image have no access, so they may stay.
    """
    visibility = copy.metadata.visibility
    if not is_narrower(PRIVATE, visibility) or (visibility == SHARED and not copy.members):
        return None
    return UpdateMetadata(
        copy=copy, attributes={_VISIBILITY: PRIVATE}, tags=None, properties={}, members={}
    )


def widens(change: UpdateMetadata | SetActive) -> bool:
    """Tell whether a change gives access to somebody."""
    if isinstance(change, SetActive):
        return change.active or (change.and_also is not None and widens(change.and_also))
    if _OWNER in change.attributes:
        return True
    visibility = change.attributes.get(_VISIBILITY)
    if visibility is not None and not is_narrower(visibility, change.copy.metadata.visibility):
        return True
    return any(status is not None for status in change.members.values())


def widens_access(action: Action) -> bool:
    """Tell whether an action gives access to somebody."""
    if isinstance(action, DeleteCopy):
        return action.first is not None and widens(action.first)
    return isinstance(action, UpdateMetadata | SetActive) and widens(action)


def only_narrows(action: Action) -> bool:
    """Tell whether an action does nothing but take access away."""
    if isinstance(action, SetActive):
        return not action.active
    return isinstance(action, UpdateMetadata) and narrowed(action) == action


def first_visibility(visibility: str) -> str:
    """Return the visibility of a new record, which only its owner sees.

    A shared image has no members at first, so its visibility need not change later.
    """
    return SHARED if visibility == SHARED else PRIVATE


def before_data(source: Image, copy: Image) -> Image:
    """Return a source as a record of its copy without data should look."""
    visibility = first_visibility(source.metadata.visibility)
    members = {one: copy.members[one] for one in source.members if one in copy.members}
    return dataclasses.replace(
        source,
        metadata=dataclasses.replace(source.metadata, visibility=visibility),
        members=members,
    )


def is_seen_later(source: Image) -> bool:
    """Tell whether users besides its owner may see a copy once it has its data."""
    visibility = source.metadata.visibility
    return visibility != first_visibility(visibility) or bool(source.members)
