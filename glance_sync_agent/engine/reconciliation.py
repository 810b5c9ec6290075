# SPDX-License-Identifier: Apache-2.0
"""The look at everything: what happened while nobody listened is found and requested.

Copies nothing itself; what differs becomes a task like any other.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
import dataclasses
import itertools
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import intake
from glance_sync_agent.engine import joining
from glance_sync_agent.engine import location_map
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import targets
from glance_sync_agent.engine import wanted_copies

LOG = logging.getLogger(__name__)

#: Sources, each with its verdicts and its tasks, both by region.
Pairs = Sequence[
    tuple[images.Image, strategy.Verdicts, Mapping[images.RegionId, tasks.Task]]
]
Keys = Sequence[tasks.TaskKey]
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
        copies: wanted_copies.WantedCopies,
        recorded: location_map.LocationMap,
        joined: joining.Joining,
        cascading: images.RegionId,
        snapshot_origins: Sequence[images.RegionId] = (),
        stop: ports.StopFlag,
        max_deletes: Callable[[], int],
    ) -> None:
        """Keep the parts.

        :param snapshot_origins: regions besides the cascading one whose snapshots are sources.
        """
        self._regions = regions
        self._store = store
        self._requests = requests
        self._targets = wanted
        self._copies = copies
        self._map = recorded
        self._joining = joined
        self._cascading = cascading
        self._origins = snapshot_origins
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
        self._look_from(self._cascading, only, report)
        is_empty = report.sources == 0
        for origin in self._origins:
            self._look_from_cascaded(origin, only, report)
        if only is not None or self._stop.is_set():
            return report
        if is_empty:
            LOG.warning("The cascading region lists no image at all; nothing is deleted for it")
        else:
            self._look_for_deleted(report)
        return report

    def _look_from_cascaded(
        self, origin: images.RegionId, only: Set[images.RegionId] | None, report: Report
    ) -> None:
        if only is not None and origin in only:
            only = None  # it was not seen, whatever became of the others
        try:
            self._look_from(origin, only, report)
        except errors.SyncError as exc:
            failure = exc
        else:
            return
        report.failed_regions.add(origin)
        LOG.warning("Could not look at the snapshots of region %s: %s", origin, failure)

    def _look_from(
        self, origin: images.RegionId, only: Set[images.RegionId] | None, report: Report
    ) -> None:
        """Walk the sources of one region."""
        wanted = self._targets.regions(self._noted(origin))
        service = self._regions.image_service(origin)
        is_cascading = origin == self._cascading
        for page in service.pages(PAGE_SIZE, snapshots_only=not is_cascading):
            report.sources += len(page)
            pairs = self._pairs(self._joined(page, report))
            for region in sorted(wanted - report.failed_regions):
                self._look_at_page(region, _unseen(pairs, region, only), report)
            if self._stop.is_set():
                return

    def _joined(
        self, page: Sequence[images.Image], report: Report
    ) -> Sequence[images.Image]:
        """Return the sources of a page as they really are; those that cannot be seen are left."""
        joined = self._joining.join_all(page)
        for region, failure in joined.failures.items():
            report.failed_regions.add(region)
            LOG.warning("Could not look at the snapshots of region %s: %s", region, failure)
        return [joined.sources[one.image_id] for one in page if one.image_id in joined.sources]

    def _noted(self, origin: images.RegionId) -> images.RegionId | None:
        """Return what tasks have as the region of their source."""
        return None if origin == self._cascading else origin

    def _pairs(self, page: Sequence[images.Image]) -> Pairs:
        """Return what belongs together: each source, its verdicts, and its tasks by region."""
        rows: dict[images.ImageId, dict[images.RegionId, tasks.Task]] = {}
        for task in self._store.find([source.image_id for source in page]):
            rows.setdefault(task.key.image_id, {})[task.key.region] = task
        return [
            (source, self._verdicts(source), rows.get(source.image_id, {})) for source in page
        ]

    def _verdicts(self, source: images.Image) -> strategy.Verdicts:
        # Copies are no sources: whatever Keystone would say of them, nothing comes of it.
        return {} if source.mark is not None else self._targets.verdicts(source)

    def _look_at_page(self, region: images.RegionId, pairs: Pairs, report: Report) -> None:
        if not pairs:
            return
        try:
            for image_id in self._differing(region, pairs):
                self._requests.request(
                    image_id, region, source_region=self._noted(pairs[0][0].region)
                )
                report.requested += 1
        except errors.SyncError as exc:
            failure = exc
        else:
            return
        report.failed_regions.add(region)
        LOG.warning("Could not compare region %s with the sources: %s", region, failure)

    def _differing(
        self, region: images.RegionId, pairs: Pairs
    ) -> Iterable[images.ImageId]:
        service = self._regions.image_service(region)
        wanted = []
        for source, verdicts, rows in pairs:
            row = rows.get(region)
            if region in verdicts and verdicts[region].wanted:
                wanted.append((source, row))
            elif row is not None and (not _is_done(row) or row.reason == plans.IN_SYNC):
                yield source.image_id  # wanted no more; its task shall say so, or go
            elif self._map.differs(source, service, None):
                yield source.image_id
        ids = [(row and row.copy_id) or source.image_id for source, row in wanted]
        copies = service.find(ids) if ids else {}
        for copy_id, (source, row) in zip(ids, wanted, strict=True):
            if self._differs(service, source, copies.get(copy_id), row):
                yield source.image_id

    def _differs(
        self,
        service: ports.ImageService,
        source: images.Image,
        copy: images.Image | None,
        row: tasks.Task | None,
    ) -> bool:
        wanted = self._copies.in_region(service.region)(source, copy)
        action = plans.next_action(
            wanted,
            copy,
            mark=images.mark_of(source),
            known=row is not None,
            unwanted=None,
            may_delete=False,
        )
        if action != plans.Nothing(reason=plans.IN_SYNC):
            return not isinstance(action, plans.Nothing)
        if row is None or row.reason != plans.IN_SYNC:
            # Without a row, because the database was lost, nothing would prove later that the
            # source existed, and the copy would outlive it. And a row has to be right.
            return True
        if self._map.differs(source, service, copy):
            return True
        # Members are not in a listing, and their changes leave no trace in the record.
        members = self._regions.image_service(source.region).members
        return (
            copy is not None
            and self._copies.have_our_members()
            and members(wanted) != service.members(copy)
        )

    def _look_for_deleted(self, report: Report) -> None:
        """Find tasks whose source is gone, and request them unless there are too many."""
        announced: list[Keys] = []
        found: list[Keys] = []
        for rows in self._gone():
            report.deleted_sources += 1
            # What a message or an operator announced is no accident, whatever became of it.
            keys = [row.key for row in rows]
            (announced if any(row.may_delete for row in rows) else found).append(keys)
        if len(found) > self._max_deletes():
            report.held_back = len(found)
            LOG.error(
                "%d sources are gone, more than [reconcile] max_deletes = %d, so none of their "
                "copies is deleted. If that is right, raise max_deletes and send SIGHUP or "
                "restart the agent, or run 'glance-sync sync --force IMAGE' for each, "
                "starting with %s",
                len(found), self._max_deletes(), found[0][0].image_id,
            )
            found = []
        for key in itertools.chain(*announced, *found):
            report.requested += self._requests.request(key.image_id, key.region, may_delete=True)

    def _gone(self) -> Iterator[Sequence[tasks.Task]]:
        """Walk the tasks, image by image, whose image is not in the region of its source any more.

        Tasks of regions that left the catalogue are left out: nothing can be done about them.
        """
        reachable = self._targets.catalogue()
        trusted: set[images.RegionId] = set()
        for batch in batches.of(self._store.image_ids(), PAGE_SIZE):
            by_origin: dict[images.RegionId, list[tasks.Task]] = {}
            for task in self._store.find(batch):
                if task.key.region in reachable:
                    origin = task.source_region or self._cascading
                    by_origin.setdefault(origin, []).append(task)
            for origin, rows in by_origin.items():
                for image_id in self._absent(origin, {row.key.image_id for row in rows}, trusted):
                    yield [row for row in rows if row.key.image_id == image_id]

    def _absent(
        self,
        origin: images.RegionId,
        image_ids: Set[images.ImageId],
        trusted: set[images.RegionId],
    ) -> Sequence[images.ImageId]:
        """Return those of ``image_ids`` that were proven not to be in a region.

        :param trusted: regions that show us everything; added to.
        """
        try:
            service = self._regions.image_service(origin)
            if origin not in trusted:
                # To somebody with fewer rights than before, other people's images are absent.
                service.require_all_rights()
                trusted.add(origin)
            missing = image_ids - set(service.find(sorted(image_ids)))
            # A listing proves presence only; absence is what a 404 for the very image says.
            return [one for one in sorted(missing) if service.get_record(one) is None]
        except errors.SyncError as exc:
            if origin == self._cascading:
                raise
            failure = exc
        LOG.warning("Nothing is taken for deleted in region %s: %s", origin, failure)
        return ()


def _unseen(
    pairs: Pairs, region: images.RegionId, only: Set[images.RegionId] | None
) -> Pairs:
    """Return the pairs to look at in a region, if ``only`` these did not answer last time."""
    if only is None or region in only:
        return pairs
    return [
        pair for pair in pairs if pair[0].remote is not None and pair[0].remote.region in only
    ]


def _is_done(row: tasks.Task) -> bool:
    return row.status is tasks.TaskStatus.SUCCESS
