# SPDX-License-Identifier: Apache-2.0
"""Glance's notifications, reduced to "this image changed" or "this image was deleted".

A message is only a hint, because the worker reads the image from Glance. So a forged or late
message costs a few requests and changes nothing.
"""

from collections.abc import Mapping
import dataclasses
import enum

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import snapshots

_CHANGES = frozenset({"image.create", "image.activate", "image.update"})
_DELETION = "image.delete"
_MEMBERS = frozenset({"image.member.create", "image.member.update", "image.member.delete"})
_UNDERSTOOD = _CHANGES | _MEMBERS | {_DELETION}

# Steps of an upload, a download, and events about other objects
# (glance/notifier.py: ImageProxy, TaskProxy, MetadefNamespaceProxy).
_IGNORED = frozenset({"image.prepare", "image.upload", "image.send"})
_IGNORED_PREFIXES = ("task.", "metadef_")

# In these states a change is a step of an upload. ``image.activate`` announces its end, but not
# for every snapshot, so the agent waits for snapshots.
_UNFINISHED = ("queued", "saving", "uploading", "importing")  # payload values may be unhashable
_SHOWN_CHARACTERS = 80


class EventKind(enum.Enum):
    """What happened to an image."""

    CHANGED = enum.auto()
    DELETED = enum.auto()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ImageEvent:
    """Something happened to an image of the cascading region."""

    image_id: images.ImageId
    kind: EventKind
    is_snapshot: bool = False  # of a server or a volume, by its properties
    mark: images.Mark | None = None  # None: no mark, or a deletion
    project: str | None = None  # the owner; None: the message has none


def parse(event_type: object, payload: object) -> ImageEvent | None:
    """Read a notification; None if the agent ignores such events.

    :raises UnknownEvent: Glance has no such events.
    :raises NotificationError: it is not a valid image event.
    """
    if not isinstance(event_type, str):
        raise errors.NotificationError(f"event type {_shown(event_type)} is not a string")
    if event_type in _IGNORED or event_type.startswith(_IGNORED_PREFIXES):
        return None
    if event_type not in _UNDERSTOOD:
        raise errors.UnknownEvent(f"Glance has no events of type {_shown(event_type)}")
    if not isinstance(payload, Mapping):
        raise errors.NotificationError(f"payload {_shown(payload)} is not an object")
    image_id = images.image_id(payload.get("image_id" if event_type in _MEMBERS else "id"))
    given = payload.get("properties")
    properties = given if isinstance(given, Mapping) else {}
    is_snapshot = properties.get(snapshots.IMAGE_TYPE) in snapshots.TYPES
    if event_type in _CHANGES and payload.get("status") in _UNFINISHED and not is_snapshot:
        return None
    is_deletion = event_type == _DELETION
    owner = payload.get("owner")
    return ImageEvent(
        image_id=image_id,
        kind=EventKind.DELETED if is_deletion else EventKind.CHANGED,
        is_snapshot=is_snapshot,
        mark=None if is_deletion else mark_properties.read(properties),
        project=owner if isinstance(owner, str) else None,
    )


def _shown(value: object) -> str:
    """Return a short form of a value for a log line."""
    return repr(value)[:_SHOWN_CHARACTERS]
