# SPDX-License-Identifier: Apache-2.0
"""What happens to a copy, and around it, while it is read back for hours."""

import contextlib
import dataclasses

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
DATA = b"golden image" * 10
#: Into so many blocks the data is cut; the first one is 0.
BLOCKS = 30


@pytest.fixture
def world(monkeypatch):
    monkeypatch.setattr("glance_sync_agent.engine.transfer.blocks.BLOCK_BYTES", 4)
    made = worlds.World()
    made.limits = dataclasses.replace(made.limits, transfer=0.0)
    return made


@pytest.fixture
def image(world):
    return publish(world)


def publish(world, **fields):
    image = world.source.publish(DATA, **{"visibility": "public", "owner": "alpha", **fields})
    world.changed(image.image_id)
    world.settle()
    return image


def read_back(world, image, events):
    """Read the copy back, two seconds a block, with events at some blocks; count the reads."""
    opened, reads = world.regions.served, []

    def served(region):
        return Slow(opened(region))

    class Slow:
        def __init__(self, store):
            self._store = store

        @contextlib.contextmanager
        def read(self, image, *, offset=0):
            reads.append(image.image_id)
            with self._store.read(image, offset=offset) as blocks:
                yield self._slowly(blocks)

        def _slowly(self, blocks):
            for number, block in enumerate(blocks):
                if len(reads) == 1 and number in events:
                    events[number]()
                world.clock.advance(2.0)
                yield block

        def __getattr__(self, name):
            return getattr(self._store, name)

    world.regions.served = served
    world.two.change(image.image_id, os_hash_algo="sha256", os_hash_value="00")
    world.changed(image.image_id)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.submitted.pop()()
    return len(reads)


def take_back(world, image, **fields):
    world.source.change(image.image_id, **(fields or {"visibility": "private"}))
    world.changed(image.image_id)


def fail_next(glance, call, failure):
    """Have the next call of a kind fail."""

    def before(name, _image_id):
        if name == call:
            glance.before = lambda _name, _image_id: None
            raise failure

    glance.before = before


def copy_of(world, image):
    return world.two.image(image.image_id)


@pytest.mark.parametrize(
    "failure",
    [
        errors.ServiceUnavailable("HTTP 503", region=TWO, fault=errors.Fault.ANSWER),
        errors.Unauthorized("HTTP 401", fault=errors.Fault.ANSWER),
        errors.Refused("HTTP 403"),
    ],
)
def test_access_is_taken_back_soon_although_a_region_refused_once(world, image, failure):
    seen = []

    def lose():
        take_back(world, image)
        fail_next(world.two, "update", failure)

    def look():
        seen.append(copy_of(world, image).metadata.visibility)

    read_back(world, image, {2: lose, 6: look})
    assert seen == ["private"]
    assert world.task(image).proven_id == image.image_id


def test_all_steps_that_narrow_are_taken(world, image):
    seen = []
    # Members of a public image show once it is shared.
    world.two.change(image.image_id, visibility="shared")
    world.two.share(image.image_id, "mallory")
    world.two.change(image.image_id, visibility="public")

    def look():
        seen.append(copy_of(world, image).members)

    read_back(world, image, {2: lambda: take_back(world, image, visibility="shared"), 20: look})
    assert seen == [{}]


def test_a_copy_that_somebody_publishes_again_and_again_is_followed_later(
    world, image, caplog
):
    update, changes = world.two.update, []

    def undo(change):
        changes.append(update(change))
        if len(changes) < 5:
            world.two.change(image.image_id, visibility="public")
        return world.two.image(image.image_id)

    def lose():
        take_back(world, image)
        world.two.update = undo

    read_back(world, image, {2: lose})
    assert len(changes) == 5
    assert copy_of(world, image).metadata.visibility == "private"
    assert "has more users than its source, also after 3 changes" in caplog.text


def test_a_source_that_hangs_is_asked_at_growing_pauses_and_costs_the_read_no_time(
    world, image, caplog
):
    world.limits = dataclasses.replace(world.limits, transfer=100.0)
    asked = []

    def hang(name, _image_id):
        if name == "get":
            asked.append(name)
            world.clock.advance(20.0)
            raise errors.ServiceUnavailable("no answer", fault=errors.Fault.REQUEST)

    def lose():
        world.changed(image.image_id)
        world.source.before = hang

    read_back(world, image, {2: lose})
    assert 2 <= len(asked) < BLOCKS / 2
    assert world.task(image).proven_id == image.image_id
    assert "cannot follow during the read-back: no answer. The next try is in 1 s" in caplog.text


def test_keystone_may_be_away_for_a_moment(world):
    world.metadata = metadata_policy.MetadataPolicy(owner=metadata_policy.Owner.AGENT)
    image = publish(world)

    def lose():
        world.changed(image.image_id)
        world.catalogue.is_down = True

    def come_back():
        world.catalogue.is_down = False

    assert read_back(world, image, {2: lose, 6: come_back}) == 1
    assert world.task(image).proven_id == image.image_id


def test_a_proof_is_written_before_anything_else_can_fail(world, image):
    failure = errors.ServiceUnavailable("HTTP 503", region=TWO, fault=errors.Fault.ANSWER)
    read_back(world, image, {BLOCKS - 1: lambda: fail_next(world.two, "get", failure)})
    assert world.task(image).proven_id == image.image_id
    assert world.task(image).attempts == 1


def test_a_copy_that_is_gone_is_judged_by_the_next_attempt(world, image):
    read_back(world, image, {2: lambda: world.two.delete_as_user(image.image_id)})
    assert not world.two.ids()
    world.settle()
    assert world.task(image).vanished.times == 1


def test_a_copy_that_only_looks_gone_gets_no_second_one(world, image):
    def lose_rights():
        def refuse():
            raise errors.Refused("not an administrator any more")

        world.two.get = world.two.get_record = lambda _image_id: None
        world.two.require_all_rights = refuse

    read_back(world, image, {2: lose_rights})
    world.run(seconds=600.0)
    assert world.two.ids() == {image.image_id}


@pytest.mark.parametrize("status", ["pending_delete", "deleted"])
def test_it_ends_once_its_source_is_being_deleted(world, image, status):
    seen = []

    def lose():
        world.source.change(image.image_id, status=status)
        world.deleted(image.image_id)

    read_back(world, image, {2: lose, 20: lambda: seen.append("goes on")})
    assert not seen
    world.settle()
    assert not world.two.ids()


def test_who_deactivates_a_copy_after_a_deactivation_of_ours_failed_holds_it(world, image):
    failure = errors.ServiceUnavailable("HTTP 500", region=TWO, fault=errors.Fault.ANSWER)

    def deactivate():
        world.source.set_active(image.image_id, active=False)
        world.changed(image.image_id)
        fail_next(world.two, "set_active", failure)

    def reactivate():
        world.source.set_active(image.image_id, active=True)
        world.changed(image.image_id)

    def hold():
        world.two.set_active(image.image_id, active=False)

    read_back(world, image, {2: deactivate, 3: reactivate, 10: hold})
    world.settle()
    assert copy_of(world, image).status == "deactivated"
    assert world.task(image).code == "held"


def test_a_proof_says_nothing_of_other_bytes_that_the_source_has_later():
    """Somebody replaces the location of an image whose data is in another region."""
    world = worlds.World()
    world.source.shows_locations = True
    world.three.hash_algo = "sha256"
    first, second = (world.two.publish(data, owner="alpha") for data in (b"old", b"new"))
    image = world.refer(first, owner="alpha")
    world.changed(image.image_id)
    world.settle()
    proven = world.store.get(tasks.TaskKey(image_id=image.image_id, region=THREE))
    assert (proven.proven_id, world.three.data(image.image_id)) == (image.image_id, b"old")
    world.source.change(image.image_id, locations=[])
    place = {"image_from": "snapshot", "image_id": second.image_id}
    world.source.locate(image.image_id, world.two.image_url(second.image_id), place)
    world.changed(image.image_id)
    world.settle()
    task = world.store.get(tasks.TaskKey(image_id=image.image_id, region=THREE))
    assert task.code is Code.IN_SYNC
    assert world.three.data(task.copy_id) == b"new"
