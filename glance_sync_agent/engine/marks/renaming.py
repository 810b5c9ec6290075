# SPDX-License-Identifier: Apache-2.0
"""A region's new name on the copies of all regions."""

from collections.abc import Callable, Collection, Mapping

from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.engine import ports


class Renaming:
    """Finds the copies whose marks name the old region, and has them name the new one."""

    def __init__(
        self,
        names: region_names.Renaming,
        marks_in: Callable[[images.RegionId], ports.Marks],
        regions: Collection[images.RegionId],
    ) -> None:
        self._names = names
        self._marks = {region: marks_in(region) for region in sorted(regions)}

    def count(self) -> Mapping[images.RegionId, int]:
        """Return how many copies of each region have to change. Writes nothing.

        :raises ServiceUnavailable: a Glance does not answer.
        :raises Refused: a Glance said no.
        """
        return {region: len(self._found(marks)) for region, marks in self._marks.items()}

    def change(self) -> int:
        """Change the marks; return how many. Can be repeated after a failure.

        :raises ServiceUnavailable: a Glance does not answer.
        :raises Refused: a Glance said no.
        """
        return sum(
            self._change_one(marks, image)
            for marks in self._marks.values()
            for image in self._found(marks)
        )

    def _found(self, marks: ports.Marks) -> list[region_names.Marked]:
        return [one for one in marks.naming(self._names.old) if self._names.changes(one)]

    def _change_one(self, marks: ports.Marks, image: region_names.Marked) -> bool:
        # Glance has no condition on a PATCH, so the image is read once more right before it.
        now = marks.get(image.image_id)
        changes = {} if now is None else self._names.changes(now)
        if changes:
            marks.change(image.image_id, changes)
        return bool(changes)
