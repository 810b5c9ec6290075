# SPDX-License-Identifier: Apache-2.0
"""From an event to tasks."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import events
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import strategy
from tests.fakes import world as worlds
from tests.unit import builders


@pytest.fixture
def world():
    return worlds.World()


def rows(world):
    return [(task.key.region, task.generation, task.may_delete) for task in world.store.list()]


def test_an_event_requests_every_region_of_the_strategy(world):
    world.changed(builders.IMAGE_ID)
    assert rows(world) == [("RegionThree", 1, False), ("RegionTwo", 1, False)]
    assert world.woken == 1


def test_tasks_of_one_event_share_a_request_and_those_of_another_do_not(world):
    world.changed(builders.IMAGE_ID)
    (first,) = {task.request_id for task in world.store.list()}
    world.changed(builders.IMAGE_ID)
    (second,) = {task.request_id for task in world.store.list()}
    assert first != second


def test_only_a_delete_event_allows_to_delete(world):
    world.deleted(builders.IMAGE_ID)
    assert rows(world) == [("RegionThree", 1, True), ("RegionTwo", 1, True)]


def test_an_event_reaches_copies_that_the_strategy_no_longer_names(world):
    world.changed(builders.IMAGE_ID)
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.NONE)
    world.deleted(builders.IMAGE_ID)
    assert rows(world) == [("RegionThree", 2, True), ("RegionTwo", 2, True)]


def test_a_request_for_one_region_is_for_that_region(world):
    world.changed(builders.IMAGE_ID)
    assert world.intake.request(builders.IMAGE_ID, worlds.CASCADED[0]) == 1
    assert rows(world) == [("RegionThree", 1, False), ("RegionTwo", 2, False)]


def test_images_that_are_requested_together_are_requested_in_that_region_alone(world):
    world.changed(builders.IMAGE_ID)
    both = [builders.IMAGE_ID, builders.COPY_ID]
    assert world.intake.request_in(worlds.CASCADED[0], both, may_delete=True) == 2
    assert rows(world) == [
        ("RegionThree", 1, False), ("RegionTwo", 2, True), ("RegionTwo", 1, True)
    ]
    assert world.woken == 2


@pytest.mark.parametrize("what", ["store", "catalogue"])
def test_an_event_that_cannot_be_stored_is_not_swallowed(world, what):
    getattr(world, what).is_down = True
    with pytest.raises(errors.ServiceUnavailable):
        world.changed(builders.IMAGE_ID)
    getattr(world, what).is_down = False
    assert rows(world) == []
    assert world.woken == 0


def test_a_task_knows_the_project_of_its_image(world):
    image = world.source.publish(b"1", owner="one")
    event = events.ImageEvent(
        image_id=image.image_id, kind=events.EventKind.CHANGED, project="one"
    )
    world.intake.handle(event)
    assert {task.project for task in world.store.list()} == {"one"}
    other = world.source.publish(b"2", owner="two")
    world.reconciliation.run()
    assert {task.project for task in world.store.find([other.image_id])} == {"two"}


def marked_event(image_id, region):
    """Return an event about an image whose mark names the image itself."""
    marks = builders.marks(image_id, region, source_id=builders.COPY_ID)
    mark = mark_properties.read(marks)
    return events.ImageEvent(image_id=image_id, kind=events.EventKind.CHANGED, mark=mark)


def test_a_source_on_which_its_owner_wrote_the_mark_of_a_copy_is_still_requested(world):
    world.changed(builders.IMAGE_ID)
    world.intake.handle(marked_event(builders.IMAGE_ID, worlds.CASCADING))
    assert rows(world) == [("RegionThree", 2, False), ("RegionTwo", 2, False)]


def test_a_copy_is_not_requested(world):
    world.intake.handle(marked_event(builders.IMAGE_ID, worlds.CASCADING))
    assert rows(world) == []
    world.changed(builders.IMAGE_ID)
    before = rows(world)
    region = worlds.CASCADED[0]
    world.intake.handle(marked_event(builders.IMAGE_ID, region), region)
    assert rows(world) == before


def test_an_image_with_the_mark_of_a_copy_still_takes_access_from_its_copies(world):
    image = world.source.publish(b"malware", owner="mallory", visibility="public")
    world.changed(image.image_id)
    world.settle()
    marks = builders.marks(image.image_id, worlds.CASCADING, source_id=builders.COPY_ID)
    world.source.change(image.image_id, visibility="private", **marks)
    world.intake.handle(marked_event(image.image_id, worlds.CASCADING))
    world.settle()
    assert world.two.image(image.image_id).metadata.visibility == "private"
