# SPDX-License-Identifier: Apache-2.0
"""The agents, and what each of them last reported."""

from collections.abc import Mapping
from typing import Any, Final

from glance_sync_agent.ui import wording
from glance_sync_agent.ui.api_client import ApiClient

_STATES: Final[Mapping[str, tuple[str, str]]] = {
    "running": ("done", "✓"),
    "waiting": ("waiting", "…"),
    "stopped": ("none", "·"),
    "gone": ("failed", "✗"),
}
_TIMES: Final = ("started_at", "seen_at", "heard_at", "scanned_at", "scanned_changes_at")


def view(api: ApiClient, _query: Mapping[str, str]) -> dict[str, Any]:
    """Return all agents."""
    found = [_agent(one) for one in api.get("agents")["agents"]]
    return {"agents": found, "any": bool(found)}


def _agent(agent: Mapping[str, Any]) -> dict[str, Any]:
    state, symbol = _STATES[agent["state"]]
    waits_for = agent["waits_for"]
    return {
        "key": agent["agent_id"],
        "host": agent["host"],
        "version": agent["version"],
        "state": state,
        "symbol": symbol,
        "word": agent["state"] if waits_for is None else f"waiting for {waits_for}",
        "running": agent["running"],
        **{name: wording.time(agent[name]) for name in _TIMES},
    }
