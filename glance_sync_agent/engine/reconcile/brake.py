# SPDX-License-Identifier: Apache-2.0
"""Decides which sources count as deleted, and whether their copies may go."""

from collections.abc import Iterable, Sequence, Set
import dataclasses
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import steps
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import scan_state
from glance_sync_agent.engine.reconcile import source_history

LOG = logging.getLogger(__name__)

_BATCH = 100  # deletions that are requested at once

_GONE = steps.Step(what=steps.StepKind.DELETE, why="source was deleted")


class DeletionBrake:
    """Holds deletions that look like an accident, unless an operator accepted them.

    All methods raise ServiceUnavailable if the database does not answer.
    """

    def __init__(
        self,
        outside: ports.Ports,
        missing: source_history.MissingSources,
        newest: source_history.NewestSources,
        receive: differences.Receiver,
        *,
        is_accepted: bool,
    ) -> None:
        self._outside = outside
        self._missing = missing
        self._newest = newest
        self._receive = receive
        self._is_accepted = is_accepted

    def note_listing(
        self,
        origin: images.RegionId,
        newest: Sequence[images.Image],
        state: scan_state.ScanState,
    ) -> None:
        """Compare the newest sources of a whole listing with those of the scan before.

        :raises SyncError: the region does not answer.
        """
        before, now = self._newest.listed_at(origin), self._outside.clock.now()
        state.listings[origin] = scan_state.SourceListing(newest=newest, now=now, before=before)
        service = self._outside.regions.image_service(origin)
        if self._newest.are_lost(service, newest) and not self._is_accepted:
            _hold(origin, state)

    def found(
        self,
        origin: images.RegionId,
        rows: Iterable[tasks.Outline],
        sources: Iterable[images.Image],
        state: scan_state.ScanState,
    ) -> None:
        """Remember that the sources of tasks are there.

        :param sources: those of a kind that listings show.
        """
        self._missing.found(rows)
        listing = state.listings.get(origin)
        if listing is not None:
            now = self._outside.clock.now()
            newest = source_history.newest_of(sources, listing.newest, now)
            # A page that was read before does not show a source that was made during the walk.
            if [one.image_id for one in newest] != [one.image_id for one in listing.newest]:
                state.listings[origin] = dataclasses.replace(
                    listing, newest=newest, is_complete=False
                )

    def judge(
        self, origin: images.RegionId, rows: Sequence[tasks.Task], state: scan_state.ScanState
    ) -> None:
        """Decide about the tasks of a source that is not in its region any more."""
        # A deletion that a message or an operator announced is no accident. An announcement for
        # some regions says nothing of the others.
        announced = [row for row in rows if row.may_delete]
        others = [row for row in rows if not row.may_delete]
        requested = self._request_announced(announced, state)
        if others:
            first = min(row.created_at for row in rows)
            self._judge_unannounced(origin, others, first, state)
        elif requested:
            state.report.deleted_sources += 1

    def _request_announced(
        self, rows: Sequence[tasks.Task], state: scan_state.ScanState
    ) -> bool:
        found = _deletions(rows, state.scope)
        state.report.requested += self._receive(found)
        return bool(found)

    def _judge_unannounced(
        self,
        origin: images.RegionId,
        rows: Sequence[tasks.Task],
        first: datetime.datetime,
        state: scan_state.ScanState,
    ) -> None:
        listing = state.listings.get(origin)
        before = None if listing is None else listing.before
        is_unseen = source_history.are_unseen(rows, first, before)
        if is_unseen and not self._is_accepted:
            state.lost.setdefault(origin, set()).add(rows[0].key.image_id)
            return
        if not self._missing.is_deleted(rows) and not self._is_accepted:
            state.report.missing += 1
            return
        found = _deletions(rows, state.scope)
        state.report.deleted_sources += bool(found)
        state.deletions.add(found, gone_from=origin)

    def release(self, state: scan_state.ScanState) -> None:
        """Request the deletions, unless there are too many, and remember the listings."""
        for origin in sorted(state.lost):
            lost = self._unannounced(origin, state.lost[origin])
            if lost:
                self._newest.lost(origin, lost)
                _hold(origin, state)
                state.report.deleted_sources -= state.deletions.drop(origin)
        if state.deletions.are_too_many():
            _hold_back(state)
        else:
            for batch in batches.of(state.deletions.all(), _BATCH):
                state.renew_lease()  # another agent may have begun the same scan
                state.report.requested += self._receive(batch)
        for origin in sorted(state.listings.keys() - state.report.restored):
            try:
                self._remember(origin, state)
            except errors.SyncError as exc:
                if self._is_accepted:
                    raise  # the operator's decision is not written
                LOG.warning(
                    "Could not remember the newest images of region %s: %s. The next full scan "
                    "remembers them",
                    origin, exc,
                )

    def _unannounced(
        self, origin: images.RegionId, image_ids: Set[images.ImageId]
    ) -> Set[images.ImageId]:
        """Return the sources whose deletion no message has announced since they were judged."""
        rows = [
            row
            for batch in batches.of(sorted(image_ids), _BATCH)
            for row in self._outside.store.find(batch)
            if (row.source_region or self._outside.catalogue.cascading) == origin
        ]
        announced = {row.key.image_id for row in rows if row.may_delete}
        return {row.key.image_id for row in rows} - announced

    def _remember(self, origin: images.RegionId, state: scan_state.ScanState) -> None:
        listing = state.listings[origin]
        if not listing.is_complete:
            self._newest.are_lost(self._outside.regions.image_service(origin), listing.newest)
        if not self._is_accepted:
            self._newest.note_scan(origin, listing.now)
        elif state.scope.only is None and not state.report.held_back:
            # After a smaller scan, copies remain that the operator did not let go.
            self._newest.accept(origin, listing.newest, listing.now)


def _hold(origin: images.RegionId, state: scan_state.ScanState) -> None:
    state.report.restored.add(origin)
    LOG.error(
        "The newest images of region %s are missing, as if its Glance was restored from a backup. "
        "Scans delete no copy of its images. List the missing ones with 'glance-sync reconcile "
        "--dry-run'. If they were really deleted, run 'glance-sync reconcile --allow-deletes N' "
        "with their number",
        origin,
    )


def _hold_back(state: scan_state.ScanState) -> None:
    found = state.deletions
    state.report.held_back = found.count()
    LOG.error(
        "%d sources are gone or out of strategy, and one scan may delete the copies of %d at "
        "most. So it deleted none. 'glance-sync reconcile --dry-run' lists them, %s among them. "
        "If they may go, run 'glance-sync reconcile --allow-deletes %d', or raise [reconcile] "
        "max_deletes and send SIGHUP or restart the agent",
        found.count(), found.limit, found.first(), found.count(),
    )


def _deletions(
    rows: Sequence[tasks.Task], scope: scan_state.Scope
) -> Sequence[differences.Difference]:
    return [
        differences.of_task(row, _GONE, may_delete=True)
        for row in rows
        # A scan adds nothing to a deletion that was announced and waits or rests.
        if scope.covers(row.key.region)
        and not (row.may_delete and tasks.is_settled(row, scope.failed_before))
    ]
