# SPDX-License-Identifier: Apache-2.0
"""Jobs and their findings as rows."""

import dataclasses
import json
from typing import Any

import sqlalchemy as sa

from glance_sync_agent.domain import images
from glance_sync_agent.domain import jobs
from glance_sync_agent.drivers.sql import texts

_NOT_OPTIONS = "kind"


def values(job: jobs.Job) -> dict[str, Any]:
    """Return the values of a job that nobody runs yet."""
    options = dataclasses.asdict(job.order)
    del options[_NOT_OPTIONS]
    return {
        "job_id": job.job_id,
        "kind": job.order.kind.value,
        "options": json.dumps(options),
        "asked_at": job.asked_at,
        "asked_by": texts.person_text(job.asked_by),
        "request_id": job.request_id,
        "state": job.state.value,
        "runs": job.runs,
        "report": report_text(job.report),
    }


def report_text(report: jobs.JobReport) -> str:
    """Return the part of a report that the table can hold."""
    notes = [texts.reason_text(one) for one in report.notes]
    return json.dumps({"counts": dict(report.counts), "notes": notes})


def job(row: sa.Row[Any]) -> jobs.Job:
    """Return a row of ``select(JOBS)``."""
    options, report = json.loads(row.options), json.loads(row.report)
    regions = tuple(images.RegionId(name) for name in options.pop("regions"))
    return jobs.Job(
        job_id=row.job_id,
        order=jobs.Order(kind=jobs.JobKind(row.kind), regions=regions, **options),
        asked_at=row.asked_at,
        asked_by=row.asked_by,
        request_id=row.request_id,
        state=jobs.JobState(row.state),
        runs=row.runs,
        agent_id=row.agent_id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        report=jobs.JobReport(counts=report["counts"], notes=tuple(report["notes"])),
    )


def finding_values(job_id: str, numbered: jobs.NumberedFinding) -> dict[str, Any]:
    """Return the values of a finding."""
    one = numbered.finding
    return {
        "job_id": job_id,
        "number": numbered.number,
        "image_id": one.image_id,
        "region": one.region,
        "image_name": texts.name_text(one.image_name),
        "what": one.what,
        "why": texts.reason_text(one.why),
        "size": one.size,
    }


def finding(row: sa.Row[Any]) -> jobs.NumberedFinding:
    """Return a row of ``select(JOB_FINDINGS)``."""
    found = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's own public name
    del found["job_id"]
    return jobs.NumberedFinding(number=found.pop("number"), finding=jobs.Finding(**found))
