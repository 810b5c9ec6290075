# SPDX-License-Identifier: Apache-2.0
"""Copies that no row knows: which one is taken, and what is left alone."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.engine.attempts import copies
from tests.fakes import world as worlds
from tests.unit import builders

DATA = b"golden image"
TWO, THREE = worlds.CASCADED
SMALLEST = "00000000-0000-4000-8000-000000000001"
LARGER = "00000000-0000-4000-8000-000000000002"


@pytest.fixture
def world():
    return worlds.World()


@pytest.fixture
def image(world):
    image = world.source.publish(DATA, name="golden", owner="alpha")
    world.changed(image.image_id)
    return image


@pytest.fixture
def copied(world, image):
    world.run()
    return image


def claimant(world, image, image_id, *, data=DATA, owner="alpha", created=0, **changes):
    """Make an image that says of itself that it is the copy of another."""
    marks = builders.marks(
        image_id, TWO, source_id=image.image_id, source_region=worlds.CASCADING
    )
    world.clock.advance(created)
    made = world.two.make(image_id=image_id, owner=owner, properties=marks)
    world.clock.advance(-created)
    if data is not None:
        world.two.put_data(made.image_id, data)
    if changes:
        world.two.change(made.image_id, **changes)
    return world.two.image(made.image_id)


def found(world, image):
    evidence = identity.Evidence(key=images.key_of(image), source=image)
    copy = copies.find(world.two, evidence)
    return copy and copy.image_id


def test_where_there_is_no_copy_none_is_found(world, image):
    assert found(world, image) is None


def test_the_one_with_the_id_of_the_source_comes_first(world, image):
    claimant(world, image, SMALLEST)
    claimant(world, image, image.image_id, created=9)
    assert found(world, image) == image.image_id


def test_one_with_data_comes_before_one_without(world, image):
    claimant(world, image, SMALLEST, data=None)
    claimant(world, image, LARGER, created=9)
    assert found(world, image) == LARGER


def test_the_oldest_comes_first_and_then_the_smallest_id(world, image):
    claimant(world, image, SMALLEST, created=9)
    claimant(world, image, LARGER)
    assert found(world, image) == LARGER
    world.two.change(SMALLEST, created_at=None)
    assert found(world, image) == LARGER
    world.two.change(SMALLEST, created_at=f"{builders.NOW:%Y-%m-%dT%H:%M:%SZ}")
    assert found(world, image) == SMALLEST


def test_one_that_is_ours_comes_before_a_stranger_with_the_id_of_the_source(world, image):
    world.two.publish(b"theirs", image_id=image.image_id)
    claimant(world, image, SMALLEST)
    assert found(world, image) == SMALLEST


def test_one_that_may_be_ours_comes_before_a_stranger_with_the_id_of_the_source(world, image):
    world.two.hash_algo = "sha256"
    world.two.publish(b"theirs", image_id=image.image_id)
    claimant(world, image, SMALLEST)
    assert found(world, image) == SMALLEST


def test_a_stranger_or_a_doubtful_image_has_the_place_only_with_the_id_of_the_source(
    world, image
):
    claimant(world, image, SMALLEST, owner="mallory")
    assert found(world, image) is None
    claimant(world, image, image.image_id, owner="mallory")
    assert found(world, image) == image.image_id


def test_an_inherited_mark_takes_no_place(world, image):
    marks = builders.marks(SMALLEST, TWO, source_id=image.image_id, source_region="RegionOne")
    world.two.publish(DATA, image_id=image.image_id, properties=marks)
    assert found(world, image) is None


# What an attempt does about them.


def test_an_image_with_an_inherited_mark_on_the_id_stays_and_the_copy_gets_another_id(
    world, image
):
    marks = builders.marks(SMALLEST, TWO, source_id=image.image_id, source_region="RegionOne")
    theirs = world.two.publish(b"of a user", image_id=image.image_id, properties=marks)
    world.run()
    task = world.task(image)
    assert (task.status, task.reason) == ("success", "in sync")
    assert task.copy_id not in {None, image.image_id}
    assert world.two.data(task.copy_id) == DATA
    assert world.two.image(image.image_id) == theirs
    # A look finds nothing to do, and a later change finds the copy.
    assert world.reconciliation.run().requested == 0
    world.source.change(image.image_id, name="renamed")
    world.changed(image.image_id)
    world.run()
    assert world.two.image(task.copy_id).metadata.name == "renamed"
    assert len(world.two.ids()) == 2


def test_an_id_that_is_known_to_have_an_inherited_mark_is_not_asked_for_again(world, image):
    marks = builders.marks(SMALLEST, TWO, source_id=image.image_id, source_region="RegionOne")
    world.two.publish(b"of a user", image_id=image.image_id, properties=marks)
    created: list[images.ImageId] = []

    def fail_once(name, image_id):
        if name == "create":
            created.append(image_id)
            if len(created) == 1:
                raise errors.ServiceUnavailable("no answer")

    world.two.before = fail_once
    world.settle()
    assert world.task(image).reason == "in sync"
    assert created == [image.image_id, world.task(image).copy_id]


def test_the_id_of_a_copy_is_written_before_its_record_is_made(world, image):
    world.two.publish(b"to be gone", image_id=image.image_id)
    world.two.delete_as_user(image.image_id)
    seen = []

    def look(name, image_id):
        if name == "create" and image_id != image.image_id:
            seen.append((image_id, world.task(image).known_copy))
            raise errors.ServiceUnavailable("no answer")

    world.two.before = look
    world.run()
    ((chosen, known),) = seen
    assert known == identity.KnownCopy(copy_id=chosen, created_at=None)
    # It is used for the next attempt, too.
    world.two.before = lambda _name, _image_id: None
    world.settle()
    assert world.task(image).copy_id == chosen
    assert world.two.ids() == {chosen}


def test_a_chosen_id_that_is_taken_makes_way_for_another(world, image):
    world.two.publish(b"to be gone", image_id=image.image_id)
    world.two.delete_as_user(image.image_id)
    refused: list[images.ImageId] = []

    def fail_once(name, image_id):
        if name == "create" and image_id != image.image_id and not refused:
            refused.append(image_id)
            raise errors.ServiceUnavailable("no answer")

    world.two.before = fail_once
    world.run()
    world.two.publish(b"to be gone", image_id=refused[0])
    world.two.delete_as_user(refused[0])
    world.settle()
    assert world.task(image).copy_id not in {refused[0], image.image_id}
    assert world.task(image).reason == "in sync"


def test_an_image_that_took_a_chosen_id_is_left_alone(world, image):
    world.two.publish(b"to be gone", image_id=image.image_id)
    world.two.delete_as_user(image.image_id)
    refused: list[images.ImageId] = []

    def fail_once(name, image_id):
        if name == "create" and image_id != image.image_id and not refused:
            refused.append(image_id)
            raise errors.ServiceUnavailable("no answer")

    world.two.before = fail_once
    world.run()
    theirs = claimant(world, image, refused[0], owner="mallory")
    world.settle()
    assert "belongs to project mallory" in world.task(image).reason
    assert world.two.image(refused[0]) == theirs


def test_a_queued_record_is_adopted_on_probation_and_filled(world, image):
    claimant(world, image, image.image_id, data=None)
    probation = []
    before = world.two.before

    def look(name, image_id):
        if name == "write":
            probation.append(image_id)
            raise errors.TransferInterrupted("cut")

    world.two.before = look
    world.run()
    assert world.task(image).known_copy == identity.KnownCopy(
        copy_id=image.image_id, created_at=builders.NOW, on_probation=True
    )
    world.two.before = before
    world.settle()
    assert world.two.data(image.image_id) == DATA
    assert not world.task(image).on_probation


def test_a_queued_record_that_its_owner_fills_after_it_was_adopted_stays(world, image):
    claimant(world, image, image.image_id, data=None)

    def fill(name, image_id):
        if name == "write":
            world.two.before = lambda _name, _image_id: None
            world.two.put_data(image_id, b"of the owner")

    world.two.before = fill
    world.run()
    theirs = world.two.image(image.image_id)
    world.settle()
    assert "holds other data than its source" in world.task(image).reason
    assert world.task(image).status == "failure"
    for _ in range(2):
        world.source.delete_as_user(image.image_id) if image.image_id in world.source.ids() else 0
        world.deleted(image.image_id)
        world.settle()
    assert world.two.image(image.image_id) == theirs
    assert world.two.data(image.image_id) == b"of the owner"


def test_a_record_that_is_stuck_and_was_adopted_stays(world, image):
    claimant(world, image, image.image_id, data=None)

    def stick(name, image_id):
        if name == "write":
            world.two.before = lambda _name, _image_id: None
            world.two.change(image_id, status="saving")
            raise errors.TransferInterrupted("cut")

    world.two.before = stick
    world.run()
    world.settle()
    assert "nothing proves that it is our copy" in world.task(image).reason
    assert image.image_id in world.two.ids()


def test_an_adopted_record_whose_bytes_are_refused_stays(world):
    image = world.source.publish(b"QFI\xfb image", disk_format="qcow2", owner="alpha")
    claimant(world, image, image.image_id, data=None, disk_format="qcow2")
    world.source.damage(image.image_id, b"raw bytes now")
    world.source.change(image.image_id, size=13, os_hash_value=builders.multihash(
        b"raw bytes now").value)
    world.changed(image.image_id)
    world.run()
    assert world.task(image).status == "failure"
    assert image.image_id in world.two.ids()


def test_a_busy_image_that_no_row_knows_is_waited_for_and_then_left_alone(world, image):
    theirs = claimant(world, image, image.image_id, data=None, status="saving")
    world.run()
    assert world.task(image).reason == "an image that may be our copy is saving"
    world.settle()
    assert world.task(image).status == "failure"
    assert world.two.image(image.image_id) == theirs


def test_a_copy_that_only_reading_proves_is_adopted_once_it_was_read(world, copied):
    world.two.change(copied.image_id, os_hash_algo="sha256", os_hash_value="00")
    world.store.__init__()
    world.changed(copied.image_id)
    world.run()
    task = world.task(copied)
    assert (task.reason, task.proven_id) == ("in sync", copied.image_id)
    assert task.known_copy is not None
    assert world.two.ids() == {copied.image_id}


def test_an_image_that_reading_proves_to_hold_other_data_stays(world, copied):
    world.two.change(copied.image_id, os_hash_algo="sha256", os_hash_value="00")
    world.two.damage(copied.image_id, b"golden imagf")
    world.store.__init__()
    world.changed(copied.image_id)
    world.run()
    task = world.task(copied)
    assert task.status == "failure"
    assert "holds other data than its source: expected sha512:" in task.reason
    assert "glance-sync disown" in task.reason
    assert world.two.ids() == {copied.image_id}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({mark_properties.SOURCE_ID: builders.COPY_ID}, id="source-id"),
        pytest.param({"created_at": "2031-01-01T00:00:00Z"}, id="reused-id"),
    ],
)
@pytest.mark.parametrize("call", ["update", "set_active", "delete"])
def test_a_copy_is_looked_at_once_more_before_it_is_changed(world, copied, call, change):
    def before(name, _image_id):
        if name == "get_record" and world.two.armed:
            world.two.change(copied.image_id, **change)

    world.two.armed = True
    world.two.before = before
    match call:
        case "update":
            world.source.change(copied.image_id, name="renamed")
        case "set_active":
            world.source.set_active(copied.image_id, active=False)
        case "delete":
            world.source.delete_as_user(copied.image_id)
    asked: list[str] = []

    def noted(name, image_id):
        asked.append(name)
        before(name, image_id)

    world.two.before = noted
    if call == "delete":
        world.deleted(copied.image_id)
    else:
        world.changed(copied.image_id)
    world.run()
    assert call not in asked
    assert "changed during the attempt and stays untouched" in world.task(copied).reason
    copy = world.two.image(copied.image_id)
    assert (copy.status, copy.metadata.name) == ("active", "golden")


@pytest.mark.parametrize("call", ["update", "set_active", "delete"])
def test_a_copy_that_vanishes_before_it_is_changed_is_missed_by_nobody(world, copied, call):
    def before(name, _image_id):
        if name == "get_record":
            world.two.before = lambda _name, _image_id: None
            world.two.delete_as_user(copied.image_id)

    world.two.before = before
    match call:
        case "update":
            world.source.change(copied.image_id, name="renamed")
        case "set_active":
            world.source.set_active(copied.image_id, active=False)
        case "delete":
            world.source.delete_as_user(copied.image_id)
    (world.deleted if call == "delete" else world.changed)(copied.image_id)
    world.settle()
    assert copied.image_id not in world.two.ids()
    assert [one.metadata.name for one in map(world.two.image, world.two.ids())] == (
        ["renamed"] if call == "update" else []
    )


def test_a_copy_whose_mark_was_edited_to_an_inherited_one_is_replaced_and_stays(world, copied):
    world.two.change(copied.image_id, glance_sync_copy_id=SMALLEST)
    theirs = world.two.image(copied.image_id)
    world.changed(copied.image_id)
    world.run()
    task = world.task(copied)
    assert (task.reason, task.copy_id) != ("in sync", copied.image_id)
    assert world.two.data(task.copy_id) == DATA
    assert world.two.image(copied.image_id) == theirs


def test_a_source_whose_key_would_go_with_a_copy_keeps_it(world, copied):
    key = {
        "cinder_encryption_key_id": "key of the source",
        "cinder_encryption_key_deletion_policy": "on_image_deletion",
    }
    world.source.change(copied.image_id, **key)
    world.changed(copied.image_id)
    world.run()
    properties = world.two.image(copied.image_id).metadata.properties
    assert properties["cinder_encryption_key_id"] == "key of the source"
    assert "cinder_encryption_key_deletion_policy" not in properties
    world.two.change(copied.image_id, **key)  # by hand
    world.source._records.pop(copied.image_id)
    world.deleted(copied.image_id)
    world.run()
    assert not world.two.ids()
    assert world.two.deleted_keys == []


def test_a_deletion_is_logged_with_owner_size_hash_reason_and_proof(world, copied, caplog):
    caplog.set_level("INFO")
    world.source.delete_as_user(copied.image_id)
    world.deleted(copied.image_id)
    world.run()
    assert (
        f"Deleted the copy of image {copied.image_id} in region RegionTwo: source was deleted. It "
        f"was image {copied.image_id} of project alpha, with 12 bytes and hash "
        f"{builders.multihash(DATA)}; it was ours, because its task knows it"
    ) in caplog.text


def test_what_an_attempt_learned_is_lost_only_with_the_database(world, image):
    def fail(name, _image_id):
        if name == "write":
            raise errors.TransferInterrupted("cut")

    world.two.before = fail
    world.worker.dispatch()
    note = world.store.note_copy

    def away(*_arguments):
        raise errors.ServiceUnavailable("the database is away")

    world.store.note_copy = away
    while world.submitted:
        world.submitted.pop(0)()
    world.store.note_copy = note
    world.two.before = lambda _name, _image_id: None
    world.settle()
    assert world.task(image).reason == "in sync"
    assert world.two.ids() == {image.image_id}
