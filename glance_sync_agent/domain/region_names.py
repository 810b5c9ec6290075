# SPDX-License-Identifier: Apache-2.0
"""Region names in the database and in marks, and what renaming a region changes."""

from collections.abc import Mapping, Set
import dataclasses
import datetime
from typing import TypeAlias

from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties

#: The ids and the creation times of copies that tasks know.
Copies: TypeAlias = Set[tuple[str, datetime.datetime | None]]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What the database stores about a region."""

    tasks: int  # with copies in that region
    sourced: int  # tasks with sources in that region
    is_cascading: bool  # it is stored as the cascading region


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MarkedRecord:
    """An image and its mark properties; None: it has no such property."""

    image_id: images.ImageId
    region: images.RegionId
    copy_id: str | None
    copy_region: str | None
    source_region: str | None
    created_at: datetime.datetime | None  # by the clock of its Glance


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Renaming:
    """The old and the new name of a region."""

    old: images.RegionId
    new: images.RegionId

    def names_of(self, region: images.RegionId) -> frozenset[images.RegionId]:
        """Return the names by which tasks know a region of the catalogue."""
        return frozenset({region, self.old} if region == self.new else {region})

    def changes(self, image: MarkedRecord, known: Copies) -> Mapping[str, str]:
        """Return the properties of an image that have to change, with their new values.

        Only marks that name the image itself change, and only on copies that a task knows:
        glance-replicator creates images with the id and the mark of a copy in another region.

        :param known: the copies that the tasks of the image's region know.
        """
        if (image.image_id, image.created_at) not in known:
            return {}
        names_here = self.names_of(image.region)
        if image.copy_id != image.image_id or image.copy_region not in names_here:
            return {}
        found = {}
        if image.region == self.new and image.copy_region == self.old:
            found[mark_properties.COPY_REGION] = str(self.new)
        if image.source_region == self.old:
            found[mark_properties.SOURCE_REGION] = str(self.new)
        return found
