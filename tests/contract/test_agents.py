# SPDX-License-Identifier: Apache-2.0
"""What the reports of agents promise (``engine.ports.AgentStore``)."""

from collections.abc import Iterator
import dataclasses
import datetime

import pytest

from glance_sync_agent.domain import fleet
from glance_sync_agent.engine import ports
from tests.contract import databases
from tests.fakes import agents as fake

NOW = datetime.datetime(2026, 3, 29, 1, 59, 59, 987654, tzinfo=datetime.UTC)
ONE = fleet.Agent(
    agent_id="host-1:1", host="host-1", version="1.2.3", started_at=NOW, seen_at=NOW
)
BUSY = fleet.Agent(
    agent_id="host-2:2",
    host="host-2",
    version="1.2.3",
    started_at=NOW,
    seen_at=NOW,
    stopped_at=NOW,
    heard_at=NOW,
    scanned_at=NOW,
    scanned_changes_at=NOW,
    running=4,
    waits_for="Keystone: 'no answer'",
)


@pytest.fixture(params=["memory", *databases.KINDS, *databases.CLUSTERS])
def kept(request, tmp_path) -> Iterator[ports.AgentStore]:
    if request.param == "memory":
        yield fake.MemoryAgents()
        return
    store = databases.opened(request.param, tmp_path, request.getfixturevalue)
    yield store.agents()
    store.close()


def test_at_first_there_is_no_agent(kept):
    assert kept.all() == []


def test_reports_are_kept_as_they_were_in_order(kept):
    kept.report(BUSY)
    kept.report(ONE)
    assert kept.all() == [ONE, BUSY]


def test_a_report_replaces_the_one_before(kept):
    kept.report(BUSY)
    idle = dataclasses.replace(ONE, agent_id=BUSY.agent_id)
    kept.report(idle)
    assert kept.all() == [idle]


def test_agents_that_are_long_gone_are_removed(kept):
    later = NOW + datetime.timedelta(seconds=1)
    kept.report(ONE)
    kept.report(dataclasses.replace(BUSY, seen_at=later))
    assert kept.remove(later) == 1
    assert [agent.agent_id for agent in kept.all()] == [BUSY.agent_id]
