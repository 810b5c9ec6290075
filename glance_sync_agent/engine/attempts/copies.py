# SPDX-License-Identifier: Apache-2.0
"""The copy of a source, where no row tells which image it is."""

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain.images import ImageStatus
from glance_sync_agent.engine import ports

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

    One that never had data has none: without its hash nothing proves that an image is ours.
    """
    return source.status not in _BEFORE_DATA or remotes.loss(source) is not None


def find(
    service: ports.ImageService, evidence: identity.Evidence
) -> images.Image | None:
    """Return what has the place of the copy of a source; None: nothing has.

    Of several candidates the first of these is taken, and the others are left alone:

    1. an image that is ours by :func:`identity.whose`;
    2. an image that may be ours, and whose data tells;
    3. the image with the source's id, unless its mark is inherited.

    Among equals, one with the source's id comes first, then one with data, then the oldest,
    then the one with the smallest id.

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


_Rank = tuple[int, bool, bool, str, str]


def _rank(image: images.Image, evidence: identity.Evidence) -> _Rank | None:
    """Return the place of a candidate; None: it is none."""
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
