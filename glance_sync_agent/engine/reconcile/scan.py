# SPDX-License-Identifier: Apache-2.0
"""The look at everything: what happened while nobody listened is found and requested.

Copies nothing itself; what differs becomes a task like any other.
"""

from collections.abc import Callable, Mapping, Sequence, Set
import dataclasses
import datetime
import itertools
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import steps
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile import compare
from glance_sync_agent.engine.reconcile import deletions
from glance_sync_agent.engine.reconcile import gone_sources
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import source_history

LOG = logging.getLogger(__name__)

#: Images that are compared at once; Glance takes that many ids in one ``id=in:`` filter.
PAGE_SIZE = 100
#: Images that are listed at once.
_LISTED = 500

_GONE = steps.Step(what=steps.StepKind.DELETE, why="source was deleted")
_REGION_GONE = steps.Step(what=steps.StepKind.NOTE, why=plans.REGION_GONE.text)


def _go_on() -> None:
    """Keep nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """How far a look goes."""

    only: Set[images.RegionId] | None = None  # regions that are compared; None: all
    without: Set[images.RegionId] = frozenset()  # regions that are not asked for anything
    since: datetime.datetime | None = None  # sources that changed then or later; None: all
    deletions: bool = True  # whether sources are looked for that are gone
    #: Tasks that failed later, or are not finished, are left alone; None: none are.
    failed_before: datetime.datetime | None = None


EVERYTHING = Scope()

_Shares = Mapping[images.RegionId, member_scans.Share]  # by region of the copies


@dataclasses.dataclass(kw_only=True, slots=True)
class ScanReport:
    """What a look found."""

    sources: int = 0
    requested: int = 0  # pairs of image and region
    deleted_sources: int = 0
    held_back: int = 0  # deleted sources whose copies the brake kept
    missing: int = 0  # sources that count as deleted later, unless they are found again
    #: Regions that lost their newest images, so that nothing is taken for deleted there.
    restored: set[images.RegionId] = dataclasses.field(default_factory=set)
    failed_regions: set[images.RegionId] = dataclasses.field(default_factory=set)
    #: When the source changed last that did so last, by the clock of its Glance.
    newest: datetime.datetime | None = dataclasses.field(default=None, compare=False)

    def note_page(self, page: Sequence[images.Image]) -> None:
        """Count sources."""
        self.sources += len(page)
        times = [self.newest, *(source.updated_at for source in page)]
        self.newest = max((time for time in times if time is not None), default=None)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Listed:
    """What is remembered of a region's sources once a look is over."""

    newest: Sequence[images.Image]
    now: datetime.datetime
    before: datetime.datetime | None  # when the look before listed them


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _Walk:
    """One look, while it lasts."""

    scope: Scope
    keep_on: Callable[[], None]
    report: ScanReport
    deletions: deletions.Deletions
    silent: set[images.RegionId]  # not asked for data of theirs (any more)
    listed: dict[images.RegionId, _Listed] = dataclasses.field(default_factory=dict)
    shares: dict[images.RegionId, _Shares] = dataclasses.field(default_factory=dict)

    def miss_data_of(self, region: images.RegionId, failure: errors.SyncError) -> None:
        """Take note that what a region is the source of was not seen."""
        self.silent.add(region)
        self.report.failed_regions.add(region)
        LOG.warning("Could not look at the snapshots of region %s: %s", region, failure)


class Scan:
    """Compares every source with its copies."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        compared: compare.Differences,
        gone: gone_sources.GoneSources,
        ask: compare.Ask,
        cascading: images.RegionId,
        snapshot_origins: Sequence[images.RegionId] = (),
        stop: ports.StopFlag,
        max_deletes: Callable[[], int],
        left_alone: Callable[[], Set[images.RegionId]] = frozenset,
        missing: source_history.MissingSources,
        newest: source_history.NewestSources,
        members: member_scans.MemberScans,
        is_accepted: bool = False,
    ) -> None:
        """Keep the parts.

        :param ask: is given what differs; the only one here who writes anything.
        :param snapshot_origins: regions besides the cascading one whose snapshots are sources.
        :param left_alone: tells which regions are known to answer nobody.
        :param members: shares the requests for members out to the looks.
        :param is_accepted: an operator says that what is missing was deleted, whatever was
            restored.
        """
        self._regions = regions
        self._differences = compared
        self._gone = gone
        self._ask = ask
        self._cascading = cascading
        self._origins = snapshot_origins
        self._stop = stop
        self._max_deletes = max_deletes
        self._left_alone = left_alone
        self._missing = missing
        self._newest = newest
        self._members = members
        self._is_accepted = is_accepted

    def look(
        self, scope: Scope = EVERYTHING, keep_on: Callable[[], None] = _go_on
    ) -> ScanReport:
        """Walk the sources, then the tasks whose source is gone, and ask for what differs.

        A region that fails, or is left alone, is left out and named in the report.

        :param keep_on: called often; what it raises ends the look.
        :raises TransientError: the cascading region did not answer; nothing was concluded.
        """
        left_alone = self._left_alone()
        report = ScanReport(failed_regions=set(left_alone))
        walk = _Walk(
            scope=scope,
            keep_on=keep_on,
            report=report,
            deletions=deletions.Deletions(self._max_deletes()),
            silent={*left_alone, *scope.without},
        )
        self._look_from(self._cascading, walk)
        is_empty = report.sources == 0
        for origin in self._origins:
            if origin not in walk.silent:
                self._look_from_cascaded(origin, walk)
        if not scope.deletions or self._stop.is_set():
            return report
        if is_empty:
            LOG.warning("The cascading region lists no image at all; nothing is deleted for it")
            return report
        self._look_for_deleted(walk)
        self._delete(walk)
        self._remember(walk)
        return report

    def _look_from_cascaded(self, origin: images.RegionId, walk: _Walk) -> None:
        if walk.scope.only is not None and origin in walk.scope.only:
            # It was not seen, whatever became of the others.
            scope = dataclasses.replace(walk.scope, only=None)
            walk = dataclasses.replace(walk, scope=scope)
        try:
            self._look_from(origin, walk)
        except errors.LeaseLost:
            raise
        except errors.SyncError as exc:
            failure = exc
        else:
            return
        walk.miss_data_of(origin, failure)

    def _look_from(self, origin: images.RegionId, walk: _Walk) -> None:
        """Walk the sources of one region."""
        scope, report = walk.scope, walk.report
        wanted = self._differences.regions_for(origin) - scope.without
        snapshots_only = origin != self._cascading
        pages = self._regions.image_service(origin).pages(
            _LISTED, snapshots_only=snapshots_only, changed_since=scope.since
        )
        newest: Sequence[images.Image] = ()
        shares = walk.shares[origin] = self._shares(origin, wanted, scope)
        for page in batches.of(itertools.chain.from_iterable(pages), PAGE_SIZE):
            report.note_page(page)
            newest = source_history.newest_of(page, newest)
            pairs, failures = self._differences.pairs(page, without=walk.silent)
            for region, failure in failures.items():
                walk.miss_data_of(region, failure)
            for region in sorted(wanted - report.failed_regions):
                walk.keep_on()
                self._compare(region, _unseen(pairs, region, scope.only), walk, shares[region])
            if self._stop.is_set():
                return
        self._note_members(origin, walk)
        if scope.deletions:
            self._note_newest(origin, newest, walk)

    def _note_members(self, origin: images.RegionId, walk: _Walk) -> None:
        """Take note of the members that were asked for."""
        scope, shares = walk.scope, walk.shares[origin]
        for region in sorted(shares.keys() - walk.report.failed_regions):
            if scope.since is None and (scope.only is None or region in scope.only):
                self._members.note(origin, region, shares[region])

    def _shares(
        self, origin: images.RegionId, wanted: Set[images.RegionId], scope: Scope
    ) -> _Shares:
        """Return the sources whose turn it is to cost more requests, by region of the copies.

        Of those that changed lately it is nobody's: members that change change no image.
        """
        if scope.since is not None:
            return dict.fromkeys(wanted, member_scans.NONE)
        return {region: self._members.share(origin, region) for region in sorted(wanted)}

    def _note_newest(
        self, origin: images.RegionId, newest: Sequence[images.Image], walk: _Walk
    ) -> None:
        """Take note of the newest sources of a region, or that it lost them."""
        walk.listed[origin] = _Listed(
            newest=newest, now=self._missing.now(), before=self._newest.listed_at(origin)
        )
        are_lost = self._newest.are_lost(self._regions.image_service(origin), newest)
        if are_lost and not self._is_accepted:
            self._hold(origin, walk)

    def _hold(self, origin: images.RegionId, walk: _Walk) -> None:
        """Let no source of a region count as deleted."""
        walk.report.restored.add(origin)
        LOG.error(
            "The newest images of region %s are missing, as if its Glance was restored from a "
            "backup, so no source there counts as deleted. Look at 'glance-sync reconcile "
            "--dry-run'. If those images were really deleted, run 'glance-sync reconcile "
            "--allow-deletes N' with their number",
            origin,
        )

    def _compare(
        self,
        region: images.RegionId,
        pairs: Sequence[compare.Pair],
        walk: _Walk,
        members: member_scans.Share,
    ) -> None:
        if not pairs:
            return
        try:
            found = list(
                self._differences.find(
                    region, pairs, failed_before=walk.scope.failed_before, members=members
                )
            )
            for difference in found:
                if difference.may_delete:
                    walk.deletions.add(difference)
            walk.report.requested += self._ask([one for one in found if not one.may_delete])
        except errors.SyncError as exc:
            failure = exc
        else:
            return
        walk.report.failed_regions.add(region)
        LOG.warning("Could not compare region %s with the sources: %s", region, failure)

    def _look_for_deleted(self, walk: _Walk) -> None:
        """Find tasks whose source is gone, and compare the sources that no listing has."""
        report = walk.report
        lost: dict[images.RegionId, set[images.ImageId]] = {}

        def close(rows: Sequence[tasks.Task]) -> None:
            report.requested += self._ask(
                [_of_task(row, _REGION_GONE) for row in rows if row.code is not Code.REGION_GONE]
            )

        def are_there(rows: Sequence[tasks.Task], sources: Sequence[images.Image]) -> None:
            self._missing.found(rows)
            self._compare_unlisted(rows, sources, walk)

        without, untrusted = walk.silent - {self._cascading}, frozenset(report.restored)
        for rows in self._gone.find(close, are_there, without=without, untrusted=untrusted):
            walk.keep_on()
            origin = rows[0].source_region or self._cascading
            # What a message or an operator announced is no accident, whatever became of it.
            if any(row.may_delete for row in rows):
                found = _deletions_of(rows, walk.scope)
                report.deleted_sources += bool(found)
                report.requested += self._ask(found)
            elif self._are_unseen(origin, rows, walk):
                lost.setdefault(origin, set()).add(rows[0].key.image_id)
            else:
                self._miss(origin, rows, walk)
        self._note_members_of_unlisted(walk)
        for origin in sorted(lost):
            self._newest.lost(origin, lost[origin])
            self._hold(origin, walk)
            report.deleted_sources -= walk.deletions.drop(origin)

    def _miss(
        self, origin: images.RegionId, rows: Sequence[tasks.Task], walk: _Walk
    ) -> None:
        """Take note of a source that is missing without a message."""
        if not self._missing.is_deleted(rows) and not self._is_accepted:
            walk.report.missing += 1
            return
        found = _deletions_of(rows, walk.scope)
        walk.report.deleted_sources += bool(found)
        for one in found:
            walk.deletions.add(one, gone_from=origin)

    def _are_unseen(
        self, origin: images.RegionId, rows: Sequence[tasks.Task], walk: _Walk
    ) -> bool:
        """Tell whether no look has ever seen a source that is missing, so that it may be lost."""
        listed = walk.listed.get(origin)
        if listed is None or self._is_accepted:
            return False
        return source_history.are_unseen(rows, listed.before)

    def _compare_unlisted(
        self, rows: Sequence[tasks.Task], sources: Sequence[images.Image], walk: _Walk
    ) -> None:
        """Compare sources of other regions with their copies that those do not list as snapshots.

        Their owners may have taken ``image_type`` off, or the operator the region out of
        ``region_transport_urls``, and the copies would keep what the sources took back.
        """
        unlisted = [one for one in sources if self._is_unlisted(one)]
        if not unlisted:
            return
        origin, only = unlisted[0].region, walk.scope.only
        regions = self._differences.regions_for(origin) - walk.scope.without
        shares = walk.shares.setdefault(origin, self._shares(origin, regions, walk.scope))
        try:
            pairs, failures = self._differences.pairs(unlisted, without=walk.silent)
        except errors.SyncError as exc:
            pairs, failures = (), {origin: exc}
        for region, failure in failures.items():
            walk.miss_data_of(region, failure)
        for region in sorted({row.key.region for row in rows} & shares.keys()):
            if region not in walk.report.failed_regions and (only is None or region in only):
                walk.keep_on()
                known = [pair for pair in pairs if _has_copy(pair, region)]
                self._compare(region, known, walk, shares[region])

    def _is_unlisted(self, source: images.Image) -> bool:
        if source.region == self._cascading:
            return False
        return source.region not in self._origins or not images.is_typed_snapshot(source)

    def _note_members_of_unlisted(self, walk: _Walk) -> None:
        for origin in sorted(walk.shares.keys() - {self._cascading, *self._origins}):
            self._note_members(origin, walk)

    def _delete(self, walk: _Walk) -> None:
        """Ask for the deletions, unless there are too many."""
        found = walk.deletions
        if not found.are_too_many():
            for batch in batches.of(found.all(), PAGE_SIZE):
                walk.report.requested += self._ask(batch)
            return
        walk.report.held_back = found.count()
        LOG.error(
            "%d sources are gone or out of strategy, and one scan may delete the copies of %d at "
            "most, so none is deleted. 'glance-sync reconcile --dry-run' shows them, %s among "
            "them. If that is right, run 'glance-sync reconcile --allow-deletes %d', or raise "
            "[reconcile] max_deletes and send SIGHUP or restart the agent",
            found.count(), self._max_deletes(), found.first(), found.count(),
        )

    def _remember(self, walk: _Walk) -> None:
        """Take note of what was listed, now that all has become of it that will."""
        for origin, listed in walk.listed.items():
            if not self._is_accepted:
                if origin not in walk.report.restored:
                    self._newest.note_look(origin, listed.now)
            elif walk.scope.only is None and not walk.report.held_back:
                # What is still there to be deleted must not go later, as if it was accepted.
                self._newest.accept(origin, listed.newest, listed.now)


def _deletions_of(rows: Sequence[tasks.Task], scope: Scope) -> Sequence[compare.Difference]:
    return [
        _of_task(row, _GONE)
        for row in rows
        if (scope.only is None or row.key.region in scope.only)
        # One that may delete already knows all that a scan could tell it.
        and not (row.may_delete and tasks.is_settled(row, scope.failed_before))
    ]


def _has_copy(pair: compare.Pair, region: images.RegionId) -> bool:
    row = pair.rows.get(region)
    return row is not None and row.copy_id is not None


def _of_task(row: tasks.Task, step: steps.Step) -> compare.Difference:
    return compare.Difference(
        image_id=row.key.image_id,
        image_name=row.image_name,
        region=row.key.region,
        step=step,
        source_region=row.source_region,
        may_delete=step is _GONE,
    )


def _unseen(
    pairs: Sequence[compare.Pair],
    region: images.RegionId,
    only: Set[images.RegionId] | None,
) -> Sequence[compare.Pair]:
    """Return the pairs to look at in a region, if ``only`` these did not answer last time."""
    if only is None or region in only:
        return pairs
    return [
        pair
        for pair in pairs
        if pair.source.remote is not None and pair.source.remote.region in only
    ]
