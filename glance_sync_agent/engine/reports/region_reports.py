# SPDX-License-Identifier: Apache-2.0
"""A region as it is shown: its tasks, and whether it gets any."""

from collections import Counter
from collections.abc import Iterable
import datetime
from typing import Any

from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import fleet
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine.reports import times
from glance_sync_agent.engine.reports.region_states import pause_text
from glance_sync_agent.engine.reports.region_states import RegionStates
from glance_sync_agent.engine.reports.task_counts import TaskCounts

#: The names of the fields, in the order in which they are shown.
FIELDS = (
    "region",
    "state",
    "paused_until",
    "pending",
    "processing",
    "success",
    "failure",
    "cancelled",
    "late",
    "waiting_bytes",
    "oldest_asked_at",
    "lag_seconds",
    "why",
)

PAUSED = "paused"
UNAVAILABLE = "unavailable"
SLOWED_DOWN = "slowed down"
AVAILABLE = "available"

_NO_TASKS = fleet.Counts(tasks={}, waiting_bytes=0, oldest_asked_at=None, late=0)


def names(counted: TaskCounts, states: RegionStates) -> list[images.RegionId]:
    """Return the regions that have tasks, a pause or a breaker."""
    return sorted({*counted.regions, *states.pauses.regions, *states.breakers})


def fields(
    region: images.RegionId, counted: TaskCounts, states: RegionStates, now: datetime.datetime
) -> dict[str, Any]:
    """Return the fields of a region; times are ISO 8601, UTC, and sizes are in bytes.

    The lag is the age of the oldest unfinished request.
    """
    counts = counted.regions.get(region, _NO_TASKS)
    state, why = _state(region, states)
    pause = states.pauses.of(region)
    oldest = counts.oldest_asked_at
    lag = 0.0 if oldest is None else max((now - oldest).total_seconds(), 0.0)
    return {
        "region": region,
        "state": state,
        "paused_until": times.text_or_none(None if pause is None else pause.until),
        **{status.value: counts.with_status(status.value) for status in tasks.TaskStatus},
        "cancelled": counts.tasks.get((tasks.TaskStatus.FAILURE.value, str(Code.CANCELLED)), 0),
        "late": counts.late,
        "waiting_bytes": counts.waiting_bytes,
        "oldest_asked_at": times.text_or_none(oldest),
        "lag_seconds": round(lag),
        "why": why,
    }


def _state(region: images.RegionId, states: RegionStates) -> tuple[str, str | None]:
    if (pause := states.pauses.of(region)) is not None:
        return PAUSED, pause_text(pause)
    breaker = states.breakers.get(region, breakers.CLOSED)
    if breaker.retry_at is None:
        return AVAILABLE, None
    if breaker.answers:
        return SLOWED_DOWN, breaker.reason
    return UNAVAILABLE, f"the next probe is at {times.text(breaker.retry_at)}: {breaker.reason}"


def reasons(counted: TaskCounts, status: tasks.TaskStatus) -> list[dict[str, Any]]:
    """Return the codes of the tasks with a status, the most frequent first.

    A code of a newer agent is unknown.
    """
    found: Counter[str] = Counter()
    for code, number in _codes(counted, status.value):
        found[str(Code(code))] += number
    by_number = sorted(found.items(), key=lambda one: (-one[1], one[0]))
    return [{"code": code or "unknown", "tasks": number} for code, number in by_number]


def _codes(counted: TaskCounts, status: str) -> Iterable[tuple[str, int]]:
    for counts in counted.regions.values():
        for (found, code), number in counts.tasks.items():
            if found == status:
                yield code, number
