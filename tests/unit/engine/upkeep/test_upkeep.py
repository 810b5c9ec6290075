# SPDX-License-Identifier: Apache-2.0
"""Reports of agents, counts for all, and the end of old events."""

import datetime

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import fleet
from glance_sync_agent.domain import history
from glance_sync_agent.engine.reports import task_counts
from glance_sync_agent.engine.upkeep import upkeep as upkeeps
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
DAY = 86400.0


@pytest.fixture
def outside():
    return worlds.Outside()


@pytest.fixture
def world(outside):
    return worlds.World(outside, owner="host-1:1", process={"version": "1.2.3"})


def current(world):
    return task_counts.current(
        world.store, world.engine.outside.facts, world.clock, completion_target=900.0
    )


def only_agent(world):
    (agent,) = world.agents.all()
    return agent


def test_an_agent_reports_itself(world):
    began = world.clock.now()
    world.clock.advance(7.0)
    assert world.upkeep.run() == upkeeps.REPORT_SECONDS
    assert only_agent(world) == fleet.Agent(
        agent_id="host-1:1",
        host="host-1",
        version="1.2.3",
        started_at=began,
        seen_at=world.clock.now(),
    )


def test_a_report_says_what_the_agent_is_busy_with(world):
    image = world.source.publish()
    world.changed(image.image_id)
    heard = world.clock.now()
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.rounds.run()
    world.upkeep.run("sync_enabled")
    agent = only_agent(world)
    assert (agent.running, agent.waits_for, agent.heard_at) == (2, "sync_enabled", heard)
    assert agent.scanned_at == agent.scanned_changes_at == world.clock.now()


def test_an_incremental_scan_is_no_full_one(world):
    world.source.publish()
    world.rounds.run()
    full = world.clock.now()
    world.clock.advance(70.0)
    world.rounds.run()
    world.upkeep.run()
    agent = only_agent(world)
    assert (agent.scanned_at, agent.scanned_changes_at) == (full, world.clock.now())


def test_an_agent_that_stops_says_so_and_another_one_counts(outside, world):
    world.upkeep.run()
    world.upkeep.end()
    assert only_agent(world).stopped_at == world.clock.now()
    assert not only_agent(world).is_alive(world.clock.now())
    other = worlds.World(outside, owner="host-2:2")
    other.clock.advance(1.0)
    other.upkeep.run()
    assert current(other).at == other.clock.now()


def test_an_agent_is_alive_for_as_long_as_it_reports(world):
    world.upkeep.run()
    agent = only_agent(world)
    assert agent.is_alive(agent.seen_at + datetime.timedelta(seconds=30))
    assert not agent.is_alive(agent.seen_at + datetime.timedelta(seconds=30.001))


def test_one_agent_counts_for_all_and_not_at_each_report(outside, world):
    other = worlds.World(outside, owner="host-2:2")
    image = world.source.publish()
    world.changed(image.image_id)
    world.upkeep.run()
    counted = current(other)
    assert counted.regions[TWO].with_status("pending") == 1
    world.run()
    other.upkeep.run()
    world.upkeep.run()
    assert current(other) == counted
    world.clock.advance(10.0)
    world.upkeep.run()
    assert current(other).regions[TWO].with_status("success") == 1


def test_a_count_that_takes_long_is_made_less_often(world, monkeypatch):
    count = world.store.count

    def slow(late_before):
        world.clock.advance(3.0)
        return count(late_before)

    monkeypatch.setattr(world.store, "count", slow)
    world.upkeep.run()
    first = current(world).at
    world.clock.advance(11.0)
    world.upkeep.run()
    assert current(world).at == first
    world.clock.advance(2.0)
    world.upkeep.run()
    assert current(world).at > first


def test_without_an_agent_a_reader_counts_for_itself(world):
    image = world.source.publish()
    world.upkeep.run()
    world.changed(image.image_id)
    world.clock.advance(60.0)
    assert current(world).regions == {}
    world.clock.advance(0.001)
    assert current(world).regions[TWO].with_status("pending") == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"at": "now", "regions": {}}'])
def test_counts_of_another_version_are_not_used(world, text):
    world.engine.outside.facts.put("task counts", text)
    assert current(world).at == world.clock.now()


def test_counts_are_kept_as_they_were(world):
    image = world.source.publish()
    world.changed(image.image_id)
    world.run()
    world.source.change(image.image_id, name="renamed")
    world.changed(image.image_id)
    made = task_counts.refresh(world.engine.outside, 900.0)
    assert current(world) == made
    assert made.regions[TWO].oldest_asked_at == world.clock.now()


def test_old_events_and_agents_are_removed_once_an_hour(world, monkeypatch):
    monkeypatch.setattr(upkeeps, "_BATCH", 2)

    def happen(number):
        event = history.Event(at=world.clock.now(), kind=history.Kind.PAUSED, by="alice")
        world.history.add([event] * number)

    def left():
        return len(world.history.newest(100))

    world.history_days = 1.0
    gone = fleet.Agent(
        agent_id="gone", host="gone", version="", started_at=world.clock.now(),
        seen_at=world.clock.now(),
    )
    world.agents.report(gone)
    happen(5)
    world.upkeep.run()
    assert left() == 5
    world.clock.advance(DAY + 1.0)
    happen(1)
    world.upkeep.run()
    assert left() == 1
    assert only_agent(world).agent_id == "host-1:1"
    world.clock.advance(3599.0)
    world.history_days = 0.0
    world.upkeep.run()
    assert left() == 1
    world.clock.advance(1.0)
    world.upkeep.run()
    assert left() == 0


def test_an_agent_that_stops_removes_no_more(world, monkeypatch):
    monkeypatch.setattr(upkeeps, "_BATCH", 1)
    event = history.Event(at=world.clock.now(), kind=history.Kind.PAUSED, by="alice")
    world.history.add([event] * 3)
    world.history_days = 0.0
    world.clock.advance(1.0)
    world.stop.set()
    world.upkeep.run()
    assert len(world.history.newest(9)) == 3


def test_many_old_events_are_removed_between_reports(world, monkeypatch):
    monkeypatch.setattr(upkeeps, "_BATCH", 1)
    event = history.Event(at=world.clock.now(), kind=history.Kind.PAUSED, by="alice")
    world.history.add([event] * 25)
    world.history_days = 0.0
    world.clock.advance(1.0)
    for left in (15, 5, 0, 0):
        world.upkeep.run()
        assert len(world.history.newest(99)) == left


def test_a_count_that_fails_keeps_nothing_else_back(world, monkeypatch, caplog):
    def count(_late_before):
        raise errors.ServiceUnavailable("too many tasks")

    monkeypatch.setattr(world.store, "count", count)
    event = history.Event(at=world.clock.now(), kind=history.Kind.PAUSED, by="alice")
    world.history.add([event])
    world.history_days = 0.0
    world.clock.advance(1.0)
    world.upkeep.run()
    assert world.history.newest(9) == []
    assert caplog.text.count("too many tasks") == 1
    world.upkeep.run()
    assert caplog.text.count("too many tasks") == 1


def test_an_unforeseen_failure_ends_no_agent(world, monkeypatch, caplog):
    def report(_agent):
        raise OverflowError("date value out of range")

    monkeypatch.setattr(world.agents, "report", report)
    assert world.upkeep.run() == upkeeps.REPORT_SECONDS
    assert "Could not report to the other agents" in caplog.text
    assert "date value out of range" in caplog.text


def test_a_database_that_does_not_answer_is_a_warning(world, monkeypatch, caplog):
    def report(_agent):
        raise errors.ServiceUnavailable("the database does not answer")

    monkeypatch.setattr(world.agents, "report", report)
    assert world.upkeep.run() == upkeeps.REPORT_SECONDS
    assert "Could not report to the other agents: the database does not answer" in caplog.text
