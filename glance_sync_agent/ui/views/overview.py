# SPDX-License-Identifier: Apache-2.0
"""The state of all: counts, lag, problems, and the regions with their pauses."""

from collections.abc import Mapping
from typing import Any, Final

from glance_sync_agent.ui import wording
from glance_sync_agent.ui.api_client import ApiClient

_STATUSES: Final[Mapping[str, tuple[str, str]]] = {
    "ok": ("done", "✓ All is well"),
    "warning": ("waiting", "! Something needs attention"),
    "critical": ("failed", "✗ Something is broken"),
}
_REGION_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "available": ("done", "✓"),
    "slowed down": ("waiting", "…"),
    "unavailable": ("failed", "✗"),
    "paused": ("paused", "‖"),
}


def view(api: ApiClient, _query: Mapping[str, str]) -> dict[str, Any]:
    """Return the summary, and all regions that can have copies."""
    summary, regions = api.get("summary"), api.get("regions")["regions"]
    state, status = _STATUSES[summary["status"]]
    return {
        "state": state,
        "status": status,
        "counted_at": wording.time(summary["counted_at"]),
        "problems": [
            {"key": one["text"], "severity": one["severity"], "text": one["text"]}
            for one in summary["problems"]
        ],
        "totals": _totals(regions),
        "waits": bool(summary["waiting"]),
        "waiting": [
            {"key": one["code"], "reason": wording.words(one["code"]), "tasks": one["tasks"]}
            for one in summary["waiting"]
        ],
        "regions": [_region(one) for one in regions],
    }


def _totals(regions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    def total(name: str) -> int:
        return sum(one[name] for one in regions)

    lag = max((one["lag_seconds"] for one in regions), default=0)
    values = {
        "in step": total("success"),
        "running": total("processing"),
        "waiting": total("pending"),
        "failed": total("failure"),
        "late": total("late"),
        "bytes to copy": wording.size(total("waiting_bytes")),
        "longest lag": wording.duration(lag),
    }
    return [{"key": name, "name": name, "value": value} for name, value in values.items()]


def _region(region: Mapping[str, Any]) -> dict[str, Any]:
    state, symbol = _REGION_STATES[region["state"]]
    return {
        "key": region["region"],
        "name": region["region"],
        "state": state,
        "symbol": symbol,
        "word": region["state"],
        "pause": f"Pause {region['region']}…",
        "resume": f"Resume {region['region']}",
        # Only its clock ends a pause window, but a person may pause the region for longer.
        "may_resume": region["state"] == "paused" and region["paused_until"] is None,
        "why": region["why"] or "",
        "success": region["success"],
        "processing": region["processing"],
        "pending": region["pending"],
        "failure": region["failure"],
        "late": region["late"],
        "waiting_bytes": wording.size(region["waiting_bytes"]),
        "lag": wording.duration(region["lag_seconds"]),
    }
