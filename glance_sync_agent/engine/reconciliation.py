# SPDX-License-Identifier: Apache-2.0
"""The look at everything: what happened while nobody listened is found and requested.

Copies nothing itself; what differs becomes a task like any other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
import dataclasses
import itertools
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import intake
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import targets

LOG = logging.getLogger(__name__)

#: Images in one page; Glance takes that many ids in one ``id=in:`` filter.
PAGE_SIZE = 100


@dataclasses.dataclass(kw_only=True, slots=True)
class Report:
    """What a look found."""

    sources: int = 0
    requested: int = 0  # pairs of image and region
    deleted_sources: int = 0
    held_back: int = 0  # deleted sources whose copies the brake kept
    failed_regions: set[images.RegionId] = dataclasses.field(default_factory=set)


class Reconciliation:
    """Compares every source with its copies."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        store: ports.TaskStore,
        requests: intake.Intake,
        wanted: targets.Targets,
        cascading: ports.ImageService,
        stop: ports.StopFlag,
        max_deletes: Callable[[], int],
    ) -> None:
        self._regions = regions
        self._store = store
        self._requests = requests
        self._targets = wanted
        self._cascading = cascading
        self._stop = stop
        self._max_deletes = max_deletes

    def look(self, only: Set[images.RegionId] | None = None) -> Report:
        """Walk all sources, then all tasks whose source is gone, and request what differs.

        A region that fails is left out and named in the report.

        :param only: regions that did not answer last time; the others, and the tasks whose
            source is gone, are not looked at again. None: everything is.
        :raises TransientError: the cascading region did not answer; nothing was concluded.
        """
        report = Report()
        wanted = self._targets.regions()
        if only is not None:
            wanted &= only
        for page in self._cascading.pages(PAGE_SIZE):
            report.sources += len(page)
            for region in sorted(wanted - report.failed_regions):
                self._look_at_page(region, page, report)
            if self._stop.is_set():
                return report
        if only is None:
            self._look_for_deleted(report)
        return report

    def _look_at_page(
        self, region: images.RegionId, page: Sequence[images.Image], report: Report
    ) -> None:
        try:
            for image_id in self._differing(region, page):
                self._requests.request(image_id, region)
                report.requested += 1
        except errors.SyncError as exc:
            failure = exc
        else:
            return
        report.failed_regions.add(region)
        LOG.warning("Could not compare region %s with the sources: %s", region, failure)

    def _differing(
        self, region: images.RegionId, page: Sequence[images.Image]
    ) -> Iterable[images.ImageId]:
        service = self._regions.image_service(region)
        rows = self._rows(region, page)
        known = {image_id: (row and row.copy_id) or image_id for image_id, row in rows.items()}
        copies = service.find(list(known.values()))
        for source in page:
            copy = copies.get(known[source.image_id])
            if self._differs(service, source, copy, known=rows[source.image_id] is not None):
                yield source.image_id

    def _rows(
        self, region: images.RegionId, page: Sequence[images.Image]
    ) -> Mapping[images.ImageId, tasks.Task | None]:
        ids = [source.image_id for source in page]
        return {
            image_id: self._store.get(tasks.TaskKey(image_id=image_id, region=region))
            for image_id in ids
        }

    def _differs(
        self,
        service: ports.ImageService,
        source: images.Image,
        copy: images.Image | None,
        *,
        known: bool,
    ) -> bool:
        mark = images.mark_of(source)
        action = plans.next_action(
            source, copy, mark=mark, known=known, wanted=True, may_delete=False
        )
        if action != plans.Nothing(reason=plans.IN_SYNC):
            return not isinstance(action, plans.Nothing)
        if not known:
            # The database was lost. Without its row, nothing would prove later that the source
            # existed, and the copy would outlive it.
            return True
        # Members are not in a listing, and their changes leave no trace in the record.
        return copy is not None and self._cascading.members(source) != service.members(copy)

    def _look_for_deleted(self, report: Report) -> None:
        """Find tasks whose source is gone, and request them unless there are too many."""
        if report.sources == 0:
            LOG.warning("The cascading region lists no image at all; nothing is deleted for it")
            return
        gone = []
        for batch in _batches(self._store.image_ids(), PAGE_SIZE):
            listed = self._cascading.find(batch)
            # A listing proves presence only; absence is what a 404 for the very image says.
            gone += [
                image_id
                for image_id in batch
                if image_id not in listed and self._cascading.get_record(image_id) is None
            ]
        report.deleted_sources = len(gone)
        if len(gone) > self._max_deletes():
            report.held_back = len(gone)
            LOG.error(
                "%d sources are gone, more than [reconcile] max_deletes = %d, so none of their "
                "copies is deleted. If that is right, raise max_deletes and send SIGHUP or "
                "restart the agent, or run 'glance-sync sync --force IMAGE' for each, "
                "starting with %s",
                len(gone), self._max_deletes(), gone[0],
            )
            return
        for image_id in gone:
            report.requested += self._requests.request(image_id, may_delete=True)


def _batches(
    items: Iterable[images.ImageId], size: int
) -> Iterable[Sequence[images.ImageId]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
