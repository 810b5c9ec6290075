# SPDX-License-Identifier: Apache-2.0
"""Reads every copy back from time to time, a little at a time.

Of several agents that share a database one does so, and another one once that is gone.
"""

from collections import Counter
from collections.abc import Callable, Iterator
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.engine import leadership
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.verify import read_back
from glance_sync_agent.engine.verify import repairs

LOG = logging.getLogger(__name__)

#: After so long what is bad is replaced, and it goes on.
_SLICE_SECONDS = 600.0
#: Part of the interval between two looks for copies whose time has come.
_PART = 0.1
_MOST_SECONDS = 3600.0


class VerifySchedule:
    """Verifies what was not verified for an interval. For one thread."""

    def __init__(
        self,
        *,
        verify: Callable[[tasks.Task, read_back.Watch], read_back.ReadBackResult],
        make_repairs: Callable[[], repairs.Repairs],
        store: ports.TaskStore,
        lease: leadership.LeaderLease,
        clock: ports.Clock,
        interval: Callable[[], float],
    ) -> None:
        """Begin with nothing.

        :param interval: seconds in which every copy is verified once; 0: none is.
        """
        self._verify = verify
        self._make_repairs = make_repairs
        self._store = store
        self._lease = lease
        self._clock = clock
        self._interval = interval
        self._not_before = clock.monotonic()
        self._due: Iterator[tasks.Task] | None = None  # what is left of a walk

    def run(self) -> float:
        """Verify for some minutes what is due; return after how many seconds to come again."""
        if not self._interval():
            self._due = None
            return leadership.RENEWAL_SECONDS
        failure = None
        try:
            if not self._lease.take():
                self._due = None
                return leadership.RENEWAL_SECONDS
            if self._clock.monotonic() >= self._not_before:
                self._verify_what_is_due()
        except errors.Cancelled:
            return 0.0
        except errors.SyncError as exc:
            failure = exc
        # Out here, because oslo.log repeats the error in hand behind every line.
        if failure is not None:
            LOG.warning("Could not verify the copies: %s", failure)
            self._due = None
            self._not_before = self._clock.monotonic() + leadership.RENEWAL_SECONDS
        waits = max(self._not_before - self._clock.monotonic(), 0.0)
        return min(waits, leadership.RENEWAL_SECONDS)

    def end(self) -> None:
        """Let another agent have the turn.

        :raises ServiceUnavailable: the database does not answer.
        """
        self._lease.give_back()

    def _verify_what_is_due(self) -> None:
        started = self._clock.monotonic()
        if self._due is None:
            oldest = self._clock.now() - datetime.timedelta(seconds=self._interval())
            self._due = self._store.unverified(oldest)
        done = self._make_repairs()
        verdicts: Counter[verification.Condition] = Counter()
        size = 0
        for task in self._due:
            if task.status in read_back.UNSETTLED:
                continue  # not read and not noted, so that the next walk finds it
            finding = self._verify(task, lambda _task, _done, _total: self._lease.renew())
            self._lease.renew()
            done.take(finding)
            verdicts[finding.verdict] += 1
            size += finding.size
            if self._clock.monotonic() - started >= _SLICE_SECONDS:
                break
        else:
            self._due = None
            pause = min(self._interval() * _PART, _MOST_SECONDS)
            self._not_before = self._clock.monotonic() + pause
        report = done.request()
        if verdicts:
            LOG.info(
                "Verified %d copies, %d bytes in %.0f s: %s; %d are replaced, %d held back",
                verdicts.total(), size, self._clock.monotonic() - started,
                ", ".join(f"{count} {verdict.value}" for verdict, count in verdicts.items()),
                report.requested, report.held_back,
            )
