# SPDX-License-Identifier: Apache-2.0
"""What one attempt does to a copy. The world is in memory; time passes when told."""

import dataclasses
import datetime
import itertools
import logging

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import attempt_log
from glance_sync_agent.engine.transfer import blocks
from glance_sync_agent.engine.transfer import progress
from tests.fakes import world as worlds
from tests.unit import builders

Status = images.ImageStatus
TWO, THREE = worlds.CASCADED
DATA = b"golden image"


@pytest.fixture
def world():
    return worlds.World()


@pytest.fixture
def image(world):
    """An image that was published and announced, and not yet copied."""
    made = world.source.publish(
        DATA, name="golden", owner="alpha", visibility="shared", tags=["a"],
        properties={"hw_disk_bus": "virtio"},
    )
    world.changed(made.image_id)
    return made


@pytest.fixture
def copied(world, image):
    """The same, copied to both regions."""
    world.run()
    return image


def spend_id(world, image):
    """Have the id of an image used once in a region, so that no copy can have it there."""
    world.two.make(image_id=image.image_id)
    world.two.delete_as_user(image.image_id)


def assert_in_step(world, image, region=TWO, *, hashed_alike=True):
    """Assert that the copy is what its source is."""
    task = world.task(image, region)
    assert (task.status, task.reason) == ("success", "in sync")
    service = world.regions.glances[region]
    source, copy = world.source.image(image.image_id), service.image(task.copy_id)
    assert (copy.status, copy.size) == (source.status, source.size)
    assert (copy.multihash == source.multihash) is hashed_alike
    assert copy.metadata == source.metadata
    assert copy.members == source.members
    assert service.data(copy.image_id) == world.source.data(source.image_id)


def test_a_published_image_is_copied_to_every_region_under_its_own_id(world, copied):
    for region in (TWO, THREE):
        assert_in_step(world, copied, region)
        assert world.task(copied, region).copy_id == copied.image_id


def test_a_row_tells_name_and_bytes(world, copied):
    task = world.task(copied)
    assert (task.image_name, task.bytes_done, task.bytes_total) == ("golden", 12, 12)


def test_an_image_in_step_costs_one_look_and_no_change(world, copied):
    before = world.two.image(copied.image_id)
    asked = []
    world.two.before = lambda name, _id: asked.append(name)
    world.changed(copied.image_id)
    world.run()
    assert asked == ["get"]
    assert world.two.image(copied.image_id) == before


def test_a_first_copy_costs_three_requests_of_its_region(world, image):
    asked = []
    world.two.before = lambda name, _id: asked.append(name)
    world.run()
    assert asked == ["create", "write", "get_record"]


def test_the_source_is_read_once_for_all_regions_of_a_request(world, image):
    asked = []
    world.source.before = lambda name, _id: asked.append(name)
    world.run()
    assert asked.count("get") == 1


def test_a_later_request_reads_the_source_anew(world, copied):
    world.source.change(copied.image_id, name="renamed")
    world.changed(copied.image_id)
    world.run(seconds=0.2)
    assert world.two.image(copied.image_id).metadata.name == "renamed"


def test_metadata_and_members_follow(world, copied):
    world.source.change(copied.image_id, hw_disk_bus=None, os_type="linux", min_ram=0, name="")
    world.source.share(copied.image_id, "beta", "accepted")
    world.changed(copied.image_id)
    world.run()
    assert_in_step(world, copied)
    world.source.share(copied.image_id, "beta", None)
    world.changed(copied.image_id)
    world.run()
    assert_in_step(world, copied)


def test_a_deactivated_source_deactivates_its_copies_and_back(world, copied):
    for active in (False, True):
        world.source.set_active(copied.image_id, active=active)
        world.changed(copied.image_id)
        world.run()
        assert_in_step(world, copied)


def test_a_deleted_source_takes_its_copies_along_and_is_forgotten(world, copied):
    world.source.delete_as_user(copied.image_id)
    world.deleted(copied.image_id)
    world.run()
    assert not world.two.ids() | world.three.ids()
    assert not list(world.store.list())


def test_a_protected_copy_is_deleted_too(world, copied):
    world.source.change(copied.image_id, protected=True)
    world.changed(copied.image_id)
    world.run()
    assert_in_step(world, copied)
    world.source.delete_as_user(copied.image_id)
    world.deleted(copied.image_id)
    world.run()
    assert not world.two.ids()


def test_a_source_that_is_not_found_deletes_nothing_without_proof(world, copied):
    world.source.delete_as_user(copied.image_id)
    world.changed(copied.image_id)
    world.run()
    assert copied.image_id in world.two.ids()
    assert world.task(copied).reason == (
        "source is not found, and nothing proves that it was deleted"
    )


def test_a_forged_delete_event_deletes_nothing(world, copied):
    world.deleted(copied.image_id)
    world.run()
    assert_in_step(world, copied)


def test_an_id_that_was_used_once_gets_another_and_keeps_it(world, image):
    spend_id(world, image)
    world.run()
    assert_in_step(world, image)
    copy_id = world.task(image).copy_id
    assert copy_id != image.image_id
    world.source.change(image.image_id, name="renamed")
    world.changed(image.image_id)
    world.run()
    assert world.two.ids() == {copy_id}
    assert_in_step(world, image)


def test_a_copy_under_another_id_is_found_when_the_row_was_lost(world, image):
    spend_id(world, image)
    world.run()
    before = world.two.ids()
    world.store.__init__()
    world.changed(image.image_id)
    world.run()
    assert world.two.ids() == before
    assert_in_step(world, image)


def run(world, lease):
    """Run one attempt; return its outcome."""
    log = attempt_log.AttemptLog(lease.task, world.clock, "agent")
    return world.attempts.run(lease, log)


def test_who_lost_the_lease_while_making_a_second_id_leaves_no_second_copy(world, image):
    spend_id(world, image)

    def stall(name, image_id):
        if name == "create" and image_id != image.image_id:
            world.two.before = lambda _name, _image_id: None
            world.clock.advance(61.0)  # the lease ran out, and somebody else does it all
            now = world.clock.now()
            (lease,) = world.store.claim(TWO, 1, owner="other", now=now, until=now)
            world.store.finish(lease, run(world, lease), now)

    world.two.before = stall
    world.run()
    assert_in_step(world, image)
    assert world.two.ids() == {world.task(image).copy_id}


def test_a_copy_under_another_id_whose_row_was_lost_loses_its_old_members(world, image):
    spend_id(world, image)
    world.run()
    world.two.share(world.task(image).copy_id, "beta")
    world.store.__init__()
    world.changed(image.image_id)
    world.run()
    assert_in_step(world, image)


@pytest.mark.parametrize("is_spent", [False, True])
def test_what_no_row_knows_stays_once_its_source_is_gone(world, image, is_spent):
    if is_spent:
        spend_id(world, image)
    world.run()
    before = world.two.ids()
    world.store.__init__()
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.run()
    assert world.two.ids() == before
    assert not list(world.store.list())


def test_a_copy_whose_row_was_lost_is_still_deactivated_with_its_source(world, copied):
    world.store.__init__()
    world.source.set_active(copied.image_id, active=False)
    world.changed(copied.image_id)
    world.run()
    assert_in_step(world, copied)


@pytest.mark.parametrize("is_spent", [False, True])
def test_a_source_deleted_while_we_were_dead_is_not_forgotten_before_its_copy(
    world, image, is_spent
):
    if is_spent:
        spend_id(world, image)
    world.run()
    world.changed(image.image_id)
    world.source.delete_as_user(image.image_id)
    world.run()
    other = world.source.publish(b"a cloud with no image at all deletes nothing")
    world.reconciliation.run()
    world.run()
    assert world.two.ids() == world.three.ids() == {other.image_id}
    assert set(world.store.image_ids()) == {other.image_id}


@pytest.mark.parametrize("by", ["event", "scan"])
@pytest.mark.parametrize("is_spent", [False, True])
def test_a_source_that_goes_while_its_bytes_are_sent_takes_its_copies_along(
    world, image, is_spent, by
):
    if is_spent:
        spend_id(world, image)
    world.source.publish(b"a cloud with no image at all deletes nothing")
    world.source.change(image.image_id, visibility="public")

    def before(name, image_id):
        is_there = image_id == image.image_id and image_id in world.source.ids()
        if name == "get" and is_there and world.two.ids():
            world.source.delete_as_user(image_id)

    world.source.before = before
    world.run()
    (made,) = world.two.ids()
    task = world.task(image)
    assert (task.code, task.copy_id) == (Code.SOURCE_MISSING, made)
    if by == "event":
        world.deleted(image.image_id)
    else:
        world.reconciliation.run()
        world.clock.advance(86400.0)  # it has to be missing for a day
        world.reconciliation.run()
    world.run()
    assert made not in world.two.ids()
    assert image.image_id not in world.store.image_ids()


def test_a_copy_that_another_agent_made_of_another_source_is_not_deleted(world):
    ours = world.source.publish(DATA)
    theirs = builders.marks(ours.image_id, TWO, source_id=ours.image_id)
    world.two.publish(DATA, image_id=ours.image_id, properties=theirs)
    world.source.delete_as_user(ours.image_id)
    world.deleted(ours.image_id)
    world.run()
    assert world.two.ids() == {ours.image_id}


def test_a_stranger_on_the_id_is_a_conflict_and_stays_as_it_is(world, image):
    stranger = world.two.publish(b"theirs", image_id=image.image_id, owner="beta")
    world.run()
    task = world.task(image)
    assert (task.status, task.attempts) == ("failure", 1)
    assert "this agent did not make it" in task.reason
    assert world.two.image(image.image_id) == stranger
    assert_in_step(world, image, THREE)


def test_a_copy_deleted_by_hand_comes_back(world, copied):
    world.two.delete_as_user(copied.image_id)
    world.changed(copied.image_id)
    world.run()
    assert_in_step(world, copied)
    assert world.task(copied).copy_id != copied.image_id


def test_a_copy_of_our_making_is_never_a_source(world):
    marks = builders.marks(builders.IMAGE_ID, worlds.CASCADING)
    made = world.source.publish(DATA, image_id=builders.IMAGE_ID, properties=marks)
    world.changed(made.image_id)
    world.run()
    assert not list(world.store.list())
    assert not world.two.ids()


def test_a_region_that_the_strategy_no_longer_names_keeps_its_copy(world, copied):
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.NONE)
    world.source.change(copied.image_id, name="renamed")
    world.changed(copied.image_id)
    world.run()
    assert world.two.image(copied.image_id).metadata.name == "golden"
    assert world.task(copied).reason == (
        "not wanted here: sync_strategy is None; the copy stays, and only what narrows access to "
        "its source follows: it is shared"
    )


def damage(world, image):
    """Damage the source's bytes at rest, which Glance does not notice."""
    world.source._data[image.image_id] = b"damaged image"[: len(DATA)]


def test_damaged_bytes_never_become_active(world, image, caplog):
    damage(world, image)
    world.run()
    task = world.task(image)
    assert (task.status, task.attempts) == ("pending", 1)
    assert task.reason.startswith("DigestMismatch: data of image")
    assert str(image.multihash) in task.reason
    assert world.two.image(image.image_id).status is Status.QUEUED
    assert "failed, next at" in caplog.text


def test_the_record_of_a_failed_transfer_is_used_again(world, image):
    damage(world, image)
    world.run()
    world.source._data[image.image_id] = DATA
    world.settle()
    assert_in_step(world, image)
    assert world.two.ids() == {image.image_id}


def test_bytes_never_enter_a_record_that_more_people_see_than_the_source(world, image):
    world.source.share(image.image_id, "beta")
    damage(world, image)
    world.run()
    copy_id = world.task(image).copy_id or image.image_id
    world.two.share(copy_id, "beta")
    world.two.change(copy_id, visibility="public")
    world.source._data[image.image_id] = DATA
    world.source.share(image.image_id, "beta", status=None)
    world.source.change(image.image_id, visibility="private")
    world.changed(image.image_id)
    seen = []

    def look(name, image_id):
        if name == "write":
            seen.append(world.two.image(image_id).metadata.visibility)

    world.two.before = look
    world.settle()
    assert seen == ["private"]
    assert_in_step(world, image)


def test_a_copy_with_other_bytes_is_removed_counted_and_made_again(world, copied):
    world.two.change(copied.image_id, os_hash_value="00")
    world.changed(copied.image_id)
    world.run()
    task = world.task(copied)
    assert (task.status, task.attempts, task.copy_id) == ("pending", 1, None)
    assert "expected sha512:" in task.reason
    assert "got sha512:00" in task.reason
    assert copied.image_id not in world.two.ids()
    world.settle()
    assert_in_step(world, copied)


def forged(image):
    return builders.marks(
        image.image_id, TWO, source_id=image.image_id, source_region="RegionOne"
    )


def test_a_queued_record_that_bears_our_mark_and_another_owner_gets_no_bytes(world, image):
    theirs = world.two.make(
        image_id=image.image_id, owner="mallory", properties=forged(image)
    )
    world.run()
    assert world.task(image).status == "failure"
    assert world.two.image(image.image_id) == theirs


@pytest.mark.parametrize("is_deactivated", [False, True])
def test_an_image_that_a_stranger_made_look_like_a_copy_is_not_adopted(
    world, image, is_deactivated
):
    theirs = world.two.publish(
        DATA,
        image_id=image.image_id,
        owner="mallory",
        properties=forged(image) | {"kernel_id": "evil"},
    )
    if is_deactivated:
        world.source.set_active(image.image_id, active=False)
        world.run()
        world.source.set_active(image.image_id, active=True)
        world.changed(image.image_id)
    world.run()
    assert world.task(image).status == "failure"
    assert "belongs to project mallory" in world.task(image).reason
    assert world.two.image(image.image_id) == theirs


def test_a_copy_that_we_know_gets_another_owner_with_its_source(world, copied):
    world.source.change(copied.image_id, owner="beta")
    world.changed(copied.image_id)
    world.run()
    assert_in_step(world, copied)


def test_a_busy_copy_is_looked_at_again_without_counting_an_attempt(world, copied):
    world.two.change(copied.image_id, status="saving")
    world.changed(copied.image_id)
    world.run()
    task = world.task(copied)
    assert (task.status, task.reason, task.attempts) == ("pending", "copy is saving", 0)
    assert (task.not_before - world.clock.now()).total_seconds() == 5.0
    world.two.change(copied.image_id, status="active")
    world.run(seconds=5.0)
    assert_in_step(world, copied)


@pytest.mark.parametrize("status", ["saving", "uploading", "importing"])
def test_a_copy_whose_upload_died_with_its_glance_is_made_anew(world, copied, status, caplog):
    caplog.set_level(logging.INFO)
    world.two.change(copied.image_id, status=status)
    world.changed(copied.image_id)
    world.run()
    world.run(seconds=world.limits.lease - 1)
    assert copied.image_id in world.two.ids()
    world.run(seconds=5.0)
    assert_in_step(world, copied)
    assert world.task(copied).copy_id != copied.image_id  # an id is good for one image
    assert f"it was {status} for" in caplog.text


def test_a_dead_upload_of_a_first_attempt_is_noticed_however_often_it_is_asked_for(world, image):
    def die(name, image_id):
        if name == "write":
            world.two.before = lambda _name, _image_id: None
            world.two.change(image_id, status="saving")
            raise errors.TransferInterrupted("the Glance was killed")

    world.two.before = die
    world.run()
    for _ in range(3):
        world.changed(image.image_id)
        world.run(seconds=world.limits.lease * 0.6)
    assert_in_step(world, image)


def test_a_copy_that_was_busy_twice_is_not_taken_for_one_that_was_busy_long(world, copied):
    for _ in range(3):
        world.two.change(copied.image_id, status="saving")
        world.changed(copied.image_id)
        world.run(seconds=world.limits.lease - 10)
        world.two.change(copied.image_id, status="active")
        world.run(seconds=20)
    assert_in_step(world, copied)
    assert world.task(copied).copy_id == copied.image_id


def test_another_copy_gets_its_own_time(world, copied):
    world.two.change(copied.image_id, status="saving")
    world.changed(copied.image_id)
    world.run()
    world.two.delete_as_user(copied.image_id)
    world.settle()
    second = world.task(copied).copy_id
    world.two.change(second, status="saving")
    world.changed(copied.image_id)
    world.run()
    assert world.task(copied).reason == "copy is saving"
    assert second in world.two.ids()


def test_a_copy_that_somebody_keeps_changing_is_given_up_for_now(world, copied):
    def meddle(name, image_id):
        if name == "get":
            world.two.change(image_id, name="meddled")

    world.two.before = meddle
    world.changed(copied.image_id)
    world.run()
    assert world.task(copied).reason == (
        f"ServiceUnavailable: image {copied.image_id} in region RegionTwo: "
        "still not in step after 12 steps"
    )


def test_a_change_during_the_transfer_is_looked_at_afterwards(world, image):
    def rename(name, image_id):
        if name == "write":
            world.two.before = lambda _name, _id: None
            world.source.change(image_id, name="renamed")
            world.changed(image_id)

    world.two.before = rename
    world.run()
    world.run()
    assert_in_step(world, image)
    assert world.two.image(image.image_id).metadata.name == "renamed"


def test_a_source_that_ends_early_is_no_image(world, image):
    world.source._data[image.image_id] = DATA[:-1]
    world.run()
    assert "expected 12 bytes, got 11" in world.task(image).reason
    assert world.two.image(image.image_id).status is Status.QUEUED


def test_an_image_of_no_bytes_is_copied(world):
    made = world.source.publish(b"")
    world.changed(made.image_id)
    world.run()
    assert_in_step(world, made)


def test_a_source_without_hash_is_copied_by_size(world, image):
    world.source.change(image.image_id, os_hash_algo=None, os_hash_value=None)
    world.run()
    assert world.task(image).status == "success"
    assert world.two.data(image.image_id) == DATA


# Signs of life, and what ends a transfer.


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of four bytes, so that twelve bytes take three."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4)


def during_transfer(world, deed):
    """Do something before each chunk that is read for RegionTwo."""
    original = world.regions.store

    def store(region, size):
        made = original(region, size)
        write = made.write

        def slow(image_id, size, chunks):
            def each():
                for chunk in chunks:
                    deed()
                    yield chunk
            write(image_id, size, each())

        made.write = slow
        return made

    world.regions.store = store


def test_progress_is_reported_each_second_and_keeps_the_lease(
    world, image, small_blocks
):
    seen = []

    def watch():
        world.clock.advance(0.6)
        task = world.task(image)
        seen.append((task.bytes_done, task.bytes_total))

    now = world.clock.now()
    again = ports.Request(now=now, not_before=now, request_id="again")
    world.store.request(image.image_id, [], again)
    during_transfer(world, watch)
    world.catalogue.names = frozenset({worlds.CASCADING, TWO})
    world.run()
    assert seen[:3] == [(0, None), (0, None), (8, 12)]
    assert world.task(image).status == "success"


def test_a_transfer_that_takes_too_long_is_ended(world, image, small_blocks):
    world.limits = dataclasses.replace(world.limits, transfer=10.0)
    during_transfer(world, lambda: world.clock.advance(6.0))
    world.run()
    task = world.task(image)
    assert task.reason == (
        f"TransferTimedOut: image {image.image_id} in region RegionTwo: 8 of 12 bytes in 12 s, "
        "more than scp_copy_timeout = 10 s"
    )
    assert world.two.image(image.image_id).status is Status.QUEUED


def test_no_limit_means_no_limit(world, image):
    world.limits = dataclasses.replace(world.limits, transfer=0.0)
    during_transfer(world, lambda: world.clock.advance(10_000.0))
    world.run()
    assert_in_step(world, image)


def test_the_last_byte_may_be_late(world, image):
    """What is complete is not thrown away for having taken a moment too long."""
    lease = tasks.Lease(task=world.task(image), token="t")
    signs = progress.Progress(
        lease, 12, world.engine.outside, stop=world.stop,
        limits=progress.Limits(transfer=10.0, lease=60.0, progress=100.0),
    )
    world.clock.advance(11.0)
    signs(12)
    with pytest.raises(errors.TransferTimedOut):
        signs(11)


def test_stopping_ends_a_transfer_and_puts_the_task_back_as_it_was(world, image):
    during_transfer(world, world.stop.set)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.submitted[-1]()
    task = world.task(image)
    assert (task.status, task.attempts, task.reason) == ("pending", 0, "")
    assert world.two.image(image.image_id).status is Status.QUEUED


def test_a_transfer_whose_lease_was_lost_ends_and_writes_nothing(world, image, caplog):
    caplog.set_level(logging.INFO)
    taken: list[tasks.Lease] = []

    def lose():
        world.clock.advance(100.0)
        if not taken:
            now = world.clock.now()
            taken.extend(world.store.claim(TWO, 1, owner="other", now=now, until=now))

    world.limits = dataclasses.replace(world.limits, transfer=0.0)
    during_transfer(world, lose)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.submitted[-1]()
    assert "Lost the lease on" in caplog.text
    assert world.task(image).status == "processing"
    assert world.two.image(image.image_id).status is Status.QUEUED


def test_an_attempt_that_begins_while_stopping_does_nothing(world, image):
    world.stop.set()
    (lease,) = world.store.claim(
        TWO, 1, owner="agent", now=world.clock.now() + datetime.timedelta(seconds=1),
        until=world.clock.now(),
    )
    with pytest.raises(errors.Cancelled):
        run(world, lease)
    assert not world.two.ids()


def test_a_task_of_a_region_that_is_gone_fails_with_that_reason(world, image):
    del world.regions.glances[TWO]
    world.run()
    assert world.task(image).status == "failure"
    assert "no region RegionTwo" in world.task(image).reason


def test_an_outcome_carries_the_size_of_the_copy(world, copied):
    world.changed(copied.image_id)
    (lease, *_) = world.store.claim(
        TWO, 1, owner="agent", now=world.clock.now() + datetime.timedelta(seconds=1),
        until=world.clock.now(),
    )
    assert run(world, lease) == tasks.Succeeded(
        code=Code.IN_SYNC,
        reason="in sync",
        copy=tasks.CopySeen(
            copy_id=copied.image_id,
            created_at=world.two.image(copied.image_id).created_at,
            image_name="golden",
            size=12,
        ),
    )


def test_a_copy_of_a_source_without_hash_has_to_hold_what_was_sent(world, image):
    world.source.change(image.image_id, os_hash_algo=None, os_hash_value=None)
    original = world.two.put_data
    world.two.put_data = lambda image_id, data: original(image_id, b"x" * len(data))
    world.run()
    task = world.task(image)
    assert (task.status, task.attempts, task.copy_id) == ("pending", 1, None)
    assert task.reason.startswith("DigestMismatch: copy")
    assert not world.two.ids()


def test_a_damaged_source_is_summed_anew_once_it_is_mended(world, image):
    damage(world, image)
    world.run()
    world.source._data[image.image_id] = DATA
    world.settle()
    assert_in_step(world, image)
    assert_in_step(world, image, THREE)


def test_a_database_that_is_away_for_a_while_ends_no_transfer(world, image, small_blocks, caplog):
    seen = itertools.count()

    def outage():
        world.clock.advance(2.0)
        world.store.is_down = next(seen) % 3 == 1  # of three blocks, at the second

    during_transfer(world, outage)
    world.run()
    assert_in_step(world, image)
    assert "Could not report the progress of" in caplog.text


def test_a_transfer_ends_once_its_lease_ran_out_unrenewed(world, image):
    lease = tasks.Lease(task=world.task(image), token="t")
    world.store.is_down = True
    signs = progress.Progress(
        lease, 12, world.engine.outside, stop=world.stop,
        limits=progress.Limits(transfer=0, lease=60.0),
    )
    world.clock.advance(60.0)
    signs(4)
    world.clock.advance(1.0)
    with pytest.raises(errors.ServiceUnavailable):
        signs(8)


def test_a_long_transfer_shows_its_copy_while_it_runs(world):
    big = world.source.publish(bytes(4 * 1024 * 1024), name="big")
    seen = []
    during_transfer(world, lambda: seen.append(world.task(big, THREE)))
    world.changed(big.image_id)
    world.run()
    assert (seen[0].copy_id, seen[0].image_name) == (big.image_id, "big")


def reads(world, region=TWO):
    """Return the images that are read in a region from now on."""
    read = []

    def before(name, image_id):
        if name == "read":
            read.append(image_id)

    world.regions.glances[region].before = before
    return read


def test_where_a_region_hashes_otherwise_the_copy_is_read_back_once(world, image):
    world.two.hash_algo = "sha256"
    read = reads(world)
    world.run()
    assert read == [image.image_id]
    assert_in_step(world, image, hashed_alike=False)
    assert world.task(image).proven_id == image.image_id
    world.source.change(image.image_id, name="renamed")
    world.changed(image.image_id)
    world.run()
    assert read == [image.image_id]
    assert world.two.image(image.image_id).metadata.name == "renamed"


def test_a_copy_of_which_its_region_tells_no_hash_is_read_back(world, copied):
    world.two.change(copied.image_id, os_hash_algo=None, os_hash_value=None)
    world.changed(copied.image_id)
    world.run()
    assert_in_step(world, copied, hashed_alike=False)
    assert world.task(copied).proven_id == copied.image_id


def test_a_source_without_a_hash_is_compared_with_what_was_sent(world, image):
    world.source.change(image.image_id, os_hash_algo=None, os_hash_value=None)
    world.two.hash_algo = "sha256"
    read = reads(world)
    world.run()
    assert read == [image.image_id]
    assert_in_step(world, image, hashed_alike=False)


@pytest.mark.parametrize("has_hash", [True, False])
def test_a_copy_that_reads_otherwise_is_removed_with_both_hashes(world, image, has_hash, caplog):
    if not has_hash:
        world.source.change(image.image_id, os_hash_algo=None, os_hash_value=None)
    world.two.hash_algo = "sha256"
    other = b"golden imagf"

    def before(name, image_id):
        if name == "read" and image_id in world.two.ids() and len(spoiled) < 1:
            spoiled.append(image_id)
            world.two.damage(image_id, other)

    spoiled = []
    world.two.before = before
    world.run()
    task = world.task(image)
    expected, found = builders.multihash(DATA), builders.multihash(other)
    assert task.reason.endswith(f"now deleted: expected {expected}, got {found}")
    assert (task.status, task.copy_id, task.proven_id) == ("pending", None, None)
    world.settle()
    assert_in_step(world, image, hashed_alike=False)
    assert world.task(image).proven_id == world.task(image).copy_id != image.image_id


def test_a_copy_that_cannot_be_read_back_is_not_taken_for_right(world, image):
    world.two.hash_algo = "sha256"

    def before(name, _image_id):
        if name == "read":
            raise errors.TransferInterrupted("the connection broke")

    world.two.before = before
    world.settle()
    task = world.task(image)
    assert (task.status, task.proven_id) == ("failure", None)
    assert task.reason == "TransferInterrupted: the connection broke"


def test_a_copy_that_cannot_be_read_back_still_follows_its_source(world, image):
    world.two.hash_algo = "sha256"

    def before(name, _image_id):
        if name == "read":
            raise errors.TransferInterrupted("the connection broke")

    world.two.before = before
    world.settle()
    world.source.change(image.image_id, visibility="private")
    world.source.change(image.image_id, status="deactivated")
    world.changed(image.image_id)
    world.settle()
    task, copy = world.task(image), world.two.image(image.image_id)
    assert (task.status, task.proven_id) == ("failure", None)
    assert (copy.status, copy.metadata.visibility) == ("deactivated", "private")


def test_a_source_hashed_in_a_way_that_is_unknown_here_is_no_bug(world, image, caplog):
    world.source.change(image.image_id, os_hash_algo="md6")
    world.run()
    assert world.task(image).reason == "this Python cannot compute md6 hashes"
    assert "crashed" not in caplog.text


def test_a_slow_look_keeps_its_lease(world, copied):
    world.source.change(copied.image_id, name="renamed")
    world.changed(copied.image_id)

    def slow(_name, _image_id):
        world.clock.advance(25.0)  # of a lease of 60

    world.two.before = slow
    world.clock.advance(1.0)
    (lease,) = world.store.claim(
        TWO, 1, owner="agent", now=world.clock.now(),
        until=world.clock.now() + datetime.timedelta(seconds=60),
    )
    assert run(world, lease).reason == "in sync"
    assert world.store.finish(
        lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"), world.clock.now()
    )
    assert not world.store.claim(
        TWO, 1, owner="other", now=world.clock.now(), until=world.clock.now()
    )


def decay(world, copy_id, data=None):
    """Damage the data of a copy at rest, and say so."""
    world.two.damage(copy_id, data)
    found = verification.NO_DATA if data is None else str(builders.multihash(data))
    key = tasks.TaskKey(image_id=copy_id, region=TWO)
    said = verification.Damage(copy_id=copy_id, found=found)
    assert world.store.distrust(key, said, now=world.clock.now(), request_id="verify")


@pytest.mark.parametrize("data", [None, b"olden g image", b""])
def test_a_copy_that_was_damaged_is_removed_and_copied_again(world, copied, data, caplog):
    other = world.three.image(copied.image_id)
    decay(world, copied.image_id, data)
    world.settle()
    assert_in_step(world, copied)
    assert copied.image_id not in world.two.ids()
    assert world.three.image(copied.image_id) == other
    found = "no data" if data is None else str(builders.multihash(data))
    assert f"expected {builders.multihash(DATA)}, got {found}" in caplog.text


def test_while_a_damaged_copy_is_replaced_its_task_says_so(world, copied):
    decay(world, copied.image_id)
    world.run()
    task = world.task(copied)
    assert (task.status, task.attempts) == ("pending", 1)
    assert task.reason == (
        f"DigestMismatch: copy {copied.image_id} of image {copied.image_id} in region RegionTwo, "
        f"now deleted: expected {builders.multihash(DATA)}, got no data"
    )


def test_a_damaged_copy_whose_source_is_missing_stays_known_as_damaged(world, copied):
    decay(world, copied.image_id)
    world.source.delete_as_user(copied.image_id)
    world.settle()
    assert world.two.ids() == {copied.image_id}  # nothing proves that it was deleted
    assert world.task(copied).damage is not None  # it may be found again


def test_a_record_whose_format_the_region_does_not_find_in_the_bytes_is_cleared_away(world):
    image = world.source.publish(b"no qcow2", disk_format="qcow2")
    world.changed(image.image_id)
    world.run()
    task = world.task(image)
    assert (task.status, task.copy_id) == ("failure", None)
    assert task.reason == f"image {image.image_id} is no qcow2"
    assert not world.two.ids()
    world.source.change(image.image_id, name="as bad")
    world.changed(image.image_id)
    world.run()
    assert world.task(image).status == "failure"
    assert not world.two.ids()
