# SPDX-License-Identifier: Apache-2.0
"""Tasks that a person cancels."""

import pytest

from glance_sync_agent.domain.codes import Code
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
DATA = b"0123456789"


@pytest.fixture
def world():
    return worlds.World()


def publish(world, **metadata):
    image = world.source.make(name="golden", **metadata)
    world.source.put_data(image.image_id, DATA)
    world.changed(image.image_id)
    return image


def cancel(world, image):
    return world.store.cancel(image.image_id, [TWO], by="alice", now=world.clock.now())


def test_a_transfer_ends_and_leaves_a_private_record_that_is_used_again(world):
    image = publish(world, visibility="public")

    def cancel_in_the_middle(name, _image_id):
        if name == "write":
            cancel(world, image)
            world.clock.advance(2.0)

    world.two.before = cancel_in_the_middle
    world.run()
    world.two.before = lambda _name, _image_id: None
    record = world.two.image(image.image_id)
    assert (record.status, record.metadata.visibility) == ("queued", "private")
    assert world.task(image).code is Code.CANCELLED
    world.run(seconds=1000.0)
    assert world.two.image(image.image_id).status == "queued"
    world.intake.request(image.image_id, TWO)
    world.run()
    assert world.two.data(image.image_id) == DATA
    assert world.two.image(image.image_id).metadata.visibility == "public"


def test_a_message_does_not_start_it_again(world, caplog):
    image = publish(world)
    cancel(world, image)
    world.changed(image.image_id)
    world.run()
    assert image.image_id not in world.two.ids()
    assert world.task(image).code is Code.CANCELLED
    assert world.task(image).status == "failure"
    assert "Gave up" not in caplog.text
    assert world.history.newest(9) == [
        one for one in world.history.newest(9) if one.event.region == THREE
    ]


def test_a_scan_does_not_start_it_again(world):
    image = publish(world)
    cancel(world, image)
    for _ in range(3):
        world.reconciliation.run()
        world.run(seconds=3601.0)
    assert image.image_id not in world.two.ids()
    assert world.task(image).code is Code.CANCELLED


def test_what_is_taken_back_still_follows(world):
    image = publish(world, visibility="public")
    world.run()
    world.source.change(image.image_id, name="renamed")
    world.changed(image.image_id)
    cancel(world, image)
    world.source.change(image.image_id, visibility="private")
    world.changed(image.image_id)
    world.run()
    copied = world.two.image(image.image_id)
    assert (copied.metadata.visibility, copied.metadata.name) == ("private", "golden")
    assert world.task(image).code is Code.CANCELLED


def test_a_copy_goes_with_its_source(world):
    image = publish(world)
    world.run()
    world.source.change(image.image_id, name="renamed")
    world.changed(image.image_id)
    cancel(world, image)
    world.source.delete(world.source.image(image.image_id))
    world.deleted(image.image_id)
    world.run()
    assert image.image_id not in world.two.ids()


def copied(world, **metadata):
    """Return an image that has its copies."""
    image = publish(world, **metadata)
    world.run()
    return image


def test_a_deletion_that_was_heard_before_follows(world):
    image = copied(world, visibility="public")
    world.source.delete(world.source.image(image.image_id))
    world.deleted(image.image_id)
    assert cancel(world, image) == [TWO]
    world.run()
    assert image.image_id not in world.two.ids()


@pytest.mark.parametrize("how", ["private", "member", "deactivated"])
def test_access_that_was_lost_before_is_taken_away(world, how):
    image = copied(world, visibility="public" if how == "private" else "shared")
    world.source.share(image.image_id, "gamma", "accepted") if how == "member" else None
    world.changed(image.image_id)
    world.run()
    match how:
        case "private":
            world.source.change(image.image_id, visibility="private")
        case "member":
            world.source.share(image.image_id, "gamma", None)
        case "deactivated":
            world.source.set_active(image.image_id, active=False)
    world.changed(image.image_id)
    assert cancel(world, image) == [TWO]
    world.run()
    two = world.two.image(image.image_id)
    assert (two.metadata.visibility, dict(two.members), two.status.value) == {
        "private": ("private", {}, "active"),
        "member": ("shared", {}, "active"),
        "deactivated": ("shared", {}, "deactivated"),
    }[how]


def test_a_copy_that_no_row_knows_loses_access_too(world):
    image = copied(world, visibility="public")
    world.store.__init__()
    world.changed(image.image_id)
    cancel(world, image)
    world.source.change(image.image_id, visibility="private")
    for _ in range(2):
        world.changed(image.image_id)
        world.run()
    assert world.two.image(image.image_id).metadata.visibility == "private"


def test_an_attempt_that_widened_meanwhile_is_followed_by_another(world):
    image = copied(world, visibility="private")
    world.source.change(image.image_id, visibility="public")
    world.changed(image.image_id)

    def cancel_before_the_change(name, _image_id):
        if name == "update":
            world.two.before = lambda _name, _image_id: None
            cancel(world, image)
            world.source.change(image.image_id, visibility="private")

    world.two.before = cancel_before_the_change
    world.run()
    world.run()
    assert world.two.image(image.image_id).metadata.visibility == "private"


def test_a_source_that_changed_back_ends_it(world):
    image = copied(world)
    world.source.change(image.image_id, name="renamed")
    world.changed(image.image_id)
    cancel(world, image)
    world.run()
    assert world.task(image).code is Code.CANCELLED
    world.source.change(image.image_id, name="golden")
    world.changed(image.image_id)
    world.run()
    assert (world.task(image).code, world.task(image).cancelled_by) == (Code.IN_SYNC, None)
