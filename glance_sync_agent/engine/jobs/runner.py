# SPDX-License-Identifier: Apache-2.0
"""Runs the jobs of one kind that people ask for, one at a time."""

from collections.abc import Callable
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import jobs
from glance_sync_agent.engine import leadership
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.jobs.ledger import Ledger

LOG = logging.getLogger(__name__)

#: Seconds between two looks for a job, and after a failure.
_IDLE_SECONDS = 2.0
_AGAIN_SECONDS = 30.0
_LEASE = datetime.timedelta(seconds=leadership.LEASE_SECONDS)

Work = Callable[[jobs.Order, Ledger], None]


class JobRunner:
    """Begins what waits. For one thread."""

    def __init__(
        self, outside: ports.Ports, runtime: ports.Runtime, kind: jobs.JobKind, work: Work
    ) -> None:
        self._kind = kind
        self._outside = outside
        self._runtime = runtime
        self._work = work

    def run(self) -> float:
        """Run the oldest job that waits; return the seconds until the next call."""
        now = self._outside.clock.now()
        try:
            job = self._outside.jobs.claim(
                self._kind, self._runtime.owner, now=now, until=now + _LEASE
            )
            if job is None:
                return _IDLE_SECONDS
            self._run(job, Ledger(job, self._outside, self._runtime.ending))
        except errors.LeaseLost as exc:
            LOG.warning("%s", exc)
        except errors.SyncError as exc:
            LOG.warning("Could not run a job, which another agent begins again: %s", exc)
            return _AGAIN_SECONDS
        except Exception:  # such as an order that only a newer agent understands
            LOG.exception("Could not run a job")
            return _AGAIN_SECONDS
        return 0.0

    def _run(self, job: jobs.Job, ledger: Ledger) -> None:
        what = f"{job.order.kind} {job.job_id}, which {job.asked_by} asked for"
        if job.is_poison():
            ledger.note("Several agents ended while they ran this; their logs may say why")
            ledger.close(jobs.JobState.FAILED)
            return
        LOG.info("Began %s", what)
        try:
            self._work(job.order, ledger)
        except errors.Cancelled:
            ledger.give_back()
            return
        except errors.LeaseLost:
            raise
        except errors.SyncError as exc:
            LOG.warning("Could not finish %s: %s", what, exc)
            ledger.note(f"It could not be finished: {exc}")
            ledger.close(jobs.JobState.FAILED)
        except Exception:
            LOG.exception("Could not finish %s", what)
            ledger.note("It could not be finished; the log of the agent says why")
            ledger.close(jobs.JobState.FAILED)
        else:
            done = ledger.close(jobs.JobState.DONE)
            LOG.info("Finished %s: %s", what, dict(done.report.counts))
