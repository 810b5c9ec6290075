# SPDX-License-Identifier: Apache-2.0
"""A region's new name on the copies of all regions."""

from collections.abc import Callable, Collection, Mapping, Set

from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.engine import ports


class RegionRenaming:
    """Finds the copies whose marks name the old region, and has them name the new one."""

    def __init__(
        self,
        names: region_names.Renaming,
        marks_in: Callable[[images.RegionId], ports.MarkedRecords],
        regions: Collection[images.RegionId],
        known_in: Callable[[Set[images.RegionId]], region_names.Copies],
    ) -> None:
        """Keep the parts; asks nobody yet.

        :param regions: of the catalogue.
        :param known_in: gives the copies that the tasks of regions know, which may be gone from
            the catalogue.
        """
        self._names = names
        self._marks = {region: marks_in(region) for region in sorted(regions)}
        self._known_in = known_in

    def count(self) -> Mapping[images.RegionId, int]:
        """Return how many copies of each region have to change. Writes nothing.

        :raises ServiceUnavailable: a Glance or the database does not answer.
        :raises Refused: a Glance said no.
        """
        return {region: len(self._found(region)[0]) for region in self._marks}

    def change(self) -> int:
        """Change the marks; return how many. Can be repeated after a failure.

        :raises ServiceUnavailable: a Glance or the database does not answer.
        :raises Refused: a Glance said no.
        """
        return sum(self._change_in(region) for region in self._marks)

    def _found(
        self, region: images.RegionId
    ) -> tuple[list[region_names.Marked], region_names.Copies]:
        """Return the copies of a region that have to change, and all that its tasks know."""
        known = self._known_in(self._names.names_of(region))
        listed = self._marks[region].naming(self._names.old)
        return [one for one in listed if self._names.changes(one, known)], known

    def _change_in(self, region: images.RegionId) -> int:
        found, known = self._found(region)
        return sum(self._change_one(self._marks[region], one, known) for one in found)

    def _change_one(
        self, marks: ports.MarkedRecords, image: region_names.Marked, known: region_names.Copies
    ) -> bool:
        # Glance has no condition on a PATCH, so the image is read once more right before it.
        now = marks.get(image.image_id)
        changes = {} if now is None else self._names.changes(now, known)
        if changes:
            marks.change(image.image_id, changes)
        return bool(changes)
