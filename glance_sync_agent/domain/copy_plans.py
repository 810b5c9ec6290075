# SPDX-License-Identifier: Apache-2.0
"""What a copy of ours needs."""

import dataclasses

from glance_sync_agent.domain import conflicts
from glance_sync_agent.domain import data_proofs
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_changes
from glance_sync_agent.domain import narrowing
from glance_sync_agent.domain import readiness
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.actions import Action
from glance_sync_agent.domain.actions import Conflict
from glance_sync_agent.domain.actions import CopyData
from glance_sync_agent.domain.actions import DeleteCopy
from glance_sync_agent.domain.actions import ReadBack
from glance_sync_agent.domain.actions import SetActive
from glance_sync_agent.domain.actions import Settled
from glance_sync_agent.domain.actions import UpdateMetadata
from glance_sync_agent.domain.actions import Wait
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.domain.identity import Identity
from glance_sync_agent.domain.identity import names_itself
from glance_sync_agent.domain.images import Image
from glance_sync_agent.domain.images import ImageId
from glance_sync_agent.domain.images import ImageStatus
from glance_sync_agent.domain.situations import Situation

_IN_SYNC = Settled(code=Code.IN_SYNC, text="in sync")


def plan(case: Situation, source: Image, copy: Image, found: Identity) -> Action:
    """Return what a copy of ours needs."""
    is_held = _is_held(case, source, copy)
    if case.unwanted is not None:
        action: Action = _unwanted(case, source, copy, found)
    else:
        action = _wanted(case, source, copy, found)
    damage = case.damage
    if damage is None or damage.copy_id != copy.image_id or not found.may_be_replaced or is_held:
        return action
    return _damaged(source, copy, damage, action)


def narrowing_step(
    source: Image, copy: Image | None, found: Identity | None, proven_id: ImageId | None
) -> UpdateMetadata | SetActive | None:
    """Return what takes access to a copy of ours away, as its source does; None: nothing.

    Lost access always follows to the copy. The owner of a source may write the mark of a copy on
    it, but the copies that our rows know still follow.

    :param copy: of ours; None: there is none.
    :param found: whose it is.
    :param proven_id: as in :class:`Situation`.
    """
    if copy is None or copy.status is ImageStatus.KILLED:
        return None
    if names_itself(source) and (found is None or not found.is_known):
        return None
    return _deactivation(source, copy, proven_id) or _narrowed(source, copy, proven_id)


def before_deletion(case: Situation, copy: Image) -> UpdateMetadata | SetActive | None:
    """Return what takes access to a copy away before it is deleted; None: nothing.

    Glance may refuse the deletion for as long as a server runs from the copy.
    """
    if copy.status not in images.WITH_DATA:
        return None
    if case.source is None:
        return narrowing.hidden(copy)
    # No copy of a source that names itself is deleted.
    return narrowing_step(  # pragma: no mutate
        case.source, copy, case.identity, case.proven_id
    )


def busy(
    case: Situation, copy: Image, found: Identity, what: str
) -> Wait | DeleteCopy | Conflict:
    """Return what to do while an upload runs into an image, or once it has died.

    :param what: names the image.
    """
    if case.busy_seconds <= case.most_busy_seconds:
        return Wait(code=Code.COPY_BUSY, reason=f"{what} is {copy.status}")
    why = f"it was {copy.status} for {case.busy_seconds:.0f} s, so the upload into it has died"
    if not found.may_be_replaced:
        return conflicts.stuck(copy, found, why)
    return DeleteCopy(copy=copy, reason=why)


def source_deactivated() -> Settled:
    """Return that a region gets no new copy of a deactivated source."""
    return Settled(code=Code.SOURCE_DEACTIVATED, text="source is deactivated")


def unwanted_text(why: str) -> str:
    """Return why an image does not belong in a region, for its row."""
    return f"not wanted here: {why}"


def held_and_gone(source: Image, held_id: ImageId) -> Settled:
    """Return that a region gets no new copy, because somebody else deactivated the last one."""
    return Settled(
        code=Code.HELD,
        text=f"somebody else deactivated image {held_id}, which is gone now; this region gets "
        f"no new copy until you run 'glance-sync sync --release {source.image_id}' with "
        "--region",
    )


def _is_held(case: Situation, source: Image, copy: Image) -> bool:
    """Tell whether somebody else has deactivated a copy."""
    if copy.status is not ImageStatus.DEACTIVATED or copy.image_id == case.deactivated_id:
        return False
    return source.status is ImageStatus.ACTIVE or copy.image_id == case.held_id


def _unwanted(
    case: Situation, source: Image, copy: Image, found: Identity
) -> Settled | DeleteCopy | UpdateMetadata | SetActive:
    # Callers checked that there is a reason.
    text = unwanted_text(case.unwanted or "")  # pragma: no mutate
    is_held = _is_held(case, source, copy)
    if case.deletes_unwanted and not found.on_probation and not is_held:
        return DeleteCopy(copy=copy, reason=text)
    # A source that names itself never gets here.
    step = narrowing_step(source, copy, found, case.proven_id)  # pragma: no mutate
    if step is not None:
        return step
    deactivated = " and deactivated" if copy.status is ImageStatus.DEACTIVATED else ""
    return Settled(
        code=Code.OUT_OF_STRATEGY,
        text=f"{text}; the copy stays, and only what narrows access to its source follows: it "
        f"is {copy.metadata.visibility}{deactivated}{' by somebody else' if is_held else ''}",
        held_id=copy.image_id if is_held else None,
    )


def _deactivation(
    source: Image, copy: Image, proven_id: ImageId | None
) -> SetActive | None:
    """Return the deactivation of a copy; None: it may stay active."""
    if source.status is not ImageStatus.DEACTIVATED or copy.status is not ImageStatus.ACTIVE:
        return None
    return SetActive(copy=copy, active=False, and_also=_narrowed(source, copy, proven_id))


def _narrowed(
    source: Image, copy: Image, proven_id: ImageId | None
) -> UpdateMetadata | None:
    """Return the part of a change that takes access away; None: nothing does.

    If the id of a source was free again, and somebody else took it, the copy still holds the
    former source's bytes. So a new owner gets only bytes that are proven to be the source's.
    """
    change = metadata_changes.change(source, copy)
    found = None if change is None else narrowing.narrowed(change)
    if found is None or not narrowing.has_new_owner(found):
        return found
    return found if _has_bytes_of(source, copy, proven_id) else narrowing.hidden(copy)


def _has_bytes_of(source: Image, copy: Image, proven_id: ImageId | None) -> bool:
    """Tell whether a copy has no other bytes than its source, as far as that can be shown."""
    if copy.status not in images.WITH_DATA:
        return True
    if source.multihash is None:
        return source.status in images.WITH_DATA and source.size == copy.size
    return source.multihash == copy.multihash or copy.image_id == proven_id


def _wanted(case: Situation, source: Image, copy: Image, found: Identity) -> Action:
    if copy.status is ImageStatus.QUEUED:
        return _without_data(source, copy)
    if copy.status in readiness.IN_UPLOAD:
        return busy(case, copy, found, "copy")
    if copy.status is ImageStatus.KILLED:
        if found.on_probation:
            return conflicts.on_probation(copy, "it is killed")
        return DeleteCopy(copy=copy, reason="copy is killed")
    return _complete(case, source, copy)


def _without_data(source: Image, copy: Image) -> Settled | CopyData | UpdateMetadata:
    if source.status is ImageStatus.DEACTIVATED:
        return source_deactivated()
    # With its data the image becomes usable. Before that, only users of the source may see it.
    change = metadata_changes.change(narrowing.before_data(source, copy), copy)
    return change or CopyData(source=source, into=copy)


def _complete(case: Situation, source: Image, copy: Image) -> Action:
    """Return what a copy of ours with data needs."""
    proof = _proof(case, source, copy)
    if isinstance(proof, ReadBack) and copy.image_id == case.proven_id:
        proof = None  # pragma: no mutate - any other false value does the same
    if isinstance(proof, DeleteCopy):
        return proof
    if isinstance(proof, ReadBack) and source.multihash is None:
        # Only this attempt knows the hash of a source that has none.
        return proof
    if (step := _deactivation(source, copy, case.proven_id)) is not None:
        return step
    is_held = _is_held(case, source, copy)
    if isinstance(proof, Conflict) and not is_held:
        # Nobody gets access to bytes that may be wrong. The source has no hash to prove them.
        return _narrowed(source, copy, proven_id=None) or proof
    if (change := _change(source, copy, proof)) is not None:
        return change
    if is_held:
        return _held(source, copy)
    # Last, because it may take hours, or fail. Access that was taken back must not wait for it.
    return _activation(source, copy) or proof or _IN_SYNC


def _change(
    source: Image, copy: Image, proof: DeleteCopy | ReadBack | Conflict | None
) -> UpdateMetadata | None:
    """Return how a copy differs from its source; a new owner waits until its bytes are proven."""
    change = metadata_changes.change(source, copy)
    if change is None or proof is None or not narrowing.has_new_owner(change):
        return change
    return narrowing.hidden(copy)


def _activation(source: Image, copy: Image) -> SetActive | None:
    """Return the activation of a copy; None: it is as active as its source.

    Visibility and members come before it. Otherwise users without access to the source would see
    the copy.
    """
    return None if copy.status is source.status else SetActive(copy=copy, active=True)


def _proof(
    case: Situation, source: Image, copy: Image
) -> DeleteCopy | ReadBack | Conflict | None:
    if source.multihash is None and case.sent is not None:
        source = dataclasses.replace(source, multihash=case.sent)
    return data_proofs.step(source, copy)


def _held(source: Image, copy: Image) -> Settled:
    return Settled(
        code=Code.HELD,
        text=f"in sync, but somebody else deactivated image {copy.image_id} of region "
        f"{copy.region}; it stays deactivated until you run 'glance-sync sync --release "
        f"{source.image_id} --region {copy.region}'",
        held_id=copy.image_id,
    )


def _damaged(
    source: Image, copy: Image, damage: verification.Damage, action: Action
) -> Action:
    """Replace an action that keeps a copy whose bytes are wrong."""
    if not isinstance(action, ReadBack | UpdateMetadata | SetActive | Settled):
        return action
    return DeleteCopy(
        copy=copy,
        reason="copy is damaged",
        mismatch=(str(verification.expected(source, copy)), damage.found),
    )
