# SPDX-License-Identifier: Apache-2.0
"""A full scan finds what happened while nobody listened."""

import dataclasses
import datetime

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine.reconcile import scan_state
from glance_sync_agent.engine.reconcile import source_walk
from glance_sync_agent.engine.reconcile import task_walk
from tests.fakes import glance as fake_glance
from tests.fakes import world as worlds
from tests.unit import builders

ONE = worlds.CASCADING
TWO, THREE = worlds.CASCADED
FOUR = images.RegionId("RegionFour")


@pytest.fixture
def world():
    return worlds.World()


@pytest.fixture
def copied(world):
    """Three images, copied everywhere."""
    made = [
        world.source.publish(b"%d" % number, visibility="shared", os_hidden=number == 2)
        for number in range(3)
    ]
    for image in made:
        world.changed(image.image_id)
    world.run()
    return made


def run_scan(world, **expected):
    """Scan, compare the report, and do what was requested."""
    report = world.reconciliation.run()
    assert report == scan_state.ScanReport(**expected)
    world.settle()
    return report


def test_a_cloud_in_step_requests_nothing(world, copied):
    run_scan(world, sources=3)


def test_images_published_unheard_are_copied(world):
    made = world.source.publish(b"1")
    hidden = world.source.publish(b"2", os_hidden=True)
    run_scan(world, sources=2, requested=4)
    assert world.two.ids() == world.three.ids() == {made.image_id, hidden.image_id}
    run_scan(world, sources=2)


def test_metadata_changed_unheard_follows(world, copied):
    world.source.change(copied[0].image_id, name="renamed")
    run_scan(world, sources=3, requested=2)
    assert world.two.image(copied[0].image_id).metadata.name == "renamed"


def test_members_changed_unheard_follow(world, copied):
    world.source.share(copied[0].image_id, "beta")
    run_scan(world, sources=3, requested=2)
    assert world.two.image(copied[0].image_id).members == {"beta": "pending"}


def test_only_the_region_that_differs_is_requested(world, copied):
    world.two.delete_as_user(copied[0].image_id)
    run_scan(world, sources=3, requested=1)
    assert world.task(copied[0]).status == "success"
    assert world.task(copied[0], THREE).generation == 1


def test_a_copy_with_an_id_of_its_own_is_known_by_its_row(world, copied):
    world.two.delete_as_user(copied[0].image_id)
    run_scan(world, sources=3, requested=1)
    assert world.task(copied[0]).copy_id != copied[0].image_id
    run_scan(world, sources=3)


def test_a_lost_database_is_rebuilt_so_that_copies_do_not_outlive_their_sources(world, copied):
    world.store._rows.clear()

    def nothing_is_copied_again(name, _image_id):
        assert name != "create"

    world.two.before = nothing_is_copied_again
    run_scan(world, sources=3, requested=6)
    assert {task.status for task in world.store.list()} == {"success"}
    run_scan(world, sources=3)
    world.source.delete_as_user(copied[0].image_id)
    run_scan(world, sources=2, requested=2, deleted_sources=1)
    assert copied[0].image_id not in world.two.ids()


def test_a_lost_database_leaves_no_copy_of_another_id_active_for_its_deactivated_source(
    world, copied
):
    image = copied[0]
    world.two.delete_as_user(image.image_id)  # which spends the id
    world.changed(image.image_id)
    world.settle()
    copy_id = world.task(image).copy_id
    assert copy_id != image.image_id
    world = worlds.World(
        worlds.Outside(clock=world.clock, catalogue=world.catalogue, regions=world.regions)
    )
    world.source.change(image.image_id, status="deactivated")
    world.reconciliation.run()
    world.settle()
    assert world.two.image(copy_id).status == "deactivated"
    assert world.task(image).copy_id == copy_id


def test_copies_that_no_row_knows_are_searched_for_at_first_and_then_in_their_share(world):
    image = world.source.publish(b"1")
    world.source.change(image.image_id, status="deactivated")
    world.members_interval = 86400.0
    asked = []
    world.two.before = lambda name, _image_id: asked.append(name)
    for _ in range(1 + 144 + 144):
        assert world.reconciliation.run().requested == 0
        world.clock.advance(600.0)
    assert asked.count("copies_of") == 1 + 2


def test_images_without_data_and_copies_are_no_sources(world):
    world.source.make(name="queued")
    marks = builders.marks(builders.IMAGE_ID, worlds.CASCADING)
    world.source.publish(b"1", image_id=builders.IMAGE_ID, properties=marks)
    run_scan(world, sources=2)


def test_without_a_strategy_nothing_is_requested(world):
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.NONE)
    world.source.publish(b"1")
    run_scan(world, sources=1)


def test_a_conflict_is_requested_so_that_its_row_says_so(world):
    made = world.source.publish(b"1")
    world.two.publish(b"2", image_id=made.image_id)
    run_scan(world, sources=1, requested=2)
    assert world.task(made).status == "failure"


def test_a_failure_is_told_no_longer_than_there_is_something_to_do(world):
    image = world.source.publish(b"1")
    world.source.set_active(image.image_id, active=False)
    world.two.make(image_id=image.image_id)
    run_scan(world, sources=1, requested=1)
    assert world.task(image).status == "failure"
    world.two.delete_as_user(image.image_id)
    run_scan(world, sources=1, requested=1)
    assert not list(world.store.list())
    run_scan(world, sources=1)


def test_an_image_deleted_unheard_takes_its_copies_along(world, copied):
    world.source.delete_as_user(copied[0].image_id)
    run_scan(world, sources=2, requested=2, deleted_sources=1)
    assert world.two.ids() == world.three.ids() == {one.image_id for one in copied[1:]}


def test_more_deletions_than_the_brake_allows_delete_nothing(world, copied, caplog):
    world.max_deletes = 1
    gone = copied[:2]
    for one in gone:
        world.source.delete_as_user(one.image_id)
    run_scan(world, sources=1, deleted_sources=2, held_back=2)
    assert len(world.two.ids()) == 3
    expected = "2 sources are gone or out of strategy, and one scan may delete the copies of 1 at"
    assert expected in caplog.text
    assert "run 'glance-sync reconcile --allow-deletes 2', or raise [reconcile] max_deletes" in (
        caplog.text
    )
    world.max_deletes = 2
    run_scan(world, sources=1, requested=4, deleted_sources=2)
    assert len(world.two.ids()) == 1


def test_a_region_that_lists_no_image_at_all_is_not_believed(world, copied, caplog):
    for one in copied:
        world.source.delete_as_user(one.image_id)
    world.max_deletes = 100
    run_scan(world)
    assert len(world.two.ids()) == 3
    assert "lists no image at all" in caplog.text


def test_an_image_missing_from_a_listing_but_there_is_not_deleted(world, copied):
    original = world.source.find
    world.source.find = lambda ids: {k: v for k, v in original(ids).items()
                                     if k != copied[0].image_id}
    run_scan(world, sources=3)


def test_a_source_listing_that_fails_concludes_nothing(world, copied):
    def before(name, _image_id):
        if name == "pages":
            raise errors.ServiceUnavailable("no answer")

    world.source.before = before
    with pytest.raises(errors.ServiceUnavailable):
        world.reconciliation.run()
    assert world.store.next_due() is None


def test_a_region_that_fails_is_left_out_and_named(world, caplog):
    made = world.source.publish(b"1")

    def before(name, _image_id):
        if name == "find":
            raise errors.ServiceUnavailable("RegionTwo does not answer")

    world.two.before = before
    run_scan(world, sources=1, requested=1, failed_regions={TWO})
    assert world.three.ids() == {made.image_id}
    assert "Could not compare region RegionTwo" in caplog.text


def test_pages_are_walked_to_the_end(world, monkeypatch):
    monkeypatch.setattr(source_walk, "PAGE_SIZE", 2)
    for number in range(5):
        world.source.publish(b"%d" % number)
    run_scan(world, sources=5, requested=10)
    for image_id in sorted(world.source.ids())[:3]:  # of equal age, so that the last one stays
        world.source.delete_as_user(image_id)
    world.max_deletes = 3
    run_scan(world, sources=2, requested=6, deleted_sources=3)
    assert len(world.two.ids()) == 2


def test_stopping_ends_the_scan(world, monkeypatch):
    monkeypatch.setattr(source_walk, "PAGE_SIZE", 1)
    for number in range(3):
        world.source.publish(b"%d" % number)
    world.stop.set()
    report = world.reconciliation.run()
    assert dataclasses.replace(report) == scan_state.ScanReport(sources=1, requested=2)


def test_a_region_that_did_not_answer_is_scanned_again_alone(world):
    made = world.source.publish(b"1")
    report = world.reconciliation.run(scan_state.Scope(only={TWO}, deletions=False))
    assert report == scan_state.ScanReport(sources=1, requested=1)
    world.settle()
    assert world.two.ids() == {made.image_id}
    assert not world.three.ids()


def test_a_second_scan_at_one_region_deletes_nothing(world, copied):
    world.source.delete_as_user(copied[0].image_id)
    again = scan_state.Scope(only={TWO}, deletions=False)
    assert world.reconciliation.run(again) == scan_state.ScanReport(sources=2)
    world.settle()
    assert len(world.two.ids()) == 3


def test_what_cannot_be_reached_any_more_counts_for_nothing(world, copied):
    world.catalogue.names -= {THREE}
    world.source.delete_as_user(copied[0].image_id)
    run_scan(world, sources=2, requested=1 + 3, deleted_sources=1)
    assert copied[0].image_id not in world.two.ids()
    assert len(world.three.ids()) == 3
    world.catalogue.names = frozenset({worlds.CASCADING})
    world.source.delete_as_user(copied[1].image_id)
    run_scan(world, sources=1, requested=2)
    assert len(world.two.ids()) == 2


def test_the_tasks_of_a_region_that_left_say_so_until_it_is_back(world, copied):
    world.catalogue.names -= {THREE}
    run_scan(world, sources=3, requested=3)
    task = world.task(copied[0], THREE)
    assert (task.status, task.attempts) == ("success", 0)
    assert task.reason == "its region is not in Keystone's catalogue any more"
    run_scan(world, sources=3)
    world.source.change(copied[1].image_id, name="renamed")
    world.catalogue.names |= {THREE}
    run_scan(world, sources=3, requested=3 + 1)
    assert world.task(copied[0], THREE).reason == "in sync"
    assert world.three.image(copied[1].image_id).metadata.name == "renamed"


def test_a_region_that_is_new_is_filled(world, copied):
    world.catalogue.names |= {FOUR}
    world.regions.glances[FOUR] = fake_glance.FakeGlance(FOUR)
    run_scan(world, sources=3, requested=3)
    assert world.regions.glances[FOUR].ids() == {one.image_id for one in copied}


def test_who_is_no_administrator_any_more_concludes_nothing(world, copied):
    def demoted(name, _image_id):
        if name == "require_all_rights":
            raise errors.Refused("no administrator any more")

    world.source.delete_as_user(copied[0].image_id)
    world.source.before = demoted
    with pytest.raises(errors.Refused):
        world.reconciliation.run()
    world.settle()
    assert copied[0].image_id in world.two.ids()


def test_what_was_announced_does_not_count_against_the_brake(world, copied):
    world.max_deletes = 0

    def away(_name, _image_id):
        raise errors.ServiceUnavailable("RegionTwo does not answer")

    world.two.before = away
    world.source.delete_as_user(copied[0].image_id)
    world.deleted(copied[0].image_id)
    world.settle()
    assert world.task(copied[0]).status == "failure"
    world.two.before = lambda _name, _image_id: None
    assert world.reconciliation.run().held_back == 0
    world.settle()
    assert copied[0].image_id not in world.two.ids()


def test_the_rights_are_proven_once_for_many_images(world, copied, monkeypatch):
    monkeypatch.setattr(task_walk, "_BATCH", 1)
    asked = []
    world.source.before = lambda name, _image_id: asked.append(name)
    world.source.delete_as_user(copied[0].image_id)
    report = world.reconciliation.run()
    assert report == scan_state.ScanReport(sources=2, requested=2, deleted_sources=1)
    assert asked.count("require_all_rights") == 1


def test_a_scan_at_one_region_on_demand_finds_what_is_gone_there(world, copied):
    world.source.delete_as_user(copied[0].image_id)
    report = world.reconciliation.run(scan_state.Scope(only={TWO}))
    assert report == scan_state.ScanReport(sources=2, requested=1, deleted_sources=1)
    world.settle()
    assert copied[0].image_id not in world.two.ids()
    assert copied[0].image_id in world.three.ids()


def test_what_is_gone_in_other_regions_only_is_none_of_this_scan(world, copied):
    world.source.delete_as_user(copied[0].image_id)
    report = world.reconciliation.run(scan_state.Scope(only=set()))
    assert report == scan_state.ScanReport(sources=2)


def test_a_scan_at_changes_reads_nothing_else(world, copied):
    world.clock.advance(3600)
    since = world.clock.now()
    world.source.change(copied[0].image_id, name="renamed")
    world.source.change(copied[2].image_id, name="renamed, hidden")
    report = world.reconciliation.run(scan_state.Scope(since=since, deletions=False))
    assert report == scan_state.ScanReport(sources=2, requested=4)
    assert report.newest == since.replace(microsecond=0)
    later = since + datetime.timedelta(seconds=1)
    report = world.reconciliation.run(scan_state.Scope(since=later, deletions=False))
    assert report == scan_state.ScanReport()
    assert report.newest is None


def test_a_region_is_left_out_when_that_is_wanted(world):
    world.source.publish(b"1")
    asked = []
    world.two.before = lambda name, _image_id: asked.append(name)
    report = world.reconciliation.run(scan_state.Scope(without={TWO}, deletions=False))
    assert report == scan_state.ScanReport(sources=1, requested=1)
    assert not asked


@pytest.mark.parametrize("origins", [(), (TWO,)])
def test_who_may_not_go_on_ends_the_scan(origins):
    world = worlds.World(snapshot_origins=origins)
    where = world.two if origins else world.source
    where.publish(b"1", properties={"image_type": "snapshot"})

    def lost():
        raise errors.LeaseLost("another agent leads")

    with pytest.raises(errors.LeaseLost):
        world.reconciliation.run(renew_lease=lost)
    assert world.store.next_due() is None


def test_each_difference_says_what_it_is_and_why(world, copied):
    world.source.change(copied[0].image_id, name="renamed")
    world.two.delete_as_user(copied[1].image_id)
    world.three.share(copied[2].image_id, "stranger")
    new = world.source.publish(b"new", name="new")
    found = []

    def keep(some):
        found.extend(some)
        return len(some)

    world.make_scan(keep).run()
    said = {(one.image_id, one.region): (one.step.what, one.step.why) for one in found}
    assert said == {
        (copied[0].image_id, TWO): ("update", "name"),
        (copied[0].image_id, THREE): ("update", "name"),
        (copied[1].image_id, TWO): ("copy", "there is no copy"),
        (copied[2].image_id, THREE): ("update", "members"),
        (new.image_id, TWO): ("copy", "there is no copy"),
        (new.image_id, THREE): ("copy", "there is no copy"),
    }
    assert {one.image_name for one in found if one.image_id == new.image_id} == {"new"}
    assert world.store.next_due() is None


def unwant(world, image, *regions):
    """Take an image out of all regions but these."""
    names = ",".join(regions) or "none"
    world.source.change(image.image_id, sync_regions=names)


def test_a_copy_stays_where_its_image_does_not_belong_any_more(world, copied):
    unwant(world, copied[0])
    world.changed(copied[0].image_id)
    world.settle()
    run_scan(world, sources=3)
    assert copied[0].image_id in world.two.ids()
    assert "the copy stays, and only what narrows access" in world.task(copied[0]).reason


def test_with_delete_out_of_strategy_the_next_scan_removes_it(world, copied):
    world.deletes_unwanted = True
    unwant(world, copied[0])
    world.changed(copied[0].image_id)
    world.settle()
    assert copied[0].image_id in world.two.ids()  # an event alone removes nothing
    run_scan(world, sources=3, requested=2)
    assert copied[0].image_id not in world.two.ids() | world.three.ids()
    assert not world.store.find([copied[0].image_id])
    assert copied[1].image_id in world.two.ids()
    run_scan(world, sources=3)


def test_switched_on_later_it_removes_what_had_stayed(world, copied):
    unwant(world, copied[0])
    run_scan(world, sources=3, requested=2)
    run_scan(world, sources=3)
    world.deletes_unwanted = True
    run_scan(world, sources=3, requested=2)
    assert copied[0].image_id not in world.two.ids()


def test_what_comes_back_in_time_is_kept(world, copied):
    world.deletes_unwanted = True
    unwant(world, copied[0])
    world.reconciliation.run()
    world.source.change(copied[0].image_id, sync_regions=None)
    world.settle()
    assert copied[0].image_id in world.two.ids()
    assert not world.task(copied[0]).may_delete


def test_more_out_of_strategy_than_the_brake_allows_stay(world, copied, caplog):
    world.deletes_unwanted = True
    world.max_deletes = 2
    for image in copied:
        unwant(world, image)
    run_scan(world, sources=3, held_back=3)
    assert len(world.two.ids()) == len(world.three.ids()) == 3
    assert "3 sources are gone or out of strategy" in caplog.text
    world.max_deletes = 3
    run_scan(world, sources=3, requested=6)
    assert not world.two.ids()


def test_what_is_gone_and_what_is_out_of_strategy_count_together(world, copied):
    world.deletes_unwanted = True
    world.max_deletes = 1
    unwant(world, copied[0])
    world.source.delete_as_user(copied[1].image_id)
    run_scan(world, sources=2, deleted_sources=1, held_back=2)
    assert copied[1].image_id in world.two.ids()


def test_a_stranger_s_image_is_never_out_of_our_strategy(world, copied):
    world.deletes_unwanted = True
    world.two.change(copied[0].image_id, glance_sync_source_id=None)
    unwant(world, copied[0])
    world.reconciliation.run()
    world.settle()
    assert copied[0].image_id in world.two.ids()
    assert copied[0].image_id not in world.three.ids()


def test_a_keystone_that_is_away_removes_nothing(world):
    world.source.publish(b"1", owner="alpha")
    run_scan(world, sources=1, requested=2)
    world.deletes_unwanted = True
    world.policy = dataclasses.replace(world.policy, strategy=strategy.Strategy.USER)
    world.identity.is_down = True
    with pytest.raises(errors.Undecided):
        world.reconciliation.run()
    world.settle()
    assert len(world.two.ids()) == len(world.three.ids()) == 1


def fail_project(world, project):
    """Have Keystone fail about one project, as if the LDAP server of its domain was down."""
    roles_on, asked = world.identity.roles_on, []

    def roles(project_id):
        if project_id == project:
            asked.append(project_id)
            raise errors.ServiceUnavailable("HTTP 500: LDAP server is down")
        return roles_on(project_id)

    world.identity.roles_on = roles
    return asked


@pytest.fixture
def by_roles(world):
    """Copies images of projects with a role, and return one of alpha and two of beta."""
    gold = rules.Match(roles=frozenset({"gold"}))
    world.policy = strategy.PlacementPolicy(
        strategy=strategy.Strategy.USER,
        rules=(rules.Rule(title="rule 1", match=gold, regions=("*",)),),
    )
    world.identity.roles = {"alpha": frozenset({"gold"}), "beta": frozenset({"gold"})}
    made = [world.source.publish(b"1", owner=owner) for owner in ("alpha", "beta", "beta")]
    for image in made:
        world.changed(image.image_id)
    world.settle()
    world.clock.advance(world.cache_seconds)
    return made


@pytest.mark.parametrize("page_size", [1, 100])
def test_a_project_that_keystone_cannot_tell_of_keeps_no_scan_from_the_others(
    world, by_roles, page_size, monkeypatch, caplog
):
    monkeypatch.setattr(source_walk, "PAGE_SIZE", page_size)
    world.deletes_unwanted = True
    asked = fail_project(world, "beta")
    alpha, *betas = by_roles
    for image in by_roles:
        world.source.change(image.image_id, name="renamed")
    run_scan(world, sources=3, requested=2)
    assert world.two.image(alpha.image_id).metadata.name == "renamed"
    assert {image.image_id for image in betas} <= world.two.ids()
    assert asked == ["beta"]
    assert caplog.text.count("looks only for access that was taken back") == 1


@pytest.mark.parametrize("deletes_unwanted", [False, True])
def test_a_copy_follows_in_what_it_loses_although_keystone_cannot_tell_of_its_project(
    world, by_roles, deletes_unwanted
):
    world.deletes_unwanted = deletes_unwanted
    _alpha, beta, other = by_roles
    for image in (beta, other):
        world.source.change(image.image_id, visibility="public")
        world.changed(image.image_id)
    world.settle()
    world.clock.advance(world.cache_seconds)
    fail_project(world, "beta")
    world.source.change(beta.image_id, visibility="private", name="renamed")
    assert world.reconciliation.run().requested == 2
    world.run()
    seen = world.two.image(beta.image_id).metadata
    assert (seen.visibility, seen.name) == ("private", beta.metadata.name)
    assert world.two.image(other.image_id).metadata.visibility == "public"


def test_the_log_names_one_project_that_keystone_cannot_tell_of(world, by_roles, caplog):
    def down(_project_id):
        raise errors.Refused("HTTP 403")

    world.identity.roles_on = down
    run_scan(world, sources=3)
    assert caplog.text.count("looks only for access that was taken back") == 1


def test_without_a_strategy_copies_stay(world, copied):
    world.deletes_unwanted = True
    world.policy = dataclasses.replace(world.policy, strategy=strategy.Strategy.NONE)
    run_scan(world, sources=3)
    assert len(world.two.ids()) == 3


def test_without_being_asked_a_task_that_waits_for_its_next_attempt_is_left_alone(world):
    image = world.source.publish(b"1")

    def away(name, _image_id):
        if name == "create":
            raise errors.ServiceUnavailable("no room")

    world.two.before = away
    world.changed(image.image_id)
    world.run()
    before = world.task(image)
    assert (before.status, before.attempts) == ("pending", 1)
    scope = scan_state.Scope(failed_before=world.clock.now())
    assert world.reconciliation.run(scope) == scan_state.ScanReport(sources=1)
    assert world.task(image) == before
    assert world.reconciliation.run() == scan_state.ScanReport(sources=1, requested=1)
    assert world.task(image).attempts == 0


def test_without_being_asked_a_failure_is_taken_up_after_a_rest(world):
    image = world.source.publish(b"1")
    world.two.publish(b"2", image_id=image.image_id)  # somebody else's
    world.changed(image.image_id)
    world.run()
    failed_at = world.task(image).updated_at
    assert world.task(image).status == "failure"
    scope = scan_state.Scope(failed_before=failed_at)
    assert world.reconciliation.run(scope) == scan_state.ScanReport(sources=1)
    later = failed_at + datetime.timedelta(seconds=1)
    scope = scan_state.Scope(failed_before=later)
    assert world.reconciliation.run(scope) == scan_state.ScanReport(sources=1, requested=1)


def test_without_being_asked_a_waiting_snapshot_is_left_to_its_watch(world):
    image = world.source.make(properties={"image_type": "snapshot"})
    world.changed(image.image_id)
    world.run()
    assert world.task(image).waiting_since is not None
    scope = scan_state.Scope(failed_before=world.clock.now())
    assert world.reconciliation.run(scope) == scan_state.ScanReport(sources=1)


def test_without_being_asked_a_deletion_that_fails_keeps_its_own_time(world, copied):
    image = copied[0]

    def full(name, _image_id):
        if name == "delete":
            raise errors.ServiceUnavailable("HTTP 500")

    world.two.before = full
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.run()
    before = world.task(image)
    assert (before.status, before.attempts, before.may_delete) == ("pending", 1, True)
    scope = scan_state.Scope(failed_before=world.clock.now())
    assert world.reconciliation.run(scope).requested == 0
    assert world.task(image) == before
    assert world.reconciliation.run().requested == 1


@pytest.mark.parametrize(
    "failure",
    [
        errors.ServiceUnavailable("HTTP 500", region=ONE, fault=errors.Fault.ANSWER),
        errors.Refused("HTTP 403"),
    ],
)
def test_a_record_that_cannot_be_read_keeps_no_other_image_waiting(world, failure, caplog):
    bad, gone, _stays = made = [world.source.publish(b"1") for _ in range(3)]
    for image in made:
        world.changed(image.image_id)
    world.settle()

    def fail(name, image_id):
        if name == "get_record" and image_id == bad.image_id:
            raise failure

    world.source.before = fail
    for image in (bad, gone):
        world.source.delete_as_user(image.image_id)
    report = world.reconciliation.run()
    world.settle()
    assert report.deleted_sources == 1
    assert gone.image_id not in world.two.ids()
    assert bad.image_id in world.two.ids()
    assert f"Nothing shows whether image {bad.image_id} still exists: HTTP" in caplog.text


def test_a_region_that_breaks_off_while_records_are_read_proves_nothing(world):
    gone, _stays = made = [world.source.publish(b"1") for _ in range(2)]
    for image in made:
        world.changed(image.image_id)
    world.settle()

    def fail(name, _image_id):
        if name == "get_record":
            raise errors.ServiceUnavailable("no answer", fault=errors.Fault.REQUEST)

    world.source.before = fail
    world.source.delete_as_user(gone.image_id)
    with pytest.raises(errors.ServiceUnavailable, match="no answer"):
        world.reconciliation.run()
    assert gone.image_id in world.two.ids()
