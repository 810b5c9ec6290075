# SPDX-License-Identifier: Apache-2.0
"""An operator settles single images: adopt, disown, delete an orphan."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import history
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.engine.asked import Asked
from tests.fakes import world as worlds
from tests.unit import builders

DATA = b"golden image"
TWO, THREE = worlds.CASCADED

ALICE = Asked(by="alice")


@pytest.fixture
def world():
    return worlds.World()


@pytest.fixture
def settle(world):
    return world.engine.scans.settling


@pytest.fixture
def copied(world):
    image = world.source.publish(DATA, name="golden", owner="alpha")
    world.changed(image.image_id)
    world.run()
    return image


@pytest.fixture
def doubtful(world, copied):
    """A copy that only an operator can settle, because its row was lost and its owner changed."""
    world.store.__init__()
    world.two.change(copied.image_id, owner="mallory")
    world.changed(copied.image_id)
    world.settle()
    assert world.task(copied).status == "failure"
    return copied


def heir(world, copied):
    """Make what Nova makes of a server that was booted from a copy."""
    marks = mark_properties.of_copy(copied, copied.image_id, TWO)
    return world.two.publish(b"of a user", owner="bob", properties=marks)


def test_an_adopted_image_is_updated_again(world, settle, doubtful):
    source = settle.adopt(TWO, doubtful.image_id, ALICE)
    assert source == images.key_of(doubtful)
    world.settle()
    assert world.task(doubtful).reason == "in sync"
    assert world.two.image(doubtful.image_id).metadata.owner == "alpha"


def test_an_image_is_adopted_without_any_task(world, settle, doubtful):
    world.store.__init__()
    settle.adopt(TWO, doubtful.image_id, ALICE)
    assert world.task(doubtful).known_copy == identity.KnownCopy(
        copy_id=doubtful.image_id, created_at=world.two.image(doubtful.image_id).created_at
    )


def test_the_copy_of_a_snapshot_of_another_region_is_adopted_for_that(world, settle):
    marks = builders.marks(
        builders.IMAGE_ID, TWO, source_id=builders.IMAGE_ID, source_region=THREE
    )
    image = world.two.publish(DATA, image_id=builders.IMAGE_ID, properties=marks)
    settle.adopt(TWO, image.image_id, ALICE)
    assert world.task(image).source_region == THREE


def test_a_copy_of_a_region_that_was_renamed_is_not_adopted_for_the_old_name(world, settle):
    marks = builders.marks(builders.IMAGE_ID, TWO, source_region="OldOne")
    image = world.two.publish(DATA, image_id=builders.IMAGE_ID, properties=marks)
    message = "region rename OldOne NEW.*set its property glance_sync_source_region"
    with pytest.raises(errors.UnknownRegion, match=message):
        settle.adopt(TWO, image.image_id, ALICE)
    assert list(world.store.list()) == []
    world.two.change(image.image_id, glance_sync_source_region=worlds.CASCADING)
    assert settle.adopt(TWO, image.image_id, ALICE).region == worlds.CASCADING


def test_a_disowned_image_has_no_mark_and_is_never_touched_again(world, settle, doubtful):
    before = world.two.image(doubtful.image_id)
    source = settle.disown(TWO, doubtful.image_id, ALICE)
    assert source == images.key_of(doubtful)
    theirs = world.two.image(doubtful.image_id)
    assert (theirs.mark, theirs.synced_properties) == (None, frozenset())
    assert theirs.metadata == before.metadata
    world.source.delete_as_user(doubtful.image_id)
    world.deleted(doubtful.image_id)
    world.settle()
    assert world.two.image(doubtful.image_id) == theirs


def test_a_copy_that_is_disowned_is_unknown_to_its_task(world, settle, copied):
    settle.disown(TWO, copied.image_id, ALICE)
    assert world.task(copied).known_copy is None


def test_an_orphan_is_deleted_by_name(world, settle, copied, caplog):
    world.store.__init__()
    world.source.delete_as_user(copied.image_id)
    deleted = settle.delete_orphan(TWO, copied.image_id, ALICE)
    assert deleted.image_id == copied.image_id
    assert not world.two.ids()
    assert world.three.ids() == {copied.image_id}
    assert (
        f"Deleted orphan {copied.image_id} of region RegionTwo: project alpha, 12 bytes, hash "
        f"{builders.multihash(DATA)}, copy of image {copied.image_id} of region RegionOne"
    ) in caplog.text


def test_a_copy_whose_source_is_in_a_region_that_left_the_catalogue_is_no_orphan(world, settle):
    marks = builders.marks(builders.IMAGE_ID, TWO, source_region="RegionNine")
    world.two.publish(DATA, image_id=builders.IMAGE_ID, properties=marks)
    with pytest.raises(errors.UnknownRegion):
        settle.delete_orphan(TWO, builders.IMAGE_ID, ALICE)
    assert world.two.ids() == {builders.IMAGE_ID}


@pytest.mark.parametrize("verb", ["adopt", "disown"])
def test_a_copy_that_lost_its_mark_is_settled_through_its_row(world, settle, copied, verb):
    world.two.change(copied.image_id, glance_sync_copy_id=None)
    world.changed(copied.image_id)
    world.settle()
    assert "its mark was removed or changed" in world.task(copied).reason
    assert getattr(settle, verb)(TWO, copied.image_id, ALICE) == images.key_of(copied)
    world.settle()
    is_copy = identity.names(world.two.image(copied.image_id), images.key_of(copied))
    assert is_copy is (verb == "adopt")
    assert (world.task(copied).reason == "in sync") is (verb == "adopt")
    assert world.two.ids() == {copied.image_id}


def test_what_is_no_orphan_is_not_deleted(world, settle, copied):
    for kind in ("copy", "doubtful"):
        with pytest.raises(errors.ImageConflict, match=f"is no orphan.* it is {kind}"):
            settle.delete_orphan(TWO, copied.image_id, ALICE)
        world.two.change(copied.image_id, created_at="2031-01-01T00:00:00Z")
        world.source.delete_as_user(copied.image_id) if kind == "copy" else None
    assert world.two.ids() == {copied.image_id}


def test_nothing_is_an_orphan_without_the_right_to_see_all_images(world, settle, copied):
    world.store.__init__()
    world.source.delete_as_user(copied.image_id)

    def refuse(name, _image_id):
        if name == "require_all_rights":
            raise errors.Refused("no administrator")

    world.source.before = refuse
    with pytest.raises(errors.Refused):
        settle.delete_orphan(TWO, copied.image_id, ALICE)
    assert world.two.ids() == {copied.image_id}


@pytest.mark.parametrize("verb", ["adopt", "disown", "delete_orphan"])
def test_there_is_nothing_to_settle_about_an_image_that_does_not_say_that_it_is_a_copy(
    world, settle, copied, verb
):
    for theirs in (heir(world, copied), world.two.publish(b"unmarked")):
        with pytest.raises(errors.ImageConflict, match="does not say that it is a copy"):
            getattr(settle, verb)(TWO, theirs.image_id, ALICE)
        assert world.two.image(theirs.image_id) == theirs
    with pytest.raises(errors.ImageConflict, match="there is no image"):
        getattr(settle, verb)(TWO, builders.COPY_ID, ALICE)


@pytest.mark.parametrize("verb", ["adopt", "disown"])
def test_what_an_agent_works_on_is_settled_later(world, settle, copied, verb):
    world.changed(copied.image_id)
    world.clock.advance(1.0)
    now = world.clock.now()
    assert world.store.claim(TWO, 1, owner="another", now=now, until=now)
    with pytest.raises(errors.ImageConflict, match="an agent is at work"):
        getattr(settle, verb)(TWO, copied.image_id, ALICE)


def test_an_image_without_a_creation_time_is_not_adopted(world, settle, doubtful):
    world.two.change(doubtful.image_id, created_at=None)
    with pytest.raises(errors.ImageConflict, match="has no creation time"):
        settle.adopt(TWO, doubtful.image_id, ALICE)


def test_what_was_settled_is_kept_with_who_did_it(world, settle, doubtful):
    settle.disown(TWO, doubtful.image_id, ALICE)
    (recorded,) = world.history.newest(1)
    event = recorded.event
    assert (event.kind, event.by, event.region) == (history.Kind.DISOWNED, "alice", TWO)
    assert (event.copy_id, event.proof) == (doubtful.image_id, None)


def test_a_deleted_orphan_is_kept_with_its_proof(world, settle, copied):
    image = world.two.image(copied.image_id)
    world.store.__init__()
    world.history = world.engine.outside.history
    world.source.delete(copied)
    settle.delete_orphan(TWO, copied.image_id, ALICE)
    (recorded,) = world.history.newest(1)
    event = recorded.event
    assert (event.kind, event.copy_id) == (history.Kind.ORPHAN_DELETED, copied.image_id)
    assert (event.size, event.multihash) == (image.size, str(image.multihash))
    assert event.proof
