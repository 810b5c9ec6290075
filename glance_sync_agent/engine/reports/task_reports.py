# SPDX-License-Identifier: Apache-2.0
"""A task as it is shown: its state, and why."""

import datetime
from typing import Any

from glance_sync_agent.domain import tasks
from glance_sync_agent.engine.reports import times
from glance_sync_agent.engine.reports.region_states import RegionStates

#: The names of the fields, in the order in which they are shown.
FIELDS = (
    "image_id",
    "image_name",
    "region",
    "status",
    "reason",
    "copy_id",
    "copied_from",
    "bytes_done",
    "bytes_total",
    "attempts",
    "not_before",
    "updated_at",
    "code",
    "asked_at",
    "done_at",
    "lag_seconds",
    "bytes_per_second",
    "eta_seconds",
)


def fields(
    task: tasks.Task, states: RegionStates, now: datetime.datetime
) -> dict[str, Any]:
    """Return the fields of a task; times are ISO 8601, UTC, and sizes are in bytes.

    The lag is the time from a request to its end, or until now. The rate is the mean since the
    attempt began.
    """
    rate = _rate(task)
    code, reason = states.reason(task)
    return {
        "image_id": task.key.image_id,
        "image_name": task.image_name,
        "region": task.key.region,
        "status": task.status.value,
        "reason": reason,
        "copy_id": task.copy_id,
        "copied_from": task.copied_from,
        "bytes_done": task.bytes_done,
        "bytes_total": task.bytes_total,
        "attempts": task.attempts,
        "not_before": times.text(task.not_before),
        "updated_at": times.text(task.updated_at),
        "code": str(code) or "unknown",
        "asked_at": times.text_or_none(task.asked_at),
        "done_at": times.text_or_none(task.done_at),
        "lag_seconds": _lag(task, now),
        "bytes_per_second": None if rate is None else round(rate),
        "eta_seconds": _eta(task, rate),
    }


def _lag(task: tasks.Task, now: datetime.datetime) -> int | None:
    if task.asked_at is None:
        return None
    is_done = task.status is tasks.TaskStatus.SUCCESS and task.done_at is not None
    end = task.done_at if is_done and task.done_at is not None else now
    return round(max((end - task.asked_at).total_seconds(), 0.0))


def _rate(task: tasks.Task) -> float | None:
    """Return the bytes per second of a running transfer; None: no byte has moved yet."""
    if task.status is not tasks.TaskStatus.PROCESSING or task.claimed_at is None:
        return None
    seconds = (task.updated_at - task.claimed_at).total_seconds()
    return task.bytes_done / seconds if seconds > 0 and task.bytes_done else None


def _eta(task: tasks.Task, rate: float | None) -> int | None:
    if rate is None or task.bytes_total is None:
        return None
    return round(max(task.bytes_total - task.bytes_done, 0) / rate)
