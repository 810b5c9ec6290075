# SPDX-License-Identifier: Apache-2.0
"""When to look at what: at everything from time to time, more often at what changed.

Of several agents that share a database one does so, and another one once that is gone.
"""

from collections.abc import Callable
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine import leadership
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile import scan
from glance_sync_agent.engine.reconcile import scan_settings
from glance_sync_agent.engine.reconcile.scan import Scope

LOG = logging.getLogger(__name__)

_AGAIN_SECONDS = 30.0  # doubled with each failure
_AGAIN_MAX_SECONDS = 960.0
_JITTER = 0.1  # of an interval, up or down, so that two agents' do not stay in step
#: Glance notes when a change began, and shows it once it is committed.
_MARGIN = datetime.timedelta(seconds=10)

#: What failed is not taken up before, unless somebody asks; else it would fail every ten minutes.
_REST = datetime.timedelta(hours=1)

#: Between two looks at the marked images of all regions, which list them all.
_COUNT_SECONDS = 86400.0
_FIRST_COUNT_SECONDS = 900.0  # after the first look, whose tasks are more urgent

_NEVER = float("inf")

RunScan = Callable[[Scope, Callable[[], None]], scan.ScanReport]


class ScanSchedule:
    """Looks at what is due. For one thread."""

    def __init__(
        self,
        *,
        look: RunScan,
        turns: ports.LeaderLeases,
        owner: str,
        clock: ports.Clock,
        intervals: Callable[[], scan_settings.ScanIntervals],
        chance: Callable[[], float],
        count_marked: Callable[[], None],
    ) -> None:
        """Begin with everything.

        :param owner: who we are among those that take turns.
        :param chance: draws from 0 to 1.
        :param count_marked: reports images that an operator should settle; called once a day.
        """
        self._look = look
        self._turn = leadership.LeaderLease(
            "reconcile",
            lost="another agent looks at the images now",
            turns=turns,
            owner=owner,
            clock=clock,
        )
        self._clock = clock
        self._intervals = intervals
        self._chance = chance
        self._is_asked = True
        self._everything_at = _NEVER  # monotonic, as the next three
        self._changes_at = _NEVER
        self._missed_at = _NEVER
        self._not_before = -_NEVER
        self._missed: frozenset[images.RegionId] = frozenset()  # did not answer
        self._count_marked = count_marked
        self._count_at = _NEVER
        self._again = _AGAIN_SECONDS
        self._watermark: datetime.datetime | None = None

    def ask_for_everything(self) -> None:
        """Have the next :meth:`run` look at everything."""
        self._is_asked, self._not_before = True, -_NEVER
        self._again = _AGAIN_SECONDS

    def run(self) -> float:
        """Look at what is due; return after how many seconds to come again."""
        failure = None
        try:
            if not self._is_our_turn():
                return leadership.RENEWAL_SECONDS
            self._look_at_what_is_due()
        except errors.SyncError as exc:
            failure = exc
        # Out here, because oslo.log repeats the error in hand behind every line.
        if failure is not None:
            LOG.warning("Could not look at the images: %s", failure)
            self._not_before = self._clock.monotonic() + self._next_pause()
        return self._wait()

    def end(self) -> None:
        """Let another agent have the turn.

        :raises ServiceUnavailable: the database does not answer.
        """
        self._turn.end()

    def _is_our_turn(self) -> bool:
        if self._turn.take():
            return True
        # Whoever has it may have seen things that we have not: begin anew after it.
        self._is_asked = True
        return False

    def _look_at_what_is_due(self) -> None:
        now = self._clock.monotonic()
        if now < self._not_before:
            return
        rested = self._clock.now() - _REST
        if self._is_asked:
            self._look_at(scan.EVERYTHING, "everything")
            self._is_asked = False
        elif now >= self._everything_at:
            self._look_at(Scope(failed_before=rested), "everything")
        elif now >= self._missed_at:
            # What failed while it did not answer may go well now.
            scope = Scope(only=self._missed, deletions=False)
            self._look_at(scope, f"region {', '.join(sorted(self._missed))} again")
        elif now >= self._changes_at:
            # A cloud that had no image yet is looked at as a whole, which costs as little.
            since = None if self._watermark is None else self._watermark - _MARGIN
            scope = Scope(
                since=since, without=self._missed, deletions=False, failed_before=rested
            )
            self._look_at(scope, f"what changed since {since:%H:%M:%S}" if since else "all")
        elif now >= self._count_at:
            self._count_marked()
            self._count_at = self._clock.monotonic() + self._jittered(_COUNT_SECONDS)

    def _look_at(self, scope: Scope, described: str) -> None:
        started = self._clock.monotonic()
        report = self._look(scope, self._turn.keep_on)
        ended = self._clock.monotonic()
        LOG.log(
            logging.INFO if scope.deletions or report.requested else logging.DEBUG,
            "Looked at %d images in %.1f s, %s: %d tasks requested, %d sources deleted, %d held "
            "back",
            report.sources, ended - started, described, report.requested,
            report.deleted_sources, report.held_back,
        )
        if report.newest is not None:
            self._watermark = max(report.newest, self._watermark or report.newest)
        intervals = self._intervals()
        if scope.only is None:
            self._changes_at = ended + self._jittered(intervals.changes)
        if scope.deletions:
            self._everything_at = ended + self._jittered(intervals.everything)
            if self._count_at == _NEVER:
                self._count_at = ended + _FIRST_COUNT_SECONDS
        self._note_missed(scope, report, ended)

    def _note_missed(self, scope: Scope, report: scan.ScanReport, ended: float) -> None:
        failed = frozenset(report.failed_regions)
        if scope.deletions or scope.only is not None:
            self._missed_at = _NEVER
        else:  # says nothing of those that it left out
            failed |= self._missed
        if not failed:
            self._again = _AGAIN_SECONDS
        elif self._missed_at == _NEVER:
            self._missed_at = ended + self._next_pause()
        self._missed = failed

    def _next_pause(self) -> float:
        pause, self._again = self._again, min(self._again * 2, _AGAIN_MAX_SECONDS)
        return pause

    def _jittered(self, seconds: float) -> float:
        return seconds * (1 + _JITTER * (2 * self._chance() - 1)) or _NEVER

    def _wait(self) -> float:
        if self._is_asked:
            return max(self._not_before - self._clock.monotonic(), 0.0)
        due = min(self._everything_at, self._changes_at, self._missed_at, self._count_at)
        seconds = max(due, self._not_before) - self._clock.monotonic()
        return min(max(seconds, 0.0), leadership.RENEWAL_SECONDS)
