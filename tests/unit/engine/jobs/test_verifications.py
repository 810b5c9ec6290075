# SPDX-License-Identifier: Apache-2.0
"""Verifications that people ask for."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import jobs
from glance_sync_agent.domain import pauses
from glance_sync_agent.engine.asked import Asked
from glance_sync_agent.engine.jobs import ledger
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED


@pytest.fixture
def world():
    return worlds.World()


@pytest.fixture
def images(world):
    found = [world.source.publish(b"0123456789") for _ in range(2)]
    for image in found:
        world.changed(image.image_id)
    world.settle()
    return found


def verify(world, **details):
    order = jobs.Order(kind=jobs.JobKind.VERIFICATION, **details)
    job = world.engine.jobs.orders.ask(order, Asked(by="alice"))
    assert world.verification_runner.run() == 0.0
    done = world.jobs.get(job.job_id)
    assert done.state is jobs.JobState.DONE
    return done


def verdicts(world, job):
    return {
        (one.finding.image_id, one.finding.region): one.finding.what
        for one in world.jobs.findings(job.job_id, 100)
    }


def test_every_copy_is_read(world, images):
    done = verify(world)
    assert done.report.counts == {
        "findings": 4, "bytes": 40, "ok": 4, "requested": 0, "held_back": 0,
    }
    assert verdicts(world, done) == {
        (image.image_id, region): "ok" for image in images for region in (TWO, THREE)
    }


def test_regions_and_images_can_be_named(world, images):
    first, second = images
    of_region = verify(world, regions=(TWO,))
    assert set(verdicts(world, of_region)) == {(one.image_id, TWO) for one in images}
    of_image = verify(world, image_id=first.image_id)
    assert set(verdicts(world, of_image)) == {(first.image_id, one) for one in (TWO, THREE)}
    of_both = verify(world, image_id=second.image_id, regions=(THREE,))
    assert set(verdicts(world, of_both)) == {(second.image_id, THREE)}


def test_a_damaged_copy_is_replaced(world, images):
    world.two.damage(images[0].image_id, b"0123456780")
    done = verify(world)
    assert (done.report.counts["damaged"], done.report.counts["requested"]) == (1, 1)
    assert world.task(images[0]).damage is not None


def test_many_good_copies_hide_no_bad_one(world, images, monkeypatch):
    monkeypatch.setattr(ledger, "MOST_OF_A_KIND", 1)
    last = max(images, key=lambda one: one.image_id)
    world.three.damage(last.image_id, b"0123456780")
    done = verify(world, is_dry=True)
    assert sorted(verdicts(world, done).values()) == ["damaged", "ok"]
    assert done.report.counts["findings"] == 4
    assert done.report.notes == ("Only the first 1 of 3 findings 'ok' are kept",)


def test_a_dry_run_writes_nothing(world, images):
    world.two.damage(images[0].image_id, b"0123456780")
    done = verify(world, is_dry=True)
    assert (done.report.counts["damaged"], done.report.counts["requested"]) == (1, 0)
    assert world.task(images[0]).damage is None


def test_too_many_damaged_copies_are_replaced_only_on_demand(world, images):
    world.max_repairs = 1
    for image in images:
        world.two.damage(image.image_id, b"0123456780")
    held = verify(world)
    assert held.report.counts["held_back"] == 2
    assert "because a region has more of them" in held.report.notes[0]
    of_two = verify(world, regions=(TWO,), is_dry=True)
    assert of_two.report.notes == ()
    replaced = verify(world, replace_all=True)
    assert replaced.report.counts["requested"] == 2


def pause(world):
    world.pauses.pause(
        TWO, pauses.Pause(since=world.clock.now(), by="bob", reason="new disks")
    )


def test_copies_in_a_paused_region_are_not_read(world, images):
    world.two.damage(images[0].image_id, None)
    pause(world)
    done = verify(world)
    assert (done.report.counts["skipped"], done.report.counts["ok"]) == (2, 2)
    assert done.report.counts["bytes"] == 20
    assert world.task(images[0]).damage is None


def test_what_was_read_while_a_pause_began_means_nothing(world, images):
    world.two.damage(images[0].image_id, b"0123456780")
    world.two.before = lambda *_call: pause(world)
    done = verify(world, regions=(TWO,), image_id=images[0].image_id)
    (one,) = [one.finding for one in world.jobs.findings(done.job_id, 10)]
    assert (one.what, one.why) == ("skipped", f"region {TWO} is paused")
    assert one.size
    assert world.task(images[0]).damage is None


def test_a_database_that_is_away_makes_no_copy_look_damaged(world, images, monkeypatch):
    keep, calls = world.jobs.keep, []

    def fail(*args, **details):
        calls.append(args)
        if len(calls) < 3:
            raise errors.ServiceUnavailable("no answer")
        return keep(*args, **details)

    monkeypatch.setattr(world.jobs, "keep", fail)
    world.two.before = world.three.before = lambda *_call: world.clock.advance(10.0)
    done = verify(world)
    assert done.report.counts["ok"] == 4
