# SPDX-License-Identifier: Apache-2.0
"""A Glance that lost sources which no scan listed, or snapshots, and the end of the hold."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import events
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
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


def during_a_scan(world, act):
    """Run a scan, and act once its pages of sources were read."""
    acts = [act]

    def before(name, _image_id):
        if name == "find" and acts:
            world.clock.advance(1.0)
            acts.pop()()
            world.clock.advance(1.0)

    world.two.before = before
    report = run_scan(world)
    world.two.before = lambda _name, _image_id: None
    assert not acts
    return report


def test_what_was_made_during_a_scan_and_lost_after_it_is_never_deleted(world):
    made = []
    during_a_scan(world, lambda: made.extend(publish_unseen(world)))
    (lost,) = made
    assert lost.image_id in world.two.ids()
    lose(world, lost)
    assert [one.restored for one in after_days(world)] == [{ONE}] * 3
    assert lost.image_id in world.two.ids()


def publish_unseen(world, image_id="00000000-0000-4000-8000-000000000009"):
    """Publish an image on a page of the listing that was read before."""
    image = world.source.publish(b"new", owner="alpha", image_id=image_id)
    world.changed(image.image_id)
    return [image]


def test_what_was_made_during_a_scan_and_deleted_as_a_message_says_holds_nothing(world):
    made = []
    during_a_scan(world, lambda: made.extend(publish_unseen(world)))
    world.source.delete_as_user(made[0].image_id)
    world.deleted(made[0].image_id)
    world.run()
    assert run_scan(world).restored == set()


def test_a_scan_that_cannot_ask_for_what_was_made_during_it_has_not_seen_it(world, caplog):
    def away(name, _image_id):
        if name == "find" and made:
            finds.append(name)
            # The first two are of the newest images known and of the tasks.
            if len(finds) == 3:
                raise errors.ServiceUnavailable("the Glance does not answer")

    made, finds = [], []
    world.source.before = away
    during_a_scan(world, lambda: made.extend(publish_unseen(world)))
    world.source.before = lambda _name, _image_id: None
    assert "Could not remember the newest images of region RegionOne" in caplog.text
    lose(world, *made)
    assert run_scan(world).restored == {ONE}


def once_found(finder, image, event):
    """Have something happen once, after a Glance or a task store has looked for an image."""
    find = finder.find
    found: list[object] = []

    def slow(image_ids):
        answer = find(image_ids)
        if image.image_id in image_ids and not found:
            found.append(answer)
            event()
        return answer

    finder.find = slow
    return found


def once_judged(world, image):
    """Announce a deletion after a scan has read the tasks, with which the brake judges."""
    return once_found(world.store, image, lambda: world.deleted(image.image_id))


def test_a_deletion_that_is_announced_during_a_scan_holds_nothing(world):
    _old, newest = publish(world, 2)
    run_scan(world)

    def announce():
        world.source.delete_as_user(newest.image_id)
        world.deleted(newest.image_id)

    found = once_found(world.source, newest, announce)
    run_scan(world)
    assert found
    assert run_scan(world).restored == set()


def test_a_deletion_that_is_announced_after_its_source_was_missed_holds_nothing(world):
    first, second = publish(world, 2)
    lose(world, first, second)
    told = once_judged(world, first)
    assert run_scan(world).restored == {ONE}
    assert told
    world.deleted(second.image_id)
    world.run()
    assert run_scan(world).restored == set()


def test_a_deletion_that_is_announced_before_the_scan_ends_holds_nothing(world):
    (image,) = publish(world)
    lose(world, image)
    told = once_judged(world, image)
    assert run_scan(world).restored == set()
    assert told


def test_an_image_from_the_future_does_not_hide_what_was_lost(world):
    (future,) = publish(world)
    world.source.change(future.image_id, created_at="2099-01-01T00:00:00Z")
    run_scan(world)
    (lost,) = publish(world)
    run_scan(world)
    lose(world, lost)
    assert [one.restored for one in after_days(world)] == [{ONE}] * 3
    assert lost.image_id in world.two.ids()


# Deletions that some tasks of a source know of.


def refuse_deletions(world):
    def in_use(name, _image_id):
        if name == "delete":
            raise errors.Refused("HTTP 409: it is in use")

    world.two.before = in_use


def unwant_in_two(world, count):
    """Return images whose copies in RegionTwo are out of strategy and in use."""
    made = publish(world, count)
    publish(world)
    run_scan(world)
    refuse_deletions(world)
    world.deletes_unwanted = True
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.identity.associated["alpha"] = frozenset({THREE})
    run_scan(world)
    assert all(world.task(image).may_delete_unwanted for image in made)
    return made


def test_a_copy_that_is_out_of_strategy_announces_no_deletion_of_the_others(world):
    (image,) = unwant_in_two(world, 1)
    lose(world, image)
    assert run_scan(world).missing == 1
    assert image.image_id in world.three.ids()
    world.clock.advance(DAY)
    assert run_scan(world).deleted_sources == 1
    assert image.image_id not in world.three.ids()


def test_copies_that_are_out_of_strategy_do_not_lift_the_brake(world):
    made = unwant_in_two(world, 3)
    world.deletes_unwanted = False  # the others are not counted
    world.gone_grace = 0.0
    world.max_deletes = 2
    lose(world, *made)
    assert run_scan(world).held_back == 3
    assert {image.image_id for image in made} <= world.three.ids()


def test_an_operator_announces_a_deletion_for_one_region_only(world):
    image, _newest = publish(world, 2)
    run_scan(world)
    lose(world, image)
    run_scan(world)
    # As glance-sync sync --delete-copies IMAGE --region RegionTwo.
    world.intake.request(image.image_id, TWO, may_delete=True)
    report = run_scan(world)
    assert (report.missing, report.deleted_sources, report.requested) == (1, 0, 1)
    assert image.image_id not in world.two.ids()
    assert image.image_id in world.three.ids()


def test_a_region_that_was_out_of_the_catalogue_shortens_no_grace_period(world):
    image, _newest = publish(world, 2)
    run_scan(world)
    record = world.source._records.pop(image.image_id)
    run_scan(world)
    everywhere = world.catalogue.names
    world.catalogue.names -= {TWO}
    world.source._records[image.image_id] = record
    run_scan(world)
    world.catalogue.names = everywhere
    world.clock.advance(3 * DAY)
    lose(world, image)
    for _ in range(2):
        assert run_scan(world).missing == 1
    world.clock.advance(DAY)
    assert run_scan(world).deleted_sources == 1


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


def test_a_task_that_gets_another_source_during_the_walk_is_not_judged_by_its_former_one():
    world = worlds.World(snapshot_origins=(TWO,))
    for glance in (world.source, world.two):
        glance.publish(b"keeper", owner="bob")  # a region without images proves nothing
    snapshot = world.two.publish(b"data", properties=SNAPSHOT, owner="alpha")
    world.reconciliation.run()
    world.settle()
    key = tasks.TaskKey(image_id=snapshot.image_id, region=THREE)
    copy = world.three.image(snapshot.image_id)
    world.two.delete_as_user(snapshot.image_id)
    adopted: list[identity.KnownCopy] = []

    def adopt(name, _image_id):
        if name == "get_record" and not adopted:
            world.source.publish(b"data", image_id=snapshot.image_id, owner="alpha")
            known = identity.KnownCopy(copy_id=copy.image_id, created_at=copy.created_at)
            adopted.append(known)
            world.store.adopt(
                key, known, now=world.clock.now(), request_id="operator", source_region=None
            )

    world.two.before = adopt
    world.make_scan(is_accepted=True).run()
    assert adopted
    task = world.store.get(key)
    assert task.source_region is None
    assert not task.may_delete


def test_a_permission_to_delete_unwanted_copies_deletes_none_whose_sources_are_lost(world):
    """The rule was wrong, and is right again before the copies could be deleted."""
    made = unwant_in_two(world, 2)

    def down(_name, _image_id):
        raise errors.ServiceUnavailable("no answer", region=TWO)

    world.two.before = down
    world.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({TWO}))
    run_scan(world)
    lose(world, *made)
    report = run_scan(world)
    assert report.deleted_sources == 0
    world.two.before = lambda _name, _image_id: None
    world.settle()
    run_scan(world)
    world.settle()
    assert {image.image_id for image in made} <= world.two.ids()
