# SPDX-License-Identifier: Apache-2.0
"""Decides which sources count as deleted, and whether their copies may go."""

from collections.abc import Sequence
import logging

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

    def found(self, rows: Sequence[tasks.Task]) -> None:
        """Remember that the sources of tasks are there."""
        self._missing.found(rows)

    def judge(
        self, origin: images.RegionId, rows: Sequence[tasks.Task], state: scan_state.ScanState
    ) -> None:
        """Decide about the tasks of a source that is not in its region any more."""
        # A deletion that a message or an operator announced is no accident.
        is_certain = is_announced = any(row.may_delete for row in rows)
        if not is_announced:
            listing = state.listings.get(origin)
            is_unseen = listing is not None and source_history.are_unseen(rows, listing.before)
            if is_unseen and not self._is_accepted:
                state.lost.setdefault(origin, set()).add(rows[0].key.image_id)
                return
            is_certain = self._missing.is_deleted(rows) or self._is_accepted
        if not is_certain:
            state.report.missing += 1
            return
        found = _deletions(rows, state.scope)
        state.report.deleted_sources += bool(found)
        if is_announced:
            state.report.requested += self._receive(found)
        else:
            state.deletions.add(found, gone_from=origin)

    def release(self, state: scan_state.ScanState) -> None:
        """Request the deletions, unless there are too many, and remember the listings."""
        for origin in sorted(state.lost):
            self._newest.lost(origin, state.lost[origin])
            _hold(origin, state)
            state.report.deleted_sources -= state.deletions.drop(origin)
        if state.deletions.are_too_many():
            _hold_back(state)
        else:
            for batch in batches.of(state.deletions.all(), _BATCH):
                state.report.requested += self._receive(batch)
        for origin, listing in state.listings.items():
            if not self._is_accepted:
                if origin not in state.report.restored:
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
