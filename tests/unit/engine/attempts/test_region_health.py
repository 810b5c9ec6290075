# SPDX-License-Identifier: Apache-2.0
"""A region that answers nobody is left alone, and costs its tasks nothing."""

import dataclasses
import datetime
import logging

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine.attempts import region_health
from glance_sync_agent.engine.reconcile import scan_state
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
DAY = 24 * 3600.0


@pytest.fixture
def world():
    return worlds.World(per_region=2)


def publish(world, count=1):
    made = [world.source.publish(b"%d" % number) for number in range(count)]
    for image in made:
        world.changed(image.image_id)
    return made


def down(world, region=TWO, *, blamed=None, **options):
    """Have a region answer nobody, after a moment; return what it was asked for."""
    asked = []

    def before(name, _image_id):
        asked.append(name)
        world.clock.advance(0.001)
        message = f"no answer from {region}"
        raise errors.ServiceUnavailable(message, region=blamed or region, **options)

    world.regions.glances[region].before = before
    return asked


def up(world, region=TWO):
    world.regions.glances[region].before = lambda _name, _image_id: None


def pass_time(world, seconds, step=5.0):
    for _ in range(int(seconds / step)):
        world.run(seconds=step)


def breaker(world, region=TWO):
    return world.breakers.all().get(region, breakers.CLOSED)


def test_a_handshake_that_fails_counts_against_the_region(world):
    def refuse(_name, _image_id):
        raise errors.HandshakeFailed("TLS with it fails", remedy="set cafile", region=TWO)

    world.two.before = refuse
    *_, image = publish(world, 3)
    world.run()
    assert breaker(world).retry_at is not None
    assert world.task(image).reason == "HandshakeFailed: TLS with it fails; set cafile"


@pytest.mark.parametrize(
    ("retry_in", "again_in"),
    [
        (5.0, 5.0),
        (60.0, 20.0),  # the first pause
        (None, None),
    ],
)
def test_a_task_is_due_again_before_a_probe_must_have_ended(world, retry_in, again_in):
    def after(seconds):
        now = world.clock.now()
        return None if seconds is None else now + datetime.timedelta(seconds=seconds)

    known = breakers.Breaker(failures=3, since=world.clock.now(), retry_at=after(retry_in))
    assert world.outages.again_at(known) == after(again_in)


def test_after_so_many_failures_a_region_is_left_alone(world, caplog):
    publish(world, 5)
    asked = down(world)
    world.run()  # two at a time, and the third failure opens it
    assert len(asked) == 4
    assert breaker(world).is_open(world.clock.now())
    world.run(seconds=10.0)
    assert len(asked) == 4
    assert "RegionTwo is unavailable until 2026-11-22T08:00:16+00:00" in caplog.text
    assert "after 3 failures in a row: no answer from RegionTwo" in caplog.text
    assert len(world.three.ids()) == 5


def test_once_the_pause_is_over_one_task_is_tried_and_then_the_pause_is_longer(world):
    publish(world, 5)
    asked = down(world)
    world.run()
    asked.clear()
    waits = []
    for _ in range(4):
        retry_at = breaker(world).retry_at
        waits.append((retry_at - world.clock.now()).total_seconds())
        world.run(seconds=waits[-1] - 0.1)
        assert not asked
        world.run(seconds=0.11)
        assert len(asked) == 1
        asked.clear()
    # Three quarters of 20, 40, 80, 80.
    assert waits == pytest.approx([15.0, 30.0, 60.0, 60.0], abs=0.01)


def test_a_region_that_is_down_for_a_day_fails_no_task_and_is_made_good_at_once(world, caplog):
    caplog.set_level(logging.INFO)
    made = publish(world, 5)
    down(world)
    pass_time(world, DAY, step=20.0)
    late = publish(world, 2)
    pass_time(world, 600.0)
    assert {world.task(image).status for image in made + late} == {"pending"}
    assert max(world.task(image).attempts for image in made + late) <= 1
    up(world)
    pass_time(world, 80.0)
    assert {world.task(image).status for image in made + late} == {"success"}
    assert breaker(world) == breakers.CLOSED
    assert "Region RegionTwo is available again" in caplog.text


def test_an_image_that_is_alone_outlives_the_outage_as_well(world):
    world = worlds.World(retries=3)
    (image,) = publish(world)
    down(world)
    pass_time(world, DAY, step=20.0)
    task = world.task(image)
    assert (task.status, task.attempts) == ("pending", 2)
    assert task.reason == "ServiceUnavailable: no answer from RegionTwo"
    up(world)
    pass_time(world, 80.0)
    assert world.task(image).status == "success"


def test_an_image_whose_data_never_arrives_is_not_sent_for_ever(world):
    sent = []

    def before(name, image_id):
        if name == "write":
            sent.append(image_id)
            raise errors.TransferInterrupted("the answer is 500", region=TWO)

    world = worlds.World(retries=5)
    world.regions.glances[TWO].before = before
    (image,) = publish(world)
    pass_time(world, 3600.0)
    assert world.task(image).status == "failure"
    assert len(sent) == 1 + 5
    assert breaker(world).retry_at is not None


def test_failures_that_tell_nothing_of_the_region_are_counted_as_ever(world):
    made = publish(world, 5)
    down(world, blamed="RegionThree")
    pass_time(world, 600.0)
    assert {world.task(image).status for image in made} == {"failure"}
    assert breaker(world) == breakers.CLOSED


def test_the_outage_of_the_source_is_not_the_target_s(world):
    made = publish(world, 5)
    down(world, region=worlds.CASCADING)
    pass_time(world, 600.0)
    assert {world.task(image).status for image in made} == {"failure"}
    assert world.breakers.all() == {}


def test_a_copy_in_step_ends_the_row_of_failures(world):
    for _ in range(3):
        (image,) = publish(world)
        calls = down(world)
        world.run()
        assert breaker(world).failures == 1
        assert calls
        up(world)
        world.settle()
        assert world.task(image).status == "success"
        assert breaker(world) == breakers.CLOSED


def test_a_copy_that_was_deleted_proves_its_region_well_too(world, caplog):
    caplog.set_level(logging.INFO)
    made = publish(world, 3)
    world.run()
    down(world)
    for image in made:
        world.source.delete_as_user(image.image_id)
        world.deleted(image.image_id)
    pass_time(world, 60.0)
    assert breaker(world).retry_at is not None
    up(world)
    pass_time(world, 80.0)
    assert not world.two.ids()
    assert breaker(world) == breakers.CLOSED
    assert "Region RegionTwo is available again" in caplog.text


def test_an_image_that_nobody_wants_there_proves_nothing(world):
    made = publish(world, 5)
    asked = down(world)
    world.run()
    world.policy = dataclasses.replace(world.policy, strategy=strategy.Strategy.NONE)
    asked.clear()
    pass_time(world, 20.0)
    left = [task.key.image_id for task in world.store.list(region=TWO)]
    assert 0 < len(left) < len(made)  # some were forgotten without a question
    assert len(asked) <= 1
    assert breaker(world).retry_at is not None


def test_an_outcome_that_is_written_is_not_told_to_be_lost(world, caplog, monkeypatch):
    (image,) = publish(world)
    down(world)
    world.run()
    up(world)

    def change(_region, _decide):
        raise errors.ServiceUnavailable("cannot change the breaker")

    monkeypatch.setattr(world.breakers, "change", change)
    caplog.clear()
    world.settle()
    assert world.task(image).status == "success"
    (told,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert told.getMessage() == (
        f"Did not note what {world.task(image).key} shows about its region: cannot change the "
        "breaker"
    )


def test_attempts_that_fail_together_open_it_for_one_pause(world):
    world = worlds.World(per_region=8)
    made = publish(world, 8)
    down(world)
    world.run()
    assert breaker(world).failures == 3
    counted = sorted(world.task(image).attempts for image in made)
    assert counted == [0, 0, 0, 0, 0, 0, 1, 1]


def test_a_probe_that_tells_nothing_of_the_region_makes_way_for_the_next(world):
    made = publish(world, 3)
    down(world)
    world.run()

    def refuse(_name, image_id):
        if image_id == world.refused:
            raise errors.Refused("Forbidden")

    found = sorted(made, key=lambda image: (world.task(image).not_before, image.image_id))
    world.refused = found[0].image_id
    world.two.before = refuse
    world.run(seconds=20.0)
    assert world.task(found[0]).status == "failure"
    world.settle()
    assert {world.task(image).status for image in found[1:]} == {"success"}


def test_a_task_that_is_called_off_is_no_probe_any_more(world):
    publish(world, 3)
    down(world)
    world.run()
    world.clock.advance(20.0)
    assert world.worker.dispatch() == 1
    assert breaker(world).is_open(world.clock.now())
    up(world)
    world.stop.set()
    world.submitted.pop()()
    assert not breaker(world).is_open(world.clock.now())


def test_the_probe_of_an_agent_that_died_makes_way_for_another(world):
    publish(world, 3)
    down(world)
    world.run()
    world.clock.advance(20.0)
    assert world.worker.dispatch() == 1
    world.submitted.clear()
    world.worker._keys.clear()
    up(world)
    world.run(seconds=59.0)
    assert not world.two.ids()
    world.run(seconds=1.1)
    world.settle()
    assert len(world.two.ids()) == 3


def test_a_probe_for_which_no_task_is_left_is_given_up(world, monkeypatch):
    publish(world, 3)
    down(world)
    world.run()
    world.clock.advance(20.0)
    monkeypatch.setattr(world.store, "claim", lambda *_args, **_options: [])
    assert world.worker.dispatch() == 0
    assert not breaker(world).is_open(world.clock.now())


def test_of_two_agents_the_other_one_gets_no_probe(world):
    publish(world, 3)
    down(world)
    world.run()
    world.clock.advance(20.0)
    world.outages.refresh()
    now = world.clock.now()
    other = region_health.RegionHealth(
        kept=world.breakers,
        policy=lambda: world.breaker_policy,
        clock=world.clock,
        chance=lambda: 0.5,
    )
    other.refresh()
    assert other.admission(TWO, now=now, seconds=60.0) is region_health.Admission.PROBE
    assert world.outages.admission(TWO, now=now, seconds=60.0) is region_health.Admission.NONE


def test_the_region_s_wish_for_patience_is_granted(world):
    publish(world, 3)
    down(world, retry_after=3600.0)
    world.run()
    world.run(seconds=10.0)
    retry_at = breaker(world).retry_at
    assert retry_at is not None
    assert (retry_at - world.clock.now()).total_seconds() > 3500


def test_scans_leave_it_alone_as_well(world):
    made = shown(world)
    publish(world, 3)
    asked = down(world)
    for image in made:
        take_back(world, image)
    world.run()
    asked.clear()
    report = world.reconciliation.run()
    assert report.failed_regions == {TWO}
    assert not asked
    world.clock.advance(20.0)
    up(world)
    assert not world.reconciliation.run().failed_regions


def test_a_full_scan_asks_a_region_once_whose_byte_path_alone_may_be_broken(world):
    publish(world, 3)
    asked = down(world)
    world.run()
    asked.clear()
    since = world.clock.now()
    assert world.reconciliation.run(scan_state.Scope(since=since)).failed_regions == {TWO}
    assert not asked
    assert world.reconciliation.run().failed_regions == {TWO}
    assert asked == ["find"]


def bad(world, made, *, seconds=0.0, fault=errors.Fault.ANSWER, methods=("create",)):
    """Have a region answer 5xx about some images; return which it was asked about."""
    asked = []
    ids = {image.image_id for image in made}

    def before(name, image_id):
        world.clock.advance(0.001)
        if image_id in ids and name in methods:
            asked.append(image_id)
            world.clock.advance(seconds)
            raise errors.ServiceUnavailable("HTTP 500", region=TWO, fault=fault)

    world.two.before = before
    return asked


def delay(world, good, step=0.25):
    """Return for how many seconds the last of some images waits for its copy."""
    began = world.clock.monotonic()
    while {world.task(image).status for image in good} != {"success"}:
        world.run(seconds=step)
        assert world.clock.monotonic() - began < DAY
    return world.clock.monotonic() - began


@pytest.mark.parametrize(
    ("count", "most"), [(0, 1.0), (1, 1.0), (3, 1.0), (20, 10.0), (100, 40.0)]
)
def test_images_that_fail_delay_the_others_by_seconds(count, most):
    world = worlds.World(per_region=4, retries=3)
    made = [world.source.publish(b"%d" % number) for number in range(count)]
    bad(world, made)
    for image in made:
        world.changed(image.image_id)
    world.clock.advance(0.001)
    good = publish(world, 5)
    assert delay(world, good) < most


def test_images_that_fail_while_others_succeed_are_no_outage(world):
    made = []
    for _ in range(20):
        made += publish(world)
        world.clock.advance(0.001)
    bad(world, [image for number, image in enumerate(made) if number % 2])
    world.run()
    assert [world.task(image).status for image in made] == ["success", "pending"] * 10
    assert not breaker(world).is_open(world.clock.now())


def test_an_image_that_gets_5xx_uses_up_its_retries_also_while_its_region_is_slow(world, caplog):
    made = publish(world, 5)
    bad(world, made)
    pass_time(world, 3600.0)
    assert {world.task(image).status for image in made} == {"failure"}
    assert {world.task(image).attempts for image in made} == {3}
    assert "Region RegionTwo failed with 3 images in a row" in caplog.text
    assert caplog.text.count("a few tasks at a time") == 1
    assert world.outages.open_regions() == {}


def test_one_image_that_hangs_is_counted_and_its_region_stays_as_it_is(world):
    made = publish(world, 1)
    bad(world, made, fault=errors.Fault.REQUEST)
    pass_time(world, 3600.0)
    assert world.task(made[0]).status == "failure"
    assert breaker(world).retry_at is None


def test_a_region_in_which_different_images_hang_is_left_alone(world):
    made = publish(world, 5)
    asked = bad(world, made, fault=errors.Fault.REQUEST)
    world.run()
    assert len(asked) == 4
    assert world.outages.open_regions() == {TWO: True}
    pass_time(world, DAY, step=20.0)
    assert {world.task(image).status for image in made} == {"pending"}
    assert max(world.task(image).attempts for image in made) <= 1


def test_each_probe_is_about_another_image_as_long_as_there_is_one(world):
    made = publish(world, 5)
    asked = bad(world, made, fault=errors.Fault.REQUEST)
    pass_time(world, 600.0, step=1.0)
    assert len(asked) >= 8
    for number in range(4, len(asked)):
        assert asked[number] not in asked[number - 3 : number]


def test_a_probe_is_about_the_same_image_if_there_is_no_other(world):
    (image,) = publish(world)
    asked = down(world)
    pass_time(world, 300.0, step=1.0)
    assert len(asked) >= 5
    assert world.task(image).status == "pending"


# Only the way of the bytes is broken


def no_way(world):
    """Have every transfer to RegionTwo fail, while its Glance answers; return when each did."""
    tried = []

    def before(name, _image_id):
        world.clock.advance(0.001)
        if name == "write":
            tried.append(world.clock.now())
            raise errors.ServiceUnavailable("ssh: connection refused", region=TWO)

    world.two.before = before
    return tried


def shown(world, count=1):
    """Return images that everybody sees in all regions."""
    made = [world.source.publish(b"1", visibility="public") for _ in range(count)]
    for image in made:
        world.changed(image.image_id)
    world.settle()
    return made


def take_back(world, image):
    world.source.change(image.image_id, visibility="private")
    world.changed(image.image_id)


def is_private(world, image):
    return world.two.image(image.image_id).metadata.visibility == "private"


def test_what_is_taken_back_does_not_wait_for_a_way_of_bytes_that_is_broken(world):
    first, second = shown(world, 2)
    publish(world, 30)
    tried = no_way(world)
    world.run()
    pass_time(world, 600.0)
    assert breaker(world).of_data
    for image in (first, second):
        before = breaker(world)
        assert before.is_open(world.clock.now())
        take_back(world, image)
        world.run()
        assert is_private(world, image)
        # It tells nothing of the way, and transfers are tried no sooner.
        assert breaker(world) == before
    tried.clear()
    pass_time(world, 600.0)
    assert len(tried) <= 11  # once for each pause of a minute


def test_a_scan_takes_back_what_nobody_announced_although_the_byte_path_is_broken(world):
    (image,) = shown(world)
    publish(world, 9)
    no_way(world)
    pass_time(world, 300.0)
    assert breaker(world).is_unavailable(world.clock.now())
    world.source.change(image.image_id, visibility="private")
    report = world.reconciliation.run(scan_state.Scope(failed_before=world.clock.now()))
    assert report.failed_regions == {TWO}  # once transfers work, a scan compares it again
    assert report.requested == 2  # here, and in the other region
    world.run()
    assert is_private(world, image)


def test_scans_by_the_clock_do_not_request_again_what_waits_for_the_byte_path(world):
    (image, *_others) = publish(world, 5)
    no_way(world)
    pass_time(world, 300.0)
    before, ends = world.task(image).generation, world.clock.monotonic() + 3600.0
    while world.clock.monotonic() < ends:
        world.run(seconds=min(max(world.rounds.run(), 1.0), 10.0))
    assert world.task(image).status == "pending"
    assert world.task(image).generation - before <= 1  # by the scan at start


def test_what_goes_on_beside_a_broken_way_of_bytes_brings_no_probe_forward(world):
    (image,) = shown(world)
    publish(world, 9)
    no_way(world)
    pass_time(world, 300.0)
    before = breaker(world)
    world.two.delete_as_user(image.image_id)
    world.changed(image.image_id)
    world.run()
    assert world.task(image).code is Code.NO_SLOT
    assert breaker(world) == before


def test_copies_in_step_do_not_end_the_row_of_failures_of_transfers(world):
    images_shown = shown(world, 3)
    no_way(world)
    for number, image in enumerate(images_shown, 1):
        publish(world)
        world.run()
        assert breaker(world).failures == number
        take_back(world, image)
        world.run()
    assert breaker(world).retry_at is not None
    assert all(is_private(world, image) for image in images_shown)


def test_once_a_copy_with_its_data_fails_too_the_region_is_left_alone_for_all(world):
    shown_images = shown(world, 3)
    publish(world, 9)
    asked = down(world)
    pass_time(world, 60.0)
    assert breaker(world).of_data
    for image in shown_images:
        take_back(world, image)
    world.run()
    assert not breaker(world).of_data
    asked.clear()
    world.run(seconds=0.5)
    assert not asked


def test_the_probe_of_a_region_is_about_a_copy_that_has_its_data_if_there_is_one(world):
    first, second = shown(world, 2)
    publish(world, 9)
    down(world)
    take_back(world, first)
    take_back(world, second)
    pass_time(world, 300.0)
    assert not breaker(world).of_data
    tried = no_way(world)
    for _ in range(2):
        assert breaker(world) != breakers.CLOSED
        assert len(tried) <= 1  # every other probe is about any task
        pass_time(world, 60.0)
    assert is_private(world, first)
    assert is_private(world, second)
    assert breaker(world).of_data


@pytest.mark.parametrize("count", [1, 2, 6])
def test_copies_that_never_work_do_not_keep_their_region_closed(world, count):
    world.catalogue.names -= {THREE}
    broken = {image.image_id for image in shown(world, count)}
    made = publish(world, 5)
    down(world)
    for image_id in broken:
        world.source.change(image_id, visibility="private")
        world.changed(image_id)
    pass_time(world, 300.0)
    assert not breaker(world).of_data

    def before(_name, image_id):
        world.clock.advance(0.001)
        if image_id in broken:
            raise errors.ServiceUnavailable("no answer in time", region=TWO)

    world.two.before = before
    pass_time(world, 300.0)
    assert {world.task(image).status for image in made} == {"success"}


def test_a_way_of_bytes_is_probed_with_bytes_and_closes_when_they_arrive(world):
    (image,) = shown(world)
    made = publish(world, 9)
    no_way(world)
    pass_time(world, 120.0)
    up(world)
    take_back(world, image)
    pass_time(world, 120.0)
    assert breaker(world) == breakers.CLOSED
    assert {world.task(one).status for one in made} == {"success"}


def test_a_slow_region_gets_what_is_taken_back_between_its_batches(world):
    (image,) = shown(world)
    made = publish(world, 9)
    down(world, fault=errors.Fault.ANSWER)
    world.run()
    assert breaker(world).answers
    up(world)
    take_back(world, image)
    world.run(seconds=0.1)
    assert is_private(world, image)
    pass_time(world, 300.0)
    assert {world.task(one).status for one in made} == {"success"}


def test_a_scan_of_regions_that_it_may_not_ask_lists_no_source(world):
    publish(world, 9)
    no_way(world)
    pass_time(world, 300.0)
    listed = []
    world.source.before = lambda name, _image_id: listed.append(name)
    only = scan_state.Scope(only=frozenset({TWO}), deletions=False)
    assert world.reconciliation.run(only).failed_regions == {TWO}
    assert not listed
