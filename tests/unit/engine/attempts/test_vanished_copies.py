# SPDX-License-Identifier: Apache-2.0
"""A copy that somebody deletes in its region is made anew at growing intervals."""

import dataclasses

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import verification
from tests.fakes import world as worlds

TWO = worlds.CASCADED[0]
DAY = 24 * 3600.0


@pytest.fixture
def world():
    return worlds.World()


def publish(world):
    image = world.source.publish(b"bytes")
    world.changed(image.image_id)
    world.run()
    return image


def vanish(world, image):
    """Delete the copy as its region's user does, and let an agent notice."""
    world.two.delete_as_user(world.task(image).copy_id)
    world.changed(image.image_id)
    world.run()


def exists(world, image):
    return world.task(image).copy_id in world.two.ids()


def test_a_copy_that_vanished_once_is_made_anew_at_once(world):
    image = publish(world)
    vanish(world, image)
    assert exists(world, image)
    assert world.task(image).status == "success"
    assert world.task(image).vanished.times == 1


def test_one_that_vanishes_again_and_again_waits_for_twice_as_long_each_time(world):
    image = publish(world)
    vanish(world, image)
    waited = []
    for _ in range(10):
        began = world.clock.now()
        vanish(world, image)
        assert not exists(world, image)
        task = world.task(image)
        assert (task.status, task.attempts) == ("pending", 0)
        assert "somebody deleted the copy in its region, " in task.reason
        assert f"it is copied again at {task.not_before.isoformat(timespec='seconds')}" in (
            task.reason
        )
        world.run(seconds=(task.not_before - world.clock.now()).total_seconds() - 0.1)
        assert not exists(world, image)
        world.run(seconds=0.1)
        assert exists(world, image)
        waited.append(round((world.clock.now() - began).total_seconds()))
    minutes = [10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]
    assert waited == [60 * one for one in minutes]
    assert "10 times" not in world.task(image).reason


def test_the_reason_tells_how_often_and_what_to_do(world):
    image = publish(world)
    vanish(world, image)
    vanish(world, image)
    reason = world.task(image).reason
    assert "2 times lately" in reason
    assert reason.endswith(f"glance-sync sync {image.image_id} {TWO}")


def test_an_event_of_the_image_does_not_end_the_waiting(world):
    image = publish(world)
    for _ in range(2):
        vanish(world, image)
    world.changed(image.image_id)
    world.run()
    assert not exists(world, image)
    world.reconciliation.run()
    world.run()
    assert not exists(world, image)


def test_whoever_asks_for_its_region_gets_it_at_once(world):
    image = publish(world)
    for _ in range(2):
        vanish(world, image)
    world.intake.request(image.image_id, TWO)
    world.run()
    assert exists(world, image)
    assert world.task(image).vanished.times == 1


def test_what_vanished_long_ago_is_forgotten(world):
    image = publish(world)
    for _ in range(2):
        vanish(world, image)
    world.run(seconds=600.0)
    assert world.task(image).vanished.times == 2
    world.clock.advance(7 * DAY)
    vanish(world, image)
    assert exists(world, image)
    assert world.task(image).vanished.times == 1


def test_a_copy_that_the_agent_replaces_has_not_vanished(world):
    image = publish(world)
    for number in range(3):
        task = world.task(image)
        world.store.distrust(
            task.key,
            verification.Damage(copy_id=task.copy_id, found="sha512:ab"),
            now=world.clock.now(),
            request_id=str(number),
        )
        for _ in range(2):  # it is deleted, and made anew
            world.run(seconds=100.0)
        assert world.task(image).copy_id != task.copy_id
        assert exists(world, image)
    assert world.task(image).vanished is None


def test_a_copy_that_never_came_has_not_vanished(world):
    def before(name, _image_id):
        if name == "write":
            raise errors.ServiceUnavailable("no room")

    world.two.before = before
    image = publish(world)
    for _ in range(2):
        for one in world.two.ids():
            world.two.delete_as_user(one)
        world.run(seconds=100.0)
    assert world.task(image).vanished is None


def test_an_operator_may_have_copies_made_anew_at_once_always(world):
    world.limits = dataclasses.replace(world.limits, vanished=0.0)
    image = publish(world)
    for _ in range(5):
        vanish(world, image)
        assert exists(world, image)
    assert world.task(image).vanished.times == 5


def test_a_region_that_refuses_the_new_record_makes_no_copy_vanish(world):
    image = publish(world)
    world.two.delete_as_user(world.task(image).copy_id)

    def before(name, _image_id):
        if name == "create":
            raise errors.ServiceUnavailable("HTTP 500", fault=errors.Fault.ANSWER)

    world.two.before = before
    world.changed(image.image_id)
    world.run()
    task = world.task(image)
    assert (task.vanished, task.attempts) == (None, 1)
    assert "HTTP 500" in task.reason
    world.two.before = lambda _name, _image_id: None
    world.settle()
    assert exists(world, image)
    assert world.task(image).vanished.times == 1

