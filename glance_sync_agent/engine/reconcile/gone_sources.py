# SPDX-License-Identifier: Apache-2.0
"""Tasks whose source is not there any more."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.placement import targets

LOG = logging.getLogger(__name__)

_BATCH = 100  # ids; Glance takes that many in one ``id=in:`` filter


class GoneSources:
    """Finds them. Writes nothing."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        store: ports.TaskStore,
        wanted: targets.Targets,
        cascading: images.RegionId,
    ) -> None:
        self._regions = regions
        self._store = store
        self._targets = wanted
        self._cascading = cascading

    def find(
        self,
        out_of_reach: Callable[[Sequence[tasks.Task]], None],
        are_there: Callable[[Sequence[tasks.Task], Sequence[images.Image]], None],
        *,
        without: Set[images.RegionId] = frozenset(),
        untrusted: Set[images.RegionId] = frozenset(),
    ) -> Iterator[Sequence[tasks.Task]]:
        """Walk the tasks, image by image, whose image is not in the region of its source any more.

        :param out_of_reach: is given the tasks of regions that left the catalogue in the place of
            that, for nothing can be done about them.
        :param are_there: is given the tasks whose image is there, and at most 100 such images of
            one region, without members.
        :param without: regions that are not asked, so that nothing is known of their sources.
        :param untrusted: regions whose images do not count as gone.
        :raises SyncError: the cascading region, the database or Keystone does not answer.
        """
        reachable = self._targets.catalogue()
        trusted: set[images.RegionId] = set()
        for batch in batches.of(self._store.image_ids(), _BATCH):
            by_origin: dict[images.RegionId, list[tasks.Task]] = {}
            found = self._store.find(batch)
            out_of_reach([task for task in found if task.key.region not in reachable])
            for task in found:
                if task.key.region in reachable:
                    origin = task.source_region or self._cascading
                    by_origin.setdefault(origin, []).append(task)
            for origin in sorted(by_origin.keys() - without):
                rows = by_origin[origin]
                absent, present = self._looked_for(
                    origin, {row.key.image_id for row in rows}, trusted, untrusted
                )
                there = [row for row in rows if row.key.image_id in present]
                are_there(there, list(present.values()))
                for image_id in absent:
                    yield [row for row in rows if row.key.image_id == image_id]

    def _looked_for(
        self,
        origin: images.RegionId,
        image_ids: Set[images.ImageId],
        trusted: set[images.RegionId],
        untrusted: Set[images.RegionId],
    ) -> tuple[Sequence[images.ImageId], Mapping[images.ImageId, images.Image]]:
        """Return which of ``image_ids`` were proven not to be in a region, and which are there.

        :param trusted: regions that show us everything; added to.
        """
        try:
            service = self._regions.image_service(origin)
            if origin not in trusted:
                # To somebody with fewer rights than before, other people's images are absent.
                service.require_all_rights()
                trusted.add(origin)
            present = dict(service.find(sorted(image_ids)))
            if origin in untrusted:
                return (), present
            # A listing proves presence only; absence is what a 404 for the very image says.
            records = [service.get_record(one) for one in sorted(image_ids - present.keys())]
            present |= {one.image_id: one for one in records if one is not None}
            absent = sorted(image_ids - present.keys())
            if not absent or _has_own_images(service):
                return absent, present
            failure = (
                "it lists no image of its own, as after the loss of its database, so the copies "
                f"of {len(absent)} images stay"
            )
        except errors.SyncError as exc:
            if origin == self._cascading:
                raise
            failure = str(exc)
        LOG.warning("Nothing is taken for deleted in region %s: %s", origin, failure)
        return (), {}


def _has_own_images(service: ports.ImageService) -> bool:
    """Tell whether a region lists any image that is no copy of ours.

    One that lost its images is soon filled with copies again, which say nothing of its own.
    """
    return any(
        not identity.names_itself(image) for page in service.pages(_BATCH) for image in page
    )
