# SPDX-License-Identifier: Apache-2.0
"""Sources that are missing, and a Glance that lost its newest images."""

import datetime

import pytest

from glance_sync_agent import errors
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import scan_state
from glance_sync_agent.engine.reconcile import source_history
from tests.fakes import facts as fake_facts
from tests.fakes import world as worlds
from tests.unit import builders

TWO, THREE = worlds.CASCADED
ONE = worlds.CASCADING
DAY = 86400.0


@pytest.fixture
def world():
    world = worlds.World()
    world.gone_grace = DAY
    return world


def publish(world, count=3):
    """Publish images, a second apart, and have them copied."""
    made = []
    for number in range(count):
        world.clock.advance(1.0)
        image = world.source.publish(b"image %d" % number)
        world.changed(image.image_id)
        made.append(image)
    world.run()
    return made


def vanish(world, *images_):
    """Delete sources without a message."""
    for image in images_:
        world.source.delete_as_user(image.image_id)


def run_scan(world):
    report = world.reconciliation.run()
    world.run()
    return report


def copies(world):
    return world.two.ids()


def test_a_source_that_is_missing_counts_as_deleted_after_the_grace_period(world):
    old, new = publish(world, 2)
    run_scan(world)
    vanish(world, old)
    began = world.clock.now()
    report = run_scan(world)
    assert (report.missing, report.deleted_sources) == (1, 0)
    assert world.task(old).missing_since == began
    world.clock.advance(DAY - 10)
    assert run_scan(world).missing == 1
    assert old.image_id in copies(world)
    world.clock.advance(10)
    report = run_scan(world)
    assert (report.missing, report.deleted_sources) == (0, 1)
    assert copies(world) == {new.image_id}


def test_a_source_that_is_found_again_begins_anew(world):
    old, _new = publish(world, 2)
    run_scan(world)
    record = world.source._records.pop(old.image_id)
    run_scan(world)
    world.clock.advance(DAY / 2)
    world.source._records[old.image_id] = record
    run_scan(world)
    assert world.task(old).missing_since is None
    del world.source._records[old.image_id]
    run_scan(world)
    world.clock.advance(DAY / 2 + 100)
    assert run_scan(world).missing == 1
    assert old.image_id in copies(world)


def test_a_deletion_that_was_announced_waits_for_nothing(world):
    old, new = publish(world, 2)
    run_scan(world)
    vanish(world, old)
    world.deleted(old.image_id)
    world.run()
    assert copies(world) == {new.image_id}


def test_what_a_restored_glance_lost_is_never_deleted_until_an_operator_says_so(world, caplog):
    old, lost, newest = publish(world)
    run_scan(world)
    vanish(world, lost, newest)
    for _ in range(3):
        report = run_scan(world)
        assert (report.restored, report.deleted_sources, report.missing) == ({ONE}, 0, 0)
        world.clock.advance(2 * DAY)
    assert "as if its Glance was restored from a backup" in caplog.text
    assert copies(world) == {old.image_id, lost.image_id, newest.image_id}
    # A new image does not settle it.
    (fresh,) = publish(world, 1)
    assert run_scan(world).restored == {ONE}
    assert world.make_scan(is_accepted=True).run().restored == set()
    world.run()
    assert copies(world) == {old.image_id, fresh.image_id}
    assert run_scan(world).restored == set()


def test_an_acceptance_that_was_not_written_is_no_success(world, monkeypatch):
    _old, lost = publish(world, 2)
    run_scan(world)
    vanish(world, lost)
    assert run_scan(world).restored == {ONE}
    scan = world.make_scan(is_accepted=True)

    def away(*_arguments):
        raise errors.ServiceUnavailable("no database")

    monkeypatch.setattr(source_history.NewestSources, "accept", away)
    with pytest.raises(errors.ServiceUnavailable, match="no database"):
        scan.run()
    monkeypatch.undo()
    assert run_scan(world).restored == {ONE}


def test_a_glance_that_has_its_newest_image_again_is_trusted_again(world):
    _old, newest = publish(world, 2)
    run_scan(world)
    record = world.source._records.pop(newest.image_id)
    assert run_scan(world).restored == {ONE}
    world.source._records[newest.image_id] = record
    assert run_scan(world).restored == set()


def test_a_newest_image_whose_deletion_was_announced_is_no_sign_of_a_backup(world):
    _old, newest = publish(world, 2)
    run_scan(world)
    vanish(world, newest)
    world.deleted(newest.image_id)
    world.run()
    assert run_scan(world).restored == set()


def test_the_deletion_of_an_older_image_says_nothing_of_the_newest(world):
    old, middle, newest = publish(world)
    run_scan(world)
    vanish(world, old, newest)
    world.deleted(old.image_id)
    world.run()
    assert run_scan(world).restored == {ONE}
    assert copies(world) == {middle.image_id, newest.image_id}


def test_a_message_that_comes_late_explains_what_is_missing(world):
    _old, newest = publish(world, 2)
    run_scan(world)
    vanish(world, newest)
    assert run_scan(world).restored == {ONE}
    world.deleted(newest.image_id)
    assert run_scan(world).restored == set()


def test_a_message_explains_only_the_image_that_it_names(world):
    _old, lost, newest = publish(world)
    run_scan(world)
    vanish(world, lost, newest)
    assert run_scan(world).restored == {ONE}
    world.deleted(newest.image_id)
    assert run_scan(world).restored == {ONE}  # the one before is missing as well
    world.deleted(lost.image_id)
    assert run_scan(world).restored == set()


def test_older_images_that_are_missing_are_no_sign_of_a_backup(world):
    first, second, _third = publish(world)
    run_scan(world)
    vanish(world, first, second)
    assert run_scan(world).restored == set()


def test_a_younger_image_does_not_hide_what_a_restored_glance_lost(world):
    _old, newest = publish(world, 2)
    run_scan(world)
    vanish(world, newest)
    publish(world, 1)
    assert run_scan(world).restored == {ONE}


def test_the_newest_image_whose_deletion_was_announced_is_followed_by_the_one_before(world):
    _old, lost, newest = publish(world)
    run_scan(world)
    vanish(world, newest)
    world.deleted(newest.image_id)
    vanish(world, lost)
    assert run_scan(world).restored == {ONE}


def test_an_image_that_is_gone_by_the_end_of_a_scan_is_not_remembered(world):
    _old, newest = publish(world, 2)
    find = world.source.find

    def vanishing(ids):
        if newest.image_id in world.source.ids():
            vanish(world, newest)
        return find(ids)

    world.source.find = vanishing
    run_scan(world)
    world.source.find = find
    assert run_scan(world).restored == set()


@pytest.mark.parametrize("kept", ["", "no json", "[]", '{"newest": 5}', "null"])
def test_a_memory_that_makes_no_sense_is_none(kept):
    facts = fake_facts.MemoryFacts()
    facts.put("newest sources of RegionOne", kept)
    newest = source_history.NewestSources(facts)
    world = worlds.World()
    assert not newest.are_lost(world.source, ())
    newest.deleted(ONE, builders.IMAGE_ID)


def test_the_newest_images_are_those_of_the_latest_time_and_of_the_largest_id_among_equals():
    early = builders.source(image_id="b", created_at=builders.LONG_AGO)
    late = builders.source(image_id="a", created_at=builders.NOW)
    twin = builders.source(image_id="c", created_at=builders.NOW)
    undated = builders.source(image_id="z", created_at=None)
    assert source_history.newest_of([early, undated], (), builders.NOW) == [early]
    assert source_history.newest_of([early, late], [twin], builders.NOW) == [twin, late, early]
    many = [builders.source(image_id=str(one), created_at=builders.NOW) for one in range(30)]
    assert len(source_history.newest_of(many, (), builders.NOW)) == 20


def test_a_deletion_that_failed_lately_is_not_asked_for_again(world):
    old, _new = publish(world, 2)
    run_scan(world)
    world.two.change(old.image_id, glance_sync_source_id=builders.COPY_ID)
    vanish(world, old)
    world.deleted(old.image_id)
    world.run()
    assert world.task(old).status == "failure"
    requested: list[differences.Difference] = []

    def receive(found):
        requested.extend(found)
        return len(found)

    scan = world.make_scan(receive)
    hour_ago = world.clock.now() - datetime.timedelta(hours=1)
    scan.run(scan_state.Scope(failed_before=hour_ago))
    assert requested == []
    scan.run()
    assert [one.image_id for one in requested] == [old.image_id]
