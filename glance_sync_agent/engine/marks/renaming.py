# SPDX-License-Identifier: Apache-2.0
"""Writes the new name of a region into the marks of copies."""

from collections.abc import Callable, Collection, Mapping, Set

from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.engine import ports


class RegionRenaming:
    """Finds the copies whose marks name the old region, and changes these marks."""

    def __init__(
        self,
        names: region_names.Renaming,
        marks_in: Callable[[images.RegionId], ports.MarkedRecords],
        regions: Collection[images.RegionId],
        known_in: Callable[[Set[images.RegionId]], region_names.Copies],
    ) -> None:
        """Keep the parts.

        :param regions: of the catalogue.
        :param known_in: returns the copies that the tasks of regions know. The regions may have
            left the catalogue.
        """
        self._names = names
        self._marks = {region: marks_in(region) for region in sorted(regions)}
        self._known_in = known_in

    def count(self) -> Mapping[images.RegionId, int]:
        """Return how many copies of each region have to change. Writes nothing.

        :raises ServiceUnavailable: a Glance or the database does not answer.
        :raises Refused: a Glance refuses the request.
        """
        return {region: len(self._found(region)[0]) for region in self._marks}

    def change(self) -> int:
        """Change the marks and return how many. A repetition continues after a failure.

        :raises ServiceUnavailable: a Glance or the database does not answer.
        :raises Refused: a Glance refuses the request.
        """
        return sum(self._change_in(region) for region in self._marks)

    def _found(
        self, region: images.RegionId
    ) -> tuple[list[region_names.MarkedRecord], region_names.Copies]:
        """Return the copies of a region that have to change, and all that its tasks know."""
        known = self._known_in(self._names.names_of(region))
        listed = self._marks[region].naming(self._names.old)
        return [one for one in listed if self._names.changes(one, known)], known

    def _change_in(self, region: images.RegionId) -> int:
        found, known = self._found(region)
        return sum(self._change_one(region, one.image_id, known) for one in found)

    def _change_one(
        self, region: images.RegionId, image_id: images.ImageId, known: region_names.Copies
    ) -> bool:
        # A PATCH of Glance has no condition, so the image is read again right before it.
        marks = self._marks[region]
        now = marks.get(image_id)
        changes = {} if now is None else self._names.changes(now, known)
        if changes:
            marks.change(image_id, changes)
        return bool(changes)
