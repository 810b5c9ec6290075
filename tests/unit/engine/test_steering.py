# SPDX-License-Identifier: Apache-2.0
"""What people ask of the agents."""

import datetime

import pytest

from glance_sync_agent import errors
from glance_sync_agent import request_ids
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import history
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.asked import Asked
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
ALICE = Asked(by="alice")
ONCE = Asked(by="alice", request_id="req-1")


@pytest.fixture
def world():
    return worlds.World(retries=0)


@pytest.fixture
def steering(world):
    return world.engine.shared.steering


def failed(world):
    """Return an image whose task in RegionTwo failed."""
    image = world.source.publish(b"0123456789")
    world.two.make(image_id=image.image_id, name="foreign")
    world.changed(image.image_id)
    world.run()
    assert world.task(image).status is tasks.TaskStatus.FAILURE
    world.two.delete_as_user(image.image_id)
    return image


def events(world):
    found = world.history.newest(100)
    asked = [one.event for one in found if one.event.by == "alice"]
    return [(one.kind.value, one.image_id, one.region, one.text) for one in reversed(asked)]


def test_an_image_is_requested_everywhere_or_where_it_was_asked_for(world, steering):
    image = world.source.publish()
    assert steering.sync(image.image_id, [THREE], ALICE) == [THREE]
    assert steering.sync(image.image_id, None, ALICE) == sorted([TWO, THREE])
    assert [one[:3] for one in events(world)] == [
        ("requested", image.image_id, region) for region in [THREE, *sorted([TWO, THREE])]
    ]


def test_the_tasks_have_the_id_of_the_call_that_asked_for_them(world, steering):
    image = world.source.publish()
    own = "req-0f9a3c52-1d6e-4b7a-8c21-5e4d3f2a1b00"
    with request_ids.serving(own, "req-11111111-2222-4333-8444-555555555555"):
        steering.sync(image.image_id, None, ALICE)
    assert {one.request_id for one in world.store.list()} == {own}
    steering.sync(image.image_id, None, ALICE)
    assert own not in {one.request_id for one in world.store.list()}


def test_an_image_without_a_region_is_an_error(world, steering):
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.NONE)
    with pytest.raises(errors.UnknownRegion, match="names no region for image"):
        steering.sync(world.source.publish().image_id, None, ALICE)


def test_a_copy_of_a_source_that_is_gone_goes_if_that_was_said(world, steering):
    image = world.source.publish()
    world.changed(image.image_id)
    world.run()
    world.source.delete(image)
    steering.sync(image.image_id, [TWO], ALICE, may_delete=True)
    world.run()
    assert image.image_id not in world.two.ids()
    assert image.image_id in world.three.ids()


def test_what_failed_is_retried_and_what_is_done_is_not(world, steering):
    image = failed(world)
    assert steering.retry(image.image_id, [THREE], ALICE) == []
    assert steering.retry(image.image_id, None, ALICE) == [TWO]
    assert world.task(image).status is tasks.TaskStatus.PENDING
    assert steering.retry(image.image_id, None, ALICE) == []
    assert [one[0] for one in events(world)] == ["retried"]


def test_what_waits_for_its_region_is_retried_and_the_region_gets_a_probe(world, steering):
    image = world.source.publish()
    world.changed(image.image_id)
    world.clock.advance(1.0)
    later = world.clock.now() + datetime.timedelta(seconds=99)
    world.breakers.change(
        TWO, lambda _: breakers.Breaker(failures=3, retry_at=later, reason="refused")
    )
    assert steering.retry(image.image_id, None, ALICE) == [TWO]
    assert not world.breakers.all()[TWO].is_open(world.clock.now())


def test_all_failures_of_a_region_are_retried_at_once(world, steering):
    found = [failed(world) for _ in range(3)]
    failures = ports.TaskFilter(status=tasks.TaskStatus.FAILURE, region=TWO)
    assert steering.retry_all(failures, ALICE) == 3
    assert steering.retry_all(failures, ALICE) == 0
    assert steering.retry_all(ports.TaskFilter(region=THREE), ALICE) == 0
    assert {world.task(image).status for image in found} == {tasks.TaskStatus.PENDING}
    told = "3 tasks: region RegionTwo, status failure"
    assert events(world) == [("retried_all", None, TWO, told)]


def test_a_cancelled_task_says_who_cancelled_it(world, steering):
    image = failed(world)
    assert steering.cancel(image.image_id, None, ALICE) == [TWO]
    assert world.task(image).cancelled_by == "alice"
    assert events(world) == [("cancelled", image.image_id, TWO, "")]
    assert steering.retry(image.image_id, None, ALICE) == [TWO]
    assert world.task(image).cancelled_by is None


def test_a_pause_and_its_end_are_kept(world, steering):
    pause = steering.pause(TWO, ALICE, reason="new disks", finishes=True)
    assert world.pauses.all() == {TWO: pause}
    assert (pause.by, pause.finishes) == ("alice", True)
    assert steering.resume(TWO, ALICE)
    assert not steering.resume(TWO, ALICE)
    assert events(world) == [("paused", None, TWO, "new disks"), ("resumed", None, TWO, "")]


def test_a_request_that_comes_twice_does_nothing_again_and_answers_the_same(world, steering):
    image = failed(world)
    assert steering.sync(image.image_id, [TWO], ONCE) == [TWO]
    generation = world.task(image).generation
    assert steering.sync(image.image_id, [TWO], ONCE) == [TWO]
    assert world.task(image).generation == generation
    assert len(events(world)) == 1
    assert world.history.newest(1, history.Filter(request_id="req-1"))


def test_the_same_again_is_the_same_person_image_and_wish(world, steering):
    one, other = failed(world), failed(world)
    bob = Asked(by="bob", request_id="req-1")
    assert steering.retry(one.image_id, None, ONCE) == [TWO]
    assert steering.retry(one.image_id, None, ONCE) == [TWO]
    assert steering.retry(other.image_id, None, ONCE) == [TWO]
    assert steering.cancel(one.image_id, None, ONCE) == [TWO]
    assert steering.cancel(one.image_id, None, ONCE) == [TWO]
    assert steering.retry(one.image_id, None, bob) == [TWO]
    assert world.task(one).cancelled_by is None


def test_one_request_id_may_ask_for_more_and_more_regions(world, steering):
    image, other = (world.source.publish(b"1") for _ in range(2))
    for one in (image, other):
        world.changed(one.image_id)
    assert steering.cancel(image.image_id, [TWO], ONCE) == [TWO]
    assert steering.cancel(image.image_id, [TWO, THREE], ONCE) == sorted([TWO, THREE])
    assert {one.cancelled_by for one in world.store.list(image_id=image.image_id)} == {"alice"}
    assert steering.retry(image.image_id, [TWO], ONCE) == [TWO]
    assert steering.retry(image.image_id, None, ONCE) == sorted([TWO, THREE])
    assert {one.cancelled_by for one in world.store.list(image_id=image.image_id)} == {None}
    assert steering.sync(other.image_id, [TWO], ONCE) == [TWO]
    assert steering.sync(other.image_id, None, ONCE) == sorted([TWO, THREE])


def test_a_late_repetition_for_all_regions_cancels_nothing_new(world, steering):
    image = failed(world)
    assert steering.cancel(image.image_id, None, ONCE) == [TWO]
    assert steering.sync(image.image_id, None, ALICE)
    assert steering.cancel(image.image_id, None, ONCE) == [TWO]
    assert {one.cancelled_by for one in world.store.list(image_id=image.image_id)} == {None}


def test_a_late_repetition_of_a_pause_pauses_nothing(world, steering):
    later = Asked(by="alice", request_id="req-2")
    first = steering.pause(TWO, ONCE, reason="new disks", finishes=False)
    world.clock.advance(5.0)
    assert steering.pause(TWO, ONCE, reason="new disks", finishes=False) == first
    assert steering.resume(TWO, later)
    assert steering.pause(TWO, ONCE, reason="new disks", finishes=False).reason == "new disks"
    assert not world.pauses.all()
    steering.pause(TWO, ALICE, reason="again", finishes=False)
    assert steering.resume(TWO, later)
    assert world.pauses.all()[TWO].reason == "again"


def test_the_same_bulk_retry_is_made_once(world, steering):
    failed(world)
    failures = ports.TaskFilter(status=tasks.TaskStatus.FAILURE)
    assert steering.retry_all(failures, ONCE) == 1
    failed(world)
    assert steering.retry_all(failures, ONCE) == 0
    assert steering.retry_all(ports.ALL_TASKS, ONCE) == 1
    assert steering.retry_all(failures, Asked(by="bob", request_id="req-1")) == 0


def test_a_bulk_retry_leaves_what_was_cancelled_unless_it_names_that(world, steering):
    image = world.source.publish(b"1")
    world.changed(image.image_id)
    steering.cancel(image.image_id, [TWO], Asked(by="bob"))
    world.run()
    assert failed(world)
    failures = ports.TaskFilter(status=tasks.TaskStatus.FAILURE)
    assert steering.retry_all(failures, ALICE) == 1
    assert world.task(image).cancelled_by == "bob"
    assert steering.retry_all(ports.TaskFilter(code=Code.CANCELLED), ALICE) == 1
    assert world.task(image).cancelled_by is None


def test_a_held_copy_is_released_if_a_task_knows_it(world, steering):
    image = world.source.publish()
    key = tasks.TaskKey(image_id=image.image_id, region=TWO)
    assert not steering.release(key, ALICE)
    world.changed(image.image_id)
    world.run()
    assert steering.release(key, ONCE)
    assert steering.release(key, ONCE)
    assert events(world) == [("released", image.image_id, TWO, "")]
    assert world.task(image).request_id == "req-1"


def test_one_request_id_may_ask_for_several_regions(world, steering):
    image = world.source.publish()
    world.changed(image.image_id)
    assert steering.sync(image.image_id, [TWO], ONCE) == [TWO]
    assert steering.sync(image.image_id, [TWO, THREE], ONCE) == sorted([TWO, THREE])
    generation = world.task(image).generation
    assert steering.sync(image.image_id, None, ONCE) == sorted([TWO, THREE])
    assert world.task(image).generation == generation
    assert steering.cancel(image.image_id, [TWO], ONCE) == [TWO]
    assert steering.cancel(image.image_id, [THREE], ONCE) == [THREE]
    assert steering.retry(image.image_id, [TWO], ONCE) == [TWO]
    assert steering.retry(image.image_id, [THREE], ONCE) == [THREE]
    for region in (TWO, THREE):
        world.run()
        assert steering.release(tasks.TaskKey(image_id=image.image_id, region=region), ONCE)
    assert [one[0] for one in events(world)].count("released") == 2
