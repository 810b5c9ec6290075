# SPDX-License-Identifier: Apache-2.0
"""Scans and verifications that people ask for, in SQL."""

from collections.abc import Sequence
import datetime
from typing import Any

import sqlalchemy as sa

from glance_sync_agent import errors
from glance_sync_agent.domain import jobs
from glance_sync_agent.drivers.sql import job_rows
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import JOB_FINDINGS
from glance_sync_agent.drivers.sql.tables import JOBS

_WAITING = JOBS.c.state == jobs.JobState.WAITING.value
_RUNNING = JOBS.c.state == jobs.JobState.RUNNING.value


class SqlJobStore:
    """``engine.ports.JobStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, job: jobs.Job) -> bool:
        is_it = JOBS.c.job_id == job.job_id

        def work(connection: sa.Connection) -> bool:
            if connection.execute(sa.select(JOBS.c.job_id).where(is_it)).first():
                return False
            connection.execute(sa.insert(JOBS).values(job_rows.values(job)))
            return True

        return self._database.write(f"keep {job.order.kind} {job.job_id}", work, durable=True)

    def get(self, job_id: str) -> jobs.Job | None:
        query = sa.select(JOBS).where(JOBS.c.job_id == job_id)
        row = self._database.read(
            f"read job {job_id}", lambda connection: connection.execute(query).first()
        )
        return None if row is None else job_rows.job(row)

    def newest(
        self, kind: jobs.JobKind, limit: int, before: jobs.Job | None = None
    ) -> Sequence[jobs.Job]:
        query = sa.select(JOBS).where(JOBS.c.kind == kind.value)
        if before is not None:
            at = sa.literal(before.asked_at, JOBS.c.asked_at.type)
            is_same = sa.and_(JOBS.c.asked_at == at, JOBS.c.job_id < before.job_id)
            query = query.where(sa.or_(JOBS.c.asked_at < at, is_same))
        query = query.order_by(JOBS.c.asked_at.desc(), JOBS.c.job_id.desc()).limit(limit)
        rows = self._database.read(
            "read jobs", lambda connection: connection.execute(query).all()
        )
        return [job_rows.job(row) for row in rows]

    def claim(
        self,
        kind: jobs.JobKind,
        owner: str,
        *,
        now: datetime.datetime,
        until: datetime.datetime,
    ) -> jobs.Job | None:
        at = sa.literal(now, JOBS.c.lease_expires_at.type)
        is_over = sa.or_(JOBS.c.lease_expires_at < at, JOBS.c.agent_id == owner)
        is_left = sa.and_(_RUNNING, is_over)
        is_free = sa.and_(JOBS.c.kind == kind.value, sa.or_(_WAITING, is_left))
        oldest = sa.select(JOBS).where(is_free).order_by(JOBS.c.asked_at, JOBS.c.job_id).limit(1)

        def begin(connection: sa.Connection) -> jobs.Job | None:
            found = connection.execute(oldest).first()
            if found is None:
                return None
            changed = sa.update(JOBS).where(JOBS.c.job_id == found.job_id, is_free)
            if not connection.execute(
                changed.values(
                    state=jobs.JobState.RUNNING.value,
                    runs=found.runs + 1,
                    agent_id=owner,
                    lease_expires_at=until,
                    started_at=now,
                    report=job_rows.report_text(jobs.JobReport()),
                )
            ).rowcount:
                return None  # another agent was first
            connection.execute(
                sa.delete(JOB_FINDINGS).where(JOB_FINDINGS.c.job_id == found.job_id)
            )
            begun = sa.select(JOBS).where(JOBS.c.job_id == found.job_id)
            return job_rows.job(connection.execute(begun).one())

        # Agents ask all the time, and only a job is worth the lock of a writer.
        if self._database.read("find jobs", lambda found: found.execute(oldest).first()) is None:
            return None
        return self._database.write("begin a job", begin)

    def keep(
        self,
        job: jobs.Job,
        found: Sequence[jobs.NumberedFinding],
        *,
        until: datetime.datetime,
    ) -> None:
        self._change(job, found, {"lease_expires_at": until})

    def end(self, job: jobs.Job) -> None:
        values = {
            "state": job.state.value,
            "runs": job.runs,
            "ended_at": job.ended_at,
            "lease_expires_at": None,
        }
        self._change(job, (), values)

    def _change(
        self, job: jobs.Job, found: Sequence[jobs.NumberedFinding], values: dict[str, Any]
    ) -> None:
        is_its = (JOBS.c.job_id == job.job_id, _RUNNING, JOBS.c.agent_id == job.agent_id)
        values["report"] = job_rows.report_text(job.report)

        def work(connection: sa.Connection) -> None:
            if not connection.execute(sa.update(JOBS).where(*is_its).values(values)).rowcount:
                raise errors.LeaseLost(
                    f"agent {job.agent_id} does not run job {job.job_id} any more"
                )
            if found:
                # Of the try before, whose answer may have been lost.
                again = JOB_FINDINGS.c.number >= found[0].number
                connection.execute(
                    sa.delete(JOB_FINDINGS).where(JOB_FINDINGS.c.job_id == job.job_id, again)
                )
                connection.execute(
                    sa.insert(JOB_FINDINGS),
                    [job_rows.finding_values(job.job_id, one) for one in found],
                )

        self._database.write(f"keep what job {job.job_id} found", work)

    def cancel(
        self, job_id: str, *, by: str, now: datetime.datetime
    ) -> jobs.Job | None:
        is_it = JOBS.c.job_id == job_id

        def work(connection: sa.Connection) -> jobs.Job | None:
            row = connection.execute(sa.select(JOBS).where(is_it).with_for_update()).first()
            job = None if row is None else job_rows.job(row)
            if job is None or job.is_over():
                return job
            ended = job.cancelled(by, now)
            connection.execute(
                sa.update(JOBS)
                .where(is_it)
                .values(
                    state=ended.state.value,
                    ended_at=ended.ended_at,
                    lease_expires_at=None,
                    report=job_rows.report_text(ended.report),
                )
            )
            return ended

        return self._database.write(f"cancel job {job_id}", work, durable=True)

    def findings(
        self, job_id: str, limit: int, after: int = 0
    ) -> Sequence[jobs.NumberedFinding]:
        query = (
            sa.select(JOB_FINDINGS)
            .where(JOB_FINDINGS.c.job_id == job_id, JOB_FINDINGS.c.number > after)
            .order_by(JOB_FINDINGS.c.number)
            .limit(limit)
        )
        rows = self._database.read(
            f"read what job {job_id} found", lambda connection: connection.execute(query).all()
        )
        return [job_rows.finding(row) for row in rows]

    def remove(self, before: datetime.datetime) -> int:
        is_old = JOBS.c.ended_at < sa.literal(before, JOBS.c.ended_at.type)

        def work(connection: sa.Connection) -> int:
            old = connection.execute(sa.select(JOBS.c.job_id).where(is_old)).scalars().all()
            for job_id in old:
                connection.execute(
                    sa.delete(JOB_FINDINGS).where(JOB_FINDINGS.c.job_id == job_id)
                )
                connection.execute(sa.delete(JOBS).where(JOBS.c.job_id == job_id))
            return len(old)

        return self._database.write("remove old jobs", work)
