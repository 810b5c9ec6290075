# SPDX-License-Identifier: Apache-2.0
"""Reads every copy back from time to time, in the one agent that is the leader for it."""

from collections import Counter
from collections.abc import Callable, Iterator
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.engine import leadership
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.current_pauses import CurrentPauses
from glance_sync_agent.engine.verify import read_back
from glance_sync_agent.engine.verify.repairs import RepairReport
from glance_sync_agent.engine.verify.repairs import Repairs
from glance_sync_agent.engine.verify.verify_settings import VerifySettings

LOG = logging.getLogger(__name__)

#: The time after which bad copies are replaced before the next copies are read.
_SLICE_SECONDS = 600.0
#: The pause between two searches for due copies, as a part of the interval.
_PART = 0.1
_LONGEST_PAUSE_SECONDS = 3600.0


class VerifySchedule:
    """Verifies the copies that were not verified for an interval. For one thread."""

    def __init__(
        self,
        *,
        outside: ports.Ports,
        lease: leadership.LeaderLease,
        verifier: read_back.Verifier,
        make_repairs: Callable[[], Repairs],
        current_pauses: CurrentPauses,
        settings: Callable[[], VerifySettings],
    ) -> None:
        self._store = outside.store
        self._current_pauses = current_pauses
        self._clock = outside.clock
        self._verifier = verifier
        self._make_repairs = make_repairs
        self._settings = settings
        self._lease = lease
        self._not_before = outside.clock.monotonic()
        self._due: Iterator[tasks.Task] | None = None  # what is left to verify; None: search

    def run(self) -> float:
        """Verify due copies for some minutes; return the seconds until the next call."""
        try:
            if not self._settings().interval or not self._lease.take():
                self._due = None
                return leadership.RENEWAL_SECONDS
            if self._clock.monotonic() >= self._not_before:
                self._verify_due()
        except errors.Cancelled:
            return 0.0
        except errors.SyncError as exc:
            self._due = None
            self._not_before = self._clock.monotonic() + leadership.RENEWAL_SECONDS
            LOG.warning(
                "Could not verify the copies: %s. The next attempt is in %.0f seconds",
                exc, leadership.RENEWAL_SECONDS,
            )
        waits = max(self._not_before - self._clock.monotonic(), 0.0)
        return min(waits, leadership.RENEWAL_SECONDS)

    def end(self) -> None:
        """Give the lease back to other agents.

        :raises ServiceUnavailable: the database does not answer.
        """
        self._lease.give_back()

    def _verify_due(self) -> None:
        started = self._clock.monotonic()
        if self._due is None:
            oldest = self._clock.now() - datetime.timedelta(seconds=self._settings().interval)
            self._due = self._store.unverified(oldest)
        repairs, paused = self._make_repairs(), self._current_pauses.read()
        results: list[read_back.ReadBackResult] = []
        for task in self._due:
            if task.status in read_back.UNSETTLED or paused.of(task.key.region) is not None:
                continue  # the next search finds it again
            results.append(self._verifier.verify(task, self._keep_lease))
            self._lease.renew()
            repairs.take(results[-1])
            if self._clock.monotonic() - started >= _SLICE_SECONDS:
                break
        else:
            self._due = None
            pause = min(self._settings().interval * _PART, _LONGEST_PAUSE_SECONDS)
            self._not_before = self._clock.monotonic() + pause
        report = repairs.request()
        if results:
            _log(results, report, seconds=self._clock.monotonic() - started)

    def _keep_lease(self, _task: tasks.Task, _done: int, _total: int) -> None:
        self._lease.renew()


def _log(
    results: list[read_back.ReadBackResult], report: RepairReport, *, seconds: float
) -> None:
    verdicts: Counter[verification.Condition] = Counter(result.verdict for result in results)
    LOG.info(
        "Verified %d copies, %d bytes in %.0f s: %s; requested %d repairs, held back %d",
        len(results), sum(result.size for result in results), seconds,
        ", ".join(f"{count} {verdict.value}" for verdict, count in verdicts.items()),
        report.requested, report.held_back,
    )
