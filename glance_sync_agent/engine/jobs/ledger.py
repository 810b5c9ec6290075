# SPDX-License-Identifier: Apache-2.0
"""What a running job has found, kept in the database while it runs."""

from collections import Counter
from collections.abc import Iterable
import dataclasses
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import jobs
from glance_sync_agent.engine import leadership
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)

#: The first findings of each kind are kept; the others are only counted. So many good copies
#: hide no bad one, and many missing copies no deletion.
MOST_OF_A_KIND = 5_000
#: Seconds between two writes.
_KEEP_SECONDS = 2.0
_LEASE = datetime.timedelta(seconds=leadership.LEASE_SECONDS)


class Ledger:
    """Takes what one job finds. For one thread."""

    def __init__(self, job: jobs.Job, outside: ports.Ports, ending: ports.StopFlag) -> None:
        """Begin with nothing.

        :param job: its lease is held.
        :param ending: set when the agent stops.
        """
        #: What was asked for, and by whom.
        self.job = job
        self._jobs = outside.jobs
        self._clock = outside.clock
        self._ending = ending
        self._counts: Counter[str] = Counter()
        self._notes: list[str] = []
        self._unwritten: list[jobs.NumberedFinding] = []
        self._count = 0  # of the findings that are kept
        self._kinds: Counter[str] = Counter()
        self._keep_at = self._kept_at = outside.clock.monotonic()

    def add(self, found: Iterable[jobs.Finding]) -> None:
        """Take findings."""
        for one in found:
            self._kinds[one.what] += 1
            if self._kinds[one.what] <= MOST_OF_A_KIND:
                self._count += 1
                self._unwritten.append(jobs.NumberedFinding(number=self._count, finding=one))

    def count(self, **counts: int) -> None:
        """Set numbers by what they count."""
        self._counts.update(counts)

    def note(self, text: str) -> None:
        """Take a sentence for the person who asked."""
        self._notes.append(text)

    def go_on(self) -> None:
        """Keep what was found if it is time; call this often.

        While the database does not answer, the work goes on: who calls this may read a copy, and
        must not take the failure for one of the copy.

        :raises Cancelled: the agent stops.
        :raises LeaseLost: another agent may have begun the job, or somebody has cancelled it.
        """
        if self._ending.is_set():
            raise errors.Cancelled("the agent is stopping")
        now = self._clock.monotonic()
        if now < self._keep_at:
            return
        self._keep_at = now + _KEEP_SECONDS
        try:
            self._keep()
        except errors.ServiceUnavailable as exc:
            if now - self._kept_at >= leadership.LEASE_SECONDS:
                raise errors.LeaseLost(f"job {self.job.job_id} is not held any more") from exc
            LOG.warning("Could not keep what job %s found: %s", self.job.job_id, exc)

    def close(self, state: jobs.JobState) -> jobs.Job:
        """Keep everything, and that the job has ended; return it.

        :raises LeaseLost: another agent has begun the job, or somebody has cancelled it.
        :raises ServiceUnavailable: the database does not answer.
        """
        for kind, count in self._kinds.items():
            if count > MOST_OF_A_KIND:
                self.note(f"Only the first {MOST_OF_A_KIND} of {count} findings {kind!r} are kept")
        self._keep()
        job = self.job.ended(state, self._clock.now(), self._report())
        self._jobs.end(job)
        return job

    def give_back(self) -> None:
        """Let another agent begin the job again, unless it may delete: it is asked for again.

        :raises LeaseLost: another agent has begun the job, or somebody has cancelled it.
        :raises ServiceUnavailable: the database does not answer.
        """
        if self.job.order.allow_deletes is None:
            self._jobs.end(self.job.given_back())
        else:
            self.note("The agent stopped; ask for it again if the deletions are still right")
            self.close(jobs.JobState.FAILED)

    def _keep(self) -> None:
        job = dataclasses.replace(self.job, report=self._report())
        self._jobs.keep(job, self._unwritten, until=self._clock.now() + _LEASE)
        self._unwritten = []
        self._kept_at = self._clock.monotonic()

    def _report(self) -> jobs.JobReport:
        return jobs.JobReport(
            counts={"findings": self._kinds.total(), **self._counts}, notes=tuple(self._notes)
        )
