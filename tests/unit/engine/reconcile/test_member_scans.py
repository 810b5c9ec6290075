# SPDX-License-Identifier: Apache-2.0
"""Whose members a scan compares, and how many requests a scan takes if nothing differs."""

import collections
import dataclasses
import datetime
import itertools

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan_settings
from glance_sync_agent.engine.reconcile import scan_state
from tests.fakes import clock as clocks
from tests.fakes import facts as fake_facts
from tests.fakes import glance
from tests.fakes import world as worlds
from tests.unit import builders

ONE = worlds.CASCADING
TWO, THREE = worlds.CASCADED
FIVE = [images.RegionId(f"RegionOf{number}") for number in range(5)]
DAY = 86400.0
TEN_MINUTES = 600.0
#: The scope of a scan by the clock.
QUIET = scan_state.Scope(failed_before=datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC))
IDS = [images.ImageId(f"{number:08x}-0000-4000-8000-000000000000") for number in range(3000)]


class Spread:
    """What one agent compares, scan by scan."""

    def __init__(self, clock, facts, *, members=DAY, full=TEN_MINUTES):
        self.clock = clock
        self.intervals = scan_settings.ScanIntervals(members=members, full=full)
        self.are_ours = True
        self.spread = member_scans.SpreadMemberScans(
            facts=facts,
            clock=clock,
            intervals=lambda: self.intervals,
            are_ours=lambda: self.are_ours,
        )

    def scan(self, seconds=0.0, *, region=TWO, origin=ONE):
        """Let time pass, scan, and return the images whose members are compared."""
        self.clock.advance(seconds)
        share = self.spread.share(origin, region)
        self.spread.note(origin, region, share)
        return [one for one in IDS if share.has(one)]


@pytest.fixture
def clock():
    return clocks.FakeClock()


@pytest.fixture
def facts():
    return fake_facts.MemoryFacts()


@pytest.fixture
def spread(clock, facts):
    return Spread(clock, facts)


def test_the_very_first_scan_asks_for_no_members(spread):
    assert spread.scan() == []


def test_each_image_is_asked_for_once_in_each_interval(spread):
    spread.scan()
    for _day in range(2):
        asked = collections.Counter(
            itertools.chain.from_iterable(spread.scan(TEN_MINUTES) for _ in range(144))
        )
        assert asked == dict.fromkeys(IDS, 1)


def test_no_scan_asks_for_more_than_its_share(spread):
    spread.scan()
    share = len(IDS) * TEN_MINUTES / DAY
    counts = [len(spread.scan(TEN_MINUTES)) for _ in range(144)]
    assert max(counts) < 2 * share  # the images' times of day are spread by chance


def test_an_agent_that_restarts_each_hour_asks_for_one_hours_images_and_for_all_in_a_day(
    clock, facts
):
    Spread(clock, facts).scan()
    counts: collections.Counter[str] = collections.Counter()
    for _ in range(24):
        asked = Spread(clock, facts).scan(3600.0)
        assert 80 < len(asked) < 180  # 125 are an hour's
        counts.update(asked)
    assert counts == dict.fromkeys(IDS, 1)


@pytest.mark.parametrize("days", [0.9, 1.0, 1.1, 7.3])
def test_after_a_long_absence_several_scans_make_up_for_it(clock, facts, days):
    Spread(clock, facts).scan()
    agent = Spread(clock, facts)
    clock.advance(days * DAY)
    asked: collections.Counter[str] = collections.Counter()
    for _ in range(144):
        more = agent.scan(TEN_MINUTES)
        assert len(more) < len(IDS) / 24 * 1.5
        asked.update(more)
    assert asked.keys() == set(IDS)
    on_time = [len(agent.scan(TEN_MINUTES)) for _ in range(20)]
    assert max(on_time) < 2 * len(IDS) * TEN_MINUTES / DAY


def test_scans_that_are_rare_ask_for_what_became_due_meanwhile(clock, facts):
    agent = Spread(clock, facts, full=DAY / 4)
    agent.scan()
    counts = [len(agent.scan(DAY / 4)) for _ in range(4)]
    assert sum(counts) == len(IDS)
    assert max(counts) < len(IDS) / 4 * 1.2


def test_a_scan_that_takes_place_less_often_than_the_interval_asks_for_all(clock, facts):
    agent = Spread(clock, facts, members=300.0)
    assert agent.scan() == []
    assert agent.scan(TEN_MINUTES) == IDS
    assert agent.scan(TEN_MINUTES * 10) == IDS


def test_where_there_is_no_next_scan_one_asks_for_all_that_is_due(clock, facts):
    agent = Spread(clock, facts, full=0.0)
    agent.scan()
    assert 1400 < len(agent.scan(DAY / 2)) < 1600
    assert agent.scan(3 * DAY) == IDS


def test_with_an_interval_of_0_each_scan_asks_for_all(clock, facts):
    agent = Spread(clock, facts, members=0.0)
    assert agent.scan() == agent.scan() == IDS
    agent.intervals = scan_settings.ScanIntervals(members=DAY, full=TEN_MINUTES)
    assert agent.scan() == []


def test_a_scan_that_did_not_end_well_is_made_up_for_by_the_next(spread):
    spread.scan()
    spread.clock.advance(TEN_MINUTES)
    share = spread.spread.share(ONE, TWO)
    missed = [one for one in IDS if share.has(one)]
    assert missed
    assert set(missed) < set(spread.scan(TEN_MINUTES))


def test_each_region_and_each_origin_has_a_time_of_its_own(spread):
    spread.scan()
    spread.clock.advance(TEN_MINUTES)
    assert spread.scan(region=THREE) == []
    assert spread.scan(origin=THREE) == []
    assert len(spread.scan()) > 5


def test_a_clock_that_was_ahead_keeps_nobody_from_asking(spread):
    spread.scan(10 * DAY)
    spread.clock.advance(-10 * DAY)
    assert spread.scan() == []
    assert len(spread.scan(TEN_MINUTES)) > 5


def test_members_are_asked_for_at_once_when_they_become_our_business(spread):
    spread.scan()
    spread.are_ours = False
    for _ in range(2):
        assert 5 < len(spread.scan(TEN_MINUTES)) < 50
    spread.are_ours = True
    assert spread.scan(1.0) == IDS
    assert len(spread.scan(TEN_MINUTES)) < 50


def test_only_the_very_first_scan_is_the_first(spread):
    assert spread.spread.share(ONE, TWO).is_first
    spread.scan()
    assert not spread.spread.share(ONE, TWO).is_first
    assert spread.spread.share(ONE, THREE).is_first


def test_an_operators_scan_asks_for_the_same_each_time():
    for share in (member_scans.ALL, member_scans.NONE):
        fixed = member_scans.FixedShare(share)
        fixed.note(ONE, TWO, share)
        assert fixed.share(ONE, TWO) is share
    assert all(map(member_scans.ALL.has, IDS))
    assert not any(map(member_scans.NONE.has, IDS))


# In a whole cloud.


class CountingGlance(glance.FakeGlance):
    """A Glance that counts the requests that a real one would get."""

    def __init__(self, region):
        super().__init__(region, before=self._note)
        self.asked: collections.Counter[str] = collections.Counter()

    def _note(self, name, _image_id):
        self.asked[name] += 1

    def find(self, image_ids):
        found = {one: self._read(one) for one in image_ids if one in self._records}
        self.asked["find"] += 1 + (len(found) < len(image_ids))  # then for hidden ones
        return found


def quiet_world(count):
    """Return a cloud of five regions with images that are all in step."""
    outside = worlds.Outside()
    outside.catalogue.names = frozenset({ONE, *FIVE})
    for name in (ONE, *worlds.CASCADED, *FIVE):
        outside.regions.glances[name] = CountingGlance(name)
    world = worlds.World(outside)
    ids = iter(IDS)
    world.source.new_id = lambda: next(ids)
    made = [world.source.publish(b"1", visibility="shared") for _ in range(count)]
    for image in made[::2]:
        world.source.share(image.image_id, "beta")
    for region in FIVE:
        copy_all(world, made, world.regions.glances[region])
    world.members_interval = DAY
    return world


def copy_all(world, sources, service):
    """Make copies and their rows: what attempts come to, but for the time that they take."""
    now = world.clock.now()
    world.store.request_in(
        service.region,
        [one.image_id for one in sources],
        ports.Request(now=now, not_before=now, request_id="1"),
    )
    for source in sources:
        service.create(source.image_id, source)
        service.put_data(source.image_id, b"1")
    for source in sources[::2]:
        service.share(source.image_id, "beta")
    leases = world.store.claim(service.region, len(sources), owner="1", now=now, until=now)
    for lease in leases:
        copy = service.image(lease.task.key.image_id)
        seen = tasks.CopySeen(
            copy_id=copy.image_id, created_at=copy.created_at, image_name=None, size=copy.size
        )
        world.store.finish(
            lease, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=seen), now
        )


def requests_of(world, scope=QUIET, **expected):
    """Look, and return the requests by what was asked for."""
    regions = world.regions.glances
    for region in regions.values():
        region.asked.clear()
    report = world.reconciliation.run(scope)
    assert report.requested == expected.get("requested", 0)
    return sum((region.asked for region in regions.values()), collections.Counter())


@pytest.mark.timeout(120)
def test_a_scan_of_500_images_in_5_regions_takes_35_requests_and_its_share_of_members():
    world = quiet_world(500)
    first = requests_of(world)
    assert first["members"] == 0
    assert first.total() <= 35  # 700 of 10,000 images
    world.clock.advance(TEN_MINUTES)
    second = requests_of(world)
    share = 500 * TEN_MINUTES / DAY  # 3.5 images, each with one source and five copies
    assert 0 < second["members"] <= 3 * share * 6
    assert second["members"] % 6 == 0
    assert second.total() - second["members"] <= 35


def test_members_that_changed_unheard_follow_within_the_interval():
    world = quiet_world(8)
    shared = world.source.make(visibility="shared")
    world.source.put_data(shared.image_id, b"2")
    world.changed(shared.image_id)
    world.settle()
    requests_of(world)
    world.source.share(shared.image_id, "gamma")
    requests = 0
    for _ in range(144):
        world.clock.advance(TEN_MINUTES)
        requests += world.reconciliation.run(QUIET).requested
    world.settle()
    assert requests == 5
    for region in FIVE:
        copy = world.regions.glances[region].image(shared.image_id)
        assert copy.members == {"gamma": "pending"}


def test_a_region_that_failed_is_asked_later_for_what_was_due_meanwhile():
    world = quiet_world(200)
    requests_of(world)
    world.clock.advance(5 * TEN_MINUTES)
    service = world.regions.glances[FIVE[0]]
    find = service.find

    def fail(_ids):
        raise errors.ServiceUnavailable("no answer")

    service.find = fail
    requests_of(world)
    due = world.regions.glances[FIVE[1]].asked["members"]
    assert due > 0
    assert service.asked["members"] == 0
    service.find = find
    only = dataclasses.replace(QUIET, only=frozenset({FIVE[0]}), deletions=False)
    asked = requests_of(world, only)
    assert service.asked["members"] == due
    assert asked["members"] == 2 * due
    assert requests_of(world)["members"] == 0


def test_a_scan_at_what_changed_asks_for_no_members():
    world = quiet_world(8)
    world.intervals = dataclasses.replace(world.intervals, full=0.0)
    requests_of(world)
    world.clock.advance(2 * DAY)
    scope = dataclasses.replace(QUIET, since=builders.LONG_AGO, deletions=False)
    assert requests_of(world, scope)["members"] == 0
    assert requests_of(world)["members"] > 0


def test_a_scan_that_is_stopped_leaves_the_members_to_the_next_one():
    world = quiet_world(150)
    requests_of(world)
    world.clock.advance(12 * 3600.0)
    world.stop.set()
    requests_of(world)
    again = worlds.World(
        worlds.Outside(
            clock=world.clock,
            catalogue=world.catalogue,
            regions=world.regions,
            store=world.store,
            facts=world.newest._facts,
        )
    )
    again.members_interval = DAY
    expected = 6 * 150 / 24  # an hour's images, and what they have in common with the first page
    assert requests_of(again)["members"] > expected / 2


def world_with_sick_image():
    """Return a cloud where a public image and a shared one are copied."""
    world = worlds.World()
    golden = world.source.publish(b"golden", visibility="public")
    sick = world.source.publish(b"sick", visibility="shared")
    for image in (golden, sick):
        world.changed(image.image_id)
    world.settle()
    return world, golden, sick


def fail_members(world, where, image, exc):
    def before(name, image_id):
        if name == "members" and image_id == image.image_id:
            raise exc

    world.regions.glances[where].before = before


@pytest.mark.parametrize("where", [ONE, TWO])
@pytest.mark.parametrize(
    "exc",
    [errors.ServiceUnavailable("HTTP 500", fault=errors.Fault.ANSWER), errors.Refused("HTTP 403")],
)
def test_an_image_whose_members_cannot_be_read_keeps_no_scan_from_the_others(where, exc, caplog):
    world, golden, sick = world_with_sick_image()
    fail_members(world, where, sick, exc)
    world.two.change(golden.image_id, visibility="private", name="changed")
    report = world.reconciliation.run()
    assert (report.failed_regions, report.requested) == (set(), 1)
    assert f"Could not compare the members of image {sick.image_id}" in caplog.text


def test_a_region_that_does_not_answer_about_members_is_left_to_a_later_scan():
    world, _golden, sick = world_with_sick_image()
    fail_members(world, TWO, sick, errors.ServiceUnavailable("no answer"))
    assert world.reconciliation.run().failed_regions == {TWO}


def test_members_that_are_not_our_business_are_not_asked_for():
    world = quiet_world(8)
    world.metadata = metadata_policy.MetadataPolicy(members=False)
    world.members_interval = 0.0
    assert requests_of(world)["members"] == 0


def test_copies_that_no_other_project_sees_have_no_members_to_ask_for():
    world = quiet_world(8)
    world.metadata = metadata_policy.MetadataPolicy(visibility=metadata_policy.Visibility.PRIVATE)
    world.reconciliation.run()
    world.settle()
    world.members_interval = 0.0
    assert requests_of(world)["members"] == 0


def test_the_kernels_of_a_page_are_looked_up_at_once():
    world = quiet_world(0)
    kernels = [world.source.publish(b"k") for _ in range(3)]
    for kernel in kernels:
        world.regions.glances[FIVE[0]].make(image_id=kernel.image_id)
        world.regions.glances[FIVE[0]].delete_as_user(kernel.image_id)
        world.changed(kernel.image_id)
    world.settle()
    for number in range(30):
        kernel = kernels[number % 3].image_id
        image = world.source.publish(b"1", properties={"kernel_id": kernel})
        world.changed(image.image_id)
    world.settle()
    finds = []
    find = world.store.find

    def noted(ids):
        finds.append(len(ids))
        return find(ids)

    world.store.find = noted
    requests_of(world)
    assert len(finds) <= 3  # the page, its kernels, and the rows whose source may be gone


@pytest.mark.parametrize("regions", [1, 2])
def test_images_without_data_cost_a_scan_no_question_in_a_region(regions):
    world = worlds.World()
    asked = []
    for service in (world.two, world.three)[:regions]:
        service.before = lambda name, _image_id: asked.append(name)
    world.source.make(visibility="shared")
    assert world.reconciliation.run(QUIET).requested == 0
    assert world.reconciliation.run().requested == 0
    assert asked == []
