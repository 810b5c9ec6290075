# SPDX-License-Identifier: Apache-2.0
"""Which tasks are taken, and what becomes of errors."""

import datetime
import logging

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine import intake
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED


@pytest.fixture
def world():
    return worlds.World()


def publish(world, count=1):
    made = [world.source.publish(b"%d" % number) for number in range(count)]
    for image in made:
        world.changed(image.image_id)
    return made


def fail(world, exc, region=TWO):
    def before(_name, _image_id):
        raise exc

    world.regions.glances[region].before = before


def test_a_task_is_taken_once_its_quiet_time_is_over(world):
    publish(world)
    assert world.worker.dispatch() == 0
    world.clock.advance(intake.QUIET_SECONDS)
    assert world.worker.dispatch() == 2


def test_an_upload_and_its_two_events_are_one_attempt_for_each_region(world):
    (image,) = publish(world)
    world.clock.advance(0.01)
    world.changed(image.image_id)
    assert world.run() == 2


def test_a_region_takes_no_more_than_its_room(world):
    world = worlds.World(per_region=3)
    publish(world, 5)
    world.clock.advance(1.0)
    assert world.worker.dispatch() == 6
    assert world.worker.running() == 6
    assert world.worker.dispatch() == 0


def test_a_region_that_hangs_delays_no_other(world):
    world = worlds.World(per_region=2)
    publish(world, 6)
    world.clock.advance(1.0)
    world.worker.dispatch()
    hanging, others = world.submitted[2:], world.submitted[:2]  # RegionThree comes first
    world.submitted.clear()
    done = 0
    while others:
        for work in others:
            work()
            done += 1
        world.worker.dispatch()
        others, world.submitted = world.submitted, []
        world.worker._submit = world.submitted.append
    assert done == 6
    assert len(hanging) == 2
    assert len(world.three.ids()) == 6
    assert not world.two.ids()


def test_each_end_of_a_task_wakes_the_dispatcher(world):
    publish(world)
    woken = world.woken
    world.run()
    assert world.woken == woken + 2


def test_idle_is_waited_for(world):
    publish(world)
    world.clock.advance(1.0)
    assert world.worker.wait_idle(0.0)
    world.worker.dispatch()
    assert not world.worker.wait_idle(0.0)
    for work in world.submitted:
        work()
    assert world.worker.wait_idle(0.0)
    assert world.worker.running() == 0


def test_a_transient_error_is_tried_again_with_back_off_and_then_given_up(world, caplog):
    (image,) = publish(world)
    fail(world, errors.ServiceUnavailable("no answer from RegionTwo"))
    waits = []
    for _ in range(2):
        world.run(seconds=100.0)
        task = world.task(image)
        assert task.status == "pending"
        waits.append((task.not_before - world.clock.now()).total_seconds())
    assert waits == [5.0, 10.0]  # half of 10 and 20: the chance is 0.5
    world.run(seconds=100.0)
    task = world.task(image)
    assert (task.status, task.attempts) == ("failure", 3)
    assert task.reason == "ServiceUnavailable: no answer from RegionTwo"
    assert f"glance-sync retry {image.image_id} RegionTwo" in caplog.text
    assert caplog.records[-1].levelno == logging.ERROR
    assert world.task(image, THREE).status == "success"


def test_the_other_side_s_wish_for_patience_is_granted(world):
    (image,) = publish(world)
    fail(world, errors.ServiceUnavailable("too many requests", retry_after=77.0))
    world.run()
    task = world.task(image)
    assert task.not_before - world.clock.now() == datetime.timedelta(seconds=77.0)


def test_nothing_is_counted_while_keystone_is_away(world):
    (image,) = publish(world)
    fail(world, errors.ServiceUnavailable("HTTP 503", retry_after=1.0))
    world.identity.is_down = True
    for _ in range(9):
        world.run(seconds=20.0)
        task = world.task(image)
        assert (task.status, task.attempts) == ("pending", 0)
        assert task.reason == "ServiceUnavailable: HTTP 503; and Keystone does not answer"
        assert task.not_before - world.clock.now() == datetime.timedelta(seconds=15.0)
    world.identity.is_down = False
    for attempts in (1, 2):
        world.run(seconds=100.0)
        assert world.task(image).attempts == attempts
    world.run(seconds=100.0)
    assert world.task(image).status == "failure"


def test_what_is_refused_is_refused_while_keystone_is_away(world):
    (image,) = publish(world)
    fail(world, errors.Refused("Forbidden"))
    world.identity.is_down = True
    world.run()
    assert world.task(image).status == "failure"


def test_a_permanent_error_fails_at_once_and_says_what_to_do(world, caplog):
    (image,) = publish(world)
    fail(world, errors.Refused("Forbidden"))
    world.run()
    task = world.task(image)
    assert (task.status, task.attempts, task.reason) == ("failure", 1, "Forbidden")
    assert "Gave up image" in caplog.text


def test_an_upload_of_a_killed_agent_that_ends_after_the_look_fails_no_task(world):
    (image,) = publish(world)

    def end_the_old_upload(name, image_id):
        if name == "write":
            world.two.before = lambda _name, _id: None
            world.two.put_data(image_id, b"0")

    world.two.before = end_the_old_upload
    world.run()
    assert world.task(image).reason == f"TransferInterrupted: image {image.image_id} is active"
    world.settle()
    assert world.task(image).status == "success"


def test_a_failed_task_is_looked_at_again_when_its_image_changes(world):
    (image,) = publish(world)
    fail(world, errors.Refused("Forbidden"))
    world.run()
    world.two.before = lambda _name, _id: None
    world.changed(image.image_id)
    world.run()
    assert world.task(image).status == "success"


def test_a_bug_is_logged_with_its_traceback_and_tried_again(world, caplog):
    (image,) = publish(world)
    fail(world, ZeroDivisionError("a bug"))
    world.run()
    assert world.task(image).status == "pending"
    assert world.task(image).reason == "ZeroDivisionError: a bug"
    assert "Traceback" in caplog.text


def test_an_outcome_that_cannot_be_written_costs_the_lease_and_no_thread(world, caplog):
    (image,) = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.store.is_down = True
    for work in world.submitted:
        work()
    world.submitted.clear()
    assert "Could not write the outcome of" in caplog.text
    world.store.is_down = False
    assert world.worker.running() == 0
    assert world.task(image).status == "processing"
    world.run(seconds=61.0)  # the lease has run out
    assert world.task(image).status == "success"


def test_a_bug_in_writing_an_outcome_is_not_silent(world, caplog, monkeypatch):
    def finish(_lease, _outcome, _now):
        raise ZeroDivisionError("a bug")

    publish(world)
    monkeypatch.setattr(world.store, "finish", finish)
    world.run()
    assert caplog.text.count("The outcome of image") == 2
    assert "ZeroDivisionError: a bug" in caplog.text
    assert world.worker.running() == 0


def test_a_task_requested_while_it_runs_is_looked_at_again(world, caplog):
    caplog.set_level(logging.DEBUG)
    (image,) = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.changed(image.image_id)
    for work in world.submitted:
        work()
    world.submitted.clear()
    assert "was requested again meanwhile" in caplog.text
    assert world.task(image).status == "pending"
    assert world.run() == 2
    assert world.task(image).status == "success"


def test_a_lost_lease_is_no_error(world, caplog):
    caplog.set_level(logging.INFO)
    (image,) = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.clock.advance(61.0)
    now = world.clock.now()
    for region in worlds.CASCADED:
        assert world.store.claim(
            images.RegionId(region), 9, owner="other", now=now, until=now
        )
    for work in world.submitted:
        work()
    assert caplog.text.count("Lost the lease on") == 2
    assert world.task(image).status == "processing"


def test_an_attempt_that_outlives_its_lease_runs_beside_no_other_and_may_end_well(world):
    (image,) = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    hanging, world.submitted[:] = list(world.submitted), []
    world.clock.advance(3600.0)  # or somebody set the clock
    assert world.worker.dispatch() == 0
    assert not world.submitted
    for work in hanging:
        work()
    task = world.task(image)
    assert (task.status, task.attempts) == ("success", 0)


def test_what_runs_keeps_no_other_task_of_its_region_waiting(world):
    world = worlds.World(per_region=2)
    first = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.clock.advance(3600.0)
    second = publish(world)
    world.clock.advance(1.0)
    assert world.worker.dispatch() == 2
    for work in world.submitted:
        work()
    assert {world.task(image).status for image in [*first, *second]} == {"success"}
