# SPDX-License-Identifier: Apache-2.0
"""An agent as it is shown."""

import datetime
from typing import Any

from glance_sync_agent.domain import fleet
from glance_sync_agent.engine.reports import times

#: The names of the fields, in the order in which they are shown.
FIELDS = (
    "agent_id",
    "host",
    "version",
    "state",
    "running",
    "waits_for",
    "started_at",
    "seen_at",
    "heard_at",
    "scanned_at",
    "scanned_changes_at",
)


def fields(agent: fleet.Agent, now: datetime.datetime) -> dict[str, Any]:
    """Return the fields of an agent; times are ISO 8601, UTC."""
    return {
        "agent_id": agent.agent_id,
        "host": agent.host,
        "version": agent.version,
        "state": _state(agent, now),
        "running": agent.running,
        "waits_for": agent.waits_for or None,
        "started_at": times.text(agent.started_at),
        "seen_at": times.text(agent.seen_at),
        "heard_at": times.text_or_none(agent.heard_at),
        "scanned_at": times.text_or_none(agent.scanned_at),
        "scanned_changes_at": times.text_or_none(agent.scanned_changes_at),
    }


def _state(agent: fleet.Agent, now: datetime.datetime) -> str:
    if agent.is_alive(now):
        return "waiting" if agent.waits_for else "running"
    return "gone" if agent.stopped_at is None else "stopped"
