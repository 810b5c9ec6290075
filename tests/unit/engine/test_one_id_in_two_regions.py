# SPDX-License-Identifier: Apache-2.0
"""A snapshot of another region, and an image of the cascading region that has its id."""

import pytest

from glance_sync_agent.domain import events
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine.reconcile import differences
from tests.fakes import world as worlds

ONE = worlds.CASCADING
TWO, THREE = worlds.CASCADED
DATA = b"golden image"


@pytest.fixture
def world():
    world = worlds.World(snapshot_origins=(THREE,))
    world.source.publish(b"another", owner="bob")
    world.clock.advance(100)
    return world


@pytest.fixture
def found(world):
    """Return where what the scans find is kept."""
    kept: list[differences.Difference] = []
    request = differences.requesting(world.intake)

    def keep(some):
        kept.extend(some)
        return request(some)

    world.reconciliation = world.make_scan(keep)
    return kept


def heard(world, image, *, deleted=False):
    """Bring an event of RegionThree."""
    kind = events.EventKind.DELETED if deleted else events.EventKind.CHANGED
    event = events.ImageEvent(image_id=image.image_id, kind=kind, is_snapshot=True)
    world.intake.handle(event, THREE)
    world.settle()


def snapshot(world, **metadata):
    image = world.three.publish(
        DATA, owner="bob", properties={"image_type": "snapshot"}, **metadata
    )
    heard(world, image)
    return image


def sources(world, image):
    """Return the regions of the sources of an image's tasks, by the region of the copy."""
    return {
        task.key.region: task.source_region
        for task in world.store.list(image_id=image.image_id)
    }


def look(world):
    report = world.reconciliation.run()
    world.settle()
    return report


@pytest.fixture
def copied_to_one(world):
    """Return a snapshot that has a copy in the cascading region, too."""
    world.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({ONE, TWO}))
    image = snapshot(world, visibility="shared")
    assert sources(world, image) == {ONE: THREE, TWO: THREE}
    return image


def test_a_look_takes_no_copy_in_the_cascading_region_for_a_source(world, copied_to_one, found):
    look(world)
    assert sources(world, copied_to_one) == {ONE: THREE, TWO: THREE}
    assert [one for one in found if one.image_id == copied_to_one.image_id] == []


def test_members_of_a_copy_in_the_cascading_region_concern_nobody(world, copied_to_one):
    world.store.disown(world.task(copied_to_one).key, copied_to_one.image_id)
    before = world.task(copied_to_one)
    told = {"image_id": copied_to_one.image_id, "member_id": "alpha", "status": "pending"}
    world.intake.handle(events.parse("image.member.create", told))
    assert world.task(copied_to_one) == before
    assert sources(world, copied_to_one) == {ONE: THREE, TWO: THREE}


def test_a_copy_in_the_cascading_region_that_is_gone_can_be_a_source_that_is_deleted(
    world, copied_to_one
):
    world.deleted(copied_to_one.image_id)
    assert sources(world, copied_to_one)[THREE] is None


def test_the_end_of_a_snapshot_reaches_all_its_copies_after_a_look(world, copied_to_one):
    look(world)
    world.three.delete_as_user(copied_to_one.image_id)
    heard(world, copied_to_one, deleted=True)
    assert copied_to_one.image_id not in world.source.ids() | world.two.ids()


@pytest.fixture
def squatted(world):
    """Return a snapshot whose id somebody else gave to an image in the cascading region."""
    image = snapshot(world, visibility="public")
    world.source.publish(b"m", image_id=image.image_id, owner="mallory", visibility="public")
    world.changed(image.image_id)
    world.settle()
    return image


def test_an_image_with_the_id_of_a_snapshot_takes_no_copy_of_that(world, squatted):
    look(world)
    assert sources(world, squatted) == {TWO: THREE, THREE: None}
    world.three.change(squatted.image_id, visibility="private")
    heard(world, squatted)
    assert world.two.image(squatted.image_id).metadata.visibility == "private"
    world.three.delete_as_user(squatted.image_id)
    heard(world, squatted, deleted=True)
    assert world.two._data.get(squatted.image_id) != DATA


def test_an_image_with_the_id_of_a_snapshot_is_told_of_in_a_look(world, squatted, found, caplog):
    before = world.task(squatted)
    look(world)
    told = [(one.region, one.step.what, one.step.why) for one in found
            if (one.image_id, one.region) == (squatted.image_id, TWO)]
    assert told == [
        (TWO, "report", "the region has a copy of another region's image with the same id")
    ]
    assert world.task(squatted) == before
    assert "1 images of region RegionOne cannot be copied to region RegionTwo" in caplog.text


def test_an_image_with_the_id_of_a_snapshot_is_not_told_of_where_nobody_wants_it(
    world, squatted, found
):
    world.policy = strategy.PlacementPolicy(
        strategy=strategy.Strategy.NONE, snapshot_regions=frozenset({TWO})
    )
    look(world)
    assert [one for one in found if one.step.what == "report"] == []


def test_an_image_gets_its_copy_once_the_snapshot_with_its_id_is_gone(world, squatted):
    world.three.delete_as_user(squatted.image_id)
    heard(world, squatted, deleted=True)
    look(world)
    assert b"m" in world.two._data.values()  # the id is spent there
    assert sources(world, squatted)[TWO] is None
