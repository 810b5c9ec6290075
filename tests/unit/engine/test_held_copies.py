# SPDX-License-Identifier: Apache-2.0
"""What somebody else deactivated in a region comes back only with a release."""

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code
from tests.fakes import world as worlds

Status = images.ImageStatus
TWO, THREE = worlds.CASCADED


@pytest.fixture
def world():
    world = worlds.World()
    world.source.publish(b"another")  # else the source region looks as if it lost its images
    return world


@pytest.fixture
def image(world):
    image = world.source.publish(b"malware", visibility="public")
    world.changed(image.image_id)
    world.settle()
    return image


@pytest.fixture
def held(world, image):
    world.two.set_active(image.image_id, active=False)
    scan(world)
    assert world.task(image).code is Code.HELD
    return image


def scan(world):
    world.reconciliation.run()
    world.settle()


def want(world, image, value):
    world.source.change(image.image_id, **{strategy.SYNC_REGIONS: value})
    scan(world)


def release(world, image):
    key = world.task(image).key
    assert world.store.permit_activation(key, now=world.clock.now(), request_id="operator")
    world.settle()


def test_a_held_copy_that_its_owner_deletes_is_not_made_again_before_its_release(world, held):
    before = world.two.ids()
    world.two.delete_as_user(held.image_id)
    world.changed(held.image_id)
    world.settle()
    scan(world)
    assert world.two.ids() == before - {held.image_id}
    task = world.task(held)
    assert (task.status, task.code) == ("success", Code.HELD)
    assert f"'glance-sync sync --release {held.image_id}' with --region" in task.reason
    assert world.reconciliation.run().requested == 0
    release(world, held)
    task = world.task(held)
    assert (task.code, task.held_id) == (Code.IN_SYNC, None)
    assert world.two.image(task.copy_id).status is Status.ACTIVE


def test_a_held_copy_stays_although_unwanted_copies_are_deleted(world, held):
    world.deletes_unwanted = True
    want(world, held, strategy.NOWHERE)
    assert held.image_id not in world.three.ids()
    assert world.two.image(held.image_id).status is Status.DEACTIVATED
    assert world.task(held).reason.endswith("deactivated by somebody else")
    assert world.reconciliation.run().requested == 0
    want(world, held, None)
    assert world.two.image(held.image_id).status is Status.DEACTIVATED
    assert world.three.image(world.task(held, THREE).copy_id).status is Status.ACTIVE


def test_a_released_copy_that_is_unwanted_is_deleted(world, held):
    world.deletes_unwanted = True
    want(world, held, strategy.NOWHERE)
    release(world, held)
    scan(world)
    assert held.image_id not in world.two.ids()


def test_a_copy_that_is_deactivated_while_unwanted_is_held(world, image):
    want(world, image, strategy.NOWHERE)
    assert world.task(image).held_id is None
    world.two.set_active(image.image_id, active=False)
    scan(world)
    assert world.task(image).held_id == image.image_id
    assert world.reconciliation.run().requested == 0
    world.two.delete_as_user(image.image_id)
    want(world, image, None)
    assert image.image_id in world.three.ids()
    assert world.task(image).code is Code.HELD


@pytest.mark.parametrize("by", ["event", "scan"])
def test_a_held_copy_that_is_gone_is_remembered_while_its_image_is_unwanted(world, held, by):
    world.two.delete_as_user(held.image_id)
    for value, code in ((strategy.NOWHERE, Code.OUT_OF_STRATEGY), (None, Code.HELD)):
        world.source.change(held.image_id, **{strategy.SYNC_REGIONS: value})
        if by == "event":
            world.changed(held.image_id)
        else:
            world.reconciliation.run()
        world.settle()
        assert world.task(held).code is code
        assert world.reconciliation.run().requested == 0


def test_the_task_of_a_held_copy_goes_with_its_source(world, held):
    world.two.delete_as_user(held.image_id)
    scan(world)
    world.source.delete_as_user(held.image_id)
    world.deleted(held.image_id)
    world.settle()
    assert world.store.find([held.image_id]) == []


def test_a_held_copy_whose_source_is_deleted_is_deleted(world, held):
    world.source.delete_as_user(held.image_id)
    world.deleted(held.image_id)
    world.settle()
    assert held.image_id not in world.two.ids()


def test_a_hold_outlasts_a_deactivation_of_the_source(world, held):
    for active in (False, True):
        world.source.set_active(held.image_id, active=active)
        world.changed(held.image_id)
        world.settle()
        assert world.task(held).code is Code.HELD
    assert world.two.image(held.image_id).status is Status.DEACTIVATED


def test_a_copy_that_is_activated_by_hand_is_held_no_more(world, held):
    world.two.set_active(held.image_id, active=True)
    scan(world)
    task = world.task(held)
    assert (task.code, task.held_id) == (Code.IN_SYNC, None)
    world.two.delete_as_user(held.image_id)
    scan(world)
    assert world.two.image(world.task(held).copy_id).status is Status.ACTIVE


def test_a_damaged_copy_that_is_activated_by_hand_is_made_anew(world, held):
    """The agent deletes it itself, so the hold must not outlast it."""
    key = world.task(held).key
    damage = verification.Damage(copy_id=held.image_id, found="other bytes")
    world.store.distrust(key, damage, now=world.clock.now(), request_id="verification")
    world.settle()
    assert world.task(held).code is Code.HELD
    world.two.set_active(held.image_id, active=True)
    scan(world)
    world.clock.advance(60.0)
    world.settle()
    task = world.task(held)
    assert (task.code, task.held_id) == (Code.IN_SYNC, None)
    assert task.copy_id != held.image_id
    assert world.two.image(task.copy_id).status is Status.ACTIVE


def test_an_unwanted_copy_that_is_activated_by_hand_may_come_back(world, held):
    world.deletes_unwanted = True
    want(world, held, strategy.NOWHERE)
    world.two.set_active(held.image_id, active=True)
    scan(world)
    assert held.image_id not in world.two.ids()
    want(world, held, None)
    assert world.two.image(world.task(held).copy_id).status is Status.ACTIVE
