# SPDX-License-Identifier: Apache-2.0
"""A copy of an image as it is shown: its state by symbol, colour and word."""

from collections.abc import Mapping
from typing import Any, Final

from glance_sync_agent.ui import wording

#: Also the names of colours in page.css.
SYMBOLS: Final[Mapping[str, str]] = {
    "done": "✓",
    "none": "·",
    "running": "▶",
    "waiting": "…",
    "paused": "‖",
    "cancelled": "⊘",
    "failed": "✗",
}
_STATES_OF_CODES: Final[Mapping[str, str]] = {
    "in_sync": "done",
    "held": "done",
    "cancelled": "cancelled",
    "region_paused": "paused",
}
_STATES: Final[Mapping[str, str]] = {
    "success": "none",
    "processing": "running",
    "pending": "waiting",
    "failure": "failed",
}


def cell(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is shown of a task."""
    state = _state(task)
    share = _share(task) if state == "running" else None
    return {
        "key": task["region"],
        "region": task["region"],
        "state": state,
        "symbol": SYMBOLS[state],
        "word": "copying" if share is not None else wording.words(task["code"]),
        "share": share,
        "progress": "" if share is None else _progress(task, share),
    }


def _state(task: Mapping[str, Any]) -> str:
    if task["status"] == "processing":
        return "running"
    return _STATES_OF_CODES.get(task["code"]) or _STATES[task["status"]]


def _share(task: Mapping[str, Any]) -> float | None:
    total = task["bytes_total"]
    return None if not total else round(min(task["bytes_done"] / total, 1.0), 3)


def _progress(task: Mapping[str, Any], share: float) -> str:
    eta = task["eta_seconds"]
    left = "" if eta is None else f", {wording.duration(eta)} left"
    return f"{share:.0%}{left}"
