# SPDX-License-Identifier: Apache-2.0
"""Failures, grouped by their reason."""

from collections.abc import Mapping
from typing import Any, Final

from glance_sync_agent.ui import wording
from glance_sync_agent.ui.api_client import ApiClient

_EXAMPLES: Final = 3
_FAILED: Final = "failure"
#: What each reason means, and what helps before a retry does.
_MEANINGS: Final[Mapping[str, str]] = {
    "conflict": "An image that the agent did not make is where the copy should be. Rename or "
    "remove it there, or adopt it with 'glance-sync adopt'.",
    "format_refused": "The region's Glance found other bytes than the disk format says. "
    "Correct the format of the source.",
    "refused": "A Glance refused the request. The reason of each image names the policy or the "
    "quota.",
    "snapshot_lost": "The snapshot went before it had data, or before it was copied. Make it "
    "anew.",
    "snapshot_timeout": "The snapshot had no data in time. Retry when it is active.",
    "cancelled": "A person cancelled the copy. A retry requests it again.",
    "gave_up": "All retries are used up. Repair what the reason names, then retry.",
}


def view(api: ApiClient, _query: Mapping[str, str]) -> dict[str, Any]:
    """Return the reasons, the most frequent first, with a few images each."""
    summary = api.get("summary")
    # Its counts are older than the images, so a group without images is over.
    groups = [_group(api, one) for one in summary["failures"]]
    found = [one for one in groups if one["images"] or not one["may_retry"]]
    counted_at = wording.time(summary["counted_at"])
    return {"groups": found, "any": bool(found), "counted_at": counted_at}


def _group(api: ApiClient, counted: Mapping[str, Any]) -> dict[str, Any]:
    code = counted["code"]
    has_code = code != "unknown"  # a row of an older agent has none until its next outcome
    rows = api.get("images", status=_FAILED, code=code, limit=_EXAMPLES) if has_code else {}
    filters = f"status={_FAILED}" + (f"&code={code}" if has_code else "")
    return {
        "key": code,
        "code": code,
        "reason": wording.words(code),
        "tasks": counted["tasks"],
        "meaning": _MEANINGS.get(code, ""),
        "may_retry": has_code,
        "all": f"All images: {wording.words(code)}",
        "retry": f"Retry all: {wording.words(code)}",
        "href": f"images?{filters}",
        "images": [_example(row, code) for row in rows.get("images", ())],
    }


def _example(row: Mapping[str, Any], code: str) -> dict[str, Any]:
    failed = [one for one in row["regions"] if one["code"] == code]
    return {
        "key": row["id"],
        "href": f"images/{row['id']}",
        "name": row["name"] or row["id"],
        "reason": f"{failed[0]['region']}: {failed[0]['reason']}" if failed else "",
    }
