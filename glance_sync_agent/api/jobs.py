# SPDX-License-Identifier: Apache-2.0
"""Requests about scans and verifications, which an agent runs."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import falcon

from glance_sync_agent.api.calls import Answer
from glance_sync_agent.api.calls import Call
from glance_sync_agent.domain import images
from glance_sync_agent.domain.jobs import Job
from glance_sync_agent.domain.jobs import JobKind
from glance_sync_agent.domain.jobs import Order
from glance_sync_agent.engine.reports import job_reports

_LIMIT: Final = 100
_FINDINGS: Final = 1000


def list_scans(call: Call) -> Answer:
    """List the scans that people asked for, the newest first."""
    return _listed(call, JobKind.SCAN, "scans", job_reports.scan_fields)


def show_scan(call: Call) -> Answer:
    """Show a scan, also while it runs."""
    return job_reports.scan_fields(_job(call, JobKind.SCAN))


def scan_findings(call: Call) -> Answer:
    """List what a scan would request or has requested, and why."""
    return _findings(call, _job(call, JobKind.SCAN), "scans")


def start_scan(call: Call) -> Answer:
    """Ask for a scan: compare all images with their copies, and request the differences."""
    order = Order(
        kind=JobKind.SCAN,
        regions=_regions(call),
        is_dry=call.body.get("dry_run", False),
        allow_deletes=call.body.get("allow_deletes"),
    )
    return job_reports.scan_fields(_ask(call, order))


def cancel_scan(call: Call) -> Answer:
    """End a scan that waits or runs."""
    return job_reports.scan_fields(_cancel(call, JobKind.SCAN))


def list_verifications(call: Call) -> Answer:
    """List the verifications that people asked for, the newest first."""
    return _listed(
        call, JobKind.VERIFICATION, "verifications", job_reports.verification_fields
    )


def show_verification(call: Call) -> Answer:
    """Show a verification, also while it runs."""
    return job_reports.verification_fields(_job(call, JobKind.VERIFICATION))


def verification_findings(call: Call) -> Answer:
    """List the verdicts of a verification."""
    return _findings(call, _job(call, JobKind.VERIFICATION), "verifications")


def start_verification(call: Call) -> Answer:
    """Ask for a verification: read copies back, and replace those that are bad."""
    image_id = call.body.get("image_id")
    order = Order(
        kind=JobKind.VERIFICATION,
        regions=_regions(call),
        is_dry=call.body.get("dry_run", False),
        image_id=None if image_id is None else images.ImageId(image_id.lower()),
        replace_all=call.body.get("replace_all", False),
    )
    return job_reports.verification_fields(_ask(call, order))


def cancel_verification(call: Call) -> Answer:
    """End a verification that waits or runs."""
    return job_reports.verification_fields(_cancel(call, JobKind.VERIFICATION))


def _cancel(call: Call, kind: JobKind) -> Job:
    return call.parts.engine.jobs.orders.cancel(_job(call, kind), call.caller.asks())


def _ask(call: Call, order: Order) -> Job:
    return call.parts.engine.jobs.orders.ask(order, call.caller.asks())


def _regions(call: Call) -> tuple[images.RegionId, ...]:
    """Return the regions that a body names.

    :raises HTTPBadRequest: there is no such region.
    """
    named: Sequence[str] = call.body.get("regions", ())
    catalogue = call.parts.outside.catalogue
    known = catalogue.regions() - {catalogue.cascading}
    if not known.issuperset(named):
        raise falcon.HTTPBadRequest(
            description="there is no region with one of these names; the regions are "
            f"{', '.join(sorted(known))}"
        )
    return tuple(images.RegionId(name) for name in sorted(named))


def _job(call: Call, kind: JobKind) -> Job:
    """Return the job that the path names.

    :raises HTTPNotFound: there is none of this kind.
    """
    job = call.parts.outside.jobs.get(call.path["job_id"])
    if job is None or job.order.kind is not kind:
        raise falcon.HTTPNotFound(description=f"there is no {kind} with this id")
    return job


def _listed(
    call: Call, kind: JobKind, name: str, fields: Callable[[Job], dict[str, Any]]
) -> Answer:
    limit, marker = call.query.get("limit", _LIMIT), call.query.get("marker")
    before = None if marker is None else call.parts.outside.jobs.get(marker.lower())
    if marker is not None and before is None:
        raise falcon.HTTPBadRequest(description="the marker is the id of no job")
    found = call.parts.outside.jobs.newest(kind, limit, before)
    return {
        name: [fields(job) for job in found],
        "next": _next(call, f"/v1/{name}", [job.job_id for job in found], limit),
    }


def _findings(call: Call, job: Job, name: str) -> Answer:
    limit = call.query.get("limit", _FINDINGS)
    found = call.parts.outside.jobs.findings(
        job.job_id, limit, after=call.query.get("marker", 0)
    )
    path = f"/v1/{name}/{job.job_id}/findings"
    return {
        "findings": [job_reports.finding_fields(one) for one in found],
        "next": _next(call, path, [one.number for one in found], limit),
    }


def _next(call: Call, path: str, markers: Sequence[str | int], limit: int) -> str | None:
    return None if len(markers) < limit else call.page_after(path, markers[-1])
