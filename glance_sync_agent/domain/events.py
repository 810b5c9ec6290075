# SPDX-License-Identifier: Apache-2.0
"""Glance's notifications, reduced to "this image changed" or "this image was deleted".

A message is a hint: the worker asks Glance for the truth. So a forged or late one costs a
look and changes nothing.
"""

from collections.abc import Mapping
import dataclasses
import enum

from glance_sync_agent import errors
from glance_sync_agent.domain import images

_CHANGES = frozenset({"image.create", "image.activate", "image.update"})
_DELETION = "image.delete"
_MEMBERS = frozenset({"image.member.create", "image.member.update", "image.member.delete"})
_OF_INTEREST = _CHANGES | _MEMBERS | {_DELETION}

# Steps of an upload, a download, and what is not about images
# (glance/notifier.py: ImageProxy, TaskProxy, MetadefNamespaceProxy).
_OF_NO_INTEREST = frozenset({"image.prepare", "image.upload", "image.send"})
_OTHER_THINGS = ("task.", "metadef_")

# A change in one of these states is a step of an upload, whose end is announced by
# ``image.activate``; but not that of every snapshot, which is therefore waited for.
_UNFINISHED = ("queued", "saving", "uploading", "importing")  # payload values may be unhashable
_SHOWN_CHARACTERS = 80


class EventKind(enum.Enum):
    """What an event says of its image."""

    CHANGED = enum.auto()
    DELETED = enum.auto()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ImageEvent:
    """Something happened to an image of the cascading region."""

    image_id: images.ImageId
    kind: EventKind
    is_snapshot: bool = False  # of a server or a volume, by its properties
    mark: images.Mark | None = None  # as the image bears it; not told of a deletion
    project: str | None = None  # that owns it; None: not told


def parse(event_type: object, payload: object) -> ImageEvent | None:
    """Read a notification; None if it is of no interest.

    :raises UnknownEvent: Glance has no such events.
    :raises NotificationError: it should be an image event and is not.
    """
    if not isinstance(event_type, str):
        raise errors.NotificationError(f"event type {_shown(event_type)} is not a string")
    if event_type in _OF_NO_INTEREST or event_type.startswith(_OTHER_THINGS):
        return None
    if event_type not in _OF_INTEREST:
        raise errors.UnknownEvent(f"Glance has no events of type {_shown(event_type)}")
    if not isinstance(payload, Mapping):
        raise errors.NotificationError(f"payload {_shown(payload)} is not an object")
    image_id = images.image_id(payload.get("image_id" if event_type in _MEMBERS else "id"))
    given = payload.get("properties")
    properties = given if isinstance(given, Mapping) else {}
    is_snapshot = properties.get(images.IMAGE_TYPE) in images.SNAPSHOT_TYPES
    if event_type in _CHANGES and payload.get("status") in _UNFINISHED and not is_snapshot:
        return None
    is_deletion = event_type == _DELETION
    owner = payload.get("owner")
    return ImageEvent(
        image_id=image_id,
        kind=EventKind.DELETED if is_deletion else EventKind.CHANGED,
        is_snapshot=is_snapshot,
        mark=None if is_deletion else images.mark(properties),
        project=owner if isinstance(owner, str) else None,
    )


def _shown(value: object) -> str:
    """Return a short form of anything, for a log line."""
    return repr(value)[:_SHOWN_CHARACTERS]
