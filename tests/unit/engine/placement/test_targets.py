# SPDX-License-Identifier: Apache-2.0
"""USER in a whole cloud in memory: where images go, and what happens without Keystone."""

import dataclasses

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import owner_facts
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine.reconcile import scan_state
from tests.fakes import world as worlds
from tests.unit import builders

TWO, THREE = worlds.CASCADED
USER = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)


@pytest.fixture
def world():
    world = worlds.World()
    world.policy = USER
    world.identity.projects |= {"alpha": owner_facts.Project(name="alpha")}
    world.identity.associated |= {"alpha": frozenset({TWO})}
    return world


def publish(world, **metadata):
    image = world.source.publish(b"some bytes", **({"owner": "alpha"} | metadata))
    world.changed(image.image_id)
    world.run()
    return image


def regions(world, image):
    glances = world.regions.glances
    return {name for name in worlds.CASCADED if image.image_id in glances[name].ids()}


def test_an_image_goes_where_its_project_lives(world):
    image = publish(world)
    assert regions(world, image) == {TWO}
    assert [task.key.region for task in world.store.list()] == [TWO]


def test_an_image_that_moves_into_a_region_is_copied_and_out_of_it_stays(world):
    image = publish(world, properties={"sync_regions": "RegionTwo,RegionThree"})
    assert regions(world, image) == {TWO}
    world.identity.associated["alpha"] = frozenset({THREE})
    world.clock.advance(world.cache_seconds)
    world.changed(image.image_id)
    world.run()
    assert regions(world, image) == {TWO, THREE}
    assert world.task(image, THREE).reason == "in sync"
    assert world.task(image, TWO).reason == (
        "not wanted here: sync_regions of the image names it, but project alpha may not use it; "
        "the copy stays, and only what narrows access to its source follows: it is private"
    )


def test_while_keystone_is_away_an_image_waits_and_no_attempt_counts(world):
    world.identity.is_down = True
    image = publish(world)
    for _ in range(50):
        world.run(seconds=30.0)
    assert not regions(world, image)
    for region in worlds.CASCADED:
        task = world.task(image, region)
        assert (task.status, task.attempts) == ("pending", 0)
        assert "Keystone does not say where images of project alpha belong" in task.reason
    world.identity.is_down = False
    world.settle()
    assert regions(world, image) == {TWO}


def test_a_keystone_that_refuses_delays_and_does_not_fail(world):
    def refuse(_project_id):
        raise errors.Refused("you may not list associations")

    world.identity.association = refuse
    image = publish(world)
    task = world.task(image)
    assert task.status == "pending"
    assert "you may not list associations" in task.reason
    # Somebody has to help, so it is not tried all the time.
    assert 100.0 < (task.not_before - world.clock.now()).total_seconds() < 250.0


def test_a_keystone_that_is_away_is_asked_again_soon(world):
    world.identity.is_down = True
    image = publish(world)
    assert (world.task(image).not_before - world.clock.now()).total_seconds() < 25.0


def test_a_deleted_image_takes_its_copy_along_without_keystone(world):
    image = publish(world)
    world.identity.is_down = True
    world.clock.advance(world.cache_seconds)
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.run()
    assert not regions(world, image)


def test_keystone_is_not_asked_about_copies_nor_under_all(world):
    marks = builders.marks(builders.IMAGE_ID, worlds.CASCADING)
    publish(world, image_id=builders.IMAGE_ID, properties=marks)
    world.reconciliation.run()
    world.policy = strategy.PlacementPolicy()
    publish(world)
    assert not world.identity.asked


def test_a_full_scan_applies_a_changed_strategy(world):
    images_ = [publish(world, name=str(number)) for number in range(3)]
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.ALL)
    assert world.reconciliation.run() == scan_state.ScanReport(sources=3, requested=3)
    world.settle()
    assert all(regions(world, one) == {TWO, THREE} for one in images_)
    nobody = rules.Rule(title="rule 1", match=rules.Match(), regions=[])
    world.policy = dataclasses.replace(USER, rules=[nobody])
    world.reconciliation.run()
    world.settle()
    (reason,) = {task.reason for task in world.store.list()}
    assert reason == (
        "not wanted here: rule 1 does not name it; the copy stays, "
        "and only what narrows access to its source follows: it is private"
    )
    world.policy = USER
    world.reconciliation.run()
    world.settle()
    assert world.task(images_[0], TWO).reason == "in sync"


def test_a_scan_without_keystone_concludes_nothing(world):
    image = publish(world)
    world.clock.advance(world.cache_seconds)
    world.identity.is_down = True
    with pytest.raises(errors.Undecided):
        world.reconciliation.run()
    assert world.task(image).status == "success"


def test_a_failed_task_that_is_no_longer_wanted_is_forgotten_at_the_next_scan(world):
    world.two.publish(b"a stranger", image_id="350715cd-181a-47d0-9587-19f0221ea26b")
    image = publish(world, image_id="350715cd-181a-47d0-9587-19f0221ea26b")
    assert world.task(image).status == "failure"
    world.identity.associated["alpha"] = frozenset()
    world.clock.advance(world.cache_seconds)
    world.reconciliation.run()
    world.settle()
    assert not list(world.store.list())
