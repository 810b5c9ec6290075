# SPDX-License-Identifier: Apache-2.0
"""The look at everything: what happened while nobody listened is found and requested.

Copies nothing itself; what differs becomes a task like any other.
"""

from collections.abc import Callable, Sequence, Set
import dataclasses
import datetime
import itertools
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import differences
from glance_sync_agent.engine import gone_sources
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)

#: Images in one page; Glance takes that many ids in one ``id=in:`` filter.
PAGE_SIZE = 100

_GONE = plans.Step(what=plans.What.DELETE, why="source was deleted")


def _go_on() -> None:
    """Keep nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """How far a look goes."""

    only: Set[images.RegionId] | None = None  # regions that are compared; None: all
    without: Set[images.RegionId] = frozenset()  # regions that are not asked for anything
    since: datetime.datetime | None = None  # sources that changed then or later; None: all
    deletions: bool = True  # whether sources are looked for that are gone


EVERYTHING = Scope()


@dataclasses.dataclass(kw_only=True, slots=True)
class Report:
    """What a look found."""

    sources: int = 0
    requested: int = 0  # pairs of image and region
    deleted_sources: int = 0
    held_back: int = 0  # deleted sources whose copies the brake kept
    failed_regions: set[images.RegionId] = dataclasses.field(default_factory=set)
    #: When the source changed last that did so last, by the clock of its Glance.
    newest: datetime.datetime | None = dataclasses.field(default=None, compare=False)


class Reconciliation:
    """Compares every source with its copies."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        compared: differences.Differences,
        gone: gone_sources.GoneSources,
        ask: differences.Ask,
        cascading: images.RegionId,
        snapshot_origins: Sequence[images.RegionId] = (),
        stop: ports.StopFlag,
        max_deletes: Callable[[], int],
    ) -> None:
        """Keep the parts.

        :param ask: is given what differs; the only one here who writes anything.
        :param snapshot_origins: regions besides the cascading one whose snapshots are sources.
        """
        self._regions = regions
        self._differences = compared
        self._gone = gone
        self._ask = ask
        self._cascading = cascading
        self._origins = snapshot_origins
        self._stop = stop
        self._max_deletes = max_deletes

    def look(
        self, scope: Scope = EVERYTHING, keep_on: Callable[[], None] = _go_on
    ) -> Report:
        """Walk the sources, then the tasks whose source is gone, and ask for what differs.

        A region that fails is left out and named in the report.

        :param keep_on: called often; what it raises ends the look.
        :raises TransientError: the cascading region did not answer; nothing was concluded.
        """
        report = Report()
        self._look_from(self._cascading, scope, report, keep_on)
        is_empty = report.sources == 0
        for origin in self._origins:
            self._look_from_cascaded(origin, scope, report, keep_on)
        if not scope.deletions or self._stop.is_set():
            return report
        if is_empty:
            LOG.warning("The cascading region lists no image at all; nothing is deleted for it")
        else:
            self._look_for_deleted(scope, report, keep_on)
        return report

    def _look_from_cascaded(
        self,
        origin: images.RegionId,
        scope: Scope,
        report: Report,
        keep_on: Callable[[], None],
    ) -> None:
        if scope.only is not None and origin in scope.only:
            # It was not seen, whatever became of the others.
            scope = dataclasses.replace(scope, only=None)
        try:
            self._look_from(origin, scope, report, keep_on)
        except errors.LeaseLost:
            raise
        except errors.SyncError as exc:
            failure = exc
        else:
            return
        report.failed_regions.add(origin)
        LOG.warning("Could not look at the snapshots of region %s: %s", origin, failure)

    def _look_from(
        self,
        origin: images.RegionId,
        scope: Scope,
        report: Report,
        keep_on: Callable[[], None],
    ) -> None:
        """Walk the sources of one region."""
        wanted = self._differences.regions_for(origin)
        service = self._regions.image_service(origin)
        snapshots_only = origin != self._cascading
        pages = service.pages(
            PAGE_SIZE, snapshots_only=snapshots_only, changed_since=scope.since
        )
        for page in pages:
            report.sources += len(page)
            _note_newest(report, page)
            pairs, failures = self._differences.pairs(page)
            for region, failure in failures.items():
                report.failed_regions.add(region)
                LOG.warning("Could not look at the snapshots of region %s: %s", region, failure)
            for region in sorted(wanted - report.failed_regions - scope.without):
                keep_on()
                self._compare(region, _unseen(pairs, region, scope.only), report)
            if self._stop.is_set():
                return

    def _compare(
        self, region: images.RegionId, pairs: Sequence[differences.Pair], report: Report
    ) -> None:
        if not pairs:
            return
        try:
            for difference in self._differences.find(region, pairs):
                report.requested += self._ask(difference)
        except errors.SyncError as exc:
            failure = exc
        else:
            return
        report.failed_regions.add(region)
        LOG.warning("Could not compare region %s with the sources: %s", region, failure)

    def _look_for_deleted(
        self, scope: Scope, report: Report, keep_on: Callable[[], None]
    ) -> None:
        """Find tasks whose source is gone, and ask for them unless there are too many."""
        announced: list[Sequence[differences.Difference]] = []
        found: list[Sequence[differences.Difference]] = []
        for rows in self._gone.find():
            keep_on()
            in_scope = [row for row in rows if scope.only is None or row.key.region in scope.only]
            if not in_scope:
                continue
            report.deleted_sources += 1
            # What a message or an operator announced is no accident, whatever became of it.
            is_announced = any(row.may_delete for row in rows)
            (announced if is_announced else found).append([_deletion(row) for row in in_scope])
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
        for deletion in itertools.chain(*announced, *found):
            report.requested += self._ask(deletion)


def _note_newest(report: Report, page: Sequence[images.Image]) -> None:
    times = [report.newest, *(source.updated_at for source in page)]
    report.newest = max((time for time in times if time is not None), default=None)


def _deletion(row: tasks.Task) -> differences.Difference:
    return differences.Difference(
        image_id=row.key.image_id,
        image_name=row.image_name,
        region=row.key.region,
        step=_GONE,
        source_region=row.source_region,
        may_delete=True,
    )


def _unseen(
    pairs: Sequence[differences.Pair],
    region: images.RegionId,
    only: Set[images.RegionId] | None,
) -> Sequence[differences.Pair]:
    """Return the pairs to look at in a region, if ``only`` these did not answer last time."""
    if only is None or region in only:
        return pairs
    return [
        pair
        for pair in pairs
        if pair.source.remote is not None and pair.source.remote.region in only
    ]
