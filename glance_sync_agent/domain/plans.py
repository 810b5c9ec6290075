# SPDX-License-Identifier: Apache-2.0
"""The one decision: what brings a copy closer to its source.

Attempts, scans and commands all ask :func:`decide`.
"""

import dataclasses

from glance_sync_agent.domain import conflicts
from glance_sync_agent.domain import copy_plans
from glance_sync_agent.domain import images
from glance_sync_agent.domain import readiness
from glance_sync_agent.domain.actions import Action
from glance_sync_agent.domain.actions import Conflict
from glance_sync_agent.domain.actions import CopyData
from glance_sync_agent.domain.actions import DeleteCopy
from glance_sync_agent.domain.actions import ReadBack
from glance_sync_agent.domain.actions import Settled
from glance_sync_agent.domain.actions import Wait
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.domain.identity import Identity
from glance_sync_agent.domain.identity import Whose
from glance_sync_agent.domain.images import Image
from glance_sync_agent.domain.images import ImageStatus
from glance_sync_agent.domain.situations import Misread
from glance_sync_agent.domain.situations import Situation

_ABSENT = Settled(code=Code.ABSENT, text="absent from both regions")
#: The catalogue has no image endpoint for the region, so no attempt can look.
REGION_GONE = Settled(
    code=Code.REGION_GONE, text="its region is not in Keystone's catalogue any more"
)


def decide(situation: Situation) -> Action:
    """Return the one action that moves the copy closer to its source.

    Every situation has exactly one answer, and executing it leads to an answer that is nearer
    to :class:`Settled`.
    """
    case = _without_the_gone(situation)
    action = _decide(case)
    if case.cancelled_by is not None:
        action = _cancelled(case, case.cancelled_by, action)
    if isinstance(action, DeleteCopy):
        first = copy_plans.before_deletion(case, action.copy)
        return dataclasses.replace(action, first=first)
    return action


def _decide(case: Situation) -> Action:
    source = case.source
    if source is None:
        return _without_source(case)
    ours = case.copy if case.identity is not None and case.identity.is_ours else None
    if case.refusal is not None:
        return _refused(ours, case.identity, case.refusal)
    if case.misread is not None and case.copy is not None and case.identity is not None:
        return _misread(case.copy, case.identity, case.misread)
    if case.unwanted is None and (step := readiness.before_data(source)) is not None:
        # A source that names itself never gets here.
        return (
            copy_plans.narrowing_step(  # pragma: no mutate
                source, ours, case.identity, case.proven_id
            )
            or step
        )
    if (why := readiness.obstacle(source)) is not None:
        narrower = copy_plans.narrowing_step(source, ours, case.identity, case.proven_id)
        return narrower or Settled(code=Code.NOT_COPYABLE, text=why)
    if ours is None or case.identity is None:
        return _without_copy(case, source)
    return copy_plans.plan(case, source, ours, case.identity)


def _cancelled(case: Situation, by: str, action: Action) -> Action:
    """Return what is done for a cancelled task: nothing but what takes access away."""
    if case.source is None or isinstance(action, Settled):
        return action
    ours = case.copy if case.identity is not None and case.identity.is_ours else None
    narrower = copy_plans.narrowing_step(case.source, ours, case.identity, case.proven_id)
    return narrower or conflicts.cancelled(by)


def _without_the_gone(situation: Situation) -> Situation:
    # Most images of a scan are there, and a new situation for each costs time.
    if _is_gone(situation.source):
        situation = dataclasses.replace(situation, source=None)
    if _is_gone(situation.copy):
        # One of both would do, but there are both or neither.
        situation = dataclasses.replace(  # pragma: no mutate
            situation, copy=None, identity=None
        )
    return situation


def _is_gone(image: Image | None) -> bool:
    return image is not None and image.status in images.GONE


def _without_source(case: Situation) -> Action:
    copy, found = case.copy, case.identity
    # Both are there, or neither.
    if copy is None or found is None:  # pragma: no mutate
        return _ABSENT
    if found.whose is Whose.INHERITED:
        return _ABSENT
    if found.whose is Whose.FOREIGN:
        return Settled(
            code=Code.NOT_OURS, text="source is gone; the image in its place is not ours"
        )
    if not case.may_delete:
        return Settled(
            code=Code.SOURCE_MISSING,
            text="source is not found, and nothing proves that it was deleted",
        )
    if not found.is_ours:
        return conflicts.doubtful(copy, found, why="source was deleted; ")
    if found.on_probation:
        return conflicts.on_probation(copy, "its source was deleted")
    return DeleteCopy(copy=copy, reason="source was deleted")


def _refused(ours: Image | None, found: Identity | None, why: str) -> DeleteCopy | Conflict:
    """Clear away a record that will never take the bytes, then report it."""
    if ours is not None and found is not None and found.may_be_replaced:
        return DeleteCopy(copy=ours, reason=why)
    return conflicts.refused(why)


def _misread(copy: Image, found: Identity, misread: Misread) -> DeleteCopy | Conflict:
    if not found.may_be_replaced:
        return conflicts.misread(copy, misread.expected, misread.found)
    return DeleteCopy(
        copy=copy,
        reason="copy holds other bytes",
        mismatch=(str(misread.expected), str(misread.found)),
    )


def _without_copy(case: Situation, source: Image) -> Action:
    """Return what to do if there is no copy of ours, but perhaps another image."""
    if case.unwanted is not None:
        return Settled(code=Code.OUT_OF_STRATEGY, text=copy_plans.unwanted_text(case.unwanted))
    other, found = case.copy, case.identity
    # Both are there, or neither.
    if other is None or found is None:  # pragma: no mutate
        return _new_copy(case, source)
    match found.whose:
        case Whose.INHERITED:
            return _new_copy(case, source, under_own_id=True)
        case Whose.FOREIGN:
            return conflicts.foreign(source, other)
    if found.needs_reading and source.multihash is not None:
        return ReadBack(copy=other, expected=source.multihash, reason=found.reason)
    if other.status in readiness.IN_UPLOAD:
        # Scans know no times, and an attempt that does is tested with the engine.
        what = "an image that may be our copy"
        return copy_plans.busy(case, other, found, what)  # pragma: no mutate
    return conflicts.doubtful(other, found)


def _new_copy(
    case: Situation, source: Image, *, under_own_id: bool = False
) -> Settled | CopyData | Wait:
    if source.status is ImageStatus.DEACTIVATED:
        return copy_plans.source_deactivated()
    if case.held_id is not None:
        return copy_plans.held_and_gone(source, case.held_id)
    if case.wait is not None:
        return case.wait
    return CopyData(source=source, into=None, under_own_id=under_own_id)
