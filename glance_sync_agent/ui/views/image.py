# SPDX-License-Identifier: Apache-2.0
"""One image: its copies, why it is where it is, and its history."""

from collections.abc import Mapping
from typing import Any, Final

from glance_sync_agent.ui import wording
from glance_sync_agent.ui.api_client import ApiClient
from glance_sync_agent.ui.api_client import ApiFailure
from glance_sync_agent.ui.views import cells

_EVENTS: Final = 50
_NOT_ALLOWED: Final = 403


def view(api: ApiClient, query: Mapping[str, str]) -> dict[str, Any]:
    """Return an image with what may change while somebody looks at it."""
    image_id = query["image_id"]
    found = api.get("images", image_id)
    return {
        "id": image_id,
        "name": found["name"] or image_id,
        "copies": [_copy(task) for task in found["regions"]],
        "events": _events(api, image_id),
    }


def with_placement(api: ApiClient, query: Mapping[str, str]) -> dict[str, Any]:
    """Return the same, and where the image belongs, which only Glance and Keystone know."""
    shown = view(api, query)
    try:
        found = api.get("images", shown["id"], "placement")
    except ApiFailure as exc:
        return {**shown, "placement": [], "warnings": [f"This is unknown now: {exc}."]}
    rows = [{**row, "wanted": "yes" if row["wanted"] else "no"} for row in found["placement"]]
    return {**shown, "placement": rows, "warnings": found["warnings"]}


def _copy(task: Mapping[str, Any]) -> dict[str, Any]:
    is_done = task["status"] == "success"
    return {
        **cells.cell(task),
        "reason": task["reason"],
        "copy_id": task["copy_id"] or "",
        "size": wording.size(task["bytes_total"]),
        "attempts": task["attempts"],
        "lag": wording.duration(task["lag_seconds"]),
        "updated_at": wording.time(task["updated_at"]),
        "not_before": "" if is_done else wording.time(task["not_before"]),
        "retry": f"Retry for {task['region']}",
        "cancel": f"Cancel for {task['region']}",
        "sync": f"Request for {task['region']}",
        "may_retry": task["status"] in {"failure", "pending"},
        "may_cancel": task["status"] in {"processing", "pending"}
        and task["code"] != "cancelled",
    }


def _events(api: ApiClient, image_id: str) -> list[dict[str, Any]] | None:
    """Return the newest events; None: the user may not see them."""
    try:
        found = api.get("events", image_id=image_id, limit=_EVENTS)
    except ApiFailure as exc:
        if exc.status == _NOT_ALLOWED:
            return None
        raise
    return [
        {
            "key": str(one["number"]),
            "at": wording.time(one["at"]),
            "kind": wording.words(one["kind"]),
            "region": one["region"] or "",
            "by": one["by"],
            "size": wording.size(one["bytes"]),
            "text": one["text"],
        }
        for one in found["events"]
    ]
