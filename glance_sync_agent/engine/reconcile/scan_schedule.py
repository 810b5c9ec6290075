# SPDX-License-Identifier: Apache-2.0
"""The schedule of scans: full ones from time to time, incremental ones more often."""

from collections.abc import Callable
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine import leadership
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile import scan_settings
from glance_sync_agent.engine.reconcile import scan_state
from glance_sync_agent.engine.reconcile.scan_state import Scope

LOG = logging.getLogger(__name__)

_AGAIN_SECONDS = 30.0  # doubled with each failure
_AGAIN_MAX_SECONDS = 960.0
_JITTER = 0.1  # of an interval, up or down, so that agents do not stay in step
#: Glance notes the time at the start of a change, and shows the change once it is committed.
_MARGIN = datetime.timedelta(seconds=10)

#: A scan by the clock leaves a failed task alone for so long.
_REST = datetime.timedelta(hours=1)

#: Seconds between two counts of the marked images, which list the images of all regions.
_COUNT_SECONDS = 86400.0
_FIRST_COUNT_SECONDS = 900.0  # after the first scan, whose tasks are more urgent

_NEVER = float("inf")

RunScan = Callable[[Scope, Callable[[], None]], scan_state.ScanReport]


class ScanSchedule:
    """Runs the scans that are due while this agent is the leader. For one thread."""

    def __init__(
        self,
        *,
        run_scan: RunScan,
        lease: leadership.LeaderLease,
        clock: ports.Clock,
        intervals: Callable[[], scan_settings.ScanIntervals],
        chance: Callable[[], float],
        count_marked: Callable[[], None],
    ) -> None:
        """Begin with a full scan.

        :param chance: draws from 0 to 1.
        :param count_marked: reports images that an operator should settle; called once a day.
        """
        self._run_scan = run_scan
        self._lease = lease
        self._clock = clock
        self._intervals = intervals
        self._chance = chance
        self._is_requested = True
        self._full_at = _NEVER  # monotonic, as the next four
        self._incremental_at = _NEVER
        self._retry_at = _NEVER
        self._count_at = _NEVER
        self._not_before = -_NEVER
        self._failed: frozenset[images.RegionId] = frozenset()  # regions to scan again
        self._count_marked = count_marked
        self._again = _AGAIN_SECONDS
        self._watermark: datetime.datetime | None = None

    def request_full_scan(self) -> None:
        """Make a full scan due for the next :meth:`run`."""
        self._is_requested, self._not_before = True, -_NEVER
        self._again = _AGAIN_SECONDS

    def run(self) -> float:
        """Run what is due; return the seconds until the next call."""
        try:
            if not self._lease.take():
                # The other agent may have noticed what this one did not.
                self._is_requested = True
                return leadership.RENEWAL_SECONDS
            self._run_what_is_due()
        except errors.SyncError as exc:
            pause = self._next_pause()
            LOG.warning("Could not scan the images: %s. The next try is in %.0f s", exc, pause)
            self._not_before = self._clock.monotonic() + pause
        return self._wait()

    def end(self) -> None:
        """Let another agent lead.

        :raises ServiceUnavailable: the database does not answer.
        """
        self._lease.give_back()

    def _run_what_is_due(self) -> None:
        now = self._clock.monotonic()
        if now < self._not_before:
            return
        rested = self._clock.now() - _REST
        if self._is_requested:
            self._scan(scan_state.FULL, "full")
            self._is_requested = False
        elif now >= self._full_at:
            self._scan(Scope(failed_before=rested), "full")
        elif now >= self._retry_at:
            # What failed while the region did not answer may succeed now.
            scope = Scope(only=self._failed, deletions=False)
            self._scan(scope, f"again region {', '.join(sorted(self._failed))}")
        elif now >= self._incremental_at:
            # In a cloud that had no image, a scan of all images costs as little.
            since = None if self._watermark is None else self._watermark - _MARGIN
            scope = Scope(
                since=since, without=self._failed, deletions=False, failed_before=rested
            )
            self._scan(scope, f"changes since {since:%H:%M:%S}" if since else "all images")
        elif now >= self._count_at:
            self._count_marked()
            self._count_at = self._clock.monotonic() + self._jittered(_COUNT_SECONDS)

    def _scan(self, scope: Scope, kind: str) -> None:
        started = self._clock.monotonic()
        report = self._run_scan(scope, self._lease.renew)
        ended = self._clock.monotonic()
        LOG.log(
            logging.INFO if scope.deletions or report.requested else logging.DEBUG,
            "Scanned %d images in %.1f s (%s): %d tasks requested, %d sources deleted, %d held "
            "back",
            report.sources, ended - started, kind, report.requested,
            report.deleted_sources, report.held_back,
        )
        if report.newest is not None:
            self._watermark = max(report.newest, self._watermark or report.newest)
        intervals = self._intervals()
        if scope.only is None:
            self._incremental_at = ended + self._jittered(intervals.incremental)
        if scope.deletions:
            self._full_at = ended + self._jittered(intervals.full)
            if self._count_at == _NEVER:
                self._count_at = ended + _FIRST_COUNT_SECONDS
        self._note_failed(scope, frozenset(report.failed_regions), ended)

    def _note_failed(
        self, scope: Scope, failed: frozenset[images.RegionId], ended: float
    ) -> None:
        if scope.deletions or scope.only is not None:
            self._retry_at = _NEVER
        else:  # an incremental scan leaves out the regions that failed before
            failed |= self._failed
        if not failed:
            self._again = _AGAIN_SECONDS
        elif self._retry_at == _NEVER:
            self._retry_at = ended + self._next_pause()
        self._failed = failed

    def _next_pause(self) -> float:
        pause, self._again = self._again, min(self._again * 2, _AGAIN_MAX_SECONDS)
        return pause

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 + _JITTER * (2 * self._chance() - 1)) or _NEVER

    def _wait(self) -> float:
        if self._is_requested:
            return max(self._not_before - self._clock.monotonic(), 0.0)
        due = min(self._full_at, self._incremental_at, self._retry_at, self._count_at)
        seconds = max(due, self._not_before) - self._clock.monotonic()
        return min(max(seconds, 0.0), leadership.RENEWAL_SECONDS)
