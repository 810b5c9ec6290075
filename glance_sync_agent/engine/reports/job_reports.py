# SPDX-License-Identifier: Apache-2.0
"""How jobs are shown."""

from typing import Any

from glance_sync_agent.domain import jobs
from glance_sync_agent.engine.reports import times


def scan_fields(job: jobs.Job) -> dict[str, Any]:
    """Return the fields of a scan."""
    return {**_fields(job), "allow_deletes": job.order.allow_deletes}


def verification_fields(job: jobs.Job) -> dict[str, Any]:
    """Return the fields of a verification."""
    order = job.order
    return {**_fields(job), "image_id": order.image_id, "replace_all": order.replace_all}


def _fields(job: jobs.Job) -> dict[str, Any]:
    return {
        "id": job.job_id,
        "state": job.state.value,
        "dry_run": job.order.is_dry,
        "regions": list(job.order.regions),
        "asked_at": times.text(job.asked_at),
        "asked_by": job.asked_by,
        "started_at": times.text_or_none(job.started_at),
        "ended_at": times.text_or_none(job.ended_at),
        "agent_id": job.agent_id,
        "counts": dict(job.report.counts),
        "notes": list(job.report.notes),
    }


def finding_fields(numbered: jobs.NumberedFinding) -> dict[str, Any]:
    """Return the fields of what a job found."""
    one = numbered.finding
    return {
        "number": numbered.number,
        "image_id": one.image_id,
        "image_name": one.image_name,
        "region": one.region,
        "what": one.what,
        "why": one.why,
        "bytes": one.size,
    }
