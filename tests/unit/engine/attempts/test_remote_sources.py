# SPDX-License-Identifier: Apache-2.0
"""The images of other regions that hold the data of sources are looked at."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import remotes
from tests.fakes import world as worlds
from tests.unit import builders

TWO, THREE = worlds.CASCADED
DATA = b"the disk of a server"


@pytest.fixture
def world():
    made = worlds.World()
    made.source.shows_locations = True
    return made


@pytest.fixture
def asked(world):
    """What the regions are asked from now on; the images of a test are made before."""
    found = []
    for service in world.regions.glances.values():
        service.before = lambda name, _id, region=service.region: found.append((region, name))
    return found


def away(_name, _image_id):
    raise errors.ServiceUnavailable("no answer")


def test_an_image_with_its_data_is_as_it_is_and_costs_nothing(world, asked):
    image = world.source.publish(DATA)
    assert world.joining.join(image) is image
    assert world.joining.join_all([image]).sources == {image.image_id: image}
    assert asked == []


def test_a_copy_has_its_data_wherever_it_says_it_is(world, asked):
    marks = builders.marks(builders.IMAGE_ID, worlds.CASCADING)
    there = world.two.publish(DATA)
    image = world.refer(there, image_id=builders.IMAGE_ID, properties=marks)
    assert image.remote is not None
    assert world.joining.join(image) is image
    assert world.joining.join_all([image]).sources == {image.image_id: image}
    assert asked == []


def test_data_elsewhere_is_looked_at_there(world, asked):
    there = world.two.publish(DATA)
    image = world.refer(there)
    joined = world.joining.join(image)
    assert joined == remotes.with_remote_data(image, TWO, there)
    assert joined.size == len(DATA)
    assert asked == [(TWO, "get_record")]
    assert world.joining.join_all([image]).sources == {image.image_id: joined}


def test_data_that_is_gone_is_not_there(world):
    there = world.two.publish(DATA)
    image = world.refer(there)
    world.two.delete_as_user(there.image_id)
    gone = remotes.with_remote_data(image, TWO, None)
    assert world.joining.join(image) == gone
    assert world.joining.join_all([image]).sources == {image.image_id: gone}


def test_a_url_of_nobody_leads_nowhere(world, asked):
    there = world.two.publish(DATA)
    image = world.refer(there, url=f"http://elsewhere.example/v2/images/{there.image_id}")
    nowhere = remotes.with_remote_data(image, None, None)
    assert world.joining.join(image) == nowhere
    assert world.joining.join_all([image]).sources == {image.image_id: nowhere}
    assert asked == []


def test_many_cost_one_question_to_each_region(world, asked):
    made = [
        *(world.refer(world.two.publish(DATA)) for _ in range(3)),
        *(world.refer(world.three.publish(DATA)) for _ in range(2)),
        world.refer(world.two.make()),
        world.source.publish(DATA),
    ]
    joined = world.joining.join_all(made)
    assert not joined.failures
    assert list(joined.sources.values()) == [world.joining.join(one) for one in made]
    assert sorted(asked[:2]) == [(THREE, "find"), (TWO, "find")]


def test_two_with_the_same_data_are_both_joined(world):
    there = world.two.publish(DATA)
    made = [world.refer(there), world.refer(there)]
    joined = world.joining.join_all(made).sources
    assert {one.size for one in joined.values()} == {len(DATA)}
    assert set(joined) == {one.image_id for one in made}


def test_one_that_was_killed_is_in_no_list_and_is_found_all_the_same(world):
    there = world.two.publish(DATA)
    world.two.change(there.image_id, status="killed")
    image = world.refer(there)
    joined = world.joining.join_all([image]).sources[image.image_id]
    assert remotes.loss(joined) == "snapshot was killed in region RegionTwo"


def test_a_region_that_does_not_answer_hides_its_own_alone(world):
    hidden, seen = world.refer(world.two.publish(DATA)), world.refer(world.three.publish(DATA))
    world.two.before = away
    with pytest.raises(errors.ServiceUnavailable):
        world.joining.join(hidden)
    joined = world.joining.join_all([hidden, seen])
    assert set(joined.sources) == {seen.image_id}
    assert {region: str(why) for region, why in joined.failures.items()} == {TWO: "no answer"}
