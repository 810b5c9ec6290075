# SPDX-License-Identifier: Apache-2.0
"""Copies are read back: the verdicts, the repairs, and the speed."""

import dataclasses
import datetime
import logging

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from tests.fakes import world as worlds
from tests.unit import builders

TWO, THREE = worlds.CASCADED
DATA = b"golden image"
OTHER = b"olden g image"
WANTED = builders.multihash(DATA)


@pytest.fixture
def world():
    return worlds.World()


def copied(world, data=DATA, **metadata):
    """Publish an image and copy it to both regions."""
    image = world.source.publish(data, **metadata)
    world.changed(image.image_id)
    world.settle()
    return image


@pytest.fixture
def image(world):
    return copied(world)


def nobody_watches(_task, _done, _total):
    pass


def verify(world, image, region=TWO, watch=nobody_watches):
    return world.verifying.verify(world.task(image, region), watch)


def told(world, image, region=TWO):
    found = verify(world, image, region)
    return found.verdict.value, found.detail


# Verdicts


def test_a_copy_with_the_bytes_of_its_source_is_ok(world, image):
    found = verify(world, image)
    assert (found.verdict.value, found.detail, found.damage) == ("ok", "", None)
    assert found.size == len(DATA)
    assert found.key == world.task(image).key


def test_an_empty_copy_of_an_empty_image_is_ok(world):
    assert told(world, copied(world, b"")) == ("ok", "")


def test_a_copy_with_other_bytes_is_damaged_and_the_others_are_not(world, image):
    world.two.damage(image.image_id, OTHER)
    found = verify(world, image)
    actual = builders.multihash(OTHER)
    assert (found.verdict.value, found.detail) == ("damaged", f"expected {WANTED}, got {actual}")
    assert found.damage == verification.Damage(copy_id=image.image_id, found=str(actual))
    assert found.size == 2 * len(OTHER)  # it was read twice
    assert told(world, image, THREE) == ("ok", "")


def test_a_copy_without_data_is_missing(world, image):
    world.two.damage(image.image_id, None)
    found = verify(world, image)
    assert (found.verdict.value, found.detail) == ("missing", f"expected {WANTED}, got no data")
    assert found.damage == verification.Damage(copy_id=image.image_id, found="no data")


def test_a_good_second_reading_is_no_damage(world, image):
    kept: list[str] = []

    def before(name, image_id):
        if name == "read":
            world.two.damage(image_id, DATA if kept else OTHER)
            kept.append(image_id)

    world.two.before = before
    found = verify(world, image)
    assert (found.verdict.value, found.damage) == ("ok", None)
    first = builders.multihash(OTHER)
    assert found.detail == f"only the second reading was good; first: {first}"


def test_a_copy_under_an_id_of_its_own_is_read(world):
    world.two.make(image_id=builders.IMAGE_ID)
    world.two.delete_as_user(builders.IMAGE_ID)
    image = copied(world, image_id=builders.IMAGE_ID)
    copy_id = world.task(image).copy_id
    assert copy_id != image.image_id
    assert told(world, image) == ("ok", "")
    world.two.damage(copy_id, None)
    assert verify(world, image).damage.copy_id == copy_id


def test_a_copy_is_hashed_as_its_source_is(world):
    world.source.hash_algo = "sha256"
    image = world.source.publish(DATA)
    world.two.hash_algo = "sha256"
    world.changed(image.image_id)
    world.settle()
    assert told(world, image) == ("ok", "")
    world.two.damage(image.image_id, OTHER)
    wanted, actual = (builders.multihash(one, algo="sha256") for one in (DATA, OTHER))
    assert told(world, image) == ("damaged", f"expected {wanted}, got {actual}")


def test_if_the_source_has_no_hash_the_hash_of_the_copy_counts(world, image):
    world.source.change(image.image_id, os_hash_algo=None, os_hash_value=None)
    assert told(world, image) == ("ok", "")
    world.two.damage(image.image_id, OTHER)
    assert told(world, image)[0] == "damaged"


def test_a_hash_that_this_machine_cannot_make_is_no_damage(world, image):
    world.source.change(image.image_id, os_hash_algo="md6")
    verdict, why = told(world, image)
    assert (verdict, why) == (
        "skipped", f"hashes of this kind cannot be made here: md6:{WANTED.value}"
    )


def test_a_snapshot_is_compared_with_the_image_that_holds_its_data(world):
    world.source.shows_locations = True
    there = world.three.publish(DATA, image_type="snapshot", owner="alpha")
    image = world.refer(there, name="snapshot", owner="alpha")
    world.changed(image.image_id)
    world.settle()
    assert told(world, image) == ("ok", "")
    world.two.damage(image.image_id, OTHER)
    assert told(world, image)[0] == "damaged"


@pytest.mark.parametrize("status", ["pending", "processing"])
def test_a_copy_whose_task_is_at_work_is_skipped(world, image, status):
    world.two.damage(image.image_id, None)
    task = dataclasses.replace(world.task(image), status=tasks.TaskStatus(status))
    found = world.verifying.verify(task, nobody_watches)
    assert (found.verdict.value, found.detail, found.size) == (
        "skipped", f"its task is {status}", 0
    )


def test_a_copy_whose_task_failed_is_read(world, image):
    task = dataclasses.replace(world.task(image), status=tasks.TaskStatus.FAILURE)
    assert world.verifying.verify(task, nobody_watches).verdict.value == "ok"


def test_what_cannot_be_compared_is_skipped(world, image):
    world.two.delete_as_user(image.image_id)
    assert told(world, image) == ("skipped", "there is no copy")
    world.source.delete_as_user(image.image_id)
    assert told(world, image, THREE) == ("skipped", "the source is gone")


def test_what_its_task_does_not_know_is_not_read(world, image):
    task = dataclasses.replace(world.task(image), copy_id=None)
    found = world.verifying.verify(task, nobody_watches)
    assert (found.verdict.value, found.detail) == ("skipped", "its task knows no copy")


def test_a_strangers_image_is_not_even_read(world, image):
    world.two.change(image.image_id, glance_sync_source_id=None)
    read = []
    world.two.before = lambda name, _image_id: read.append(name)
    assert told(world, image) == (
        "skipped",
        (
            "the image there is not the agent's copy: its task knows it, but its mark was "
            "removed or changed"
        ),
    )
    assert "read" not in read


def refuse(*names):
    def before(name, _image_id):
        if name in names:
            raise errors.ServiceUnavailable("no answer")

    return before


def test_a_region_that_does_not_answer_is_asked_once_a_minute(world, image):
    asked = []

    def before(name, image_id):
        asked.append(name)
        refuse("get_record")(name, image_id)

    world.two.before = before
    assert told(world, image) == ("unreachable", "no answer")
    assert told(world, image) == ("unreachable", "no answer")
    assert asked == ["get_record"]
    assert told(world, image, THREE) == ("ok", "")
    world.two.before = lambda _name, _image_id: None
    world.clock.advance(59.9)
    assert told(world, image) == ("unreachable", "no answer")
    world.clock.advance(0.2)
    assert told(world, image) == ("ok", "")


def test_a_copy_that_cannot_be_read_is_unreachable(world, image):
    world.two.before = refuse("read")
    found = verify(world, image)
    assert (found.verdict.value, found.detail, found.damage) == ("unreachable", "no answer", None)


def test_a_region_that_left_the_catalogue_is_unreachable(world, image):
    del world.regions.glances[TWO]
    assert told(world, image) == ("unreachable", "no region RegionTwo")


def test_the_watch_gets_the_progress_of_every_chunk(world, image):
    seen = []
    verify(world, image, watch=lambda task, done, total: seen.append((task.key, done, total)))
    key = world.task(image).key
    assert seen == [(key, done, len(DATA)) for done in (4, 8, 12)]


@pytest.mark.parametrize("failure", [errors.LeaseLost("gone"), errors.Cancelled("stop")])
def test_the_watch_can_end_a_reading(world, image, failure):
    def watch(_task, _done, _total):
        raise failure

    with pytest.raises(type(failure)):
        verify(world, image, watch=watch)


def test_it_ends_when_the_agent_stops(world, image):
    world.stop.set()
    with pytest.raises(errors.Cancelled, match="the agent is stopping"):
        verify(world, image)


# Speed


def test_it_reads_no_faster_than_it_may(world, image):
    world.bytes_per_second = 3
    assert verify(world, image).seconds == pytest.approx(4)
    assert verify(world, image).seconds == pytest.approx(4)
    world.bytes_per_second = 0
    assert verify(world, image).seconds == 0


def test_idle_time_does_not_speed_up_a_reading(world, image):
    world.bytes_per_second = 4
    world.clock.advance(100)

    def before(name, _image_id):
        if name == "read":
            world.clock.advance(1)

    world.two.before = before
    assert verify(world, image).seconds == pytest.approx(4)  # one before the first byte
    chunks = []
    verify(world, image, watch=lambda *_: chunks.append(world.clock.seconds))
    assert chunks[1] - chunks[0] == pytest.approx(1)


# Repairs


def run(world, *images_and_regions):
    """Verify copies and request repairs; return the report."""
    repairs = world.make_repairs()
    for image, region in images_and_regions:
        repairs.take(verify(world, image, region))
    return repairs.request()


def test_a_bad_copy_is_replaced_and_a_good_one_stays(world, image, caplog):
    caplog.set_level(logging.WARNING)
    before = world.three.image(image.image_id)
    world.two.damage(image.image_id, OTHER)
    woken = world.woken
    report = run(world, (image, TWO), (image, THREE))
    assert (report.requested, report.held_back) == (1, 0)
    assert world.woken == woken + 1
    assert f"expected {WANTED}, got {builders.multihash(OTHER)}. The agent replaces it" in (
        caplog.text
    )
    world.settle()
    copy_id = world.task(image).copy_id
    assert copy_id != image.image_id
    assert world.two.ids() == {copy_id}
    assert world.two.data(copy_id) == DATA
    assert world.three.image(image.image_id) == before
    assert told(world, image) == ("ok", "")


def test_a_bad_copy_that_was_never_in_sync_is_replaced_as_well(world, caplog):
    world.two.hash_algo = "sha256"
    world.two.before = refuse("read")
    made = copied(world)
    world.two.before = lambda _name, _image_id: None
    assert (world.task(made).status, world.task(made).copy_id) == ("failure", made.image_id)
    world.two.damage(made.image_id, None)
    assert run(world, (made, TWO)).requested == 1
    assert "got no data. The agent replaces it" in caplog.text
    world.settle()
    copy_id = world.task(made).copy_id
    assert copy_id is not None
    assert world.two.data(copy_id) == DATA


def test_without_bad_copies_no_worker_is_woken(world, image):
    woken = world.woken
    report = run(world, (image, TWO))
    assert (report.requested, report.held_back, world.woken) == (0, 0, woken)


def test_a_copy_that_was_replaced_meanwhile_stays(world, image, caplog):
    world.two.damage(image.image_id, None)
    repairs = world.make_repairs()
    repairs.take(verify(world, image))
    world.two.delete_as_user(image.image_id)
    world.changed(image.image_id)
    world.settle()
    assert repairs.request().requested == 0
    assert world.task(image).status == "success"
    assert "got no data. Its task already has another copy" in caplog.text


def test_too_many_bad_copies_in_a_region_stay_and_the_log_says_what_to_do(
    world, caplog
):
    found = [copied(world) for _ in range(3)]
    for image in found:
        world.two.damage(image.image_id, None)
    world.three.damage(found[0].image_id, None)
    every = [(image, region) for image in found for region in (TWO, THREE)]
    report = run(world, *every)
    assert (report.requested, report.held_back) == (1, 3)
    assert {str(world.task(image).status) for image in found} == {"success"}
    assert "3 copies in region RegionTwo are damaged or have no data" in caplog.text
    assert "That is more than [verify] max_repairs = 2" in caplog.text
    assert "glance-sync verify --replace-all --region RegionTwo" in caplog.text
    world.max_repairs = 3
    assert run(world, *[(image, TWO) for image in found]).requested == 3


def test_what_was_requested_is_forgotten(world, image):
    world.two.damage(image.image_id, None)
    repairs = world.make_repairs()
    repairs.take(verify(world, image))
    assert repairs.request().requested == 1
    assert repairs.request().requested == 0


@pytest.mark.parametrize("bad", [False, True])
def test_when_a_copy_was_read_is_remembered_unless_it_could_not_be(world, image, bad):
    def unverified():
        now = world.clock.now()
        return {task.key.region for task in world.store.unverified(now)}

    world.clock.advance(10)
    assert unverified() == {TWO, THREE}
    if bad:
        world.max_repairs = 0
        world.two.damage(image.image_id, None)
    world.three.before = refuse("read")
    run(world, (image, TWO), (image, THREE))
    assert unverified() == {THREE}


# On schedule


@pytest.fixture
def daily(world, image):
    """An agent that reads every copy once a day, whose copies were made a day ago."""
    world.verify_interval = 86400.0
    world.clock.advance(86400.5)
    return world.verification


def reads(world):
    """Record what is read from now on."""
    found = []
    for service in (world.two, world.three):

        def before(name, _image_id, region=service.region):
            if name == "read":
                found.append(region)

        service.before = before
    return found


def test_without_an_interval_nothing_is_read(world, daily):
    world.verify_interval = 0.0
    found = reads(world)
    assert daily.run() == 30.0
    assert found == []


def test_every_copy_is_read_once_in_an_interval(world, daily, caplog):
    caplog.set_level(logging.INFO)
    found = reads(world)
    assert daily.run() == 30.0
    assert found == [THREE, TWO]
    assert "Verified 2 copies, 24 bytes in 0 s: 2 ok; requested 0 repairs, held back 0" in (
        caplog.text
    )
    caplog.clear()
    for _ in range(24):
        world.clock.advance(3599.0)
        daily.run()
    assert found == [THREE, TWO]
    assert "Verified" not in caplog.text
    world.clock.advance(3600.0)
    daily.run()
    assert found == [THREE, TWO] * 2


def test_a_copy_whose_task_was_at_work_is_read_afterwards(world, daily, image, caplog):
    world.changed(image.image_id)
    found = reads(world)
    daily.run()
    assert (found, caplog.records) == ([], [])
    world.settle()
    world.clock.advance(3600.0)
    daily.run()
    assert found == [THREE, TWO]


def test_a_young_copy_has_time(world):
    world.verify_interval = 86400.0
    copied(world)
    found = reads(world)
    world.verification.run()
    assert found == []


def test_it_searches_for_due_copies_ten_times_in_an_interval(world, daily):
    world.verify_interval = 100.0
    found = reads(world)
    assert daily.run() == pytest.approx(10.0)
    world.clock.advance(9.9)
    assert daily.run() == pytest.approx(0.1)
    assert found == [THREE, TWO]
    world.verify_interval = 9.0
    world.clock.advance(0.05)
    daily.run()
    assert found == [THREE, TWO]
    world.clock.advance(0.06)
    daily.run()
    assert found == [THREE, TWO] * 2


def test_a_bad_copy_is_replaced(world, daily, image):
    world.two.damage(image.image_id, OTHER)
    daily.run()
    world.settle()
    assert world.two.data(world.task(image).copy_id) == DATA


def test_a_long_verification_continues_where_it_stopped_and_repairs_in_between(
    world, daily, image
):
    world.bytes_per_second = 1
    more = copied(world, b"a" * 700)
    world.clock.advance(86401)
    world.three.damage(image.image_id, None)
    found = reads(world)
    daily.run()
    assert len(found) < 5
    daily.run()
    daily.run()
    assert sorted(found) == [THREE] * 3 + [TWO] * 2  # what has no data is asked for twice
    world.settle()
    assert world.three.data(world.task(image, THREE).copy_id) == DATA
    assert world.task(more).status == "success"


def test_another_agent_reads_once_the_first_is_gone(world, daily):
    now = world.clock.now()
    until = now + datetime.timedelta(seconds=300)
    assert world.turns.take("verify", owner="other", now=now, until=until)
    found = reads(world)
    assert daily.run() == 30.0
    assert found == []
    world.clock.advance(300.0)
    daily.run()
    assert found == [THREE, TWO]


def test_after_its_end_another_agent_can_begin_at_once(world, daily):
    daily.run()
    daily.end()
    now = world.clock.now()
    assert world.turns.take("verify", owner="other", now=now, until=now)


def test_the_lease_is_kept_while_a_copy_is_read(world, daily):
    world.bytes_per_second = 4
    copied(world, b"a" * 4000)
    world.clock.advance(86401)
    taken = []

    def before(name, _image_id):
        now = world.clock.now()
        taken.append(world.turns.take("verify", owner="other", now=now, until=now))

    world.two.before = world.three.before = before
    for _ in range(10):
        daily.run()
    assert taken
    assert not any(taken)


def test_an_agent_that_lost_the_lease_stops_and_replaces_nothing(world, daily, image, caplog):
    world.three.damage(image.image_id, OTHER)
    other = "other"

    def before(name, _image_id):
        if name == "read":
            world.clock.advance(301.0)
            now = world.clock.now()
            until = now + datetime.timedelta(seconds=300)
            world.turns.take("verify", owner=other, now=now, until=until)

    world.three.before = before
    assert daily.run() == 30.0
    assert "another agent leads 'verify' now" in caplog.text
    assert world.task(image, THREE).status == "success"
    assert daily.run() == 30.0


def test_a_database_that_failed_is_tried_again(world, daily, caplog):
    world.store.is_down = True
    assert daily.run() == 30.0
    assert "Could not verify the copies: cannot use the task store" in caplog.text
    world.store.is_down = False
    found = reads(world)
    assert daily.run() == 30.0
    assert found == []
    world.clock.advance(30.0)
    daily.run()
    assert found == [THREE, TWO]


def test_an_agent_that_stops_does_not_wait(world, daily):
    world.stop.set()
    assert daily.run() == 0.0
