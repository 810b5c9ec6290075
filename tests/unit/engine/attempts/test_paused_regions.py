# SPDX-License-Identifier: Apache-2.0
"""Regions that a person pauses."""

import logging

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import pauses
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
DATA = b"0123456789"


@pytest.fixture
def world():
    return worlds.World()


def pause(world, *, finishes=False):
    world.pauses.pause(
        TWO,
        pauses.Pause(since=world.clock.now(), by="alice", reason="new disks", finishes=finishes),
    )


def publish(world):
    image = world.source.make(name="golden")
    world.source.put_data(image.image_id, DATA)
    world.changed(image.image_id)
    return image


def attempt(world):
    while world.submitted:
        world.submitted.pop(0)()


def test_a_paused_region_gets_nothing_and_others_get_all(world):
    pause(world)
    image = publish(world)
    assert world.run() == 1
    assert not world.two.ids()
    assert world.three.data(image.image_id) == DATA
    assert world.task(image).status is tasks.TaskStatus.PENDING


def test_a_region_that_is_resumed_gets_what_waited(world):
    pause(world)
    image = publish(world)
    world.run()
    world.pauses.resume(TWO)
    assert world.run() == 1
    assert world.two.data(image.image_id) == DATA


def test_a_running_attempt_ends_and_the_task_is_due_again(world):
    image = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    pause(world)
    world.worker.dispatch()
    assert world.task(image).status is tasks.TaskStatus.PENDING
    attempt(world)
    assert world.task(image).status is tasks.TaskStatus.PENDING
    assert world.task(image).code is Code.REQUESTED
    world.pauses.resume(TWO)
    world.run()
    assert world.two.data(image.image_id) == DATA


def test_a_transfer_ends_with_its_next_sign_of_life(world):
    image = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()

    def pause_in_the_middle(name, _image_id):
        if name == "write":
            pause(world)
            world.clock.advance(2.0)
            world.worker.dispatch()

    world.two.before = pause_in_the_middle
    attempt(world)
    world.two.before = lambda _name, _image_id: None
    assert world.two.image(image.image_id).status == "queued"
    world.pauses.resume(TWO)
    world.run()
    assert world.two.data(image.image_id) == DATA


def test_an_attempt_may_finish_if_the_pause_says_so(world):
    image = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    pause(world, finishes=True)
    world.worker.dispatch()
    assert world.task(image).status is tasks.TaskStatus.PROCESSING
    attempt(world)
    assert world.two.data(image.image_id) == DATA


def test_the_log_says_once_who_paused_a_region_and_when_that_ends(world, caplog):
    caplog.set_level(logging.INFO)
    publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    pause(world)
    for _ in range(3):
        world.worker.dispatch()
    paused = (
        "Region RegionTwo is paused by alice: new disks. Its tasks wait until "
        "'glance-sync resume RegionTwo'"
    )
    assert [one for one in caplog.messages if "aus" in one] == [
        paused, "Called off 1 tasks of paused regions"
    ]
    caplog.clear()
    world.pauses.resume(TWO)
    world.worker.dispatch()
    assert "Region RegionTwo is not paused by alice any more" in caplog.messages


def test_a_window_pauses_a_region_until_its_end(world, caplog):
    caplog.set_level(logging.INFO)
    image = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.open_window()
    world.worker.dispatch()
    attempt(world)
    assert world.task(image).status is tasks.TaskStatus.PENDING
    assert world.three.data(image.image_id) == DATA
    assert (
        "Region RegionTwo is paused by pause_windows: 0 8 * * * 8h UTC. Its tasks wait until "
        "2026-11-22 16:00:00+00:00"
    ) in caplog.messages
    assert world.run() == 0
    world.clock.advance(8 * 3600.0 - 3.0)
    assert world.run() == 1
    assert world.two.data(image.image_id) == DATA
    assert "Region RegionTwo is not paused by pause_windows any more" in caplog.messages


def test_a_person_resumes_nothing_that_a_window_pauses(world):
    world.open_window()
    pause(world)
    publish(world)
    world.run()
    assert world.pauses.resume(TWO)
    assert world.run() == 0
    assert not world.two.ids()


def test_a_window_of_all_regions_ends_the_attempts_of_all(world, caplog):
    caplog.set_level(logging.INFO)
    publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.open_window(None)
    world.worker.dispatch()
    attempt(world)
    assert world.run() == 0
    assert {one.status for one in world.store.list()} == {tasks.TaskStatus.PENDING}
    assert any(
        one.startswith("Every region is paused by pause_windows: ") for one in caplog.messages
    )
    assert "Called off 2 tasks of paused regions" in caplog.messages


def test_in_a_window_attempts_may_finish_unless_another_pause_forbids_it(world):
    image = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.open_window(None, finishes=True)
    world.worker.dispatch()
    assert world.task(image).status is tasks.TaskStatus.PROCESSING
    pause(world)
    world.worker.dispatch()
    assert world.task(image).status is tasks.TaskStatus.PENDING
    attempt(world)
    assert world.task(image).status is tasks.TaskStatus.PENDING
    assert world.three.data(image.image_id) == DATA


def test_what_a_dead_agent_left_does_not_run_for_ever(world):
    image = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    pause(world, finishes=True)
    world.clock.advance(61.0)
    world.worker.dispatch()
    assert world.task(image).status is tasks.TaskStatus.PENDING


def test_an_attempt_that_was_called_off_changes_little(world):
    """It notices at its next step, and not after a third of its lease."""
    image = publish(world)
    world.run()
    world.source.change(image.image_id, name="renamed")
    world.changed(image.image_id)
    asked = []

    def pause_at_first(name, _image_id):
        asked.append(name)
        world.clock.advance(4.0)
        if len(asked) == 1:
            pause(world)
            world.worker.dispatch()

    world.two.before = pause_at_first
    world.clock.advance(1.0)
    world.worker.dispatch()
    attempt(world)
    assert "update" not in asked
    assert world.two.image(image.image_id).metadata.name == "golden"


def test_a_failure_of_an_attempt_that_was_called_off_says_nothing_about_its_region(world):
    publish(world)

    def fail(name, _image_id):
        if name == "create":
            pause(world)
            world.worker.dispatch()
            raise errors.ServiceUnavailable("down", region=TWO)

    world.two.before = fail
    world.clock.advance(1.0)
    world.worker.dispatch()
    attempt(world)
    assert TWO not in world.breakers.all()
