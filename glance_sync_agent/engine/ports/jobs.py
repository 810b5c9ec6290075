# SPDX-License-Identifier: Apache-2.0
"""The engine's port to the jobs that people ask for."""

from collections.abc import Sequence
import datetime
from typing import Protocol

from glance_sync_agent.domain import jobs


class JobStore(Protocol):
    """The jobs of all agents of one database.

    All methods raise ServiceUnavailable if the database is unreachable.
    """

    def add(self, job: jobs.Job) -> bool:
        """Keep a job, unless there is one with its id; return whether it is new."""

    def get(self, job_id: str) -> jobs.Job | None:
        """Return a job; None: there is none with this id."""

    def newest(
        self, kind: jobs.JobKind, limit: int, before: jobs.Job | None = None
    ) -> Sequence[jobs.Job]:
        """Return up to ``limit`` jobs of a kind, the newest first.

        :param before: only those that were asked for before this one.
        """

    def claim(
        self,
        kind: jobs.JobKind,
        owner: str,
        *,
        now: datetime.datetime,
        until: datetime.datetime,
    ) -> jobs.Job | None:
        """Begin the oldest job of a kind that waits, or whose agent let its lease end.

        It returns None if there is none. What it had found before is forgotten. ``owner`` holds
        its lease until ``until``. An owner runs one job of a kind at a time, so one that it still
        holds is one that it ran before it was killed.
        """

    def keep(
        self,
        job: jobs.Job,
        found: Sequence[jobs.NumberedFinding],
        *,
        until: datetime.datetime,
    ) -> None:
        """Keep the report of a running job and more findings, and extend its lease.

        It may be repeated, because an answer may be lost.

        :raises LeaseLost: ``job.agent_id`` does not run it any more; nothing was written.
        """

    def end(self, job: jobs.Job) -> None:
        """Keep the state, the runs and the report of a job that its agent ends or gives back.

        :raises LeaseLost: ``job.agent_id`` does not run it any more; nothing was written.
        """

    def cancel(
        self, job_id: str, *, by: str, now: datetime.datetime
    ) -> jobs.Job | None:
        """End a job that has not ended; return it as it is then. None: there is none.

        The agent that runs it loses its lease.
        """

    def findings(
        self, job_id: str, limit: int, after: int = 0
    ) -> Sequence[jobs.NumberedFinding]:
        """Return up to ``limit`` findings of a job with higher numbers than ``after``."""

    def remove(self, before: datetime.datetime) -> int:
        """Remove the jobs that ended before a time; return how many."""
