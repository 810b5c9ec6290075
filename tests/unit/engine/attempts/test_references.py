# SPDX-License-Identifier: Apache-2.0
"""What an image boots by is named by the id that it has in the region of the copy."""

import logging

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import events
from glance_sync_agent.domain import snapshots
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
SNAPSHOT = {snapshots.IMAGE_TYPE: snapshots.SNAPSHOT}


@pytest.fixture
def world():
    return worlds.World()


def spend(world, image_id):
    """Have RegionTwo never give an id out again."""
    world.two.make(image_id=image_id)
    world.two.delete(world.two.image(image_id))


def publish(world, data=b"1", **properties):
    image = world.source.publish(data, properties=properties)
    world.changed(image.image_id)
    world.run()
    return image


def copy_of(world, image, region=TWO):
    return world.regions.glances[region].image(world.task(image, region).copy_id)


def named(world, image, region=TWO, name="kernel_id"):
    return copy_of(world, image, region).metadata.properties[name]


def calls(world):
    """Note what the cascading Glance is asked."""
    asked = []
    world.source.before = lambda name, image_id: asked.append((name, image_id))
    return asked


def publish_kernel(world):
    """Publish one whose copy in RegionTwo gets an id of its own."""
    kernel = world.source.make()
    spend(world, kernel.image_id)
    world.source.put_data(kernel.image_id, b"kernel")
    return kernel


@pytest.mark.parametrize("name", ["kernel_id", "ramdisk_id"])
def test_a_copy_names_the_copy_that_has_an_id_of_its_own(world, name):
    kernel = publish_kernel(world)
    world.changed(kernel.image_id)
    world.run()
    image = publish(world, **{name: kernel.image_id})

    there = world.task(kernel).copy_id
    assert there != kernel.image_id
    assert named(world, image, TWO, name) == there
    assert named(world, image, THREE, name) == kernel.image_id
    assert world.reconciliation.run().requested == 0


def snapshot(world, data, **fields):
    """Publish a snapshot in RegionThree, and copy it."""
    made = world.three.publish(data, **fields)
    event = events.ImageEvent(
        image_id=made.image_id, kind=events.EventKind.CHANGED, is_snapshot=True
    )
    world.intake.handle(event, THREE)
    world.settle()
    return made


def test_an_image_of_another_region_with_the_id_of_a_kernel_is_not_named():
    world = worlds.World(snapshot_origins=[THREE])
    kernel = publish_kernel(world)
    world.source.change(kernel.image_id, **{strategy.SYNC_REGIONS: strategy.NOWHERE})
    image = publish(world, kernel_id=kernel.image_id)
    evil = snapshot(world, b"evil", image_id=kernel.image_id, properties=SNAPSHOT)
    assert world.two.data(world.task(evil).copy_id) == b"evil"
    world.reconciliation.run()
    world.settle()
    assert named(world, image) == kernel.image_id


def test_a_snapshot_that_names_a_copied_kernel_names_the_copy_of_each_region():
    world = worlds.World(snapshot_origins=[THREE])
    kernel = publish_kernel(world)
    world.changed(kernel.image_id)
    world.settle()
    assert world.task(kernel, THREE).copy_id == kernel.image_id
    of_server = snapshot(world, b"1", properties={**SNAPSHOT, "kernel_id": kernel.image_id})
    assert named(world, of_server) == world.task(kernel).copy_id != kernel.image_id
    assert world.reconciliation.run().requested == 0


def test_a_kernel_that_comes_later_is_named_without_a_look_at_everything(world):
    kernel = publish_kernel(world)
    image = publish(world, kernel_id=kernel.image_id)
    assert named(world, image) == kernel.image_id

    world.changed(kernel.image_id)
    world.run()
    assert named(world, image) == world.task(kernel).copy_id
    assert named(world, image, THREE) == kernel.image_id
    assert world.reconciliation.run().requested == 0


def test_a_kernel_that_is_copied_anew_is_named_by_its_new_id(world):
    kernel = publish(world, b"kernel")
    image = publish(world, kernel_id=kernel.image_id)
    ids = []
    for _ in range(2):
        ids.append(named(world, image))
        world.two.delete(copy_of(world, kernel))
        world.changed(kernel.image_id)
        world.settle()  # what vanishes again and again is copied again ever later
        assert named(world, image) == world.task(kernel).copy_id
    assert len({*ids, named(world, image)}) == 3


def test_a_copy_that_is_found_again_is_named_too(world):
    kernel = publish_kernel(world)
    world.changed(kernel.image_id)
    world.run()
    image = publish(world, kernel_id=kernel.image_id)
    there = named(world, image)
    del world.store._rows[world.task(kernel).key]  # a database that lost a row
    world.changed(image.image_id)
    world.run()
    assert named(world, image) == kernel.image_id

    world.changed(kernel.image_id)
    world.run()
    assert named(world, image) == there


def test_a_kernel_that_failed_on_its_way_is_named_when_it_is_there(world):
    kernel = publish_kernel(world)
    image = publish(world, kernel_id=kernel.image_id)

    def cut(name, _image_id):
        if name == "write":
            raise errors.TransferInterrupted("cut")

    world.two.before = cut
    world.changed(kernel.image_id)
    world.run()
    world.two.before = lambda _name, _image_id: None
    world.run(seconds=100.0)
    assert world.task(kernel).status is tasks.TaskStatus.SUCCESS
    assert named(world, image) == world.task(kernel).copy_id


def test_a_look_at_everything_finds_what_was_not_requested(world, caplog):
    kernel = publish_kernel(world)
    image = publish(world, kernel_id=kernel.image_id)

    def refuse(name, _image_id):
        if name == "referring_to":
            raise errors.Refused("no")

    world.source.before = refuse
    world.changed(kernel.image_id)
    with caplog.at_level(logging.WARNING):
        world.run()
    assert "wait for the next full scan: no" in caplog.text
    assert world.task(kernel).status is tasks.TaskStatus.SUCCESS
    assert named(world, image) == kernel.image_id

    assert world.reconciliation.run().requested == 1
    world.run()
    assert named(world, image) == world.task(kernel).copy_id
    assert world.reconciliation.run().requested == 0


def test_nobody_asks_who_names_a_copy_with_its_source_s_id(world):
    asked = calls(world)
    kernel = publish(world, b"kernel")
    publish(world, kernel_id=kernel.image_id)
    assert "referring_to" not in [name for name, _ in asked]


def test_nobody_asks_again_when_a_copy_with_an_id_of_its_own_is_only_changed(world):
    kernel = publish_kernel(world)
    world.changed(kernel.image_id)
    world.run()
    asked = calls(world)
    world.source.change(kernel.image_id, name="renamed")
    world.changed(kernel.image_id)
    world.run()
    assert copy_of(world, kernel).metadata.name == "renamed"
    assert "referring_to" not in [name for name, _ in asked]


def test_an_image_that_is_not_in_the_region_is_not_requested_there(world):
    kernel = publish_kernel(world)
    image = world.source.publish(b"1", properties={"kernel_id": kernel.image_id})
    world.changed(kernel.image_id)
    world.run()
    assert world.task(kernel).status is tasks.TaskStatus.SUCCESS
    assert world.store.get(tasks.TaskKey(image_id=image.image_id, region=TWO)) is None


def test_an_image_without_kernel_costs_the_database_no_question(world):
    image = publish(world)
    plain, found, find = copy_of(world, image), [], world.store.find

    def noting(ids):
        found.append(ids)
        return find(ids)

    world.store.find = noting
    wanted = world.copies.in_region(TWO)
    assert wanted(world.source.image(image.image_id), plain).metadata.name == plain.metadata.name
    assert found == []

    kernel = publish_kernel(world)
    image = world.source.publish(b"1", properties={"kernel_id": kernel.image_id})
    assert wanted(image, None) is image
    assert found == [[kernel.image_id]]
