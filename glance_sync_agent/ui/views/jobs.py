# SPDX-License-Identifier: Apache-2.0
"""The jobs that people asked for, which are scans and verifications, and what each found."""

from collections.abc import Callable, Mapping
from typing import Any, Final
import urllib.parse

from glance_sync_agent.ui import wording
from glance_sync_agent.ui.api_client import ApiClient

#: Of the query of one job.
PARAMETERS: Final = ("marker",)
_JOBS: Final = 50
_FINDINGS: Final = 200
_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "waiting": ("waiting", "…"),
    "running": ("running", "▶"),
    "done": ("done", "✓"),
    "failed": ("failed", "✗"),
    "cancelled": ("cancelled", "⊘"),
}

#: Says what a job of the API does.
Describe = Callable[[Mapping[str, Any]], str]


def listed(api: ApiClient, name: str, describe: Describe) -> dict[str, Any]:
    """Return the newest jobs, and the regions that a new one may be limited to.

    :param name: of the jobs in the API.
    """
    found = [_job(one, name, describe) for one in api.get(name, limit=_JOBS)[name]]
    regions = [one["region"] for one in api.get("regions")["regions"]]
    return {
        "jobs": found,
        "any": bool(found),
        "regions": [{"key": one, "name": one} for one in regions],
    }


def one_job(
    api: ApiClient, name: str, describe: Describe, query: Mapping[str, str]
) -> dict[str, Any]:
    """Return one job with a page of its findings."""
    job_id = query["job_id"]
    job = api.get(name, job_id)
    found = api.get(
        name, job_id, "findings", limit=_FINDINGS, marker=query.get("marker") or None
    )
    rows = [_finding(one) for one in found["findings"]]
    following = None if found["next"] is None else rows[-1]["key"]
    return {
        **_job(job, name, describe),
        "notes": [{"key": text, "text": text} for text in dict.fromkeys(job["notes"])],
        "findings": rows,
        "any": bool(rows),
        "next": None if following is None else _address(name, job_id, following),
        # A report that is complete may be acted on; everything is read anew then.
        "may_run": job["dry_run"] and job["state"] == "done",
        "may_cancel": job["state"] in {"waiting", "running"},
        "only": job["regions"],
        "image_id": job.get("image_id") or "",
    }


def _address(name: str, job_id: str, marker: str) -> str:
    return f"{name}/{job_id}?{urllib.parse.urlencode({'marker': marker})}"


def _job(job: Mapping[str, Any], name: str, describe: Describe) -> dict[str, Any]:
    state, symbol = _STATES[job["state"]]
    counts = (f"{count} {wording.words(what)}" for what, count in job["counts"].items())
    regions = ", ".join(job["regions"]) or "all regions"
    image_id = job.get("image_id")
    return {
        "key": job["id"],
        "href": f"{name}/{job['id']}",
        "state": state,
        "symbol": symbol,
        "word": job["state"],
        "kind": describe(job),
        "where": regions if image_id is None else f"image {image_id} in {regions}",
        "asked_at": wording.time(job["asked_at"]),
        "asked_by": job["asked_by"],
        "ended_at": wording.time(job["ended_at"]),
        "counts": ", ".join(counts),
    }


def _finding(finding: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "key": str(finding["number"]),
        "href": f"images/{finding['image_id']}",
        "name": finding["image_name"] or finding["image_id"],
        "region": finding["region"],
        "what": wording.words(finding["what"]),
        "why": finding["why"],
    }
