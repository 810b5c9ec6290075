# SPDX-License-Identifier: Apache-2.0
"""Where an image belongs, as it is shown."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine.reports import placement_reports
from tests.fakes import world as worlds
from tests.unit import builders

TWO, THREE = worlds.CASCADED
UNKNOWN = images.ImageId("99999999-9999-4999-8999-999999999999")


@pytest.fixture
def world():
    return worlds.World()


def find(world, image_id, say=None):
    said = [] if say is None else say
    return placement_reports.find(world.regions, world.catalogue, image_id, said.append)


def test_a_source_is_an_image_of_the_cascading_region(world):
    image = world.source.publish()
    assert find(world, image.image_id).region == worlds.CASCADING


def test_a_snapshot_of_another_region_is_a_source_and_other_images_are_none(world):
    snapshot = world.two.publish(image_type="snapshot")
    assert find(world, snapshot.image_id).region == TWO
    other = world.two.publish()
    with pytest.raises(placement_reports.NoSource, match="and no snapshot with that id"):
        find(world, other.image_id)


def test_a_copy_in_the_cascading_region_is_shown_if_there_is_nothing_else(world):
    properties = builders.marks(
        UNKNOWN, worlds.CASCADING, source_id=UNKNOWN, source_region=TWO
    )
    copied = world.source.publish(image_id=UNKNOWN, properties=properties)
    assert find(world, copied.image_id).region == worlds.CASCADING


def test_a_region_that_does_not_answer_leaves_it_open(world):
    def fail(_name, _image_id):
        raise errors.ServiceUnavailable("down")

    said: list[str] = []
    world.three.before = fail
    with pytest.raises(errors.SyncError, match="there is no image") as caught:
        find(world, UNKNOWN, said)
    assert not isinstance(caught.value, placement_reports.NoSource)
    assert said == ["region RegionThree was not searched: down"]


def test_an_image_that_cannot_be_copied_belongs_nowhere(world):
    image = world.source.make(name="without data")
    placements = world.targets.placements(image)
    rows = list(placement_reports.rows(image, placements))
    assert [tuple(row) for row in rows] == [placement_reports.FIELDS] * 2
    assert {(row["wanted"], row["decided_by"]) for row in rows} == {("no", "image")}


def test_each_region_says_what_decided(world):
    image = world.source.publish()
    rows = placement_reports.rows(image, world.targets.placements(image))
    assert [(row["region"], row["wanted"]) for row in rows] == [
        (region, "yes") for region in sorted([TWO, THREE])
    ]
