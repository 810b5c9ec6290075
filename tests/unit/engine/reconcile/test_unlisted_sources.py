# SPDX-License-Identifier: Apache-2.0
"""Sources of other regions that those do not list as snapshots any more."""

import dataclasses

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import events
from glance_sync_agent.domain import images
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import pairs
from glance_sync_agent.engine.reconcile import scan_state
from tests.fakes import glance
from tests.fakes import world as worlds

ONE = worlds.CASCADING
TWO, THREE = worlds.CASCADED
DATA = b"snapshot"
SNAPSHOT = {"image_type": "snapshot"}


def publish(world, **metadata):
    """Publish a snapshot in RegionThree that is heard of and copied."""
    image = world.three.publish(DATA, owner="bob", properties=SNAPSHOT, **metadata)
    kind = events.EventKind.CHANGED
    event = events.ImageEvent(image_id=image.image_id, kind=kind, is_snapshot=True)
    world.intake.handle(event, THREE)
    world.settle()
    assert world.two.data(image.image_id) == DATA
    return image


@pytest.fixture(params=["without its type", "nobody listens"])
def world(request):
    """Return a world in which a snapshot is not listed as one, for either reason."""
    is_listening = request.param == "without its type"
    world = worlds.World(snapshot_origins=(THREE,) if is_listening else ())
    world.source.publish(b"another", owner="bob")
    return world


def unlist(world, image, **changes):
    """Change a snapshot unheard, which is listed as one no more."""
    world.three.change(image.image_id, image_type=None, **changes)


def run_scan(world, scope=scan_state.FULL):
    report = world.reconciliation.run(scope)
    world.settle()
    return report


def visibility(world, image):
    return world.two.image(image.image_id).metadata.visibility


def test_what_its_owner_takes_back_reaches_the_copies(world):
    image = publish(world, visibility="public")
    unlist(world, image, visibility="private")
    run_scan(world)
    assert visibility(world, image) == "private"


def test_a_listed_snapshot_of_a_region_to_which_nobody_listens_is_compared(world):
    image = publish(world, visibility="public")
    world.three.change(image.image_id, visibility="private")
    run_scan(world)
    assert visibility(world, image) == "private"


def test_members_that_go_are_missed_in_their_turn(world):
    image = publish(world, visibility="shared")
    world.three.share(image.image_id, "alpha")
    run_scan(world)
    assert set(world.two.members(world.two.image(image.image_id))) == {"alpha"}
    unlist(world, image)
    world.three.share(image.image_id, "alpha", None)
    run_scan(world)
    assert not world.two.members(world.two.image(image.image_id))


def test_whose_members_were_asked_for_is_noted(world):
    image = publish(world)
    unlist(world, image)
    noted = []

    class Noting(member_scans.FixedShare):
        def note(self, origin, region, share):
            noted.append((origin, region, share))

    world.make_scan(members=Noting(member_scans.ALL)).run()
    assert noted.count((THREE, TWO, member_scans.ALL)) == 1


def test_it_is_copied_to_no_other_region(world):
    image = publish(world)
    unlist(world, image)
    four = images.RegionId("RegionFour")
    world.catalogue.names |= {four}
    world.regions.glances[four] = glance.FakeGlance(four)
    world.store.disown(world.task(image).key, image.image_id)
    before = world.task(image)
    run_scan(world)
    assert world.task(image) == before
    assert {task.key.region for task in world.store.list(image_id=image.image_id)} == {TWO}


def test_only_regions_that_are_asked_for_are_compared(world):
    image = publish(world, visibility="public")
    unlist(world, image, visibility="private")
    run_scan(world, scan_state.Scope(only=frozenset({THREE})))
    assert visibility(world, image) == "public"
    run_scan(world, scan_state.Scope(only=frozenset({TWO})))
    assert visibility(world, image) == "private"


def test_a_region_that_failed_is_not_asked_again(world):
    image = publish(world, visibility="public")
    unlist(world, image, visibility="private")
    asked = []

    def away(name, _image_id):
        asked.append(name)
        raise errors.ServiceUnavailable("away")

    world.two.before = away
    assert run_scan(world).failed_regions == {TWO}
    assert asked == ["find"]
    world.two.before = lambda _name, _image_id: None
    run_scan(world)
    assert visibility(world, image) == "private"


def test_a_source_whose_data_cannot_be_seen_is_left_for_the_next_scan(world, monkeypatch):
    image = publish(world, visibility="public")
    unlist(world, image, visibility="private")
    read = pairs.Pairs.of

    def without_data(self, page, **options):
        found = read(self, page, **options)
        if page[0].region != THREE:
            return found
        failures = {TWO: errors.ServiceUnavailable("away")}
        return dataclasses.replace(found, pairs=[], failures=failures)

    with monkeypatch.context() as patch:
        patch.setattr(pairs.Pairs, "of", without_data)
        assert run_scan(world).failed_regions == {TWO}
    assert visibility(world, image) == "public"


def test_what_keystone_does_not_tell_of_them_holds_nothing_else_up(world, monkeypatch):
    image = publish(world)
    unlist(world, image)
    read = pairs.Pairs.of

    def undecided(self, page, **options):
        if page[0].region == THREE:
            raise errors.Undecided("Keystone does not say where images of project bob belong")
        return read(self, page, **options)

    monkeypatch.setattr(pairs.Pairs, "of", undecided)
    assert run_scan(world).failed_regions == {THREE}


def test_while_a_region_counts_as_restored_its_sources_are_compared(world):
    image = publish(world, visibility="public")
    unlist(world, image, visibility="private")
    world.reconciliation.run(scan_state.Scope(deletions=False))
    world.newest.lost(THREE, {"lost"})
    run_scan(world)
    assert visibility(world, image) == "private"
