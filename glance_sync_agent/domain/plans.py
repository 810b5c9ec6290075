# SPDX-License-Identifier: Apache-2.0
"""The one decision: what brings a copy closer to its source.

The event path, the look at start and the operator's ``sync`` all ask :func:`next_action`.
"""

from collections.abc import Mapping
import dataclasses
import enum
from typing import TypeVar

from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.images import Image
from glance_sync_agent.domain.images import ImageStatus


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Nothing:
    """The copy is as it should be, or nobody asked for one."""

    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """The region is busy with the copy; look again soon."""

    copy: Image
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AwaitSource:
    """The source is a snapshot whose data is not there yet; it may take long."""

    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CopyData:
    """Bring the bytes."""

    source: Image
    into: Image | None  # a record of ours that waits for data; None: make one first


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class UpdateMetadata:
    """Bring the record of the copy up to date. What is not named stays."""

    copy: Image
    attributes: Mapping[str, object]  # of images.ATTRIBUTES, by name
    tags: frozenset[str] | None  # the whole set; None: as they are
    properties: Mapping[str, str | None]  # None removes
    members: Mapping[str, images.MemberStatus | None]  # by project id; None removes


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SetActive:
    """Deactivate or reactivate the copy, as its source is."""

    copy: Image
    active: bool


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class DeleteCopy:
    """Remove the copy, record and data."""

    copy: Image
    reason: str
    #: Set if the bytes are wrong: what they should be and what they are.
    mismatch: tuple[str, str] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ReadBack:
    """Read the copy and hash it: no hash of its Glance says whether it has the source's bytes."""

    copy: Image
    expected: images.Multihash  # the source's
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Conflict:
    """Somebody has to decide; nothing is touched."""

    reason: str


Deed = CopyData | ReadBack | UpdateMetadata | SetActive | DeleteCopy | Conflict
Action = Nothing | Wait | AwaitSource | Deed

V = TypeVar("V")


class What(enum.StrEnum):
    """Kinds of steps, as an operator reads them."""

    COPY = "copy"
    UPDATE = "update"
    STATUS = "status"  # deactivate or reactivate
    DELETE = "delete"
    VERIFY = "verify"  # read a copy back
    ADOPT = "adopt"  # a copy that is there and has no task
    NOTE = "note"  # only our own notes are wrong
    WAIT = "wait"
    REPORT = "report"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """What is to be done about an image in a region, in words."""

    what: What
    why: str


_TOLD_AS: Mapping[type[Action], What] = {
    DeleteCopy: What.DELETE,
    ReadBack: What.VERIFY,
    Wait: What.WAIT,
    AwaitSource: What.WAIT,
    Conflict: What.REPORT,
}

#: Reasons of :class:`Nothing` that the engine tells apart.
IN_SYNC = "in sync"
ABSENT = "absent from both regions"
OUT_OF_REACH = "its region is not in Keystone's catalogue any more"

_BUSY = frozenset({ImageStatus.SAVING, ImageStatus.UPLOADING, ImageStatus.IMPORTING})
_UNFINISHED = _BUSY | {ImageStatus.QUEUED}
_GONE = frozenset({ImageStatus.DELETED, ImageStatus.PENDING_DELETE})
_WITH_DATA = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})


def next_action(
    source: Image | None,
    copy: Image | None,
    *,
    mark: images.Mark,
    known: bool,
    unwanted: str | None,
    may_delete: bool,
    delete_unwanted: bool = False,
    damage: verification.Damage | None = None,
    proven_id: images.ImageId | None = None,
) -> Action:
    """Return the one action that moves ``copy`` closer to ``source``.

    Every pair has exactly one answer, and doing it leads to an answer nearer to
    :class:`Nothing`.

    :param source: the image of the cascading region, joined with the one that holds its data
        if that is elsewhere; None if there is none.
    :param copy: the image that stands at the copy's id; None if there is none.
    :param mark: what a copy of this source bears; an image with another one is not ours.
    :param known: ``copy`` was seen in step before. Otherwise its mark is all there is, which
        anybody may set on an image of his own.
    :param unwanted: why the image does not belong in the copy's region; None: it does.
    :param may_delete: it was proven that the source existed.
    :param delete_unwanted: a copy does not stay where its image does not belong.
    :param damage: what was found when a copy was read back; None: nothing wrong.
    :param proven_id: the copy that was read back and has the source's bytes, whatever its Glance
        hashes with; None: none was.
    """
    source, copy = _present(source), _present(copy)
    if source is None:
        return _without_source(copy, mark, may_delete=may_delete)
    if unwanted is None and (step := _before_data(source)) is not None:
        return step
    if (why := obstacle(source)) is not None:
        return Nothing(reason=why)
    ours = copy if copy is not None and copy.mark == mark else None
    if unwanted is not None:
        action: Action = _unwanted(unwanted, ours, delete=delete_unwanted)
    elif copy is not None and ours is None:
        return _foreign(copy)
    else:
        is_proven = ours is not None and ours.image_id == proven_id
        action = _with_source(source, ours, known=known, is_proven=is_proven)
    if ours is not None and damage is not None and damage.copy_id == ours.image_id:
        return _damaged(source, ours, damage, action)
    return action


def proof(
    source: Image, copy: Image | None, *, mark: images.Mark
) -> DeleteCopy | ReadBack | None:
    """Return what the bytes of a copy call for, whatever else is to be done; None: nothing.

    :param mark: what a copy of this source bears.
    """
    if copy is None or copy.mark != mark or copy.status not in _WITH_DATA:
        return None
    return _data_step(source, copy)


def step_of(action: Action) -> Step | None:
    """Return the words for an action; None: it does nothing."""
    match action:
        case CopyData(into=None):
            return Step(what=What.COPY, why="there is no copy")
        case CopyData():
            return Step(what=What.COPY, why="the copy has no data")
        case UpdateMetadata():
            return Step(what=What.UPDATE, why=", ".join(_changed(action)))
        case SetActive(active=active):
            return Step(what=What.STATUS, why=f"source is {'active' if active else 'deactivated'}")
        case DeleteCopy() | ReadBack() | Wait() | AwaitSource() | Conflict():
            return Step(what=_TOLD_AS[type(action)], why=action.reason)
    return None


def _changed(action: UpdateMetadata) -> list[str]:
    names = sorted([*action.attributes, *action.properties])
    names += ["tags"] if action.tags is not None else []
    return names + (["members"] if action.members else [])


def is_awaited(source: Image) -> bool:
    """Tell whether an image is a snapshot that has no data yet and may still get it."""
    return (
        images.is_snapshot(source)
        and source.mark is None
        and source.status in _UNFINISHED
        and remotes.fault(source) is None
    )


def obstacle(source: Image) -> str | None:
    """Return why an image cannot be copied to any region at all; None: it can."""
    if source.mark is not None:
        return f"source is itself a copy, of region {source.mark.source_region}"
    if (lost := remotes.loss(source)) is not None:
        return lost
    if source.status not in _WITH_DATA:
        return f"source is {source.status}"
    return None


def _present(image: Image | None) -> Image | None:
    return None if image is None or image.status in _GONE else image


def _before_data(source: Image) -> AwaitSource | Conflict | None:
    """Return what comes before a look at the copy, where the data of the source is not at hand."""
    if (why := remotes.fault(source)) is not None:
        return Conflict(reason=why)
    if not is_awaited(source):
        return None
    where = f" in region {source.remote.region}" if source.remote is not None else ""
    return AwaitSource(reason=f"snapshot is {source.status}{where}")


def _without_source(copy: Image | None, mark: images.Mark, *, may_delete: bool) -> Action:
    if copy is None:
        return Nothing(reason=ABSENT)
    if copy.mark != mark:
        return Nothing(reason="source is gone; the image here is not ours and stays")
    if not may_delete:
        return Nothing(reason="source is not found, and nothing proves that it was deleted")
    return DeleteCopy(copy=copy, reason="source was deleted")


def _unwanted(why: str, copy: Image | None, *, delete: bool) -> Nothing | DeleteCopy:
    told = f"not wanted here: {why}"
    if copy is None:
        return Nothing(reason=told)
    if delete:
        return DeleteCopy(copy=copy, reason=told)
    return Nothing(reason=f"{told}; the copy that is there stays as it is")


def _foreign(copy: Image) -> Conflict:
    return Conflict(
        reason=f"image {copy.image_id} of region {copy.region} was not made by this agent and has "
        "the id that the copy needs; delete it there, or publish the source again with another "
        "id, or take the region out of the strategy"
    )


def _with_source(
    source: Image, copy: Image | None, *, known: bool, is_proven: bool
) -> Action:
    if copy is None or copy.status is ImageStatus.QUEUED:
        return _without_data(source, copy)
    if copy.status in _BUSY:
        return Wait(copy=copy, reason=f"copy is {copy.status}")
    if copy.status is ImageStatus.KILLED:
        return DeleteCopy(copy=copy, reason="copy is killed")
    step = _data_step(source, copy)
    if isinstance(step, DeleteCopy):
        return step
    if not known and copy.metadata.owner != source.metadata.owner:
        return _doubtful(source, copy)
    if copy.status is not source.status:
        return SetActive(copy=copy, active=source.status is ImageStatus.ACTIVE)
    action = _metadata_step(source, copy)
    # Last, because it may take hours, or fail: who may not see the source any more must not
    # see its copy meanwhile.
    is_last = isinstance(action, Nothing) and not is_proven
    return step if step is not None and is_last else action


def _damaged(
    source: Image, copy: Image, damage: verification.Damage, action: Action
) -> Action:
    """Return what to do in the place of an action that keeps a copy whose bytes are bad."""
    if not isinstance(action, ReadBack | UpdateMetadata | SetActive | Nothing):
        return action
    return DeleteCopy(
        copy=copy,
        reason="copy is damaged",
        mismatch=(str(verification.expected(source, copy)), damage.found),
    )


def _doubtful(source: Image, copy: Image) -> Conflict:
    # To adopt it would publish, under the source's name, whatever properties a stranger gave it.
    return Conflict(
        reason=f"image {copy.image_id} of region {copy.region} says that it is our copy, but "
        f"belongs to project {copy.metadata.owner} and its source to {source.metadata.owner}; "
        "delete it there, or give it to that project"
    )


def _without_data(source: Image, copy: Image | None) -> Action:
    if source.status is ImageStatus.DEACTIVATED:
        return Nothing(reason="source is deactivated")
    if copy is not None and copy.metadata.owner != source.metadata.owner:
        # The mark is a property that anybody may set: bytes never go into a record whose
        # owner could be a stranger's project.
        return DeleteCopy(copy=copy, reason="queued copy belongs to another project")
    if copy is not None and isinstance(step := _metadata_step(source, copy), UpdateMetadata):
        # The bytes make the image: who may not see the source any more must not see that.
        return step
    return CopyData(source=source, into=copy)


def _data_step(source: Image, copy: Image) -> DeleteCopy | ReadBack | None:
    """Return what to do if the bytes of a copy are not, or may not be, its source's."""
    expected, found = source.multihash, copy.multihash
    if expected is not None and found is not None and found.algo == expected.algo:
        if found != expected:
            return DeleteCopy(
                copy=copy,
                reason="copy holds other bytes",
                mismatch=(str(expected), str(found)),
            )
    elif expected is not None and copy.size == source.size:
        theirs = "does not hash" if found is None else f"hashes with {found.algo}"
        return ReadBack(
            copy=copy,
            expected=expected,
            reason=f"region {copy.region} {theirs}, and the source with {expected.algo}",
        )
    if copy.size != source.size:
        return DeleteCopy(
            copy=copy,
            reason="copy has another size",
            mismatch=(f"{source.size} bytes", f"{copy.size} bytes"),
        )
    return None


def _metadata_step(source: Image, copy: Image) -> Action:
    attributes = {
        name: getattr(source.metadata, name)
        for name in images.ATTRIBUTES
        if getattr(source.metadata, name) != getattr(copy.metadata, name)
    }
    tags = source.metadata.tags if source.metadata.tags != copy.metadata.tags else None
    properties = _property_changes(source, copy)
    members = _changes(source.members, copy.members, removable=frozenset(copy.members))
    if not (attributes or tags is not None or properties or members):
        return Nothing(reason=IN_SYNC)
    return UpdateMetadata(
        copy=copy, attributes=attributes, tags=tags, properties=properties, members=members
    )


def _property_changes(source: Image, copy: Image) -> dict[str, str | None]:
    wanted = source.metadata.properties
    changes: dict[str, str | None] = {
        **_changes(wanted, copy.metadata.properties, removable=copy.synced_properties)
    }
    if copy.synced_properties != frozenset(wanted):
        changes[images.SYNCED_PROPERTIES] = images.marks(source)[images.SYNCED_PROPERTIES]
    return changes


def _changes(
    wanted: Mapping[str, V], actual: Mapping[str, V], *, removable: frozenset[str]
) -> dict[str, V | None]:
    changes: dict[str, V | None] = {
        key: value for key, value in wanted.items() if key not in actual or actual[key] != value
    }
    changes |= {key: None for key in actual if key not in wanted and key in removable}
    return changes
