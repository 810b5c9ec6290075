# SPDX-License-Identifier: Apache-2.0
"""What a scan finds about an image whose task failed and is at rest."""

import datetime

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine.reconcile import scan_state
from tests.fakes import glance
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
#: The scope of a scan by the clock; all failed tasks are at rest.
AT_REST = scan_state.Scope(failed_before=datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))


@pytest.fixture
def world():
    return worlds.World()


@pytest.fixture
def image(world):
    """Return an image whose copy in RegionTwo cannot be updated."""
    image = world.source.publish(b"golden image", visibility="public", owner="alpha")
    world.changed(image.image_id)
    world.settle()
    return image


def refuse(world, image):
    """Have an update refused that is none of access."""
    world.source.change(
        image.image_id, **{f"p{number}": "x" for number in range(glance.PROPERTY_QUOTA)}
    )


def give_up(world, image):
    """Have the retries of such an update used up."""
    update = world.two.update

    def fail(changes):
        if "name" in changes.attributes:
            raise errors.ServiceUnavailable("500", region=TWO, fault=errors.Fault.ANSWER)
        return update(changes)

    world.two.update = fail
    world.source.change(image.image_id, name="a name that this Glance does not take")


def fail(world, image, how=refuse):
    how(world, image)
    world.changed(image.image_id)
    world.settle()
    assert world.task(image).status == "failure"


def run_scan(world):
    report = world.reconciliation.run(AT_REST)
    world.settle()
    return report


@pytest.mark.parametrize("how", [refuse, give_up])
def test_access_that_was_taken_back_unheard_waits_for_no_task_that_failed(world, image, how):
    fail(world, image, how)
    world.source.change(image.image_id, visibility="private")
    assert run_scan(world).requested >= 1
    assert world.two.image(image.image_id).metadata.visibility == "private"
    assert run_scan(world).requested == 0


def test_a_deactivation_that_was_unheard_waits_for_no_task_that_failed(world, image):
    fail(world, image)
    world.source.set_active(image.image_id, active=False)
    run_scan(world)
    assert world.two.image(image.image_id).status == "deactivated"


def test_other_changes_wait_until_the_task_has_rested(world, image):
    fail(world, image)
    assert run_scan(world).requested == 0
    world.source.change(image.image_id, name="another name")
    before = world.task(image)
    run_scan(world)
    assert world.task(image) == before


def test_a_copy_that_is_gone_waits_until_the_task_has_rested(world, image):
    fail(world, image)
    world.two.delete_as_user(image.image_id)
    assert run_scan(world).requested == 0


def test_a_copy_that_is_out_of_strategy_waits_until_the_task_has_rested(world, image):
    fail(world, image)
    world.deletes_unwanted = True
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.identity.associated["alpha"] = frozenset({THREE})
    before = world.task(image)
    run_scan(world)
    assert world.task(image) == before
    world.source.change(image.image_id, visibility="private")
    run_scan(world)
    assert world.two.image(image.image_id).metadata.visibility == "private"


@pytest.fixture
def shared(world):
    """Return an image with two members, whose copies have them, too."""
    image = world.source.publish(b"shared image", visibility="shared", owner="alpha")
    for member in ("beta", "gamma"):
        world.source.share(image.image_id, member)
    world.changed(image.image_id)
    world.settle()
    return image


def members(world, image):
    return set(world.two.image(image.image_id).members)


def test_a_member_who_was_removed_unheard_waits_for_no_task_that_failed(world, shared):
    fail(world, shared)
    assert run_scan(world).requested == 0
    world.source.share(shared.image_id, "beta", None)
    assert run_scan(world).requested >= 1
    assert members(world, shared) == {"gamma"}
    assert run_scan(world).requested == 0


def test_a_member_who_was_added_unheard_waits_for_the_task_that_failed(world, shared):
    fail(world, shared)
    world.source.share(shared.image_id, "delta")
    assert run_scan(world).requested == 0
    assert members(world, shared) == {"beta", "gamma"}


def test_a_member_who_was_removed_unheard_loses_a_copy_that_is_out_of_strategy(world, shared):
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.identity.associated["alpha"] = frozenset({THREE})
    run_scan(world)
    assert world.task(shared).code == "out_of_strategy"
    assert run_scan(world).requested == 0
    world.source.share(shared.image_id, "beta", None)
    run_scan(world)
    assert members(world, shared) == {"gamma"}
    world.source.share(shared.image_id, "delta")
    run_scan(world)
    assert members(world, shared) == {"gamma"}
    assert run_scan(world).requested == 0


def test_what_has_members_but_is_no_copy_of_ours_is_not_asked_for_them(world, shared):
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.identity.associated["alpha"] = frozenset({THREE})
    run_scan(world)
    world.store.disown(world.task(shared).key, shared.image_id)
    world.source.share(shared.image_id, "beta", None)
    asked = []
    world.two.before = lambda name, _image_id: asked.append(name)
    run_scan(world)
    assert "members" not in asked


def test_members_of_a_copy_lose_nothing_while_everybody_may_use_its_source(world, shared):
    def refuse_to_publish(_changes):
        tried.append(world.clock.now())
        raise errors.Refused("HTTP 403: publicize_image")

    tried: list[datetime.datetime] = []
    world.two.update = refuse_to_publish
    fail(world, shared, lambda *_: world.source.change(shared.image_id, visibility="public"))
    tried.clear()
    for _ in range(3):
        run_scan(world)
    assert not tried


@pytest.mark.parametrize("is_member_comparison_due", [True, False])
def test_without_a_strategy_former_members_lose_their_copies(
    world, shared, is_member_comparison_due
):
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.NONE)
    if not is_member_comparison_due:
        world.members_interval = 24 * 3600.0
    world.source.share(shared.image_id, "beta", None)
    run_scan(world)
    assert ("beta" not in members(world, shared)) is is_member_comparison_due


def test_a_hold_that_ends_on_a_copy_out_of_strategy_is_noted(world, image):
    world.two.set_active(image.image_id, active=False)
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.changed(image.image_id)
    world.settle()
    assert world.task(image).held_id == image.image_id
    world.two.set_active(image.image_id, active=True)
    run_scan(world)
    assert world.task(image).held_id is None
    assert run_scan(world).requested == 0
