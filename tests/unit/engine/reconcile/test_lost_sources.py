# SPDX-License-Identifier: Apache-2.0
"""A Glance that lost sources which no scan listed, or snapshots, and the end of the hold."""

import pytest

from glance_sync_agent.domain import events
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine.reconcile import scan_state
from tests.fakes import world as worlds

ONE = worlds.CASCADING
TWO, THREE = worlds.CASCADED
DAY = 86400.0
SNAPSHOT = {"image_type": "snapshot"}


@pytest.fixture
def world():
    world = worlds.World(snapshot_origins=(THREE,))
    world.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({TWO}))
    world.gone_grace = DAY
    world.max_deletes = 10
    world.source.publish(b"old", owner="alpha")
    world.clock.advance(100)
    run_scan(world)
    return world


def run_scan(world, scope=scan_state.FULL):
    report = world.reconciliation.run(scope)
    world.run()
    return report


def publish(world, count=1):
    """Publish images that are heard of and copied, a second apart."""
    made = []
    for number in range(count):
        world.clock.advance(1.0)
        image = world.source.publish(b"new %d" % number, owner="alpha")
        world.changed(image.image_id)
        made.append(image)
    world.run()
    return made


def lose(world, *lost):
    """Lose images as a restored Glance does."""
    for image in lost:
        world.regions.glances[image.region]._records.pop(image.image_id)


def after_days(world):
    """Return the reports of scans, days apart."""
    reports = []
    for _ in range(3):
        reports.append(run_scan(world))
        world.clock.advance(DAY + 1)
    return reports


def allow(world, number, scope=scan_state.FULL):
    """Run ``glance-sync reconcile --allow-deletes``."""
    report = world.make_scan(max_deletes=lambda: number, is_accepted=True).run(scope)
    world.run()
    return report


# Sources that no scan listed.


def test_what_was_made_and_lost_between_two_scans_is_never_deleted(world, caplog):
    (lost,) = publish(world)
    lose(world, lost)
    for report in after_days(world):
        assert (report.restored, report.deleted_sources, report.missing) == ({ONE}, 0, 0)
    assert lost.image_id in world.two.ids()
    assert "as if its Glance was restored from a backup" in caplog.text


def test_it_holds_what_else_is_missing_there(world):
    (old,) = publish(world)
    world.gone_grace = 0
    run_scan(world)
    (newest,) = publish(world)
    run_scan(world)
    publish(world)
    (lost,) = publish(world)
    # Found before the one that was lost, and after it.
    world.source.delete_as_user(old.image_id)
    lose(world, lost)
    report = run_scan(world)
    assert (report.restored, report.deleted_sources, report.held_back) == ({ONE}, 0, 0)
    assert {old.image_id, newest.image_id, lost.image_id} <= world.two.ids()
    assert allow(world, 2).deleted_sources == 2
    assert {old.image_id, lost.image_id}.isdisjoint(world.two.ids())


def test_a_message_of_its_deletion_ends_the_hold(world):
    (lost,) = publish(world)
    lose(world, lost)
    assert run_scan(world).restored == {ONE}
    world.deleted(lost.image_id)
    world.run()
    assert run_scan(world).restored == set()
    assert lost.image_id not in world.two.ids()


def test_what_a_scan_has_seen_is_missing_as_usual(world):
    old, _newest = publish(world, 2)
    run_scan(world)
    world.source.delete_as_user(old.image_id)
    report = run_scan(world)
    assert (report.restored, report.missing) == (set(), 1)


def test_what_was_announced_is_not_lost(world):
    (image,) = publish(world)
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    assert run_scan(world).restored == set()


def test_what_has_no_copy_is_not_lost(world):
    world.clock.advance(1.0)
    image = world.source.publish(b"new", owner="alpha")
    world.changed(image.image_id)
    lose(world, image)
    assert run_scan(world).restored == set()


def test_a_task_that_is_new_for_a_region_makes_no_source_new(world):
    old, newest = publish(world, 2)
    run_scan(world)
    world.store.disown(world.task(old).key, old.image_id)
    world.clock.advance(1.0)
    # As after a change of the strategy.
    world.store._rows.pop(world.task(old, THREE).key)
    world.changed(old.image_id)
    lose(world, old)
    assert run_scan(world).restored == set()
    assert newest.image_id in world.two.ids()


def test_where_nothing_is_remembered_nothing_is_lost():
    world = worlds.World()
    world.gone_grace = DAY
    world.source.publish(b"old", owner="alpha")
    (image,) = publish(world)
    lose(world, image)
    assert run_scan(world).restored == set()


def test_a_scan_that_holds_is_none_that_has_seen_what_is_lost(world):
    lost = publish(world, 25)
    lose(world, *lost)
    assert run_scan(world).restored == {ONE}
    for image in lost[:24]:
        world.deleted(image.image_id)
    world.run()
    assert run_scan(world).restored == {ONE}
    assert lost[24].image_id in world.two.ids()
    world.deleted(lost[24].image_id)
    assert run_scan(world).restored == set()


# Regions whose snapshots are sources.


def snapshots(world, count):
    made = []
    for number in range(count):
        world.clock.advance(1.0)
        image = world.three.publish(b"%d" % number, owner="bob", properties=SNAPSHOT)
        told(world, image, events.EventKind.CHANGED)
        made.append(image)
    world.run()
    return made


def told(world, image, kind, *, is_snapshot=True):
    event = events.ImageEvent(image_id=image.image_id, kind=kind, is_snapshot=is_snapshot)
    world.intake.handle(event, THREE)


def test_snapshots_that_a_restored_glance_lost_are_never_deleted(world):
    kept, lost = snapshots(world, 2)
    run_scan(world)
    lose(world, lost)
    for report in after_days(world):
        assert (report.restored, report.missing) == ({THREE}, 0)
    assert {kept.image_id, lost.image_id} <= world.two.ids()
    allow(world, 1)
    assert lost.image_id not in world.two.ids()
    assert run_scan(world).restored == set()


def test_one_restored_region_holds_no_deletion_of_another(world):
    old, _newest = publish(world, 2)
    _kept, lost = snapshots(world, 2)
    run_scan(world)
    lose(world, lost)
    world.source.delete_as_user(old.image_id)
    after_days(world)
    assert old.image_id not in world.two.ids()
    assert lost.image_id in world.two.ids()


def test_copies_are_no_newest_sources_of_a_region(world):
    (kept,) = snapshots(world, 1)
    world.clock.advance(1.0)
    image = world.source.publish(b"1", owner="bob", properties=SNAPSHOT)
    world.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({TWO, THREE}))
    world.changed(image.image_id)
    world.run()
    run_scan(world)
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.run()
    assert image.image_id not in world.three.ids()
    assert run_scan(world).restored == set()
    assert kept.image_id in world.two.ids()


def test_the_deletion_of_a_former_snapshot_without_tasks_is_heard(world):
    snapshots(world, 1)
    world.clock.advance(1.0)
    newest = world.three.publish(b"1", owner="bob", properties=SNAPSHOT)
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.NONE)
    run_scan(world)
    for task in list(world.store.list(image_id=newest.image_id)):
        del world.store._rows[task.key]
    world.three.delete_as_user(newest.image_id)
    told(world, newest, events.EventKind.DELETED, is_snapshot=False)
    assert run_scan(world).restored == set()


# An operator says that what is missing was deleted.


@pytest.fixture
def lost(world):
    """Return images that a restored Glance lost."""
    lost = publish(world, 5)
    run_scan(world)
    lose(world, *lost)
    assert run_scan(world).restored == {ONE}
    return {one.image_id for one in lost}


def test_an_allowance_that_is_too_small_lets_nothing_go_later(world, lost):
    report = allow(world, 2)
    assert (report.held_back, report.restored) == (5, set())
    assert [one.restored for one in after_days(world)] == [{ONE}] * 3
    assert lost <= world.two.ids()


def test_an_allowance_for_one_region_lets_nothing_go_in_others(world, lost):
    allow(world, 5, scan_state.Scope(only=frozenset({THREE})))
    assert lost.isdisjoint(world.three.ids())
    assert [one.restored for one in after_days(world)] == [{ONE}] * 3
    assert lost <= world.two.ids()


def test_an_allowance_that_suffices_ends_the_hold(world, lost):
    assert allow(world, 5).deleted_sources == 5
    assert lost.isdisjoint(world.two.ids())
    assert run_scan(world).restored == set()
