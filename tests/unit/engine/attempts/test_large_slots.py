# SPDX-License-Identifier: Apache-2.0
"""Large images leave a place of their region free for all others."""

import datetime

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine.attempts import large_slots
from tests.fakes import world as worlds
from tests.unit import builders

TWO, THREE = worlds.CASCADED
LARGE = b"a large image"
SMALL = b"small"


@pytest.fixture
def world():
    made = worlds.World(per_region=3, large_image_bytes=len(LARGE))
    made.catalogue.names -= {THREE}
    return made


def slots(per_region, large_bytes):
    return large_slots.LargeSlots(
        large_slots.SlotSettings(tasks_per_region=per_region, large_image_bytes=large_bytes)
    )


def publish(world, data, count):
    """Publish one after the other, so that the order of waiting is known."""
    made = [world.source.publish(data) for _ in range(count)]
    for image in made:
        world.clock.advance(0.01)
        world.changed(image.image_id)
    world.clock.advance(1.0)
    return made


class Slow:
    """Works on tasks while transfers of large images go on and on, as in other threads."""

    def __init__(self, world):
        self.world = world
        self.begun = 0  # attempts
        self.sending = []  # large images, in order
        world.two.before = self._before

    def work(self):
        """Begin all that has room, until nothing more begins."""
        while self.world.submitted or self.world.worker.dispatch():
            self.begun += 1
            self.world.submitted.pop(0)()

    def _before(self, name, image_id):
        if name == "write" and self.world.source.image(image_id).size >= len(LARGE):
            self.sending.append(image_id)
            self.work()  # while this one is on its way


def ids(made):
    return [image.image_id for image in made]


def copied(world):
    return {task.key.image_id for task in world.store.list(status=tasks.TaskStatus.SUCCESS)}


def test_small_images_overtake_large_ones_that_fill_their_places(world):
    large = publish(world, LARGE, 5)
    small = publish(world, SMALL, 50)
    slow = Slow(world)
    done = []

    def note(name, image_id):
        if name == "write" and image_id == large[1].image_id:
            slow.sending.append(image_id)
            slow.work()
            done.append(copied(world))  # while two large images are on their way
        else:
            slow._before(name, image_id)

    world.two.before = note
    slow.work()
    assert done == [set(ids(small))]
    assert slow.sending == ids(large)
    assert copied(world) == set(ids(small + large))


def test_a_large_image_gives_its_place_back_once_and_is_known_from_then_on(world):
    large = publish(world, LARGE, 5)
    publish(world, SMALL, 5)
    slow = Slow(world)
    slow.work()
    assert len(copied(world)) == 10
    assert slow.begun <= 10 + len(large)
    assert {task.attempts for task in world.store.list()} == {0}


def test_one_that_waits_for_a_place_says_so_and_keeps_its_turn(world):
    large = publish(world, LARGE, 3)
    due = world.task(large[2]).not_before
    seen: list[tasks.Task] = []

    def note(name, image_id):
        if name == "write" and image_id == large[0].image_id:
            slow.work()
        elif name == "write" and image_id == large[1].image_id:
            slow.work()
            seen.append(world.task(large[2]))

    slow = Slow(world)
    world.two.before = note
    slow.work()
    (task,) = seen
    assert (task.status, task.attempts, task.not_before) == ("pending", 0, due)
    assert task.bytes_total == len(LARGE)
    assert task.reason == (
        "it has 13 bytes, and other large images use the slots of region RegionTwo"
    )
    assert world.task(large[2]).status == "success"


def test_large_copies_that_a_region_lost_give_their_places_back_once_as_well(world):
    large = publish(world, LARGE, 5)
    world.run()
    for image in large:
        world.two.delete_as_user(image.image_id)
        world.clock.advance(0.01)
        world.changed(image.image_id)
    small = publish(world, SMALL, 5)
    slow = Lost(world)
    slow.work()
    assert slow.begun <= len(small) + 2 * len(large)
    assert slow.seen[0] == set(ids(small))
    assert copied(world) == set(ids(small + large))
    # Also of those that had to wait, somebody deleted the copy.
    assert [world.task(image).vanished.times for image in large] == [1] * len(large)


class Lost(Slow):
    """The same for images whose copies get other ids than their sources."""

    _MOST = 100  # attempts; more are without end

    def __init__(self, world):
        super().__init__(world)
        self.seen = []  # what was copied while the places were taken

    def work(self):
        while self.begun < self._MOST and (self.world.submitted or self.world.worker.dispatch()):
            self.begun += 1
            self.world.submitted.pop(0)()

    def _before(self, name, image_id):
        if name != "write":
            return
        mark = self.world.two.image(image_id).mark
        if self.world.source.image(mark.source.image_id).size >= len(LARGE):
            self.sending.append(mark.source.image_id)
            self.work()
            self.seen.append(copied(self.world))


def test_a_change_of_a_large_image_waits_for_no_place(world):
    (image,) = publish(world, LARGE, 1)
    world.run()
    for number in range(2):
        world.places.take(key(number), len(LARGE))
    world.source.change(image.image_id, name="renamed")
    world.changed(image.image_id)
    world.run()
    assert world.two.image(image.image_id).metadata.name == "renamed"


def test_a_change_of_a_large_copy_that_was_found_waits_for_no_place_either(world):
    (image,) = publish(world, LARGE, 1)
    world.run()
    # Another agent, with a database that knows nothing yet.
    world = worlds.World(
        worlds.Outside(clock=world.clock, catalogue=world.catalogue, regions=world.regions),
        per_region=3,
        large_image_bytes=len(LARGE),
    )
    world.reconciliation.run()
    world.run()
    assert world.task(image).status == "success"
    for number in range(2):
        world.places.take(key(number), len(LARGE))
    world.source.change(image.image_id, status="deactivated")
    world.changed(image.image_id)
    world.run()
    assert world.two.image(image.image_id).status == "deactivated"


def test_a_large_copy_waits_for_a_place_to_be_read_back_and_small_ones_overtake_it(world):
    large = publish(world, LARGE, 1)[0]
    world.run()
    world.two.change(large.image_id, os_hash_algo=None, os_hash_value=None)
    world.changed(large.image_id)
    world.clock.advance(1.0)
    small = publish(world, SMALL, 2)
    for number in range(2):
        world.places.take(key(number), len(LARGE))
    assert world.run() == 1 + len(small)
    task = world.task(large)
    assert (task.status, task.attempts, task.copied_from) == ("pending", 0, worlds.CASCADING)
    assert copied(world) == set(ids(small))
    # Whatever else becomes of the source does not wait.
    world.source.change(large.image_id, status="deactivated")
    world.changed(large.image_id)
    world.run()
    assert world.two.image(large.image_id).status == "deactivated"
    world.places.leave(key(0))
    world.run(seconds=30.0)
    assert world.task(large).proven_id == large.image_id
    assert copied(world) == set(ids([large, *small]))


def key(number, region=TWO):
    image_id = images.ImageId(f"{builders.IMAGE_ID[:-1]}{number}")
    return tasks.TaskKey(image_id=image_id, region=region)


def test_all_places_but_one_are_for_large_images():
    found = slots(3, 100)
    assert found.take(key(1), 100)
    assert found.limit(TWO) is None
    assert found.take(key(2), 1000)
    assert found.limit(TWO) == 100
    assert not found.take(key(3), 100)
    assert found.take(key(3), 99)
    assert found.take(key(1), 100)  # has it already
    assert found.limit(THREE) is None
    assert found.take(key(1, THREE), 100)
    found.leave(key(2))
    found.leave(key(2))
    assert found.limit(TWO) is None
    assert found.take(key(3), 100)


@pytest.mark.parametrize(("per_region", "large_bytes"), [(1, 100), (3, 0)])
def test_no_place_is_kept_where_there_is_one_only_or_nothing_is_large(per_region, large_bytes):
    found = slots(per_region, large_bytes)
    assert all(found.take(key(number), 1000) for number in range(5))
    assert found.limit(TWO) is None


def test_copies_look_again_for_a_place_to_be_read_back_one_at_a_time():
    found = slots(3, 100)
    now = builders.NOW

    def tries(region, at, count):
        return [(found.next_try(region, at) - now).total_seconds() for _ in range(count)]

    assert tries(TWO, now, 3) == [30, 31, 32]
    assert tries(THREE, now, 1) == [30]
    assert tries(TWO, now + datetime.timedelta(seconds=1), 2) == [33, 34]
    assert tries(TWO, now + datetime.timedelta(seconds=60), 2) == [90, 91]


def test_what_is_taken_back_waits_for_few_of_the_copies_that_look_for_a_place():
    world = worlds.World(per_region=1)
    world.catalogue.names -= {THREE}
    first = world.source.publish(b"golden", visibility="public")
    others = [world.source.publish(b"%d" % number) for number in range(40)]
    for image in [first, *others]:
        world.changed(image.image_id)
    world.settle()
    publish(world, SMALL, 1)
    world.worker.dispatch()
    world.submitted.pop()  # a transfer that takes hours
    for image in others:
        world.two.change(image.image_id, os_hash_algo="sha256", os_hash_value="0" * 64)
        world.changed(image.image_id)
    world.clock.advance(1.0)
    while world.worker.dispatch():
        world.submitted.pop()()
    world.clock.advance(31.0)
    world.source.change(first.image_id, visibility="private")
    world.changed(first.image_id)
    world.clock.advance(1.0)
    attempts = 0
    while world.two.image(first.image_id).metadata.visibility == "public":
        assert world.worker.dispatch() == 1
        world.submitted.pop()()
        attempts += 1
    assert attempts <= 3


def test_a_task_beside_those_that_have_a_place_brings_nothing():
    key = tasks.TaskKey(image_id=images.ImageId("one"), region=TWO)
    for large_bytes in (0, 100):
        places = slots(3, large_bytes)
        places.keep_apart(key)
        assert not places.take(key, 1)
        assert not places.take(key, 100)
        places.leave(key)
        assert places.take(key, 100)
