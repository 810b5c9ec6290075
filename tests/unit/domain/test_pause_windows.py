# SPDX-License-Identifier: Apache-2.0
"""When windows pause regions (``domain.pause_windows``)."""

import datetime
import zoneinfo

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import pause_windows
from glance_sync_agent.domain import pauses

TWO, THREE = images.RegionId("RegionTwo"), images.RegionId("RegionThree")
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
HOUR = datetime.timedelta(hours=1)


def utc(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)


def window(starts, duration, *, zone=BERLIN, region=TWO, **fields):
    return pause_windows.PauseWindow(
        region=region, starts=starts, zone=zone, duration=duration, **fields
    )


def hours(window, moment):
    """Return the first and the last moment of the pause at a time, in UTC."""
    found = window.pause_at(utc(moment))
    if found is None:
        return None
    return found.since.strftime("%d %H:%M"), found.until.strftime("%d %H:%M")


DAY = window("0 8 * * 1-5", 10 * HOUR)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-11-20T06:59:59.999999", None),
        ("2026-11-20T07:00:00", ("20 07:00", "20 17:00")),
        ("2026-11-20T16:59:59.999999", ("20 07:00", "20 17:00")),
        ("2026-11-20T17:00:00", None),
        ("2026-11-21T12:00:00", None),  # a Saturday
        ("2026-07-01T06:00:00", ("01 06:00", "01 16:00")),  # in summer
    ],
)
def test_a_window_is_open_from_its_start_for_its_duration(moment, expected):
    assert hours(DAY, moment) == expected


def test_a_window_may_last_over_midnight_and_over_days():
    night = window("30 22 * * FRI", 56 * HOUR)
    assert hours(night, "2026-11-22T12:00") == ("20 21:30", "23 05:30")
    assert hours(night, "2026-11-23T05:30") is None


def test_a_window_that_opens_while_it_is_open_ends_with_its_last_start():
    often = window("0 8,9 * * *", 2 * HOUR, zone=datetime.UTC)
    assert hours(often, "2026-11-20T08:30") == ("20 08:00", "20 10:00")
    assert hours(often, "2026-11-20T09:00") == ("20 09:00", "20 11:00")
    assert hours(often, "2026-11-20T10:30") == ("20 09:00", "20 11:00")


def test_a_start_that_the_clocks_skip_is_when_they_have_changed():
    """On 2026-03-29 02:00 becomes 03:00 in Berlin, which is 01:00 UTC."""
    skipped = window("30 2 * * *", 2 * HOUR)
    assert hours(skipped, "2026-03-29T00:59:59") is None
    assert hours(skipped, "2026-03-29T01:00") == ("29 01:00", "29 03:00")
    assert hours(skipped, "2026-03-29T03:00") is None


def test_a_start_that_the_clocks_repeat_is_the_first():
    """On 2026-10-25 03:00 becomes 02:00 in Berlin, which is 01:00 UTC."""
    repeated = window("30 2 * * *", HOUR)
    assert hours(repeated, "2026-10-25T00:29:59") is None
    assert hours(repeated, "2026-10-25T00:30") == ("25 00:30", "25 01:30")
    assert hours(repeated, "2026-10-25T01:29:59") == ("25 00:30", "25 01:30")
    assert hours(repeated, "2026-10-25T01:30") is None


def test_a_short_window_does_not_open_again_in_the_repeated_hour():
    repeated = window("30 2 * * *", HOUR / 2)
    assert hours(repeated, "2026-10-25T00:45") == ("25 00:30", "25 01:00")
    assert hours(repeated, "2026-10-25T01:00") is None
    assert hours(repeated, "2026-10-25T01:45") is None


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-28T23:00", ("28 21:00", "29 05:00")),
        ("2026-10-24T23:00", ("24 20:00", "25 04:00")),
    ],
)
def test_a_window_is_as_long_as_ever_when_the_clocks_change(moment, expected):
    """The nights have 23 and 25 hours; the window still has eight."""
    night = window("0 22 * * *", 8 * HOUR)
    assert hours(night, moment) == expected


def test_no_pattern_of_cron_is_refused():
    with pytest.raises(ValueError, match=r"^'0 25 . . .' is no pattern of cron: Bad hour$"):
        window("0 25 * * *", HOUR)
    with pytest.raises(ValueError, match="Wrong number of fields"):
        window("0 8", HOUR)


def test_the_pause_says_what_the_operator_wrote():
    shown = window("0 8 * * *", HOUR, zone=datetime.UTC, finishes=True, text="0 8 * * * 1h UTC")
    assert shown.pause_at(utc("2026-11-20T08:30")) == pauses.Pause(
        since=utc("2026-11-20T08:00"),
        until=utc("2026-11-20T09:00"),
        by="pause_windows",
        reason="0 8 * * * 1h UTC",
        finishes=True,
    )
    plain = window("0 8 * * *", HOUR).pause_at(utc("2026-11-20T07:30"))
    assert plain.since.tzinfo is datetime.UTC
    assert (plain.reason, plain.finishes) == ("", False)


def test_windows_and_people_pause_together():
    now = utc("2026-11-20T08:30")
    by_alice = pauses.Pause(since=now, by="alice", reason="disks")
    windows = [
        window("0 8 * * *", HOUR, zone=datetime.UTC, text="two"),
        window("0 9 * * *", HOUR, zone=datetime.UTC, text="closed"),
        window("0 8 * * *", 2 * HOUR, zone=datetime.UTC, region=None, text="all"),
        window("0 8 * * *", HOUR, zone=datetime.UTC, region=THREE, text="three"),
    ]
    found = pause_windows.pauses_at(now, {TWO: by_alice}, windows)
    assert [(region, one.by, one.reason) for region, one in found.each()] == [
        (TWO, "alice", "disks"),
        (TWO, "pause_windows", "two"),
        (THREE, "pause_windows", "three"),
        (None, "pause_windows", "all"),
    ]
    assert list(pause_windows.pauses_at(now, {}, []).each()) == []
