# SPDX-License-Identifier: Apache-2.0
"""What a region's name is written on, and what a new name changes there."""

from collections.abc import Mapping, Set
import dataclasses
import datetime
from typing import TypeAlias

from glance_sync_agent.domain import images

#: The copies that tasks know: their ids and when they were created.
Copies: TypeAlias = Set[tuple[str, datetime.datetime | None]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the database holds of a region."""

    tasks: int  # of copies in that region
    sourced: int  # of images in that region
    is_cascading: bool  # whether it is the one that is remembered as such


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Marked:
    """An image of one region, and what its properties say; None: there is no such property."""

    image_id: images.ImageId
    region: images.RegionId
    copy_id: str | None
    copy_region: str | None
    source_region: str | None
    created_at: datetime.datetime | None  # by the clock of its Glance


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Renaming:
    """A region's old name and its new one."""

    old: images.RegionId
    new: images.RegionId

    def names_of(self, region: images.RegionId) -> frozenset[images.RegionId]:
        """Return the names by which tasks know a region of the catalogue."""
        return frozenset({region, self.old} if region == self.new else {region})

    def changes(self, image: Marked, known: Copies) -> Mapping[str, str]:
        """Return the properties of an image that have to change, with their new values.

        Only a mark that names the image itself does: in the renamed region, by the old name or
        by the new one. And only that of a copy that a task knows: glance-replicator brings
        images with id and properties of those that it read in another region.

        :param known: the copies that the tasks of the image's region know.
        """
        if (image.image_id, image.created_at) not in known:
            return {}
        is_there = image.region == self.new
        names_here = self.names_of(image.region)
        if image.copy_id != image.image_id or image.copy_region not in names_here:
            return {}
        found = {}
        if is_there and image.copy_region == self.old:
            found[images.COPY_REGION] = str(self.new)
        if image.source_region == self.old:
            found[images.SOURCE_REGION] = str(self.new)
        return found
