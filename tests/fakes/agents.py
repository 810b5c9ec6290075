# SPDX-License-Identifier: Apache-2.0
"""Reports of agents in memory."""

from collections.abc import Sequence
import datetime

from glance_sync_agent.domain import fleet


class MemoryAgents:
    """``engine.ports.AgentStore``; held to ``tests/contract/test_agents.py``."""

    def __init__(self) -> None:
        self._kept: dict[str, fleet.Agent] = {}

    def all(self) -> Sequence[fleet.Agent]:
        return [self._kept[agent_id] for agent_id in sorted(self._kept)]

    def report(self, agent: fleet.Agent) -> None:
        self._kept[agent.agent_id] = agent

    def remove(self, before: datetime.datetime) -> int:
        old = [one for one in self._kept.values() if one.seen_at < before]
        for agent in old:
            del self._kept[agent.agent_id]
        return len(old)
