# SPDX-License-Identifier: Apache-2.0
"""Whose an image is: the one place that judges marks.

A mark is a set of properties. Nova passes the properties of an image on to each snapshot, backup
and shelved image of its servers (nova/compute/utils.py:
initialize_instance_snapshot_metadata). Cinder and scripts do the same. So a mark names the copy
on which the agent wrote it, and even then the agent believes it only with a proof.
"""

from collections.abc import Set
import dataclasses
import datetime
import enum

from glance_sync_agent.domain import images
from glance_sync_agent.domain.images import Image
from glance_sync_agent.domain.images import ImageStatus


class Whose(enum.StrEnum):
    """The four answers."""

    OURS = "ours"  # the agent made it for exactly this source
    INHERITED = "inherited"  # it has the mark of another image; an image like any other
    DOUBTFUL = "doubtful"  # its mark names the image itself, without a proof
    FOREIGN = "foreign"  # it has no mark


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class KnownCopy:
    """The copy that a task's row names."""

    copy_id: images.ImageId
    #: Of the record, by the clock of its Glance. None: the agent chose the id and may not have
    #: made the record, so the row proves nothing.
    created_at: datetime.datetime | None
    on_probation: bool = False  # adopted without row and data, so a user may give it data


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What is known about the copy of one source in one region."""

    key: images.SourceKey
    source: Image | None  # with the metadata that its copy should have; None: it is gone
    known: KnownCopy | None = None  # by the task's row
    proven_id: images.ImageId | None = None  # a read-back proved that it has the source's bytes
    #: Of the catalogue. None: not read, so no region counts as renamed.
    regions: frozenset[images.RegionId] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """An answer with its reason."""

    whose: Whose
    reason: str  # a clause about the image, for an operator
    is_known: bool = False  # if ours: a task's row names it, or this attempt made it
    on_probation: bool = False  # if ours: it may be a user's record without data yet
    needs_reading: bool = False  # if doubtful: its bytes would decide

    @property
    def is_ours(self) -> bool:
        """Tell whether the agent may change the image."""
        return self.whose is Whose.OURS

    @property
    def may_be_replaced(self) -> bool:
        """Tell whether the agent may delete the image because it is damaged or stuck."""
        return self.is_ours and self.is_known and not self.on_probation


def names_itself(image: Image) -> bool:
    """Tell whether an image has its own mark. Such an image is never a source."""
    return is_named(image.mark, image.image_id, image.region)


def source_of(image: Image) -> images.SourceKey | None:
    """Return the source that an image with its own mark names; None if it has no such mark."""
    return image.mark.source if image.mark is not None and names_itself(image) else None


def names(image: Image, key: images.SourceKey) -> bool:
    """Tell whether an image has its own mark and names exactly this source."""
    return source_of(image) == key


def former_source(
    image: Image, regions: Set[images.RegionId]
) -> images.SourceKey | None:
    """Return the source of a possible copy in a region that was renamed; None if it is none.

    The mark of such an image has its own id, but a region that is not in the catalogue.

    :param regions: of the catalogue.
    """
    mark = image.mark
    if mark is None or mark.copy_id != image.image_id or mark.copy_region in regions:
        return None
    # As in is_named().
    return mark.source if mark.source.region != image.region else None


def is_named(
    mark: images.Mark | None, image_id: images.ImageId, region: images.RegionId
) -> bool:
    """Tell whether a mark names this very image.

    A region never holds copies of its own images, so such a mark is somebody else's.
    """
    if mark is None or mark.source.region == region:
        return False
    return (mark.copy_id, mark.copy_region) == (image_id, region)


def whose(image: Image, evidence: Evidence) -> Identity:
    """Return whose an image is, judged as the copy of one source.

    =========================================================  =========
    The image                                                  is
    =========================================================  =========
    is known by the task's row, and lost its mark              doubtful
    has no mark                                                foreign
    has a mark with its own id and this source, and a region
    that is not in the catalogue: perhaps its old name         doubtful
    has a mark that names another image, or a source in its
    own region                                                 inherited
    names itself and another source                            doubtful
    is known by the task's row, by id and creation time        ours
    has the id that the row knows, but was made later          doubtful
    is another image than the row knows                        doubtful
    is known, on probation, and got other bytes                doubtful
    has no row, and belongs to another project                 doubtful
    has no row, and its source is gone or has no hash          doubtful
    has no row, and is queued without data                     ours, on probation
    has no row, and has the source's bytes                     ours
    has no row, and has bytes that no hash proves              doubtful, to be read
    has no row, and anything else                              doubtful
    =========================================================  =========
    """
    if not names_itself(image) and _is_known(image, evidence.known):
        return _answer(Whose.DOUBTFUL, "its task knows it, but its mark was removed or changed")
    if image.mark is None:
        return _answer(Whose.FOREIGN, "this agent did not make it")
    if not names_itself(image):
        if _may_be_renamed(image, evidence):
            return _answer(Whose.DOUBTFUL, _rename_hint(image.mark.copy_region, image.region))
        return _answer(Whose.INHERITED, _inheritance(image.mark, image.region))
    if image.mark.source != evidence.key:
        return _answer(Whose.DOUBTFUL, f"its mark names another source, {image.mark.source}")
    known = evidence.known
    if known is not None and known.created_at is not None:
        return _by_row(image, known, evidence)
    return _without_row(image, evidence)


def _is_known(image: Image, known: KnownCopy | None) -> bool:
    return (
        known is not None
        and known.created_at is not None
        and (image.image_id, image.created_at) == (known.copy_id, known.created_at)
    )


def _may_be_renamed(image: Image, evidence: Evidence) -> bool:
    """Tell whether an image may be the copy from before its region was renamed."""
    regions = evidence.regions
    return regions is not None and former_source(image, regions) == evidence.key


def _inheritance(mark: images.Mark, region: images.RegionId) -> str:
    if mark.source.region == region:
        return f"its mark names a source in its own region, image {mark.source.image_id}"
    return f"it inherited the mark of image {mark.copy_id} of region {mark.copy_region}"


def _rename_hint(old: str, region: images.RegionId) -> str:
    return (
        f"its mark names region {old}, which is not in Keystone's catalogue. If {region} is the "
        f"new name of {old}, stop all agents and run 'glance-sync-manage region rename {old} "
        f"{region}'"
    )


def _by_row(image: Image, known: KnownCopy, evidence: Evidence) -> Identity:
    if image.image_id != known.copy_id:
        return _answer(Whose.DOUBTFUL, f"its task knows another copy, image {known.copy_id}")
    if image.created_at != known.created_at:
        return _answer(
            Whose.DOUBTFUL,
            f"its task knows an image with this id that was created at {known.created_at}, but "
            f"this one was created at {image.created_at}",
        )
    if known.on_probation and image.status in images.WITH_DATA:
        return _by_data(image, evidence)
    return Identity(
        whose=Whose.OURS,
        reason="its task knows it",
        is_known=True,
        on_probation=known.on_probation,
    )


def _without_row(image: Image, evidence: Evidence) -> Identity:
    source = evidence.source
    if source is None:
        return _answer(Whose.DOUBTFUL, "no task knows it, and its source is gone")
    if image.metadata.owner != source.metadata.owner:
        return _answer(
            Whose.DOUBTFUL,
            f"no task knows it, and it belongs to project {image.metadata.owner}, but a copy "
            f"would belong to {source.metadata.owner}",
        )
    if source.multihash is None:
        return _answer(Whose.DOUBTFUL, "no task knows it, and its source has no hash")
    if image.status is ImageStatus.QUEUED and image.size is None:
        return Identity(
            whose=Whose.OURS,
            reason="no task knows it, but it has no data and belongs to the right project",
            on_probation=True,
        )
    return _by_data(image, evidence)


def _by_data(image: Image, evidence: Evidence) -> Identity:
    """Judge an image that only its data can prove."""
    if image.status not in images.WITH_DATA:
        return _answer(Whose.DOUBTFUL, f"no task knows it, and it is {image.status}")
    source = evidence.source
    expected = source.multihash if source is not None else None
    if source is None or expected is None:
        return _answer(Whose.DOUBTFUL, "nothing shows which data it should hold")
    if image.multihash == expected or image.image_id == evidence.proven_id:
        return Identity(whose=Whose.OURS, reason="it holds the data of its source")
    is_comparable = image.multihash is not None and image.multihash.algo == expected.algo
    if is_comparable or image.size != source.size:
        return _answer(Whose.DOUBTFUL, "it holds other data than its source")
    return Identity(
        whose=Whose.DOUBTFUL,
        reason="no hash shows whether it holds the data of its source",
        needs_reading=True,
    )


def _answer(answer: Whose, reason: str) -> Identity:
    return Identity(whose=answer, reason=reason)
