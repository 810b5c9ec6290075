# SPDX-License-Identifier: Apache-2.0
"""A cascaded region has a new name in Keystone's catalogue, and nobody told the agent."""

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.engine.asked import Asked
from tests.fakes import world as worlds

DATA = b"golden image"
TWO, THREE = worlds.CASCADED
NEW = images.RegionId("Region2")

ALICE = Asked(by="alice")


@pytest.fixture
def world():
    return worlds.World()


@pytest.fixture
def copied(world):
    world.source.publish(b"another one", owner="alpha")
    image = world.source.publish(DATA, owner="alpha", visibility="public")
    world.changed(image.image_id)
    world.settle()
    world.catalogue.names = frozenset({worlds.CASCADING, NEW, THREE})
    world.regions.glances[NEW] = world.two
    world.two.region = NEW
    return image


def look(world):
    world.reconciliation.run()
    world.settle()


def failure(world, image):
    task = world.task(image, NEW)
    assert task.status == "failure"
    return task.reason


def test_no_second_copy_is_made_and_the_operator_hears_what_to_do(world, copied):
    look(world)
    assert [one for one in world.two.ids() if world.two.image(one).size == len(DATA)] == [
        copied.image_id
    ]
    told = failure(world, copied)
    assert "its mark names region RegionTwo, which is not in Keystone's catalogue" in told
    assert "glance-sync-manage region rename RegionTwo Region2" in told
    assert f"glance-sync adopt {copied.image_id} --region Region2" in told


def test_a_deactivated_source_finds_the_copy_as_well(world, copied):
    world.source.change(copied.image_id, status="deactivated")
    look(world)
    assert "region rename RegionTwo Region2" in failure(world, copied)


def test_what_a_source_takes_back_is_reported_as_not_done(world, copied):
    look(world)
    world.source.change(copied.image_id, visibility="private")
    world.changed(copied.image_id)
    world.settle()
    assert "region rename RegionTwo Region2" in failure(world, copied)


def test_the_daily_look_reports_them_with_and_without_their_sources(world, copied, caplog):
    world.count_marked()
    world.source.delete_as_user(copied.image_id)
    world.deleted(copied.image_id)
    look(world)
    assert copied.image_id in world.two.ids()
    world.count_marked()
    assert caplog.text.count("Region Region2 has 1 doubtful images and 0 orphans") == 2


def test_what_somebody_replicated_from_a_region_of_the_catalogue_takes_no_place(world):
    """Another tool brought the copy of a third region, with its id and its properties."""
    image = world.source.publish(DATA, owner="alpha")
    world.two.publish(
        DATA, image_id=image.image_id, owner="alpha",
        properties=mark_properties.of_copy(image, image.image_id, THREE),
    )
    world.changed(image.image_id)
    world.settle()
    task = world.task(image, TWO)
    assert (task.status, task.reason) == ("success", "in sync")
    assert task.copy_id != image.image_id


@pytest.fixture
def settle(world):
    return world.engine.scans.settling


def test_a_copy_with_the_old_name_is_adopted_by_name(world, copied, settle):
    look(world)
    assert settle.adopt(NEW, copied.image_id, ALICE) == images.key_of(copied)
    world.settle()
    assert world.task(copied, NEW).reason == "in sync"
    mark = world.two.image(copied.image_id).mark
    assert mark is not None
    assert mark.copy_region == NEW


def test_a_copy_with_the_old_name_is_disowned_by_name(world, copied, settle):
    assert settle.disown(NEW, copied.image_id, ALICE) == images.key_of(copied)
    assert world.two.image(copied.image_id).mark is None
