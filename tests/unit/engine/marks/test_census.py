# SPDX-License-Identifier: Apache-2.0
"""Marked images: their kinds, and the adoption of copies that no task knows."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.engine.asked import Asked
from glance_sync_agent.engine.marks import census
from tests.fakes import world as worlds
from tests.unit import builders

DATA = b"golden image"
TWO, THREE = worlds.CASCADED

ALICE = Asked(by="alice")
SNAPSHOT = {"image_type": "snapshot"}


@pytest.fixture
def world():
    return worlds.World()


@pytest.fixture
def copied(world):
    image = world.source.publish(DATA, name="golden", owner="alpha")
    world.changed(image.image_id)
    world.run()
    return image


def inherited(world, copied, **fields):
    """Make what Nova makes of a server that was booted from a copy."""
    copy = world.two.image(copied.image_id)
    marks = mark_properties.of_copy(copied, copy.image_id, TWO)
    return world.two.publish(b"of a user", owner="bob", properties=marks, **fields)


def kinds(world, region=TWO):
    return {one.image.image_id: one.kind.value for one in world.census.find(region)}


def report(world, *regions):
    world.engine.scans.adoption.adopt_unknown(regions)


def lose_database(world):
    world.store.__init__()


def test_a_copy_is_one_and_a_snapshot_of_its_servers_is_none(world, copied):
    snapshot = inherited(world, copied)
    world.two.publish(b"unmarked")
    assert kinds(world) == {copied.image_id: "copy", snapshot.image_id: "inherited"}
    assert kinds(world, THREE) == {copied.image_id: "copy"}


def test_a_copy_that_no_row_knows_is_an_orphan_only_without_its_source(world, copied):
    lose_database(world)
    assert kinds(world) == {copied.image_id: "copy"}
    world.two.change(copied.image_id, owner="mallory")
    assert kinds(world) == {copied.image_id: "doubtful"}
    world.source.delete_as_user(copied.image_id)
    assert kinds(world) == {copied.image_id: "orphan"}


def test_a_copy_whose_row_knows_another_image_is_doubtful_though_its_source_is_gone(
    world, copied
):
    world.two.change(copied.image_id, created_at="2031-01-01T00:00:00Z")
    world.source.delete_as_user(copied.image_id)
    assert kinds(world) == {copied.image_id: "doubtful"}


def test_one_image_is_judged_alone_as_among_the_others(world, copied):
    snapshot = inherited(world, copied)
    whose = world.census.whose
    assert whose(world.two.image(copied.image_id)).kind is census.MarkKind.COPY
    assert whose(world.two.image(snapshot.image_id)).kind is census.MarkKind.INHERITED
    assert whose(world.two.publish(b"unmarked")).kind is census.MarkKind.INHERITED


def test_a_source_of_a_region_that_left_the_catalogue_is_not_gone(world):
    marks = builders.marks(builders.IMAGE_ID, TWO, source_region=worlds.CASCADING)
    image = world.two.publish(DATA, image_id=builders.IMAGE_ID, properties=marks)
    assert kinds(world) == {image.image_id: "orphan"}
    elsewhere = builders.marks(builders.IMAGE_ID, TWO, source_region="RegionNine")
    world.two.change(image.image_id, **elsewhere)
    (found,) = world.census.find(TWO)
    assert found.kind is census.MarkKind.DOUBTFUL
    assert found.reason == (
        "its source is in region RegionNine, which is not in Keystone's catalogue"
    )


def test_a_copy_that_names_a_region_outside_the_catalogue_is_no_orphan(world):
    marks = builders.marks(builders.IMAGE_ID, "OldTwo", source_region=worlds.CASCADING)
    image = world.two.publish(DATA, image_id=builders.IMAGE_ID, properties=marks)
    (found,) = world.census.find(TWO)
    assert found.kind is census.MarkKind.DOUBTFUL
    assert "region rename OldTwo RegionTwo" in found.reason
    replicated = builders.marks(builders.IMAGE_ID, THREE, source_region=worlds.CASCADING)
    world.two.change(image.image_id, **replicated)
    assert kinds(world) == {image.image_id: "inherited"}


def test_an_image_that_came_back_from_a_region_outside_the_catalogue_is_inherited(
    world,
):
    marks = builders.marks(builders.IMAGE_ID, "OldTwo", source_region=worlds.CASCADING)
    world.source.publish(DATA, image_id=builders.IMAGE_ID, properties=marks)
    assert kinds(world, worlds.CASCADING) == {builders.IMAGE_ID: "inherited"}


def test_copies_of_the_snapshots_of_another_region_are_counted_as_well():
    world = worlds.World(snapshot_origins=[THREE])
    marks = builders.marks(builders.IMAGE_ID, TWO, source_region=THREE)
    image = world.two.publish(DATA, image_id=builders.IMAGE_ID, properties=marks)
    assert kinds(world) == {image.image_id: "orphan"}


def test_a_source_that_a_listing_misses_is_read_by_its_id(world, copied):
    lose_database(world)
    find = world.source.find
    world.source.find = lambda ids: {
        one: image for one, image in find(ids).items() if one != copied.image_id
    }
    assert kinds(world) == {copied.image_id: "copy"}


def test_the_log_names_only_what_an_operator_must_settle(world, copied, caplog):
    inherited(world, copied)
    report(world, worlds.CASCADING, TWO, THREE)
    assert caplog.text == ""
    lose_database(world)
    world.source.delete_as_user(copied.image_id)
    report(world, worlds.CASCADING, TWO)
    assert "Region RegionTwo has 0 doubtful images and 1 orphans" in caplog.text
    assert "RegionOne" not in caplog.text


def test_a_region_that_does_not_answer_is_left_out_and_named(world, copied, caplog):
    def refuse(_name, _image_id):
        raise errors.ServiceUnavailable("no answer")

    world.two.before = refuse
    lose_database(world)
    world.source.delete_as_user(copied.image_id)
    report(world, TWO, THREE)
    assert "Could not count the marked images of region RegionTwo: no answer" in caplog.text
    assert "Region RegionThree has 0 doubtful images and 1 orphans" in caplog.text


def test_the_daily_count_adopts_a_copy_that_no_task_knows_wanted_or_not(world, copied):
    lose_database(world)
    world.count_marked()
    known = world.task(copied).known_copy
    assert known is not None
    assert known.created_at == world.two.image(copied.image_id).created_at
    world.settle()
    assert world.task(copied).reason == "in sync"


@pytest.mark.parametrize(
    ("properties", "adopted_for"), [(SNAPSHOT, [THREE]), ({}, [])]
)
def test_a_copy_of_a_snapshot_of_another_region_is_adopted_for_that(properties, adopted_for):
    """Other images of that region are sources of another agent only."""
    world = worlds.World(snapshot_origins=[THREE])
    there = world.three.publish(DATA, owner="alpha", properties=properties)
    marks = mark_properties.of_copy(there, builders.IMAGE_ID, TWO)
    world.two.publish(
        DATA, image_id=builders.IMAGE_ID, owner="alpha", properties={**properties, **marks}
    )
    world.count_marked()
    world.settle()
    found = [row.source_region for row in world.store.find([there.image_id])]
    assert found[:1] == adopted_for


def test_a_copy_that_an_agent_with_the_opposite_direction_made_is_left_to_that_agent(
    world, caplog
):
    caplog.set_level("INFO")
    there = world.three.publish(DATA, owner="alpha", visibility="public")
    marks = mark_properties.of_copy(there, there.image_id, TWO)
    copy = world.two.publish(
        DATA, image_id=there.image_id, owner="alpha", visibility="private", properties=marks
    )
    assert kinds(world) == {there.image_id: "unadopted"}
    world.count_marked()
    assert "Region RegionTwo has 1 copies that no task knows" in caplog.text
    assert "RegionOne" not in caplog.text
    world.settle()
    assert list(world.store.list()) == []
    assert world.two.image(there.image_id) == copy


def test_a_copy_of_an_opposite_agent_whose_source_is_gone_is_no_orphan(world):
    marks = builders.marks(builders.IMAGE_ID, TWO, source_region=THREE)
    copy = world.two.publish(DATA, image_id=builders.IMAGE_ID, properties=marks)
    assert kinds(world) == {copy.image_id: "unadopted"}
    with pytest.raises(errors.ImageConflict, match=r"is no orphan.*delete the image in its"):
        world.engine.scans.settling.delete_orphan(TWO, copy.image_id, ALICE)
    assert world.two.ids() == {copy.image_id}


def test_a_copy_of_a_region_that_is_copied_no_more_is_one_as_long_as_its_row_knows_it():
    world = worlds.World(snapshot_origins=[THREE])
    there = world.three.publish(DATA, owner="alpha", properties=SNAPSHOT)
    marks = mark_properties.of_copy(there, builders.IMAGE_ID, TWO)
    world.two.publish(
        DATA, image_id=builders.IMAGE_ID, owner="alpha", properties={**SNAPSHOT, **marks}
    )
    world.count_marked()
    later = worlds.World(worlds.Outside(regions=world.regions, store=world.store))
    assert kinds(later) == {builders.IMAGE_ID: "copy"}
    later.store.__init__()
    assert kinds(later) == {builders.IMAGE_ID: "unadopted"}


def test_of_two_copies_that_no_row_knows_one_is_adopted(world, copied):
    marks = mark_properties.of_copy(copied, builders.COPY_ID, TWO)
    world.two.publish(DATA, image_id=builders.COPY_ID, owner="alpha", properties=marks)
    lose_database(world)
    world.count_marked()
    known = world.task(copied).known_copy
    world.count_marked()
    assert world.task(copied).known_copy == known
    assert sorted(kinds(world).values()) == ["copy", "doubtful"]


def test_the_daily_count_does_not_adopt_a_record_without_data(world, copied):
    lose_database(world)
    world.two.change(copied.image_id, status="queued", size=None, os_hash_value=None)
    world.count_marked()
    assert [row.key.region for row in world.store.find([copied.image_id])] == [THREE]
