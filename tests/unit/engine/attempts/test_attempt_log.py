# SPDX-License-Identifier: Apache-2.0
"""What the history says of attempts."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import history
from glance_sync_agent.domain import pauses
from glance_sync_agent.domain.codes import Code
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
DATA = b"0123456789"


@pytest.fixture
def world():
    return worlds.World(retries=1, owner="host-1")


def publish(world, **metadata):
    image = world.source.make(name="golden", **metadata)
    world.source.put_data(image.image_id, DATA)
    world.changed(image.image_id)
    world.run()
    return image


def happened(world, region=TWO):
    """Return the events of a region, the oldest first."""
    found = world.history.newest(100, history.Filter(region=region))
    return [one.event for one in reversed(found)]


def kinds(world, region=TWO):
    return [event.kind.value for event in happened(world, region)]


def test_a_copy_and_its_deletion_are_kept_with_all_that_proves_them(world):
    image = publish(world, owner="alpha")
    copied = world.two.image(image.image_id)
    world.source.delete(world.source.image(image.image_id))
    world.deleted(image.image_id)
    world.run()

    made, deleted = happened(world)
    assert made == history.Event(
        at=made.at,
        kind=history.Kind.COPIED,
        by="host-1",
        image_id=image.image_id,
        region=TWO,
        request_id=made.request_id,
        text="from region RegionOne",
        copy_id=copied.image_id,
        size=len(DATA),
        seconds=0.0,
    )
    assert deleted == history.Event(
        at=deleted.at,
        kind=history.Kind.DELETED,
        by="host-1",
        image_id=image.image_id,
        region=TWO,
        request_id=deleted.request_id,
        text="source was deleted",
        copy_id=copied.image_id,
        size=len(DATA),
        owner="alpha",
        multihash=str(copied.multihash),
        proof=deleted.proof,
    )
    assert deleted.proof


def test_an_attempt_that_found_nothing_to_do_leaves_no_event(world):
    image = publish(world)
    world.changed(image.image_id)
    world.run()
    assert kinds(world) == ["copied"]


def test_changes_say_what_they_changed(world):
    image = publish(world, visibility="shared")
    world.source.change(image.image_id, name="renamed", tags=["a"], hw_disk_bus="scsi")
    world.source.share(image.image_id, "gamma", "accepted")
    world.changed(image.image_id)
    world.run()
    for active in (False, True):
        world.source.set_active(image.image_id, active=active)
        world.changed(image.image_id)
        world.run()
    assert kinds(world) == ["copied", "updated", "deactivated", "reactivated"]
    assert happened(world)[1].text == "hw_disk_bus, members, name, tags"


def test_a_refused_deactivation_still_narrows_and_says_so(world):
    image = publish(world, visibility="public")

    def refuse(name, _image_id):
        if name == "set_active":
            raise errors.Refused("403")

    world.two.before = refuse
    world.source.change(image.image_id, visibility="private")
    world.source.set_active(image.image_id, active=False)
    world.changed(image.image_id)
    world.run()
    assert "updated" in kinds(world)
    assert "deactivated" not in kinds(world)


def test_a_copy_that_was_read_back_is_proven(world):
    image = publish(world)
    world.two.change(image.image_id, os_hash_algo="sha256", os_hash_value="00")
    world.changed(image.image_id)
    world.run()
    assert kinds(world) == ["copied", "proven"]


def test_failures_are_kept_with_their_code(world):
    def fail(name, _image_id):
        if name == "create":
            raise errors.ServiceUnavailable("HTTP 500")

    world.two.before = fail
    image = publish(world)
    world.settle()
    assert [(one.kind, one.code) for one in happened(world)] == [
        (history.Kind.FAILED, Code.ATTEMPT_FAILED),
        (history.Kind.FAILED, Code.GAVE_UP),
    ]
    assert happened(world)[0].text == "ServiceUnavailable: HTTP 500"
    assert happened(world)[0].image_id == image.image_id


def test_what_was_done_before_the_lease_was_lost_is_kept_too(world):
    def pause_after_the_copy(name, image_id):
        if name == "get_record" and world.two.image(image_id).status == "active":
            world.two.before = lambda _name, _image_id: None
            world.pauses.pause(
                TWO, pauses.Pause(since=world.clock.now(), by="alice", reason="disks")
            )
            world.worker.dispatch()

    world.two.before = pause_after_the_copy
    publish(world)
    assert kinds(world) == ["copied"]


def test_a_history_that_cannot_be_kept_loses_no_task(world, monkeypatch, caplog):
    def add(_events):
        raise errors.ServiceUnavailable("the database does not answer")

    monkeypatch.setattr(world.history, "add", add)
    image = world.source.make(name="golden")
    world.source.put_data(image.image_id, DATA)

    def stop_after_the_copy(name, image_id):
        if name == "get_record" and world.two.image(image_id).status == "active":
            world.stop.set()

    world.two.before = stop_after_the_copy
    world.changed(image.image_id)
    world.clock.advance(1.0)
    world.worker.dispatch()
    while world.submitted:
        world.submitted.pop(0)()
    assert "Could not keep what an attempt did: the database does not answer" in caplog.text
    assert world.task(image).status == "pending"
