# SPDX-License-Identifier: Apache-2.0
"""Which scan comes when, and which agent runs it."""

import datetime
import logging

import pytest

from glance_sync_agent import errors
from glance_sync_agent.engine import leadership
from glance_sync_agent.engine.reconcile import scan_schedule
from glance_sync_agent.engine.reconcile import scan_settings
from glance_sync_agent.engine.reconcile import scan_state
from tests.fakes import clock as clocks
from tests.fakes import leader_leases as fake_leases
from tests.fakes import world as worlds

TWO = worlds.CASCADED[0]
NEWEST = datetime.datetime(2026, 11, 22, 7, 59, tzinfo=datetime.UTC)


class Agent:
    """One agent's schedule of scans that a test makes up."""

    def __init__(self, clock, leases, owner="a"):
        self.clock = clock
        self.scopes = []
        self.report = scan_state.ScanReport(sources=1, newest=NEWEST)
        self.failure = None
        self.during = lambda _renew_lease: None
        self.intervals = scan_settings.ScanIntervals(full=600.0, incremental=60.0)
        self.chance = 0.5
        self.counted: list[float] = []
        self.schedule = scan_schedule.ScanSchedule(
            run_scan=self.scan,
            lease=leadership.LeaderLease("reconcile", leases, owner=owner, clock=clock),
            clock=clock,
            intervals=lambda: self.intervals,
            chance=lambda: self.chance,
            count_marked=lambda: self.counted.append(clock.monotonic()),
        )

    def scan(self, scope, renew_lease):
        self.scopes.append(scope)
        self.during(renew_lease)
        if self.failure is not None:
            raise self.failure
        return self.report

    def run(self, seconds=0.0):
        """Let time pass, run, and return what was scanned."""
        self.clock.advance(seconds)
        before = len(self.scopes)
        self.wait = self.schedule.run()
        found = self.scopes[before:]
        assert found or self.wait > 0, "it would run in circles"
        return found


    def run_any(self, seconds):
        """Let time pass, and run."""
        self.clock.advance(seconds)
        self.schedule.run()


@pytest.fixture
def clock():
    return clocks.FakeClock()


@pytest.fixture
def leases():
    return fake_leases.MemoryLeaderLeases()


@pytest.fixture
def agent(clock, leases):
    return Agent(clock, leases)


def rested(agent):
    return agent.clock.now() - datetime.timedelta(hours=1)


def everything(agent):
    """Return the scope of a full scan by the clock, now."""
    return scan_state.Scope(failed_before=rested(agent))


def changed(agent, *missed):
    """Return the scope of an incremental scan, now."""
    return scan_state.Scope(
        since=NEWEST - datetime.timedelta(seconds=10),
        without=frozenset(missed),
        deletions=False,
        failed_before=rested(agent),
    )


def test_it_begins_with_everything(agent):
    assert agent.run() == [scan_state.FULL]
    assert agent.run() == []


def test_marked_images_are_counted_after_the_first_scan_and_then_once_a_day(agent):
    agent.intervals = scan_settings.ScanIntervals(full=0.0, incremental=0.0)
    agent.run()
    started = agent.clock.monotonic()
    agent.run(seconds=899.0)
    assert agent.counted == []
    for _ in range(3 * 24 * 60):
        agent.run_any(seconds=60.0)
    times = [round((one - started) / 60) for one in agent.counted]
    assert times == [16, 16 + 24 * 60, 16 + 2 * 24 * 60]


def test_everything_comes_again_after_its_interval(agent):
    agent.intervals = scan_settings.ScanIntervals(full=600.0, incremental=0.0)
    agent.run()
    assert agent.run(599.9) == []
    assert agent.run(0.1) == [everything(agent)]


def test_in_between_only_what_changed_is_scanned(agent):
    agent.run()
    assert agent.run(59.9) == []
    assert agent.run(0.1) == [changed(agent)]
    assert agent.run(1) == []
    assert agent.run(60) == [changed(agent)]


def test_the_watermark_is_the_newest_change_ever_seen(agent):
    agent.run()
    later = NEWEST + datetime.timedelta(seconds=100)
    agent.report = scan_state.ScanReport(newest=later)
    agent.run(60)
    agent.report = scan_state.ScanReport()  # nothing changed
    agent.run(60)
    (scope,) = agent.run(60)
    assert scope.since == later - datetime.timedelta(seconds=10)
    agent.report = scan_state.ScanReport(newest=NEWEST)
    agent.run(60)
    (scope,) = agent.run(60)
    assert scope.since == later - datetime.timedelta(seconds=10)


def test_a_cloud_without_images_is_scanned_as_a_whole(agent):
    agent.report = scan_state.ScanReport()
    agent.run()
    (scope,) = agent.run(60)
    assert (scope.since, scope.deletions) == (None, False)
    assert agent.run() == []
    agent.report = scan_state.ScanReport(newest=NEWEST)
    agent.run(60)
    assert agent.run(60) == [changed(agent)]


def test_no_interval_is_no_scan(agent):
    agent.intervals = scan_settings.ScanIntervals(full=0.0, incremental=0.0)
    agent.run()
    for _ in range(100):
        assert agent.run(1000) == []
    agent.schedule.request_full_scan()
    assert agent.run() == [scan_state.FULL]


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 540.0), (0.5, 600.0), (1.0, 660.0)])
def test_intervals_differ_by_a_tenth(agent, chance, seconds):
    agent.intervals = scan_settings.ScanIntervals(full=600.0, incremental=0.0)
    agent.chance = chance
    agent.run()
    assert agent.run(seconds - 0.1) == []
    assert agent.run(0.2) == [everything(agent)]


def test_what_is_asked_for_comes_at_once(agent):
    agent.run()
    agent.schedule.request_full_scan()
    assert agent.run() == [scan_state.FULL]
    assert agent.run() == []


def test_a_region_that_did_not_answer_is_scanned_again_and_left_out_meanwhile(agent):
    agent.report = scan_state.ScanReport(failed_regions={TWO}, newest=NEWEST)
    again = scan_state.Scope(only=frozenset({TWO}), deletions=False)
    agent.run()
    assert agent.run(29.9) == []
    assert agent.run(0.1) == [again]
    agent.report = scan_state.ScanReport(newest=NEWEST)
    assert agent.run(30) == [changed(agent, TWO)]
    assert agent.run(29.9) == []
    agent.report = scan_state.ScanReport(failed_regions={TWO}, newest=NEWEST)
    assert agent.run(0.1) == [again]  # after twice the time
    agent.report = scan_state.ScanReport(newest=NEWEST)
    assert agent.run(30) == [changed(agent, TWO)]
    assert agent.run(60) == [changed(agent, TWO)]
    assert agent.run(29.9) == []
    assert agent.run(0.1) == [again]
    assert agent.run(30) == [changed(agent)]


def test_one_that_fails_in_a_scan_at_changes_is_scanned_again(agent):
    agent.run()
    agent.report = scan_state.ScanReport(failed_regions={TWO})
    agent.run(60)
    assert agent.run(30) == [scan_state.Scope(only=frozenset({TWO}), deletions=False)]


def test_a_scan_that_failed_is_repeated_ever_later(agent, caplog):
    agent.failure = errors.ServiceUnavailable("no answer")
    assert agent.run() == [scan_state.FULL]
    assert "Could not scan the images: no answer" in caplog.text
    for pause in (30, 60, 120, 240, 480, 960, 960):
        assert agent.run(pause - 0.1) == []
        assert agent.run(0.1) == [scan_state.FULL]


def test_once_it_succeeds_the_next_failure_is_the_first(agent):
    agent.failure = errors.ServiceUnavailable("no answer")
    agent.run()
    agent.failure = None
    agent.run(30)
    agent.failure = errors.ServiceUnavailable("no answer")
    agent.run(600)
    assert agent.run(30) == [everything(agent)]


def test_one_of_two_agents_scans(agent, clock, leases):
    other = Agent(clock, leases, "b")
    assert agent.run() == [scan_state.FULL]
    assert other.run() == []
    for _ in range(100):
        agent.run(30)
        assert other.run() == []


def test_the_other_one_takes_over_once_it_is_gone(agent, clock, leases):
    other = Agent(clock, leases, "b")
    agent.run()
    other.run()
    assert other.run(299) == []
    assert other.run(1) == [scan_state.FULL]
    assert agent.run() == []


def test_one_that_ends_leaves_its_lease_to_the_other(agent, clock, leases):
    other = Agent(clock, leases, "b")
    agent.run()
    other.run()
    agent.schedule.end()
    assert other.run() == [scan_state.FULL]


def test_the_lease_is_kept_in_a_scan_that_takes_long(agent, clock, leases):
    other = Agent(clock, leases, "b")

    def slow(renew):
        for _ in range(40):
            clock.advance(20)
            renew()
            assert other.run() == []

    agent.during = slow
    assert agent.run() == [scan_state.FULL]


def test_a_scan_that_hung_for_too_long_ends_for_another_one_s(agent, clock, leases, caplog):
    other = Agent(clock, leases, "b")

    def hang(renew):
        clock.advance(400)
        assert other.run() == [scan_state.FULL]
        renew()

    agent.during = hang
    agent.run()
    assert "another agent leads 'reconcile' now" in caplog.text
    assert agent.run(30) == []


def test_a_database_that_is_away_is_asked_again(agent, leases, monkeypatch, caplog):
    def away(*_args, **_keywords):
        raise errors.ServiceUnavailable("the database is away")

    with monkeypatch.context() as patched:
        patched.setattr(leases, "take", away)
        assert agent.run() == []
    assert "the database is away" in caplog.text
    assert agent.wait == 30
    assert agent.run(30) == [scan_state.FULL]


def test_a_scan_at_changes_that_found_nothing_is_no_news(agent, caplog):
    caplog.set_level(logging.INFO)
    agent.run()
    caplog.clear()
    agent.run(60)
    assert not caplog.messages
    agent.report = scan_state.ScanReport(sources=1, requested=1)
    agent.run(60)
    (line,) = caplog.messages
    assert line == (
        "Scanned 1 images in 0.0 s (changes since 07:58:50): 1 tasks requested, "
        "0 sources deleted, 0 held back"
    )


def test_it_never_sleeps_for_longer_than_its_lease_allows(agent):
    agent.intervals = scan_settings.ScanIntervals(full=0.0, incremental=0.0)
    agent.run()
    assert agent.wait == 30
