# SPDX-License-Identifier: Apache-2.0
"""Records that came and went without ever having had data cost no region a request."""

import pytest

from glance_sync_agent.domain import events
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from tests.fakes import glance
from tests.fakes import world as worlds

FIVE = [images.RegionId(f"RegionOf{number}") for number in range(5)]
SNAPSHOT = {"image_type": "snapshot"}


@pytest.fixture
def world():
    outside = worlds.Outside()
    outside.catalogue.names = frozenset({worlds.CASCADING, *FIVE})
    outside.regions.glances = {
        name: glance.FakeGlance(name)
        for name in (worlds.CASCADING, *worlds.CASCADED, *FIVE)
    }
    return worlds.World(outside)


@pytest.fixture
def asked(world):
    """Return the calls that cascaded regions get from now on."""
    found = []
    for region in FIVE:
        service = world.regions.glances[region]
        service.before = lambda name, _image_id, region=region: found.append((region, name))
    return found


def tell(world, event_type, image):
    """Bring a notification as Glance sends it."""
    payload = {
        "id": image.image_id,
        "status": image.status.value,
        "properties": dict(image.metadata.properties),
    }
    event = events.parse(event_type, payload)
    if event is not None:
        world.intake.handle(event)
    world.run()


def create(world, **properties):
    image = world.source.make(visibility="shared", properties=properties)
    tell(world, "image.create", image)
    return image


def delete(world, image):
    image = world.source.image(image.image_id)
    world.source.delete_as_user(image.image_id)
    tell(world, "image.delete", image)


def test_one_that_was_deleted_without_data_costs_no_request(world, asked):
    looks = []
    world.source.before = lambda name, _image_id: looks.append(name)
    image = create(world)
    looks.clear()
    image = world.source.image(image.image_id)
    world.source.delete_as_user(image.image_id)
    looks.clear()
    tell(world, "image.delete", image)
    assert asked == []
    assert looks == ["get"]  # all five views of the source are one
    assert not list(world.store.list())


def test_one_whose_upload_failed_costs_no_request(world, asked):
    image = create(world)
    for status in ("saving", "queued"):
        world.source.change(image.image_id, status=status)
        tell(world, "image.update", world.source.image(image.image_id))
    tell(world, "image.prepare", image)
    delete(world, image)
    assert asked == []
    assert not list(world.store.list())


def test_a_snapshot_that_was_deleted_before_it_had_data_costs_no_request(world, asked):
    image = create(world, **SNAPSHOT)
    waiting = list(world.store.list())
    assert [task.status for task in waiting] == [tasks.TaskStatus.PENDING] * 5
    world.snapshots.check()
    world.run(seconds=10.0)
    delete(world, image)
    world.settle()
    assert asked == []
    assert {task.reason for task in world.store.list()} == {
        "snapshot was deleted before it had data"
    }


def test_a_snapshot_that_was_killed_costs_no_request(world, asked):
    image = create(world, **SNAPSHOT)
    world.source.change(image.image_id, status="killed")
    world.snapshots.check()
    world.run()
    delete(world, image)
    world.settle()
    assert asked == []


@pytest.mark.parametrize("status", ["killed", None])
def test_a_snapshot_that_went_in_another_region_costs_no_request_in_the_others(
    world, asked, status
):
    home = world.two
    there = home.make(visibility="public")
    world.source.shows_locations = True
    image = world.refer(there, visibility="public", properties=SNAPSHOT)
    world.catalogue.names |= {home.region}
    tell(world, "image.create", image)
    if status is None:
        home.delete_as_user(there.image_id)
    else:
        home.change(there.image_id, status=status)
    world.snapshots.check()
    world.run()
    assert {task.reason for task in world.store.list()} >= {
        f"snapshot was {status or 'deleted'} in region RegionTwo before it was copied"
    }
    delete(world, image)
    world.settle()
    assert asked == []


def test_one_that_was_copied_is_deleted_everywhere_although_it_comes_and_goes_by_then(world):
    image = create(world)
    world.source.put_data(image.image_id, b"1")
    tell(world, "image.activate", world.source.image(image.image_id))
    assert all(image.image_id in world.regions.glances[region].ids() for region in FIVE)
    delete(world, image)
    assert not any(world.regions.glances[region].ids() for region in FIVE)


def test_one_that_is_waiting_for_its_data_is_copied_once_it_has_it(world, asked):
    image = create(world, **SNAPSHOT)
    assert asked == []
    world.source.put_data(image.image_id, b"1")
    tell(world, "image.activate", world.source.image(image.image_id))
    assert all(image.image_id in world.regions.glances[region].ids() for region in FIVE)


def test_an_occupant_of_a_waiting_snapshot_s_id_is_found_once_there_is_something_to_copy(world):
    image = create(world, **SNAPSHOT)
    occupied = world.regions.glances[FIVE[0]]
    occupied.publish(b"2", image_id=image.image_id)
    world.run(seconds=1.0)
    world.source.put_data(image.image_id, b"1")
    tell(world, "image.activate", world.source.image(image.image_id))
    assert world.task(image, FIVE[0]).status is tasks.TaskStatus.FAILURE
    assert occupied.data(image.image_id) == b"2"
