# SPDX-License-Identifier: Apache-2.0
"""The copy of a source, if its row does not name it, and a record for a new one."""

from collections.abc import Callable
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.images import ImageStatus
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts.context import Context
from glance_sync_agent.engine.attempts.copy_notes import CopyNotes
from glance_sync_agent.engine.attempts.sources import SourceViews

LOG = logging.getLogger(__name__)

_BEFORE_DATA = frozenset(
    {
        ImageStatus.QUEUED,
        ImageStatus.SAVING,
        ImageStatus.UPLOADING,
        ImageStatus.IMPORTING,
        ImageStatus.KILLED,
    }
)


def is_possible(source: images.Image) -> bool:
    """Tell whether a source may have a copy that no row knows.

    A source that never had data has none. Without its hash, nothing proves that an image is ours.
    """
    return source.status not in _BEFORE_DATA or remotes.loss(source) is not None


def find(
    service: ports.ImageService, evidence: identity.Evidence
) -> images.Image | None:
    """Return the image in the place of the copy of a source; None: there is none.

    The first of these candidates is taken, and the others stay untouched:

    1. an image that is ours by :func:`identity.whose`;
    2. an image that may be ours, and whose data would prove it;
    3. the image with the source's id, unless its mark is inherited.

    Among equals, an image with the source's id comes first, then one with data, then the
    oldest, then the one with the smallest id.

    :raises SyncError: the region does not answer.
    """
    source_id = images.ImageId(evidence.key.image_id)
    occupant = service.get_record(source_id)
    candidates = [one for one in service.copies_of(evidence.key) if one.image_id != source_id]
    if occupant is not None:
        candidates.insert(0, occupant)
    ranked = [(_rank(one, evidence), one) for one in candidates]
    taken = [(rank, one.image_id) for rank, one in ranked if rank is not None]
    return service.get(min(taken)[1]) if taken else None


def first_copy(
    service: ports.ImageService, sources: SourceViews, notes: CopyNotes
) -> images.Image | None:
    """Return the copy that the row knows, or else the image with the source's id.

    If no row knows a copy, making the record shows whether there is one. No image can be ours if
    the source is gone or never had data.
    """
    known, task = notes.known, notes.lease.task
    if known is None and _has_no_copy(task, sources.read(task).image):
        return None
    copy = service.get(known.copy_id if known else task.key.image_id)
    if copy is None and known is not None:
        # With fewer rights than before, private images look absent.
        service.require_all_rights()
        notes.remember_loss()
    return copy


def _has_no_copy(task: tasks.Task, source: images.Image | None) -> bool:
    """Tell whether a search for a copy that no row knows would be in vain."""
    if source is None or not is_possible(source):
        return True
    if task.waiting_since is not None and remotes.loss(source) is not None:
        return True  # a snapshot that went before it had data
    if task.cancelled_by is not None:
        return False  # it makes no record, and a copy may have to lose access
    # Most likely there is none yet. If there is, making the record is refused.
    deletes = task.may_delete or task.may_delete_unwanted
    is_first = task.copy_id is None and task.attempts == 0 and not deletes
    return is_first and source.status is ImageStatus.ACTIVE


_Rank = tuple[int, bool, bool, str, str]


def _rank(image: images.Image, evidence: identity.Evidence) -> _Rank | None:
    """Return the rank of a candidate; None: it is none."""
    if image.status in images.GONE:
        return None  # Glance died during its deletion
    found = identity.whose(image, evidence)
    has_source_id = image.image_id == evidence.key.image_id
    if found.is_ours:
        kind = 1
    elif found.needs_reading:
        kind = 2
    elif has_source_id and found.whose is not identity.Whose.INHERITED:
        kind = 3
    else:
        return None
    age = image.created_at.isoformat() if image.created_at is not None else "unknown"
    return kind, not has_source_id, image.size is None, age, image.image_id


def make_record(
    context: Context, action: actions.CopyData, new_id: Callable[[], images.ImageId]
) -> tuple[images.Image, bool]:
    """Make the record of a copy, or else return the image in its place, and False.

    :raises LeaseLost: somebody else works on the task; no record was made.
    """
    source, notes = action.source, context.notes
    image_id = notes.chosen_id or (None if action.under_own_id else source.image_id)
    notes.known = None
    if image_id is not None:
        try:
            notes.remember(made := context.service.create(image_id, source))
        except errors.ImageIdTaken:
            LOG.debug("%s: id %s is taken", context.key, image_id)
        else:
            return made, True
    occupant = None if notes.has_lost else find(context.service, context.evidence)
    if occupant is not None:
        return occupant, False
    # The row knows the new id before a record with it can exist.
    notes.write_chosen_id(chosen := new_id(), source)
    notes.remember(made := context.service.create(chosen, source))
    return made, True
