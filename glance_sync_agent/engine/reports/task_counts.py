# SPDX-License-Identifier: Apache-2.0
"""The counts of all tasks, which one agent makes for all readers.

A count reads each task, which takes about a second for four million.
"""

import dataclasses
import datetime
import json
from typing import Any, Final

from glance_sync_agent.domain import fleet
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports

_FACT: Final = "task counts"
#: The agents count more often. If they do not, nobody counts.
_GOOD: Final = datetime.timedelta(seconds=60)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class TaskCounts:
    """The counts of all regions that have tasks."""

    at: datetime.datetime  # when they were made; aware UTC
    regions: fleet.RegionCounts


def refresh(outside: ports.Ports, completion_target: float) -> TaskCounts:
    """Count the tasks for all readers.

    :param completion_target: seconds; a task that waits longer is late.
    :raises ServiceUnavailable: the database is unreachable.
    """
    counted = _count(outside.store, outside.clock, completion_target)
    outside.facts.put(_FACT, json.dumps(_as_json(counted)))
    return counted


def current(
    store: ports.TaskStore, facts: ports.FactStore, clock: ports.Clock, completion_target: float
) -> TaskCounts:
    """Return the counts that an agent made within a minute; otherwise count.

    :raises ServiceUnavailable: the database is unreachable.
    """
    kept = facts.get(_FACT)
    found = None if kept is None else _parsed(kept)
    if found is not None and abs(clock.now() - found.at) <= _GOOD:
        return found
    return _count(store, clock, completion_target)


def _count(
    store: ports.TaskStore, clock: ports.Clock, completion_target: float
) -> TaskCounts:
    now = clock.now()
    late_before = now - datetime.timedelta(seconds=completion_target)
    return TaskCounts(at=now, regions=store.count(late_before))


def _as_json(counted: TaskCounts) -> dict[str, Any]:
    return {
        "at": counted.at.isoformat(),
        "regions": {
            region: {
                "tasks": [[*state, number] for state, number in counts.tasks.items()],
                "waiting_bytes": counts.waiting_bytes,
                "oldest_asked_at": counts.oldest_asked_at and counts.oldest_asked_at.isoformat(),
                "late": counts.late,
            }
            for region, counts in counted.regions.items()
        },
    }


def _parsed(text: str) -> TaskCounts | None:
    """Return what :func:`refresh` wrote; None: another version of the agent wrote it."""
    try:
        found = json.loads(text)
        return TaskCounts(
            at=datetime.datetime.fromisoformat(found["at"]),
            regions={
                images.RegionId(region): _counts(one) for region, one in found["regions"].items()
            },
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _counts(found: dict[str, Any]) -> fleet.Counts:
    oldest = found["oldest_asked_at"]
    return fleet.Counts(
        tasks={(status, code): number for status, code, number in found["tasks"]},
        waiting_bytes=found["waiting_bytes"],
        oldest_asked_at=None if oldest is None else datetime.datetime.fromisoformat(oldest),
        late=found["late"],
    )
