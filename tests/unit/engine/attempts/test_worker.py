# SPDX-License-Identifier: Apache-2.0
"""Which tasks are taken, and what becomes of errors."""

import datetime
import logging
from typing import Any

import pytest

from glance_sync_agent import errors
from glance_sync_agent import request_ids
from glance_sync_agent.domain import images
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import requests
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED


@pytest.fixture
def world():
    return worlds.World()


def publish(world, count=1):
    made = [world.source.publish(b"%d" % number) for number in range(count)]
    for image in made:
        world.changed(image.image_id)
    return made


def fail(world, exc, region=TWO):
    def before(_name, _image_id):
        raise exc

    world.regions.glances[region].before = before


def test_a_task_is_taken_once_its_quiet_time_is_over(world):
    publish(world)
    assert world.worker.dispatch() == 0
    world.clock.advance(requests.QUIET_SECONDS)
    assert world.worker.dispatch() == 2


def test_an_upload_and_its_two_events_are_one_attempt_for_each_region(world):
    (image,) = publish(world)
    world.clock.advance(0.01)
    world.changed(image.image_id)
    assert world.run() == 2


def test_a_region_takes_no_more_than_its_room(world):
    world = worlds.World(per_region=3)
    publish(world, 5)
    world.clock.advance(1.0)
    assert world.worker.dispatch() == 6
    assert world.worker.running() == 6
    assert world.worker.dispatch() == 0


def test_a_region_that_hangs_delays_no_other(world):
    world = worlds.World(per_region=2)
    publish(world, 6)
    world.clock.advance(1.0)
    world.worker.dispatch()
    hanging, others = world.submitted[2:], world.submitted[:2]  # RegionThree comes first
    world.submitted.clear()
    done = 0
    while others:
        for work in others:
            work()
            done += 1
        world.worker.dispatch()
        others = list(world.submitted)
        world.submitted.clear()
    assert done == 6
    assert len(hanging) == 2
    assert len(world.three.ids()) == 6
    assert not world.two.ids()


def test_each_end_of_a_task_wakes_the_dispatcher(world):
    publish(world)
    woken = world.woken
    world.run()
    assert world.woken == woken + 2


def test_an_attempt_works_under_the_id_of_its_task(world):
    (image,) = publish(world)
    seen: set[Any] = set()
    world.two.before = lambda _name, _image_id: seen.add(request_ids.current())
    task = world.task(image)
    world.run()
    assert {one.request_id for one in seen} == {task.request_id}
    assert request_ids.current() is None


def test_idle_is_waited_for(world):
    publish(world)
    world.clock.advance(1.0)
    assert world.worker.wait_idle(0.0)
    world.worker.dispatch()
    assert not world.worker.wait_idle(0.0)
    for work in world.submitted:
        work()
    assert world.worker.wait_idle(0.0)
    assert world.worker.running() == 0


def test_a_transient_error_is_tried_again_with_back_off_and_then_given_up(world, caplog):
    (image,) = publish(world)
    fail(world, errors.ServiceUnavailable("no answer from RegionTwo"))
    waits = []
    for _ in range(2):
        world.run(seconds=100.0)
        task = world.task(image)
        assert task.status == "pending"
        waits.append((task.not_before - world.clock.now()).total_seconds())
    assert waits == [5.0, 10.0]  # half of 10 and 20: the chance is 0.5
    world.run(seconds=100.0)
    task = world.task(image)
    assert (task.status, task.attempts) == ("failure", 3)
    assert task.reason == "ServiceUnavailable: no answer from RegionTwo"
    assert f"glance-sync retry {image.image_id} RegionTwo" in caplog.text
    assert caplog.records[-1].levelno == logging.ERROR
    assert world.task(image, THREE).status == "success"


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (errors.ServiceUnavailable("no answer"), "attempt_failed"),
        (errors.StorageFull("no room"), "storage_full"),
        (errors.UploadRefused("quota"), "upload_refused"),
    ],
)
def test_the_code_of_a_retry_shows_what_only_an_operator_mends(world, failure, code):
    (image,) = publish(world)
    fail(world, failure)
    world.run()
    assert (world.task(image).status, world.task(image).code) == ("pending", code)


def test_the_other_side_s_wish_for_patience_is_granted(world):
    (image,) = publish(world)
    fail(world, errors.ServiceUnavailable("too many requests", retry_after=77.0))
    world.run()
    task = world.task(image)
    assert task.not_before - world.clock.now() == datetime.timedelta(seconds=77.0)


def test_nothing_is_counted_while_keystone_is_away(world):
    (image,) = publish(world)
    fail(world, errors.ServiceUnavailable("HTTP 503", retry_after=1.0))
    world.identity.is_down = True
    for _ in range(9):
        world.run(seconds=20.0)
        task = world.task(image)
        assert (task.status, task.attempts) == ("pending", 0)
        assert task.reason == "ServiceUnavailable: HTTP 503; and Keystone does not answer"
        assert task.not_before - world.clock.now() == datetime.timedelta(seconds=15.0)
    world.identity.is_down = False
    for attempts in (1, 2):
        world.run(seconds=100.0)
        assert world.task(image).attempts == attempts
    world.run(seconds=100.0)
    assert world.task(image).status == "failure"


def test_what_is_refused_is_refused_while_keystone_is_away(world):
    (image,) = publish(world)
    fail(world, errors.Refused("Forbidden"))
    world.identity.is_down = True
    world.run()
    assert world.task(image).status == "failure"


def test_a_permanent_error_fails_at_once_and_says_what_to_do(world, caplog):
    (image,) = publish(world)
    fail(world, errors.Refused("Forbidden"))
    world.run()
    task = world.task(image)
    assert (task.status, task.attempts, task.reason) == ("failure", 1, "Forbidden")
    assert "Gave up image" in caplog.text


def test_an_upload_of_a_killed_agent_that_ends_after_the_look_fails_no_task(world):
    (image,) = publish(world)

    def end_the_old_upload(name, image_id):
        if name == "write":
            world.two.before = lambda _name, _id: None
            world.two.put_data(image_id, b"0")

    world.two.before = end_the_old_upload
    world.run()
    assert world.task(image).reason == f"TransferInterrupted: image {image.image_id} is active"
    world.settle()
    assert world.task(image).status == "success"


def test_a_failed_task_is_looked_at_again_when_its_image_changes(world):
    (image,) = publish(world)
    fail(world, errors.Refused("Forbidden"))
    world.run()
    world.two.before = lambda _name, _id: None
    world.changed(image.image_id)
    world.run()
    assert world.task(image).status == "success"


def test_a_bug_is_logged_with_its_traceback_and_tried_again(world, caplog):
    (image,) = publish(world)
    fail(world, ZeroDivisionError("a bug"))
    world.run()
    assert world.task(image).status == "pending"
    assert world.task(image).reason == "ZeroDivisionError: a bug"
    assert "Traceback" in caplog.text


def test_an_outcome_that_cannot_be_written_costs_the_lease_and_no_thread(world, caplog):
    (image,) = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.store.is_down = True
    for work in world.submitted:
        work()
    world.submitted.clear()
    assert "Could not write the outcome of" in caplog.text
    world.store.is_down = False
    assert world.worker.running() == 0
    assert world.task(image).status == "processing"
    world.run(seconds=61.0)  # the lease has run out
    assert world.task(image).status == "success"


def test_a_bug_in_writing_an_outcome_is_not_silent(world, caplog, monkeypatch):
    def finish(_lease, _outcome, _now, *, events):
        del events
        raise ZeroDivisionError("a bug")

    publish(world)
    monkeypatch.setattr(world.store, "finish", finish)
    world.run()
    assert caplog.text.count("The outcome of image") == 2
    assert "ZeroDivisionError: a bug" in caplog.text
    assert world.worker.running() == 0


def test_a_task_requested_while_it_runs_is_looked_at_again(world, caplog):
    caplog.set_level(logging.DEBUG)
    (image,) = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.changed(image.image_id)
    for work in world.submitted:
        work()
    world.submitted.clear()
    assert "was requested again meanwhile" in caplog.text
    assert world.task(image).status == "pending"
    assert world.run() == 2
    assert world.task(image).status == "success"


def test_a_lost_lease_is_no_error(world, caplog):
    caplog.set_level(logging.INFO)
    (image,) = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.clock.advance(61.0)
    now = world.clock.now()
    for region in worlds.CASCADED:
        assert world.store.claim(
            images.RegionId(region), 9, owner="other", now=now, until=now
        )
    for work in world.submitted:
        work()
    assert caplog.text.count("Lost the lease on") == 2
    assert world.task(image).status == "processing"


def test_an_attempt_that_outlives_its_lease_runs_beside_no_other_and_may_end_well(world):
    (image,) = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    hanging, world.submitted[:] = list(world.submitted), []
    world.clock.advance(3600.0)  # or somebody set the clock
    assert world.worker.dispatch() == 0
    assert not world.submitted
    for work in hanging:
        work()
    task = world.task(image)
    assert (task.status, task.attempts) == ("success", 0)


def test_what_runs_keeps_no_other_task_of_its_region_waiting(world):
    world = worlds.World(per_region=2)
    first = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.clock.advance(3600.0)
    second = publish(world)
    world.clock.advance(1.0)
    assert world.worker.dispatch() == 2
    for work in world.submitted:
        work()
    assert {world.task(image).status for image in [*first, *second]} == {"success"}


HOUR = 3600.0
DAY = 24 * HOUR


def pass_time(world, seconds, step=60.0):
    for _ in range(int(seconds / step)):
        world.run(seconds=step)


def test_a_failure_that_may_pass_is_tried_for_a_day_however_often_that_is(caplog):
    world = worlds.World(give_up=DAY)
    (image,) = publish(world)
    fail(world, errors.UploadRefused("quota"))
    pass_time(world, DAY - HOUR)
    task = world.task(image)
    assert task.status == "pending"
    assert task.attempts > 100
    pass_time(world, 2 * HOUR)
    assert world.task(image).status == "failure"
    assert world.task(image).failing_since is not None
    assert "the agent tries again in a day" in caplog.text


def test_a_failure_in_the_day_that_is_over_is_not_counted_for_a_new_request():
    world = worlds.World(give_up=DAY)
    (image,) = publish(world)
    fail(world, errors.UploadRefused("quota"))
    pass_time(world, DAY - HOUR)
    world.changed(image.image_id)
    pass_time(world, 2 * HOUR)
    assert world.task(image).status == "pending"


def test_what_gave_up_is_tried_once_a_day_by_scans_and_gets_through_in_the_end():
    world = worlds.World(give_up=DAY)
    (image,) = publish(world)
    asked = []

    def full(name, _image_id):
        if name == "create":
            asked.append(world.clock.now())
            raise errors.UploadRefused("quota")

    world.two.before = full
    pass_time(world, DAY + HOUR)
    world.rounds.run()  # what starts an agent looks at everything
    world.run()
    asked.clear()
    for _ in range(3 * 24 * 6):
        world.run(seconds=600.0)
        world.rounds.run()
    assert 2 <= len(asked) <= 3  # the scans are ten minutes apart
    assert world.task(image).status == "failure"
    world.two.before = lambda _name, _image_id: None
    for _ in range(24 * 6 + 3):
        world.run(seconds=600.0)
        world.rounds.run()
    assert world.task(image).status == "success"
    assert world.task(image).failing_since is None


def test_what_failed_for_good_is_looked_at_by_scans_once_an_hour(caplog):
    world = worlds.World(give_up=DAY)
    image = world.source.publish(b"1")
    world.two.publish(b"2", image_id=image.image_id)  # somebody else's
    world.changed(image.image_id)
    caplog.clear()
    for _ in range(6 * 6):
        world.run(seconds=600.0)
        world.rounds.run()
    assert world.task(image).status == "failure"
    assert world.task(image).failing_since is None
    assert 5 <= caplog.text.count("Gave up") <= 7
    assert "tries again in a day" not in caplog.text


def test_an_image_that_is_too_slow_is_left_for_twice_as_long_each_time():
    world = worlds.World(give_up=DAY, retries=5)
    (image,) = publish(world)
    fail(world, errors.TransferTimedOut("too slow", retry_after=HOUR))
    waits = []
    while world.task(image).status == "pending":
        world.run(seconds=1.0)
        waits.append((world.task(image).not_before - world.clock.now()).total_seconds())
        world.clock.advance(waits[-1])
    assert waits[:-1] == [HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR]
    assert world.task(image).attempts == 6


@pytest.mark.parametrize(("attempts", "seconds"), [(4, 16 * HOUR), (5, DAY), (9, DAY)])
def test_an_image_that_is_too_slow_is_tried_once_a_day_at_least(attempts, seconds):
    world = worlds.World(retries=99)
    (image,) = publish(world)
    fail(world, errors.TransferTimedOut("too slow", retry_after=HOUR))
    for _ in range(attempts + 1):
        world.run(seconds=2 * DAY)
    task = world.task(image)
    assert (task.not_before - world.clock.now()).total_seconds() == seconds


def test_an_image_that_is_too_slow_for_an_unknown_time_waits_as_any_other(world):
    (image,) = publish(world)
    fail(world, errors.TransferTimedOut("too slow"))
    world.run()
    assert world.task(image).not_before - world.clock.now() == datetime.timedelta(seconds=5)


# Projects


def publish_for(world, project, count):
    made = []
    for number in range(count):
        image = world.source.publish(b"%d" % number, owner=project)
        world.intake.request(image.image_id, TWO, project=project)
        made.append(image)
    return made


def waits(world, seconds=1.0):
    """Let each attempt take its time; return which images got through, in order."""
    order = []
    while world.worker.dispatch() or world.submitted:
        world.clock.advance(seconds)
        world.submitted.pop(0)()
        done = [
            task.key.image_id for task in world.store.list(status="success")
            if task.key.image_id not in order
        ]
        order += done
    return order


def test_a_project_with_many_images_does_not_keep_another_one_waiting():
    world = worlds.World(per_region=4)
    publish_for(world, "many", 200)
    few = publish_for(world, "few", 10)
    order = waits(world)
    last = max(order.index(image.image_id) for image in few)
    assert last <= 25
    assert len(order) == 210


def test_projects_that_come_later_get_their_turn_within_a_second():
    world = worlds.World(per_region=1)
    publish_for(world, "many", 50)
    publish_for(world, "more", 50)
    world.worker.dispatch()
    (image,) = publish_for(world, "new", 1)
    order = waits(world)
    assert order.index(image.image_id) <= 4


def test_the_images_of_a_project_whose_turn_it_is_are_taken_longest_waiting_first():
    world = worlds.World(per_region=1)
    made: dict[str, list[images.Image]] = {"one": [], "two": []}
    for project in made:
        for _ in range(5):
            made[project] += publish_for(world, project, 1)
            world.clock.advance(0.001)
    order = waits(world)
    for project in ("one", "two"):
        theirs = [image.image_id for image in made[project]]
        assert [one for one in order if one in theirs] == theirs
    firsts = {image.image_id for image in made["one"]}
    assert [one in firsts for one in order] == [True, False] * 5


# What is taken back


def backlog(world, count):
    """Copy an image for everybody, then publish others that wait for their bytes."""
    first = world.source.publish(b"golden image", visibility="public")
    world.changed(first.image_id)
    world.settle()
    made = publish(world, count)
    world.clock.advance(1.0)
    return first, made


def take_back(world, image):
    world.source.change(image.image_id, visibility="private")
    world.changed(image.image_id)
    world.clock.advance(1.0)


def visibility(world, image):
    return world.two.image(image.image_id).metadata.visibility


@pytest.fixture
def one_region():
    def made(**options):
        world = worlds.World(**options)
        world.catalogue.names -= {THREE}
        return world

    return made


def test_what_is_taken_back_does_not_wait_for_transfers(one_region):
    world = one_region(per_region=2)
    image, _ = backlog(world, 20)
    world.worker.dispatch()
    transfers = [world.submitted.pop(0) for _ in range(2)]
    take_back(world, image)
    assert world.worker.dispatch() == 1
    assert world.worker.running() == 3
    assert world.worker.dispatch() == 0
    world.submitted.pop()()
    assert visibility(world, image) == "private"
    assert world.worker.running() == 2
    for work in transfers:
        work()
    assert world.worker.wait_idle(0.0)


def test_a_damaged_copy_is_taken_back_beside_the_transfers(one_region):
    world = one_region(per_region=2)
    image, _ = backlog(world, 20)
    world.worker.dispatch()
    damage = verification.Damage(copy_id=image.image_id, found="other bytes")
    key = world.task(image).key
    assert world.store.distrust(key, damage, now=world.clock.now(), request_id="verify")
    take_back(world, image)
    assert world.worker.dispatch() == 1
    world.submitted.pop()()
    assert image.image_id not in world.two.ids()
    assert not world.task(image).has_data  # it waits for its bytes as any other


def test_one_task_at_a_time_is_taken_beside_the_transfers(one_region):
    world = one_region(per_region=1)
    first, second = (world.source.publish(b"1", visibility="public") for _ in range(2))
    for image in (first, second):
        world.changed(image.image_id)
    world.settle()
    publish(world, 3)
    world.clock.advance(1.0)
    world.worker.dispatch()
    take_back(world, first)
    take_back(world, second)
    for image in (first, second):
        assert world.worker.dispatch() == 1
        assert world.worker.dispatch() == 0
        world.submitted.pop()()
        assert visibility(world, image) == "private"


def test_no_place_is_taken_beside_those_of_a_region_that_has_room(one_region):
    world = one_region(per_region=2)
    image, _ = backlog(world, 0)
    take_back(world, image)
    assert world.worker.dispatch() == 1
    take_back(world, image)
    second = world.source.publish(b"1")
    world.changed(second.image_id)
    world.clock.advance(1.0)
    assert world.worker.dispatch() == 1
    assert len(world.submitted) == 2


def test_a_copy_that_is_gone_is_not_brought_beside_the_transfers(one_region):
    world = one_region(per_region=1)
    image, made = backlog(world, 3)
    world.worker.dispatch()
    world.two.delete_as_user(image.image_id)
    world.changed(image.image_id)
    world.clock.advance(1.0)
    assert world.worker.dispatch() == 1
    world.submitted.pop()()
    task = world.task(image)
    assert (task.status, task.code, task.has_data) == ("pending", Code.NO_SLOT, False)
    assert world.worker.dispatch() == 0  # it waits as any other
    world.submitted.pop()()
    world.settle()
    assert {world.task(one).status for one in [image, *made]} == {"success"}


def test_projects_take_turns_beside_the_transfers(one_region):
    world = one_region(per_region=1)
    made = {
        project: [
            world.source.publish(b"1", owner=project, visibility="public") for _ in range(count)
        ]
        for project, count in (("many", 9), ("few", 1))
    }
    of = [(image, project) for project, theirs in made.items() for image in theirs]
    for image, project in of:
        world.intake.request(image.image_id, TWO, project=project)
    world.settle()
    publish(world, 2)
    world.clock.advance(1.0)
    world.worker.dispatch()  # a transfer
    for image, project in of:
        world.source.change(image.image_id, visibility="private")
        world.intake.request(image.image_id, TWO, project=project)
        world.clock.advance(0.01)
    for _ in range(2):
        world.worker.dispatch()
        world.submitted.pop()()
    assert visibility(world, made["few"][0]) == "private"


# A lease that was lost


def test_what_comes_after_the_lease_was_lost_is_looked_at_again():
    outside = worlds.Outside()
    one, other = (worlds.World(outside, owner=name) for name in ("one", "other"))
    image = one.source.publish(b"golden image", visibility="private")
    one.changed(image.image_id)
    one.settle()
    one.source.change(image.image_id, visibility="public")
    one.changed(image.image_id)

    def stand_still(name, _image_id):
        if name == "update":
            one.two.before = lambda _name, _id: None
            one.clock.advance(61.0)
            one.source.change(image.image_id, visibility="private")
            other.changed(image.image_id)
            other.settle()
            assert other.task(image).code is Code.IN_SYNC

    one.two.before = stand_still
    one.run()
    other.settle()
    assert visibility(one, image) == "private"


def test_nothing_is_given_after_the_lease_was_lost(caplog):
    caplog.set_level(logging.INFO)
    world = worlds.World()
    image = world.source.publish(b"golden image", visibility="private")
    world.changed(image.image_id)
    world.settle()
    world.source.change(image.image_id, visibility="public")
    world.changed(image.image_id)
    looks, calls = [], []

    def stand_still(name, _image_id):
        calls.append(name)
        if name == "get_record":  # right before the change
            looks.append(name)
            world.clock.advance(61.0)
            now = world.clock.now()
            world.store.claim(TWO, 9, owner="other", now=now, until=now)

    world.two.before = stand_still
    world.clock.advance(1.0)
    world.worker.dispatch()
    for work in world.submitted:
        work()
    assert looks
    assert "update" not in calls
    assert "requested it again" in caplog.text
    assert world.task(image).generation == 3


def test_what_a_lost_lease_leaves_is_logged_if_the_database_is_away(caplog, monkeypatch):
    world = worlds.World()
    (image,) = publish(world)
    world.clock.advance(1.0)
    world.worker.dispatch()
    now = world.clock.now()
    world.clock.advance(61.0)
    now = world.clock.now()
    for region in worlds.CASCADED:
        world.store.claim(region, 9, owner="other", now=now, until=now)

    def request_in(*_args, **_fields):
        raise errors.ServiceUnavailable("cannot use the task store")

    monkeypatch.setattr(world.store, "request_in", request_in)
    for work in world.submitted:
        work()
    assert f"Could not write the outcome of image {image.image_id}" in caplog.text
    assert world.worker.running() == 0


def test_a_region_that_takes_no_id_at_all_is_a_conflict(world):
    def refuse(name, _image_id):
        if name == "create":
            raise errors.ImageIdTaken("every id is taken")

    world.two.before = refuse
    (image,) = publish(world)
    world.run()
    task = world.task(image)
    assert (task.status, task.code, task.reason) == (
        "failure", Code.CONFLICT, "every id is taken"
    )
