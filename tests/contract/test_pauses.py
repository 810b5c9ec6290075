# SPDX-License-Identifier: Apache-2.0
"""What pauses promise (``engine.ports.PauseStore``)."""

from collections.abc import Iterator
import dataclasses
import datetime

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses
from glance_sync_agent.engine import ports
from tests.contract import databases
from tests.fakes import pauses as fake

TWO, THREE = images.RegionId("RegionTwo"), images.RegionId("regionTwo")
NOW = datetime.datetime(2026, 3, 29, 1, 59, 59, 987654, tzinfo=datetime.UTC)
PAUSE = pauses.Pause(since=NOW, by="alice", reason="new disks: 'quoted'", finishes=True)


@pytest.fixture(params=["memory", *databases.KINDS, *databases.CLUSTERS])
def kept(request, tmp_path) -> Iterator[ports.PauseStore]:
    if request.param == "memory":
        yield fake.MemoryPauses()
        return
    store = databases.opened(request.param, tmp_path, request.getfixturevalue)
    yield store.pauses()
    store.close()


def test_at_first_no_region_is_paused(kept):
    assert kept.all() == {}
    assert not kept.resume(TWO)


def test_a_pause_is_stored_to_the_microsecond(kept):
    kept.pause(TWO, PAUSE)
    assert kept.all() == {TWO: PAUSE}


def test_a_pause_replaces_the_one_before(kept):
    kept.pause(TWO, PAUSE)
    sooner = dataclasses.replace(PAUSE, by="bob", reason="", finishes=False)
    kept.pause(TWO, sooner)
    assert kept.all() == {TWO: sooner}


def test_each_region_has_its_own_pause(kept):
    kept.pause(TWO, PAUSE)
    kept.pause(THREE, PAUSE)
    assert kept.resume(THREE)
    assert kept.all() == {TWO: PAUSE}


def test_a_pause_ends_once(kept):
    kept.pause(TWO, PAUSE)
    assert kept.resume(TWO)
    assert not kept.resume(TWO)
    assert kept.all() == {}
