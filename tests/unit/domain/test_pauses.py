# SPDX-License-Identifier: Apache-2.0
"""The pauses that hold at one moment (``domain.pauses``)."""

import datetime

from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses

TWO, THREE = images.RegionId("RegionTwo"), images.RegionId("RegionThree")
NOW = datetime.datetime(2026, 3, 29, 0, 59, 30, tzinfo=datetime.UTC)


def pause(by, hours=None):
    until = None if hours is None else NOW + datetime.timedelta(hours=hours)
    return pauses.Pause(since=NOW, by=by, reason="disks", until=until)


def test_without_pauses_no_region_is_paused():
    assert pauses.Pauses().of(TWO) is None
    assert list(pauses.Pauses().each()) == []


def test_a_pause_of_one_region_pauses_no_other():
    found = pauses.Pauses(regions={TWO: [pause("alice")]})
    assert found.of(TWO) == pause("alice")
    assert found.of(THREE) is None


def test_the_pause_that_ends_last_is_shown():
    found = pauses.Pauses(
        regions={TWO: [pause("short", 1), pause("long", 3)]}, everywhere=[pause("medium", 2)]
    )
    assert found.of(TWO) == pause("long", 3)
    assert found.of(THREE) == pause("medium", 2)
    longest = pauses.Pauses(regions=found.regions, everywhere=[pause("longest", 4)])
    assert longest.of(TWO) == pause("longest", 4)


def test_the_pause_of_a_person_lasts_longer_than_any_window():
    assert pauses.Pauses(regions={TWO: [pause("alice")]}, everywhere=[pause("w", 9)]).of(
        TWO
    ) == pause("alice")
    assert pauses.Pauses(regions={TWO: [pause("w", 9), pause("alice")]}).of(TWO) == pause("alice")


def test_each_pause_comes_with_its_region():
    found = pauses.Pauses(
        regions={TWO: [pause("alice"), pause("w", 1)]}, everywhere=[pause("all", 2)]
    )
    assert list(found.each()) == [
        (TWO, pause("alice")), (TWO, pause("w", 1)), (None, pause("all", 2))
    ]
