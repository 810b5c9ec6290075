# SPDX-License-Identifier: Apache-2.0
"""The entries of ``[transfer] pause_windows``."""

import datetime
import zoneinfo

import pytest

from glance_sync_agent.conf import pause_windows

DAY = datetime.timedelta(days=1)


@pytest.mark.parametrize(
    ("entry", "region", "starts", "duration", "zone", "finishes"),
    [
        (
            "R: 0 8 * * 1-5 10h Europe/Berlin",
            "R", "0 8 * * 1-5", DAY * 10 / 24, "Europe/Berlin", False,
        ),
        ("  A b :  5  0  1  *  *  7d  UTC  finish ", "A b", "5 0 1 * *", 7 * DAY, "UTC", True),
        (
            "*: 0,30 */2 * * SUN 90m Asia/Kolkata",
            None, "0,30 */2 * * SUN", DAY / 16, "Asia/Kolkata", False,
        ),
    ],
)
def test_an_entry_is_a_window(entry, region, starts, duration, zone, finishes):
    (found,) = pause_windows.parse([entry])
    assert (found.region, found.starts, found.duration) == (region, starts, duration)
    assert (found.zone, found.finishes) == (zoneinfo.ZoneInfo(zone), finishes)


def test_several_entries_are_several_windows():
    assert pause_windows.parse([]) == ()
    found = pause_windows.parse(["R: 0 8 * * * 1h UTC", "S: 0 8 * * * 1h UTC"])
    assert [one.region for one in found] == ["R", "S"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("", "write 'REGION: MINUTE HOUR DAY"),
        ("0 8 * * * 1h UTC", "write 'REGION: MINUTE HOUR DAY"),
        (": 0 8 * * * 1h UTC", "write 'REGION: MINUTE HOUR DAY"),
        ("R: 0 8 * * 1h UTC", "write 'REGION: MINUTE HOUR DAY"),
        ("R: 0 0 8 * * * 1h UTC", "write 'REGION: MINUTE HOUR DAY"),
        ("R: 0 8 * * * 1h UTC finishes", "write 'REGION: MINUTE HOUR DAY"),
        ('R: "0 8 * * *" 1h UTC', "is no pattern of cron"),
        ("R: 0 25 * * * 1h UTC", "'0 25 * * *' is no pattern of cron: Bad hour"),
        ("R: * 8 * * * 1h UTC", "the window would open every minute"),
        ("R: 0 8 * * * 0h UTC", "'0h' is no duration; write minutes, hours or days"),
        ("R: 0 8 * * * 10 UTC", "'10' is no duration"),
        ("R: 0 8 * * * 169h UTC", "at most 7d"),
        ("R: 0 8 * * * 1h Europe/Bonn", "knows no time zone 'Europe/Bonn'"),
        ("R: 0 8 * * * 1h Europe", "knows no time zone 'Europe'"),
        ("R: 0 8 * * * 1h /etc/passwd", "knows no time zone '/etc/passwd'"),
        ("R: 0 8 * * * 1h ../UTC", "knows no time zone '../UTC'"),
    ],
)
def test_a_wrong_entry_is_named_with_the_remedy(entry, said):
    with pytest.raises(ValueError, match=r"^\[transfer\] pause_windows = ") as caught:
        pause_windows.parse(["R: 0 8 * * * 1h UTC", entry])
    assert f"pause_windows = {entry}: " in str(caught.value)
    assert said in str(caught.value)
