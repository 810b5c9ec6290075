# SPDX-License-Identifier: Apache-2.0
"""Snapshots: announced before their data, and made where they are not published."""

import datetime

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import events
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import readiness
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine.reconcile import scan_state
from glance_sync_agent.engine.reconcile import source_walk
from tests.fakes import world as worlds
from tests.unit import builders

ONE = worlds.CASCADING
TWO, THREE = worlds.CASCADED
SNAPSHOT = {"image_type": "snapshot"}
DATA = b"the disk of a server"


@pytest.fixture
def world():
    return worlds.World(snapshot_origins=[TWO])


def announce(world, **metadata):
    """Make a snapshot without data, and bring the event of it."""
    image = world.source.make(properties=SNAPSHOT, **metadata)
    world.changed(image.image_id)
    world.run()
    return image


def waiting(world):
    return [(task.key.region, task.reason) for task in world.store.waiting()]


# Announced in the cascading region before its data.


@pytest.mark.parametrize("status", ["queued", "saving", "uploading", "importing"])
def test_a_snapshot_without_data_is_waited_for(world, status):
    image = world.source.make(properties=SNAPSHOT)
    world.source.change(image.image_id, status=status)
    world.changed(image.image_id)
    world.run()
    assert waiting(world) == [(THREE, f"snapshot is {status}"), (TWO, f"snapshot is {status}")]
    assert world.task(image).attempts == 0


def test_any_other_image_without_data_is_not(world):
    image = world.source.make()
    world.changed(image.image_id)
    world.run()
    assert not list(world.store.list())


def test_it_is_copied_when_it_is_active_and_no_event_said_so(world):
    image = announce(world)
    assert world.snapshots.check() == 0
    world.source.put_data(image.image_id, DATA)
    assert world.snapshots.check() == 1
    world.run()
    assert world.two.data(image.image_id) == world.three.data(image.image_id) == DATA
    assert not waiting(world)
    assert world.snapshots.check() == 0


def test_while_it_waits_no_task_is_due_and_nothing_is_written(world):
    announce(world)
    before = list(world.store.list())
    assert world.run(seconds=299) == 0
    world.snapshots.check()
    assert list(world.store.list()) == before


def test_a_hundred_of_them_cost_one_question(world):
    for _ in range(100):
        world.source.make(properties=SNAPSHOT)
    for image_id in world.source.ids():
        world.changed(image_id)
    world.run()
    asked = []
    world.source.before = lambda name, _image_id: asked.append(name)
    world.snapshots.check()
    assert asked == ["find"]
    assert len(waiting(world)) == 200


def test_one_that_takes_too_long_fails_with_that_reason(world):
    image = announce(world)
    world.run(seconds=150)
    world.changed(image.image_id)  # events on the way do not give it more time
    world.run(seconds=149)
    assert waiting(world)
    world.run(seconds=1)
    task = world.task(image)
    assert (task.status, task.waiting_since) == ("failure", None)
    assert task.reason.startswith("snapshot is queued still, after 300 s (snapshot_timeout)")


def test_one_that_was_late_is_copied_all_the_same(world):
    image = announce(world)
    world.run(seconds=300)
    assert world.task(image).status == "failure"
    world.source.put_data(image.image_id, DATA)
    world.changed(image.image_id)
    world.settle()
    assert world.two.data(image.image_id) == DATA


def test_one_that_was_deleted_is_told_from_one_that_was_killed(world):
    deleted, killed = announce(world), announce(world)
    world.source.delete_as_user(deleted.image_id)
    world.source.change(killed.image_id, status="killed")
    assert world.snapshots.check() == 2
    world.run()
    assert world.task(deleted).reason == "snapshot was deleted before it had data"
    assert world.task(killed).reason == "snapshot was killed before it had data"
    assert world.task(deleted).status == world.task(killed).status == "failure"


def test_a_region_that_does_not_want_it_forgets_it(world):
    image = announce(world)
    world.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({THREE}))
    world.changed(image.image_id)
    world.run()
    assert waiting(world) == [(THREE, "snapshot is queued")]


def test_snapshots_go_to_the_snapshot_regions(world):
    world.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({THREE}))
    image = world.source.publish(DATA, properties=SNAPSHOT)
    world.changed(image.image_id)
    world.run()
    assert world.three.ids() == {image.image_id}
    assert not world.two.ids()


def test_a_glance_that_does_not_answer_is_asked_again(world, caplog):
    image = announce(world)

    def away(_name, _image_id):
        raise errors.ServiceUnavailable("no answer")

    world.source.before = away
    assert world.snapshots.check() == 0
    assert "Could not check the snapshots of region RegionOne: no answer" in caplog.text
    world.source.before = lambda _name, _image_id: None
    world.source.put_data(image.image_id, DATA)
    assert world.snapshots.check() == 1


def test_a_copy_that_fails_after_the_waiting_is_not_waited_for_any_more(world):
    image = announce(world)
    world.source.put_data(image.image_id, DATA)

    def full(name, _image_id):
        if name == "write":
            raise errors.TransferInterrupted("the disk is full")

    world.two.before = full
    world.snapshots.check()
    world.run()
    assert world.task(image).attempts == 1
    assert not waiting(world)


# Known in the cascading region by the place of its data alone.


@pytest.fixture
def showing(world):
    world.source.shows_locations = True
    return world


def refer(world, there, **metadata):
    """Publish a snapshot by where its data is, and bring the event of it."""
    image = world.refer(there, **metadata)
    world.changed(image.image_id)
    world.run()
    return image


def reasons(world, image):
    return {task.key.region: task.reason for task in world.store.find([image.image_id])}


def test_data_of_another_region_goes_to_all_but_that_one(showing):
    there = showing.two.publish(DATA, name="of the data")
    image = refer(showing, there, name="of the record", properties={"a": "1"})
    assert showing.three.data(image.image_id) == DATA
    assert showing.two.ids() == {there.image_id}
    copy = showing.three.image(image.image_id)
    assert (copy.metadata.name, copy.metadata.properties) == ("of the record", {"a": "1"})
    assert identity.names(copy, images.key_of(image))
    task = showing.task(image, THREE)
    assert (task.status, task.copied_from, task.bytes_total) == ("success", TWO, len(DATA))
    assert reasons(showing, image) == {THREE: "in sync"}


def test_snapshot_regions_hold_for_it(showing):
    showing.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({TWO}))
    image = refer(showing, showing.two.publish(DATA))
    assert not reasons(showing, image)
    showing.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({THREE}))
    showing.changed(image.image_id)
    showing.run()
    assert showing.three.data(image.image_id) == DATA


@pytest.mark.parametrize("status", ["queued", "saving", "uploading", "importing"])
def test_data_that_is_not_there_yet_is_waited_for(showing, status):
    there = showing.two.make()
    showing.two.change(there.image_id, status=status)
    image = refer(showing, there)
    assert waiting(showing) == [(THREE, f"snapshot is {status} in region RegionTwo")]
    assert showing.task(image, THREE).attempts == 0
    assert showing.snapshots.check() == 0
    showing.two.change(there.image_id, status="queued")
    showing.two.put_data(there.image_id, DATA)
    assert showing.snapshots.check() == 1
    showing.run()
    assert showing.three.data(image.image_id) == DATA
    assert not waiting(showing)


def test_a_hundred_of_them_cost_one_question_to_each_region(showing):
    for _ in range(100):
        showing.changed(showing.refer(showing.two.make()).image_id)
    showing.run()
    asked = []
    for service in showing.regions.glances.values():
        service.before = lambda name, _id, region=service.region: asked.append((region, name))
    assert showing.snapshots.check() == 0
    assert asked == [(ONE, "find"), (TWO, "find")]
    assert len(waiting(showing)) == 100


def test_data_that_takes_too_long_fails_with_that_reason(showing):
    image = refer(showing, showing.two.make())
    showing.run(seconds=300)
    task = showing.task(image, THREE)
    assert task.status == "failure"
    assert task.reason.startswith("snapshot is queued in region RegionTwo still, after 300 s")


@pytest.mark.parametrize("waited", [False, True])
def test_data_that_was_deleted_is_told_from_data_that_was_killed(showing, waited):
    deleted, killed = showing.two.make(), showing.two.make()
    made = [showing.refer(one) for one in (deleted, killed)]
    if waited:
        for image in made:
            showing.changed(image.image_id)
        showing.run()
        assert len(waiting(showing)) == 2
    showing.two.delete_as_user(deleted.image_id)
    showing.two.change(killed.image_id, status="killed")
    if waited:
        assert showing.snapshots.check() == 2
    for image in made:
        showing.changed(image.image_id)
    showing.run()
    assert [reasons(showing, image) for image in made] == [
        {THREE: "snapshot was deleted in region RegionTwo before it was copied"},
        {THREE: "snapshot was killed in region RegionTwo before it was copied"},
    ]
    assert {showing.task(image, THREE).status for image in made} == {"failure"}
    assert showing.reconciliation.run().requested == 0


def test_a_record_that_waited_for_data_is_no_copy_of_what_was_lost(showing):
    there = showing.two.publish(DATA)
    showing.two._data[there.image_id] = DATA[::-1]
    image = refer(showing, there)
    assert showing.three.image(image.image_id).status == "queued"
    showing.two.delete_as_user(there.image_id)
    showing.settle()
    task = showing.task(image, THREE)
    assert (task.status, task.reason) == (
        "failure", "snapshot was deleted in region RegionTwo before it was copied",
    )


def test_lost_data_is_missed_only_where_it_was_wanted(showing):
    there = showing.two.publish(DATA)
    image = showing.refer(there)
    showing.two.delete_as_user(there.image_id)
    showing.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({TWO}))
    showing.changed(image.image_id)
    showing.run()
    assert not reasons(showing, image)


def test_a_copy_outlives_the_data_it_was_made_of_but_not_its_source(showing):
    there = showing.two.publish(DATA)
    image = refer(showing, there)
    showing.two.delete_as_user(there.image_id)
    showing.changed(image.image_id)
    showing.run()
    assert showing.three.data(image.image_id) == DATA
    assert reasons(showing, image) == {THREE: "snapshot was deleted in region RegionTwo"}
    assert showing.task(image, THREE).status == "success"
    assert showing.reconciliation.run().requested == 0
    showing.source.delete_as_user(image.image_id)
    showing.deleted(image.image_id)
    showing.run()
    assert not showing.three.ids()


def test_the_end_of_its_source_leaves_the_data(showing):
    there = showing.two.publish(DATA)
    image = refer(showing, there)
    showing.source.delete_as_user(image.image_id)
    showing.deleted(image.image_id)
    showing.run()
    assert showing.two.data(there.image_id) == DATA
    assert not showing.three.ids()


def test_data_of_a_stranger_is_not_to_be_had_by_naming_it(showing):
    there = showing.two.publish(b"secret", owner="alpha", visibility="private")
    image = refer(showing, there, owner="mallory")
    assert not showing.three.ids()
    task = showing.task(image, THREE)
    assert task.status == "failure"
    assert task.reason.startswith(f"the image's data is image {there.image_id} of region")
    showing.two.change(there.image_id, owner="mallory")
    showing.changed(image.image_id)
    showing.run()
    assert showing.three.data(image.image_id) == b"secret"


def test_a_policy_that_gives_copies_to_others_opens_no_data_of_theirs(showing):
    showing.metadata = metadata_policy.MetadataPolicy(owner=metadata_policy.Owner.AGENT)
    stranger = showing.two.publish(b"secret", owner="agents", visibility="private")
    own = showing.two.publish(DATA, owner="mallory")
    refer(showing, stranger, owner="mallory")
    image = refer(showing, own, owner="mallory")
    assert showing.three.ids() == {image.image_id}
    assert showing.three.image(image.image_id).metadata.owner == "agents"


def test_a_url_that_leads_nowhere_is_told_without_what_is_secret(showing):
    there = showing.two.publish(DATA)
    image = refer(
        showing, there, url=f"http://u:secret@nine.example:9292/v2/images/{there.image_id}"
    )
    assert set(reasons(showing, image)) == {TWO, THREE}
    for reason in reasons(showing, image).values():
        assert "at 'nine.example:9292', which is not the image endpoint of" in reason
        assert "secret" not in reason
    assert {showing.task(image, region).status for region in (TWO, THREE)} == {"failure"}


def test_data_in_a_region_that_does_not_answer_is_tried_again(showing, caplog):
    image = refer(showing, showing.two.make())

    def away(_name, _image_id):
        raise errors.ServiceUnavailable("no answer")

    showing.two.before = away
    assert showing.snapshots.check() == 0
    assert "Could not check the snapshots of region RegionTwo: no answer" in caplog.text
    assert len(waiting(showing)) == 1
    other = refer(showing, showing.three.publish(DATA))
    late = refer(showing, showing.two.publish(DATA))
    assert (showing.task(late, THREE).status, showing.task(late, THREE).attempts) == (
        "pending", 1,
    )
    showing.two.before = lambda _name, _image_id: None
    showing.settle()
    assert showing.two.data(other.image_id) == showing.three.data(late.image_id) == DATA
    assert showing.task(image, THREE).reason.startswith("snapshot is queued in region RegionTwo")


def test_data_that_is_damaged_where_it_is_never_arrives(showing):
    there = showing.two.publish(DATA)
    showing.two._data[there.image_id] = DATA[::-1]
    image = refer(showing, there)
    assert "DigestMismatch" in showing.task(image, THREE).reason
    assert showing.three.image(image.image_id).status == "queued"


def test_a_full_scan_finds_the_data_of_sources_elsewhere(showing):
    made = [showing.refer(showing.two.publish(DATA)), showing.refer(showing.three.publish(DATA))]
    assert showing.reconciliation.run().requested == 2
    showing.settle()
    assert showing.three.data(made[0].image_id) == showing.two.data(made[1].image_id) == DATA
    assert showing.reconciliation.run().requested == 0
    showing.source.change(made[0].image_id, name="renamed")
    assert showing.reconciliation.run().requested == 1
    showing.settle()
    assert showing.three.image(made[0].image_id).metadata.name == "renamed"


def test_a_source_whose_data_was_unreachable_is_scanned_again(showing, caplog):
    image = showing.refer(showing.two.publish(DATA))
    other = showing.source.publish(b"1")

    def away(_name, _image_id):
        raise errors.ServiceUnavailable("no answer")

    showing.two.before = away
    report = showing.reconciliation.run()
    assert (report.failed_regions, report.requested) == ({TWO}, 1)
    assert "Could not read the snapshots of region RegionTwo: no answer" in caplog.text
    showing.settle()
    assert showing.three.ids() == {other.image_id}
    showing.two.before = lambda _name, _image_id: None
    scope = scan_state.Scope(only=report.failed_regions, deletions=False)
    again = showing.reconciliation.run(scope)
    assert (again.failed_regions, again.requested) == (set(), 2)
    showing.settle()
    assert showing.three.ids() == {other.image_id, image.image_id}


def test_a_region_with_data_that_is_unavailable_or_failed_is_not_asked_again(
    showing, monkeypatch
):
    made = [showing.refer(showing.two.publish(DATA)) for _ in range(3)]
    monkeypatch.setattr(source_walk, "PAGE_SIZE", 1)
    asked = []

    def away(name, _image_id):
        asked.append(name)
        raise errors.ServiceUnavailable("no answer")

    showing.two.before = away
    report = showing.reconciliation.run()
    assert (report.sources, report.failed_regions) == (len(made), {TWO})
    assert asked == ["find"]
    asked.clear()
    now = showing.clock.now()
    left_alone = breakers.Breaker(
        failures=3, since=now, retry_at=now + datetime.timedelta(seconds=10.0)
    )
    showing.breakers.change(TWO, lambda _: left_alone)
    assert showing.reconciliation.run().failed_regions == {TWO}
    assert asked == []
    showing.two.before = lambda _name, _image_id: None
    showing.clock.advance(10.0)
    scope = scan_state.Scope(only=report.failed_regions, deletions=False)
    assert showing.reconciliation.run(scope).requested == len(made)


def test_the_map_on_the_source_names_its_copies_too(showing):
    showing.record_locations = True
    showing.three.tells_size = True
    image = refer(showing, showing.two.publish(DATA))
    showing.changed(image.image_id)
    showing.run()
    known = showing.source.image(image.image_id)
    assert known.locations is not None
    assert [one.metadata.get("action") for one in known.locations] == [None, "upload"]
    assert reasons(showing, image) == {THREE: "in sync"}
    assert showing.reconciliation.run().requested == 0


# Records of volumes.

VOLUMES = {**SNAPSHOT, "block_device_mapping": "[]", "bdm_v2": "True"}


def publish_record(world, **metadata):
    image = world.source.publish(b"", properties=VOLUMES, **metadata)
    world.changed(image.image_id)
    world.run()
    return image


def test_a_record_of_volumes_is_left_out_and_the_row_says_why(world):
    image = publish_record(world)
    assert not world.two.ids()
    for region in (TWO, THREE):
        task = world.task(image, region)
        assert (task.status, task.copy_id) == ("success", None)
        assert task.reason == (
            "not wanted here: it is a snapshot of a server whose disks are volumes, so it has no "
            "data, and [snapshots] volume_backed is false"
        )
    assert world.reconciliation.run().requested == 0
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.run()
    assert not list(world.store.list())


def test_where_it_would_not_go_anyway_there_is_no_row(world):
    world.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({THREE}))
    image = publish_record(world)
    assert set(reasons(world, image)) == {THREE}


def test_one_that_was_waited_for_is_left_out_too(world):
    image = announce(world)
    world.source.change(image.image_id, block_device_mapping="[]")
    world.source.put_data(image.image_id, b"")
    assert world.snapshots.check() == 1
    world.run()
    assert "volume_backed is false" in world.task(image).reason
    assert not waiting(world)


def test_with_an_option_images_without_data_get_a_record(world):
    world.policy = strategy.PlacementPolicy(volume_backed=True)
    image = publish_record(world, name="a server")
    copy = world.two.image(image.image_id)
    assert (copy.status, copy.size) == ("active", 0)
    assert copy.metadata == image.metadata
    world.policy = strategy.PlacementPolicy()
    world.changed(image.image_id)
    world.run()
    assert world.task(image).reason.endswith(" its source follows: it is private")


def test_a_full_scan_follows_a_change_of_the_policy(world):
    image = publish_record(world)
    world.policy = strategy.PlacementPolicy(volume_backed=True)
    assert world.reconciliation.run().requested == 2
    world.settle()
    assert world.task(image).reason == "in sync"


# Shelved servers.

OF_SERVER = {**SNAPSHOT, "instance_uuid": "9e3c5a71-0d42-4b86-8f17-2a6b9c04d5e8"}


def shelve(world):
    image = world.source.publish(DATA, name="web-shelved", properties=OF_SERVER)
    world.changed(image.image_id)
    world.run()
    return image


def test_a_shelved_server_is_left_out_and_the_row_says_why(world):
    image = shelve(world)
    assert not world.two.ids()
    task = world.task(image)
    assert (task.status, task.copy_id) == ("success", None)
    assert task.reason.endswith("and [snapshots] shelved is false")
    assert world.reconciliation.run().requested == 0
    world.source.delete_as_user(image.image_id)  # as Nova does when it is unshelved
    world.deleted(image.image_id)
    world.run()
    assert not list(world.store.list())


def test_with_an_option_shelved_servers_are_snapshots(world):
    world.policy = strategy.PlacementPolicy(shelved=True, snapshot_regions=frozenset({THREE}))
    image = shelve(world)
    assert world.three.data(image.image_id) == DATA
    assert not world.two.ids()


# Made in a cascaded region whose bus is listened to.


def happened(world, image_id, region=TWO, *, deleted=False, is_snapshot=True):
    kind = events.EventKind.DELETED if deleted else events.EventKind.CHANGED
    event = events.ImageEvent(image_id=image_id, kind=kind, is_snapshot=is_snapshot)
    world.intake.handle(event, source_region=region)
    world.run()


def test_a_snapshot_of_a_cascaded_region_goes_to_the_others(world):
    image = world.two.publish(DATA, properties=SNAPSHOT)
    happened(world, image.image_id)
    assert world.three.data(image.image_id) == DATA
    assert not world.source.ids()
    copy = world.three.image(image.image_id)
    assert identity.names(copy, images.key_of(image))
    assert world.task(image, THREE).source_region == TWO


def test_the_cascading_region_gets_it_if_it_is_named(world):
    world.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({ONE}))
    image = world.two.publish(DATA, properties=SNAPSHOT)
    happened(world, image.image_id)
    assert world.source.data(image.image_id) == DATA
    assert not world.three.ids()


def test_it_is_waited_for_where_it_is_made(world):
    image = world.two.make(properties=SNAPSHOT)
    happened(world, image.image_id)
    assert waiting(world) == [(THREE, "snapshot is queued")]
    world.two.put_data(image.image_id, DATA)
    assert world.snapshots.check() == 1
    world.run()
    assert world.three.data(image.image_id) == DATA


def test_other_images_of_a_cascaded_region_are_its_own_affair(world):
    image = world.two.publish(DATA)
    happened(world, image.image_id, is_snapshot=False)
    assert not list(world.store.list())


def test_its_later_changes_and_its_end_arrive(world):
    image = world.two.publish(DATA, properties=SNAPSHOT)
    happened(world, image.image_id)
    world.two.change(image.image_id, name="renamed")
    happened(world, image.image_id, is_snapshot=False)  # of members it is not told
    assert world.three.image(image.image_id).metadata.name == "renamed"
    world.two.delete_as_user(image.image_id)
    happened(world, image.image_id, deleted=True)
    assert not world.three.ids()


def test_a_copy_is_nobodys_source(world):
    image = world.source.publish(DATA, properties=SNAPSHOT)
    world.changed(image.image_id)
    world.run()
    mark = world.two.image(image.image_id).mark
    copy = events.ImageEvent(
        image_id=image.image_id, kind=events.EventKind.CHANGED, is_snapshot=True, mark=mark
    )
    before = list(world.store.list())
    world.intake.handle(copy, source_region=TWO)
    assert list(world.store.list()) == before
    # In another region, or on another image, the same mark is an inherited one.
    world.intake.handle(copy)
    assert list(world.store.list()) != before
    world.run()
    # Whoever requests it all the same finds that there is nothing to do.
    happened(world, image.image_id)
    assert not world.source.copies_of(images.SourceKey(image_id=image.image_id, region=TWO))


def test_without_a_snapshot_region_the_strategy_decides(world):
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.NONE)
    image = world.two.publish(DATA, properties=SNAPSHOT)
    happened(world, image.image_id)
    assert not world.three.ids()


# Full scans.


def test_what_happened_unheard_is_found(world):
    image = world.two.publish(DATA, properties=SNAPSHOT)
    world.two.publish(b"of the region itself")
    world.clock.advance(1.0)
    # It stays: without its newest snapshot, a Glance looks as if it was restored from a backup.
    world.two.publish(b"newest", properties=SNAPSHOT)
    world.source.publish(b"1")
    report = world.reconciliation.run()
    assert report == scan_state.ScanReport(sources=3, requested=4)
    world.settle()
    assert world.three.data(image.image_id) == DATA
    world.two.delete_as_user(image.image_id)
    report = world.reconciliation.run()
    assert (report.deleted_sources, report.requested) == (1, 1)
    world.settle()
    assert image.image_id not in world.three.ids()


def test_a_region_that_cannot_tell_has_lost_nothing(world, caplog):
    image = world.two.publish(DATA, properties=SNAPSHOT)
    world.source.publish(b"1")
    happened(world, image.image_id)
    world.two.delete_as_user(image.image_id)

    def demoted(name, _image_id):
        if name == "require_all_rights":
            raise errors.Refused("no administrator any more")

    world.two.before = demoted
    assert world.reconciliation.run().deleted_sources == 0
    assert "No image counts as deleted in region RegionTwo" in caplog.text
    assert image.image_id in world.three.ids()


@pytest.mark.parametrize("is_filled", [False, True])
def test_a_region_that_lost_its_images_has_deleted_no_snapshot(world, caplog, is_filled):
    image = world.two.publish(DATA, properties=SNAPSHOT)
    published = world.source.publish(b"1")
    happened(world, image.image_id)
    for one in world.two.ids():
        world.two.delete_as_user(one)
    if is_filled:
        world.changed(published.image_id)
        world.run()
        assert world.two.ids()
    assert world.reconciliation.run().deleted_sources == 0
    world.settle()
    assert image.image_id in world.three.ids()
    assert "in region RegionTwo: it lists no image of its own" in caplog.text
    happened(world, image.image_id, deleted=True)
    assert image.image_id not in world.three.ids()


def test_snapshots_elsewhere_do_not_make_an_empty_cascading_region_believable(world, caplog):
    image = world.source.publish(b"1")
    world.changed(image.image_id)
    world.run()
    world.two.publish(DATA, properties=SNAPSHOT)
    world.source.delete_as_user(image.image_id)
    report = world.reconciliation.run()
    assert (report.sources, report.deleted_sources) == (1, 0)
    assert "lists no image at all" in caplog.text
    world.settle()
    assert image.image_id in world.three.ids()


def test_a_snapshot_region_that_does_not_answer_is_scanned_again(world, caplog):
    image = world.two.publish(DATA, properties=SNAPSHOT)
    world.source.publish(b"1")

    def away(name, _image_id):
        if name == "pages":
            raise errors.ServiceUnavailable("no answer")

    world.two.before = away
    report = world.reconciliation.run()
    assert report.failed_regions == {TWO}
    assert "Could not read the snapshots of region RegionTwo: no answer" in caplog.text
    world.two.before = lambda _name, _image_id: None
    scope = scan_state.Scope(only=report.failed_regions, deletions=False)
    world.reconciliation.run(scope)
    world.settle()
    assert image.image_id in world.three.ids()


def test_a_snapshot_region_that_is_left_alone_is_not_asked_either(world):
    image = world.two.publish(DATA, properties=SNAPSHOT)
    happened(world, image.image_id)
    world.source.publish(b"1")
    asked = []
    world.two.before = lambda name, _image_id: asked.append(name)
    changes = scan_state.Scope(without={TWO}, deletions=False)
    assert world.reconciliation.run(changes).sources == 1
    now = world.clock.now()
    left_alone = breakers.Breaker(
        failures=3, since=now, retry_at=now + datetime.timedelta(seconds=10.0)
    )
    world.breakers.change(TWO, lambda _: left_alone)
    report = world.reconciliation.run()
    assert (report.sources, report.failed_regions) == (1, {TWO})
    assert not asked
    world.clock.advance(10.0)
    again = scan_state.Scope(only=report.failed_regions, deletions=False)
    assert world.reconciliation.run(again).sources == 2


def test_an_agent_that_is_stopping_ends_the_scan(world):
    world.two.publish(DATA, properties=SNAPSHOT)
    world.source.publish(b"1")
    world.stop.set()
    assert world.reconciliation.run().deleted_sources == 0


def test_an_awaited_image_is_a_snapshot_without_data_that_is_no_copy(world):
    image = world.source.make(properties=SNAPSHOT)
    assert readiness.is_awaited(image)
    marks = builders.marks(builders.IMAGE_ID, ONE)
    copy = world.source.make(image_id=builders.IMAGE_ID, properties=SNAPSHOT | marks)
    assert not readiness.is_awaited(copy)
    assert readiness.is_awaited(world.source.make(properties=SNAPSHOT | marks))
    assert not readiness.is_awaited(world.source.make())
    assert not readiness.is_awaited(world.source.publish(DATA, properties=SNAPSHOT))
