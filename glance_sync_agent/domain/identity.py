# SPDX-License-Identifier: Apache-2.0
"""Whose an image is: the one place where a mark is judged.

A mark is a set of properties, and properties travel. Nova gives those of an image to every
snapshot, backup and shelved image of a server that was booted from it
(nova/compute/utils.py: initialize_instance_snapshot_metadata), Cinder does so when a volume
becomes an image, and people copy properties with scripts. So a mark names the copy that it was
written on, and even one that names its own image is believed only with a proof.
"""

from collections.abc import Set
import dataclasses
import datetime
import enum

from glance_sync_agent.domain import images
from glance_sync_agent.domain.images import Image
from glance_sync_agent.domain.images import ImageStatus

_WITH_DATA = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})


class Whose(enum.StrEnum):
    """The four answers."""

    OURS = "ours"  # made by the agent for exactly this source
    INHERITED = "inherited"  # the mark of another image: an image like any other
    DOUBTFUL = "doubtful"  # says that it is ours, and nothing proves it
    FOREIGN = "foreign"  # says nothing


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class KnownCopy:
    """The copy that a task row knows."""

    copy_id: images.ImageId
    #: Of the record, by the clock of its Glance. None: the id was chosen, and whether the record
    #: was made is not known. Such a row proves nothing.
    created_at: datetime.datetime | None
    #: It was adopted without a row and without data, so that somebody else may fill it.
    on_probation: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What is known of the copy of one source in one region."""

    key: images.SourceKey
    source: Image | None  # as its copy should look; None: it is gone
    known: KnownCopy | None = None  # by the task row
    #: The copy that was read back and has the source's bytes, whatever its Glance hashes with.
    proven_id: images.ImageId | None = None
    #: Of the catalogue. None: nobody asked, and no region is taken for one with a new name.
    regions: frozenset[images.RegionId] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Identity:
    """An answer with its reason."""

    whose: Whose
    reason: str  # a clause about the image, for an operator
    #: Of ours: a task row knows it, or this attempt made it.
    is_known: bool = False
    #: Of ours: it may be somebody's record that waits for his data.
    on_probation: bool = False
    #: Of doubtful ones: reading the image would settle it.
    needs_reading: bool = False

    @property
    def is_ours(self) -> bool:
        """Tell whether the agent may change the image."""
        return self.whose is Whose.OURS

    @property
    def may_be_replaced(self) -> bool:
        """Tell whether the agent may delete the image for what it holds, or for being stuck."""
        return self.is_ours and self.is_known and not self.on_probation


def names_itself(image: Image) -> bool:
    """Tell whether an image says that it is a copy. Such an image is nobody's source."""
    return is_named(image.mark, image.image_id, image.region)


def source_of(image: Image) -> images.SourceKey | None:
    """Return the source that an image names which says that it is a copy; None: it does not."""
    return image.mark.source if image.mark is not None and names_itself(image) else None


def names(image: Image, key: images.SourceKey) -> bool:
    """Tell whether an image says that it is a copy of exactly this source."""
    return source_of(image) == key


def former_source(
    image: Image, regions: Set[images.RegionId]
) -> images.SourceKey | None:
    """Return the source of what may be a copy from before its region had a new name.

    Its mark has its own id, and a region that the catalogue lacks. None: it is no such image.

    :param regions: those of the catalogue.
    """
    mark = image.mark
    if mark is None or mark.copy_id != image.image_id or mark.copy_region in regions:
        return None
    # Nobody copies an image to its own region.
    return mark.source if mark.source.region != image.region else None


def is_named(
    mark: images.Mark | None, image_id: images.ImageId, region: images.RegionId
) -> bool:
    """Tell whether a mark was written on this very image."""
    return mark is not None and (mark.copy_id, mark.copy_region) == (image_id, region)


def whose(image: Image, evidence: Evidence) -> Identity:
    """Return whose an image is that is taken for the copy of a source.

    =========================================================  =========
    The image                                                  is
    =========================================================  =========
    is known by the task row, and lost its mark                doubtful
    has no mark, or one without the copy's own id and region   foreign
    has its own id and this source, and its mark a region
    that is not in the catalogue: perhaps its old name         doubtful
    has a mark that names another image                        inherited
    names itself and another source                            doubtful
    is known by the task row, by id and creation time          ours
    has the id that the row knows, made at another time        doubtful
    is another one than the row knows                          doubtful
    is known, on probation, and got other bytes                doubtful
    has no row, and belongs to another project                 doubtful
    has no row, and a source that is gone or has no hash       doubtful
    has no row, and is queued without data                     ours, on probation
    has no row, and holds the source's bytes                   ours
    has no row, and holds bytes that no hash proves            doubtful, to be read
    has no row, and anything else                              doubtful
    =========================================================  =========
    """
    if not names_itself(image) and _is_known(image, evidence.known):
        return _answer(
            Whose.DOUBTFUL, "its task knows it, but its mark was taken off or changed"
        )
    if image.mark is None:
        return _answer(Whose.FOREIGN, "it was not made by this agent")
    if not names_itself(image):
        if _may_have_new_name(image, evidence):
            return _answer(Whose.DOUBTFUL, _told_new_name(image.mark.copy_region, image.region))
        told = f"its mark is that of image {image.mark.copy_id} of region {image.mark.copy_region}"
        return _answer(Whose.INHERITED, told)
    if image.mark.source != evidence.key:
        return _answer(Whose.DOUBTFUL, f"it names another source, {image.mark.source}")
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


def _may_have_new_name(image: Image, evidence: Evidence) -> bool:
    """Tell whether an image may be the copy, made when its region had another name."""
    regions = evidence.regions
    return regions is not None and former_source(image, regions) == evidence.key


def _told_new_name(old: str, region: images.RegionId) -> str:
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
            f"its task knows an image of this id that was created at {known.created_at}, and this "
            f"one was created at {image.created_at}",
        )
    if known.on_probation and image.status in _WITH_DATA:
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
            f"no task knows it, and it belongs to project {image.metadata.owner}, where a copy "
            f"would belong to {source.metadata.owner}",
        )
    if source.multihash is None:
        return _answer(Whose.DOUBTFUL, "no task knows it, and its source has no hash")
    if image.status is ImageStatus.QUEUED and image.size is None:
        return Identity(
            whose=Whose.OURS,
            reason="no task knows it; it has no data, and the right project",
            on_probation=True,
        )
    return _by_data(image, evidence)


def _by_data(image: Image, evidence: Evidence) -> Identity:
    """Judge an image that only its data can prove."""
    if image.status not in _WITH_DATA:
        return _answer(Whose.DOUBTFUL, f"no task knows it, and it is {image.status}")
    source = evidence.source
    expected = source.multihash if source is not None else None
    if source is None or expected is None:
        return _answer(Whose.DOUBTFUL, "nothing tells which data it should hold")
    if image.multihash == expected or image.image_id == evidence.proven_id:
        return Identity(whose=Whose.OURS, reason="it holds the data of its source")
    is_comparable = image.multihash is not None and image.multihash.algo == expected.algo
    if is_comparable or image.size != source.size:
        return _answer(Whose.DOUBTFUL, "it holds other data than its source")
    return Identity(
        whose=Whose.DOUBTFUL,
        reason="no hash tells whether it holds the data of its source",
        needs_reading=True,
    )


def _answer(answer: Whose, reason: str) -> Identity:
    return Identity(whose=answer, reason=reason)
