# SPDX-License-Identifier: Apache-2.0
"""Jobs in memory."""

from collections.abc import Sequence
import dataclasses
import datetime
import operator

from glance_sync_agent import errors
from glance_sync_agent.domain import jobs


class MemoryJobs:
    """``engine.ports.JobStore``; held to ``tests/contract/test_jobs.py``."""

    def __init__(self) -> None:
        self._jobs: dict[str, jobs.Job] = {}
        self._leases: dict[str, datetime.datetime] = {}
        self._found: dict[str, list[jobs.NumberedFinding]] = {}

    def add(self, job: jobs.Job) -> bool:
        if job.job_id in self._jobs:
            return False
        self._jobs[job.job_id] = job
        return True

    def get(self, job_id: str) -> jobs.Job | None:
        return self._jobs.get(job_id)

    def newest(
        self, kind: jobs.JobKind, limit: int, before: jobs.Job | None = None
    ) -> Sequence[jobs.Job]:
        return [
            job
            for job in sorted(self._jobs.values(), key=_place, reverse=True)
            if job.order.kind is kind and (before is None or _place(job) < _place(before))
        ][:limit]

    def claim(
        self,
        kind: jobs.JobKind,
        owner: str,
        *,
        now: datetime.datetime,
        until: datetime.datetime,
    ) -> jobs.Job | None:
        of_kind = [job for job in self._jobs.values() if job.order.kind is kind]
        for job in sorted(of_kind, key=_place):
            is_over = self._leases.get(job.job_id, now) < now or job.agent_id == owner
            if job.state is jobs.JobState.WAITING or (
                job.state is jobs.JobState.RUNNING and is_over
            ):
                self._leases[job.job_id] = until
                self._found.pop(job.job_id, None)
                self._jobs[job.job_id] = dataclasses.replace(
                    job,
                    state=jobs.JobState.RUNNING,
                    runs=job.runs + 1,
                    agent_id=owner,
                    started_at=now,
                    report=jobs.JobReport(),
                )
                return self._jobs[job.job_id]
        return None

    def keep(
        self,
        job: jobs.Job,
        found: Sequence[jobs.NumberedFinding],
        *,
        until: datetime.datetime,
    ) -> None:
        self._check(job)
        self._leases[job.job_id] = until
        self._jobs[job.job_id] = dataclasses.replace(
            self._jobs[job.job_id], report=job.report
        )
        kept = self._found.setdefault(job.job_id, [])
        known = {one.number for one in kept}
        kept.extend(one for one in found if one.number not in known)

    def end(self, job: jobs.Job) -> None:
        self._check(job)
        self._jobs[job.job_id] = dataclasses.replace(
            self._jobs[job.job_id],
            state=job.state,
            runs=job.runs,
            ended_at=job.ended_at,
            report=job.report,
        )

    def cancel(
        self, job_id: str, *, by: str, now: datetime.datetime
    ) -> jobs.Job | None:
        job = self._jobs.get(job_id)
        if job is not None and not job.is_over():
            self._jobs[job_id] = job.cancelled(by, now)
        return self._jobs.get(job_id)

    def findings(
        self, job_id: str, limit: int, after: int = 0
    ) -> Sequence[jobs.NumberedFinding]:
        found = sorted(self._found.get(job_id, []), key=operator.attrgetter("number"))
        return [one for one in found if one.number > after][:limit]

    def remove(self, before: datetime.datetime) -> int:
        old = [
            job_id
            for job_id, job in self._jobs.items()
            if job.ended_at is not None and job.ended_at < before
        ]
        for job_id in old:
            del self._jobs[job_id]
            self._found.pop(job_id, None)
        return len(old)

    def _check(self, job: jobs.Job) -> None:
        kept = self._jobs.get(job.job_id)
        is_running = kept is not None and kept.state is jobs.JobState.RUNNING
        if kept is None or not is_running or kept.agent_id != job.agent_id:
            raise errors.LeaseLost(f"agent {job.agent_id} does not run job {job.job_id} any more")


def _place(job: jobs.Job) -> tuple[datetime.datetime, str]:
    return job.asked_at, job.job_id
