# SPDX-License-Identifier: Apache-2.0
"""The state of all in one answer."""

import dataclasses
import datetime

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import fleet
from glance_sync_agent.domain import pauses
from glance_sync_agent.engine.reports import agent_reports
from glance_sync_agent.engine.reports import summaries
from glance_sync_agent.engine.reports import task_counts
from glance_sync_agent.engine.reports.region_states import RegionStates
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED


@pytest.fixture
def world():
    return worlds.World(owner="host-1:1")


def summary(world):
    counted = task_counts.current(
        world.store, world.engine.outside.facts, world.clock, completion_target=900.0
    )
    states = RegionStates.read(world.breakers, world.engine.shared.current_pauses)
    return summaries.summary(counted, states, world.agents, world.clock.now())


def texts(found):
    return [f"{one.severity.name}: {one.text}" for one in found.problems]


def publish(world):
    image = world.source.publish(b"0123456789")
    world.changed(image.image_id)
    return image


def breaker(world, **fields):
    retry_at = world.clock.now() + datetime.timedelta(seconds=20)
    made = breakers.Breaker(failures=3, reason="refused", retry_at=retry_at, **fields)
    world.breakers.change(TWO, lambda _: made)


def test_all_is_well(world):
    publish(world)
    world.run()
    world.upkeep.run()
    found = summary(world)
    assert found.severity is summaries.Severity.OK
    assert found.fields() == {
        "status": "ok",
        "problems": [],
        "counted_at": "2026-11-22T08:00:01Z",
        "regions": [
            {
                "region": region, "state": "available", "paused_until": None, "pending": 0,
                "processing": 0, "success": 1, "failure": 0, "cancelled": 0, "late": 0,
                "waiting_bytes": 0, "oldest_asked_at": None, "lag_seconds": 0, "why": None,
            }
            for region in sorted((TWO, THREE))
        ],
        "failures": [],
        "waiting": [],
        "agents": [agent_reports.fields(world.agents.all()[0], world.clock.now())],
    }
    assert found.agents[0]["state"] == "running"


def test_without_an_agent_nothing_is_copied(world):
    found = summary(world)
    assert found.severity is summaries.Severity.CRITICAL
    assert texts(found) == [
        ("CRITICAL: no agent is alive, so nothing is copied; start one: 'systemctl start "
        "glance-sync-agent'. If it ends at once, 'glance-sync-manage check' shows why")
    ]


def test_an_agent_that_is_gone_stopped_or_waits_is_told_apart(world):
    world.upkeep.run("sync_enabled, which is false")
    agent = world.agents.all()[0]
    gone = dataclasses.replace(
        agent, agent_id="host-2:2", host="host-2", waits_for="",
        seen_at=agent.seen_at - datetime.timedelta(seconds=31),
    )
    world.agents.report(gone)
    world.agents.report(
        dataclasses.replace(gone, agent_id="host-3:3", stopped_at=world.clock.now())
    )
    world.agents.report(
        dataclasses.replace(
            gone, agent_id="host-4:4", seen_at=agent.seen_at - datetime.timedelta(hours=25)
        )
    )
    found = summary(world)
    assert [(one["agent_id"], one["state"]) for one in found.agents] == [
        ("host-1:1", "waiting"), ("host-2:2", "gone"), ("host-3:3", "stopped")
    ]
    assert texts(found) == [
        ("WARNING: agent host-1:1 waits for sync_enabled, which is false; it continues by itself "
            "when that is there"),
        ("WARNING: agent host-2:2 ended without a word, and was seen last at "
        "2026-11-22T07:59:29Z; its log on host-2 may say why"),
    ]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (
            errors.StorageFull("no room"),
            ("CRITICAL: the store of region RegionTwo has no room for 1 images; make room there, "
            "and the agent continues by itself; "),
        ),
        (
            errors.UploadRefused("quota"),
            ("WARNING: a policy or a quota of region RegionTwo refuses 1 images; raise the quota "
            "of the agent's project there, or allow upload_image in policy.yaml; "),
        ),
    ],
    ids=["full", "refused"],
)
def test_what_only_an_operator_mends_in_a_region_is_named(world, failure, said):
    def refuse(name, _image_id):
        if name == "write":
            raise failure

    world.two.before = refuse
    publish(world)
    world.run()
    world.upkeep.run()
    which = "'glance-sync status --region RegionTwo --status pending' shows which"
    assert texts(summary(world)) == [said + which]
    world.clock.advance(100.0)
    world.worker.dispatch()  # it is tried again, and not done yet
    world.upkeep.run()
    assert texts(summary(world)) == [said + which]


def test_an_unavailable_region_is_critical_and_comes_first(world):
    publish(world)
    world.upkeep.run()
    world.pauses.pause(
        THREE, pauses.Pause(since=world.clock.now(), by="alice", reason="new disks")
    )
    breaker(world)
    found = summary(world)
    assert texts(found) == [
        ("CRITICAL: region RegionTwo is unavailable; the next probe is at 2026-11-22T08:00:20Z: "
        "refused; 'glance-sync-manage check --region RegionTwo' shows what does not answer"),
        ("WARNING: region RegionThree is paused since 2026-11-22T08:00:00Z by alice: new disks; "
        "'glance-sync resume RegionThree' ends that"),
    ]
    assert {one["region"]: one["state"] for one in found.regions} == {
        TWO: "unavailable", THREE: "paused"
    }
    assert found.waiting == [{"code": "requested", "tasks": 2}]


def test_a_window_is_shown_and_is_no_problem(world):
    world.upkeep.run()
    world.open_window(finishes=True)
    publish(world)
    world.upkeep.run()
    world.clock.advance(10.0)
    world.upkeep.run()
    found = summary(world)
    assert found.severity is summaries.Severity.OK
    assert [(one["region"], one["state"], one["paused_until"]) for one in found.regions] == [
        (THREE, "available", None), (TWO, "paused", "2026-11-22T16:00:00Z")
    ]
    world.clock.advance(8 * 3600.0)
    assert [one["state"] for one in summary(world).regions] == ["available", "available"]


def test_a_region_that_is_slowed_down_or_failed_once_is_no_problem(world):
    world.upkeep.run()
    breaker(world, answers=True)
    assert summary(world).regions[0]["state"] == "slowed down"
    assert texts(summary(world)) == []
    world.breakers.change(TWO, lambda _: breakers.Breaker(failures=1, reason="refused"))
    assert summary(world).regions[0]["state"] == "available"


def test_late_and_failed_tasks_say_where_to_look(world):
    publish(world)
    world.clock.advance(901.0)
    world.upkeep.run()
    late = texts(summary(world))
    assert late[0] == (
        "WARNING: 1 tasks of region RegionThree are late, the oldest has waited since "
        "2026-11-22T08:00:00Z; 'glance-sync status --region RegionThree --status pending' shows "
        "why"
    )
    assert summary(world).regions[0]["lag_seconds"] == 901

    world.two.make(image_id=next(iter(world.source.ids())), name="foreign")
    world.run()
    world.clock.advance(100.0)
    world.upkeep.run()
    assert texts(summary(world)) == [
        ("WARNING: 1 tasks of region RegionTwo failed; 'glance-sync status --region RegionTwo "
        "--status failure' shows why")
    ]
    assert summary(world).failures == [{"code": "conflict", "tasks": 1}]


def test_codes_are_listed_by_their_number(world):
    counts = fleet.Counts(
        tasks={("failure", ""): 1, ("failure", "refused"): 5, ("pending", "no_slot"): 9},
        waiting_bytes=0, oldest_asked_at=None, late=0,
    )
    counted = task_counts.TaskCounts(at=world.clock.now(), regions={TWO: counts, THREE: counts})
    states = RegionStates(breakers={}, pauses=pauses.Pauses())
    found = summaries.summary(counted, states, world.agents, world.clock.now())
    assert found.failures == [{"code": "refused", "tasks": 10}, {"code": "unknown", "tasks": 2}]


def test_reasons_that_only_a_newer_agent_knows_are_unknown(world):
    tasks_by_code = {("failure", "newer"): 3, ("failure", ""): 1, ("failure", "conflict"): 2}
    counts = fleet.Counts(tasks=tasks_by_code, waiting_bytes=0, oldest_asked_at=None, late=0)
    counted = task_counts.TaskCounts(at=world.clock.now(), regions={TWO: counts})
    states = RegionStates.read(world.breakers, world.engine.shared.current_pauses)
    found = summaries.summary(counted, states, world.agents, world.clock.now())
    assert found.fields()["failures"] == [
        {"code": "unknown", "tasks": 4}, {"code": "conflict", "tasks": 2}
    ]
