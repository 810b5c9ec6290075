# SPDX-License-Identifier: Apache-2.0
"""The one decision: what brings a copy closer to its source.

The event path, the look at start and the operator's ``sync`` all ask :func:`next_action`.
"""

from collections.abc import Mapping
import dataclasses
import enum
from typing import TypeVar

from glance_sync_agent.domain import changes
from glance_sync_agent.domain import codes
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import narrowing
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.domain.images import Image
from glance_sync_agent.domain.images import ImageStatus

UpdateMetadata = changes.UpdateMetadata
SetActive = changes.SetActive


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """Nothing is to be done: the copy is as it should be, or nobody asked for one."""

    code: Code
    text: str  # for people; nothing compares it

    @property
    def is_in_step(self) -> bool:
        """Return whether there is a copy that is as it should be."""
        return self.code in codes.IN_STEP


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
    #: The id of the source belongs to somebody else there, so that the copy needs another one.
    under_own_id: bool = False


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


Executable = CopyData | ReadBack | UpdateMetadata | SetActive | DeleteCopy | Conflict
Action = Settled | Wait | AwaitSource | Executable

V = TypeVar("V")


class StepKind(enum.StrEnum):
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

    what: StepKind
    why: str


_TOLD_AS: Mapping[type[Action], StepKind] = {
    DeleteCopy: StepKind.DELETE,
    ReadBack: StepKind.VERIFY,
    Wait: StepKind.WAIT,
    AwaitSource: StepKind.WAIT,
    Conflict: StepKind.REPORT,
}

_IN_SYNC = Settled(code=Code.IN_SYNC, text="in sync")
_ABSENT = Settled(code=Code.ABSENT, text="absent from both regions")
#: No image service answers for the region, so that nobody looks.
REGION_GONE = Settled(
    code=Code.REGION_GONE, text="its region is not in Keystone's catalogue any more"
)

_BUSY = frozenset({ImageStatus.SAVING, ImageStatus.UPLOADING, ImageStatus.IMPORTING})
_UNFINISHED = _BUSY | {ImageStatus.QUEUED}
_GONE = frozenset({ImageStatus.DELETED, ImageStatus.PENDING_DELETE})
_WITH_DATA = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})


def next_action(
    source: Image | None,
    copy: Image | None,
    *,
    found: identity.Identity | None,
    unwanted: str | None,
    may_delete: bool,
    delete_unwanted: bool = False,
    damage: verification.Damage | None = None,
    proven_id: images.ImageId | None = None,
    deactivated_id: images.ImageId | None = None,
) -> Action:
    """Return the one action that moves ``copy`` closer to ``source``.

    Every pair has exactly one answer, and doing it leads to an answer nearer to
    :class:`Settled`.

    :param source: the image of the cascading region, joined with the one that holds its data
        if that is elsewhere; None if there is none.
    :param copy: the image that is taken for the copy; None if there is none.
    :param found: whose ``copy`` is, by :func:`identity.whose`.
    :param unwanted: why the image does not belong in the copy's region; None: it does.
    :param may_delete: it was proven that the source existed.
    :param delete_unwanted: a copy does not stay where its image does not belong.
    :param damage: what was found when a copy was read back; None: nothing wrong.
    :param proven_id: the copy that was read back and has the source's bytes, whatever its Glance
        hashes with; None: none was.
    :param deactivated_id: the copy that the agent deactivated, or was about to; None: none.
    """
    source, copy = _present(source), _present(copy)
    if copy is None:
        found = None
    if source is None:
        return _without_source(copy, found, may_delete=may_delete)
    ours = copy if found is not None and found.is_ours else None
    if unwanted is None and (step := _before_data(source)) is not None:
        return _narrowing(source, ours) or step
    if (why := obstacle(source)) is not None:
        return _narrowing(source, ours) or Settled(code=Code.NOT_COPYABLE, text=why)
    if ours is None or found is None:
        return _without_copy(source, copy, found, unwanted)
    is_held = _is_held(source, ours, deactivated_id)
    if unwanted is not None:
        is_deleted = delete_unwanted and not found.on_probation
        action: Action = _unwanted(unwanted, source, ours, delete=is_deleted)
    else:
        is_proven = ours.image_id == proven_id
        action = _with_copy(source, ours, found, is_proven=is_proven, is_held=is_held)
    is_damaged = damage is not None and damage.copy_id == ours.image_id
    if damage is not None and is_damaged and found.may_be_replaced and not is_held:
        return _damaged(source, ours, damage, action)
    return action


def proof(source: Image, copy: Image | None) -> DeleteCopy | ReadBack | None:
    """Return what the bytes of a copy of ours call for, whatever else is to be done.

    None: nothing.
    """
    if copy is None or copy.status not in _WITH_DATA:
        return None
    return _data_step(source, copy)


def step_of(action: Action) -> Step | None:
    """Return the words for an action; None: it does nothing."""
    match action:
        case CopyData(into=None):
            return Step(what=StepKind.COPY, why="there is no copy")
        case CopyData():
            return Step(what=StepKind.COPY, why="the copy has no data")
        case UpdateMetadata():
            return Step(what=StepKind.UPDATE, why=", ".join(_changed(action)))
        case SetActive(active=active):
            status = "active" if active else "deactivated"
            return Step(what=StepKind.STATUS, why=f"source is {status}")
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
        and not identity.names_itself(source)
        and source.status in _UNFINISHED
        and remotes.fault(source) is None
    )


def obstacle(source: Image) -> str | None:
    """Return why an image cannot be copied to any region at all; None: it can."""
    if identity.names_itself(source):
        return "source is itself a copy"
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


def _without_source(
    copy: Image | None, found: identity.Identity | None, *, may_delete: bool
) -> Action:
    # Both are there, or neither.
    if copy is None or found is None:  # pragma: no mutate
        return _ABSENT
    if found.whose is identity.Whose.INHERITED:
        return _ABSENT
    if found.whose is identity.Whose.FOREIGN:
        return Settled(
            code=Code.NOT_OURS, text="source is gone; the image here is not ours and stays"
        )
    if not may_delete:
        return Settled(
            code=Code.SOURCE_MISSING,
            text="source is not found, and nothing proves that it was deleted",
        )
    if not found.is_ours:
        return Conflict(reason=f"source was deleted; {_doubt(copy, found)}")
    if found.on_probation:
        return _left_alone(copy, "its source was deleted")
    return DeleteCopy(copy=copy, reason="source was deleted")


def _without_copy(
    source: Image,
    other: Image | None,
    found: identity.Identity | None,
    unwanted: str | None,
) -> Action:
    """Return what to do where there is no copy of ours, but perhaps another image."""
    if unwanted is not None:
        return Settled(code=Code.OUT_OF_STRATEGY, text=_told_unwanted(unwanted))
    # Both are there, or neither.
    if other is None or found is None:  # pragma: no mutate
        return _without_data(source, None)
    return _not_ours(source, other, found)


def _unwanted(
    why: str, source: Image, copy: Image, *, delete: bool
) -> Settled | DeleteCopy | UpdateMetadata | SetActive:
    told = _told_unwanted(why)
    if delete:
        return DeleteCopy(copy=copy, reason=told)
    if (step := _narrowing(source, copy)) is not None:
        return step
    deactivated = " and deactivated" if copy.status is ImageStatus.DEACTIVATED else ""
    return Settled(
        code=Code.OUT_OF_STRATEGY,
        text=f"{told}; the copy that is there stays, and only what narrows who may use it "
        f"follows its source: it is {copy.metadata.visibility}{deactivated}"
    )


def _narrowing(source: Image, copy: Image | None) -> UpdateMetadata | SetActive | None:
    """Return what follows a source to a copy of ours whatever else is true of them."""
    if copy is None or copy.status is ImageStatus.KILLED or identity.names_itself(source):
        return None
    if _must_rest(source, copy):
        return SetActive(copy=copy, active=False)
    step = _metadata_step(source, copy)
    return narrowing.narrowed(step) if isinstance(step, UpdateMetadata) else None


def _must_rest(source: Image, copy: Image) -> bool:
    """Tell whether a copy is to be deactivated."""
    is_deactivated = source.status is ImageStatus.DEACTIVATED
    return is_deactivated and copy.status is ImageStatus.ACTIVE


def _is_held(source: Image, copy: Image, deactivated_id: images.ImageId | None) -> bool:
    """Tell whether somebody else has deactivated a copy."""
    is_deactivated = copy.status is ImageStatus.DEACTIVATED
    is_alone = is_deactivated and source.status is ImageStatus.ACTIVE
    return is_alone and copy.image_id != deactivated_id


def _told_unwanted(why: str) -> str:
    return f"not wanted here: {why}"


def _not_ours(
    source: Image, copy: Image, found: identity.Identity
) -> Action:
    """Return what to do where another image has the copy's place."""
    match found.whose:
        case identity.Whose.INHERITED:
            action = _without_data(source, None)
            if isinstance(action, CopyData):
                return dataclasses.replace(action, under_own_id=True)
            return action
        case identity.Whose.DOUBTFUL if found.needs_reading and source.multihash is not None:
            return ReadBack(copy=copy, expected=source.multihash, reason=found.reason)
        case identity.Whose.DOUBTFUL if copy.status in _BUSY:
            return Wait(copy=copy, reason=f"an image that may be our copy is {copy.status}")
        case identity.Whose.DOUBTFUL:
            return Conflict(reason=_doubt(copy, found))
        case _ if _is_the_same(source, copy):
            return Conflict(
                reason=f"image {copy.image_id} of region {copy.region} is the source itself, by "
                f"its id, creation time and data, so that regions {source.region} and "
                f"{copy.region} have one Glance; do not delete it, and take region {copy.region} "
                "out of the strategy"
            )
        case _:
            return Conflict(
                reason=f"image {copy.image_id} of region {copy.region} was not made by this agent "
                "and has the id that the copy needs; delete it there, or publish the source again "
                "with another id, or take the region out of the strategy"
            )


def _is_the_same(source: Image, copy: Image) -> bool:
    """Tell whether two regions of the catalogue show one image of one Glance."""
    same = [(one.image_id, one.created_at, one.size, one.multihash) for one in (source, copy)]
    return source.created_at is not None and same[0] == same[1]


def _doubt(copy: Image, found: identity.Identity) -> str:
    return (
        f"image {copy.image_id} of region {copy.region} is left alone, because nothing proves "
        f"that it is our copy: {found.reason}. Run 'glance-sync adopt {copy.image_id} --region "
        f"{copy.region}' if it is a copy, or else 'glance-sync disown' with the same arguments"
    )


def _with_copy(
    source: Image, copy: Image, found: identity.Identity, *, is_proven: bool, is_held: bool
) -> Action:
    if copy.status is ImageStatus.QUEUED:
        return _without_data(source, copy)
    if copy.status in _BUSY:
        return Wait(copy=copy, reason=f"copy is {copy.status}")
    if copy.status is ImageStatus.KILLED:
        return _killed(copy, found)
    step = _data_step(source, copy)
    if isinstance(step, DeleteCopy):
        return step
    if _must_rest(source, copy):
        return SetActive(copy=copy, active=False)
    action = _metadata_step(source, copy)
    if isinstance(action, Settled) and copy.status is not source.status:
        # After who may see it was brought in step: else who may not any more would, for a moment.
        return _held(source, copy) if is_held else SetActive(copy=copy, active=True)
    # Last, because it may take hours, or fail: who may not see the source any more must not
    # see its copy meanwhile.
    is_last = isinstance(action, Settled) and not is_proven
    return step if step is not None and is_last else action


def _held(source: Image, copy: Image) -> Settled:
    return Settled(
        code=Code.HELD,
        text=f"in sync, but somebody else deactivated image {copy.image_id} of region "
        f"{copy.region}, and it stays so; 'glance-sync sync --release {source.image_id} --region "
        f"{copy.region}' activates it",
    )


def _killed(copy: Image, found: identity.Identity) -> DeleteCopy | Conflict:
    if found.on_probation:
        return _left_alone(copy, "it is killed")
    return DeleteCopy(copy=copy, reason="copy is killed")


def _left_alone(copy: Image, why: str) -> Conflict:
    return Conflict(
        reason=f"image {copy.image_id} of region {copy.region} is left alone, although {why}: it "
        "was adopted without data, and may be somebody else's; delete it there if it is not"
    )


def _damaged(
    source: Image, copy: Image, damage: verification.Damage, action: Action
) -> Action:
    """Return what to do in the place of an action that keeps a copy whose bytes are bad."""
    if not isinstance(action, ReadBack | UpdateMetadata | SetActive | Settled):
        return action
    return DeleteCopy(
        copy=copy,
        reason="copy is damaged",
        mismatch=(str(verification.expected(source, copy)), damage.found),
    )


def _without_data(source: Image, copy: Image | None) -> Settled | CopyData | UpdateMetadata:
    if source.status is ImageStatus.DEACTIVATED:
        return Settled(code=Code.SOURCE_DEACTIVATED, text="source is deactivated")
    if copy is not None:
        step = _metadata_step(narrowing.before_data(source, copy), copy)
        if isinstance(step, UpdateMetadata):
            # The bytes make the image: who may not see the source must not see that.
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


def _metadata_step(source: Image, copy: Image) -> Settled | UpdateMetadata:
    """Return what to change next, what narrows before all else."""
    attributes = {
        name: getattr(source.metadata, name)
        for name in images.ATTRIBUTES
        if getattr(source.metadata, name) != getattr(copy.metadata, name)
    }
    tags = source.metadata.tags if source.metadata.tags != copy.metadata.tags else None
    properties = _property_changes(source, copy)
    members = _changes(source.members, copy.members, removable=frozenset(copy.members))
    if not (attributes or tags is not None or properties or members):
        return _IN_SYNC
    change = UpdateMetadata(
        copy=copy, attributes=attributes, tags=tags, properties=properties, members=members
    )
    # Alone: Glance does all of a change or nothing, and may refuse the rest for good, such as a
    # property above its quota. Who may not see the source any more would see the copy.
    return narrowing.narrowed(change) or change


def _property_changes(source: Image, copy: Image) -> dict[str, str | None]:
    wanted = images.handed_on(source)
    removable = copy.synced_properties | images.KEY_POLICIES
    changes: dict[str, str | None] = {
        **_changes(wanted, copy.metadata.properties, removable=removable)
    }
    if copy.synced_properties != frozenset(wanted):
        changes[images.SYNCED_PROPERTIES] = images.synced_properties(source)
    return changes


def _changes(
    wanted: Mapping[str, V], actual: Mapping[str, V], *, removable: frozenset[str]
) -> dict[str, V | None]:
    changes: dict[str, V | None] = {
        key: value for key, value in wanted.items() if key not in actual or actual[key] != value
    }
    changes |= {key: None for key in actual if key not in wanted and key in removable}
    return changes
