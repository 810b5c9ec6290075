# SPDX-License-Identifier: Apache-2.0
"""What breakers promise (``engine.ports.BreakerStore``)."""

from collections.abc import Iterator
from concurrent import futures
import dataclasses
import datetime
import threading

import pytest

from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports
from tests.contract import databases
from tests.fakes import breakers as fake

TWO, THREE = images.RegionId("RegionTwo"), images.RegionId("regionTwo")
NOW = datetime.datetime(2026, 3, 29, 1, 59, 59, 987654, tzinfo=datetime.UTC)
OPEN = breakers.Breaker(
    failures=3,
    since=NOW,
    retry_at=NOW + datetime.timedelta(seconds=10.25),
    reason="no answer: 'quoted'",
    image_ids=(images.ImageId("one"), images.ImageId("two")),
    answers=True,
    of_data=True,
)


@pytest.fixture(params=["memory", *databases.KINDS, *databases.CLUSTERS])
def kept(request, tmp_path) -> Iterator[ports.BreakerStore]:
    if request.param == "memory":
        yield fake.MemoryBreakers()
        return
    store = databases.opened(request.param, tmp_path, request.getfixturevalue)
    yield store.breakers()
    store.close()


def test_a_region_that_never_failed_is_closed_and_not_listed(kept):
    seen: list[breakers.Breaker] = []
    assert kept.change(TWO, seen.append) is None
    assert seen == [breakers.CLOSED]
    assert kept.all() == {}


def test_a_breaker_is_stored_to_the_microsecond(kept):
    assert kept.change(TWO, lambda _: OPEN) == OPEN
    assert kept.all() == {TWO: OPEN}


def test_a_decision_starts_from_the_stored_breaker(kept):
    kept.change(TWO, lambda _: OPEN)
    kept.change(TWO, lambda seen: dataclasses.replace(seen, failures=seen.failures + 1))
    assert kept.all()[TWO].failures == 4


def test_a_decision_of_none_changes_nothing(kept):
    kept.change(TWO, lambda _: OPEN)
    assert kept.change(TWO, lambda _: None) is None
    assert kept.all() == {TWO: OPEN}


def test_a_breaker_that_is_closed_again_is_not_listed(kept):
    kept.change(TWO, lambda _: OPEN)
    assert kept.change(TWO, lambda _: breakers.CLOSED) == breakers.CLOSED
    assert kept.all() == {}


def test_each_region_has_its_own_breaker(kept):
    kept.change(TWO, lambda _: OPEN)
    kept.change(THREE, lambda _: dataclasses.replace(OPEN, failures=1))
    assert {region: one.failures for region, one in kept.all().items()} == {TWO: 3, THREE: 1}


def test_a_failure_without_a_pause_is_stored_too(kept):
    counted = breakers.Breaker(failures=1, reason="no answer")
    kept.change(TWO, lambda _: counted)
    assert kept.all() == {TWO: counted}


@pytest.mark.parametrize("kind", [*databases.KINDS, *databases.CLUSTERS])
def test_no_change_of_many_at_once_is_lost(kind, request, tmp_path):
    store = databases.opened(kind, tmp_path, request.getfixturevalue)
    barrier = threading.Barrier(8)

    def fail(_number: int) -> None:
        barrier.wait()
        store.breakers().change(
            TWO, lambda seen: dataclasses.replace(seen, failures=seen.failures + 1)
        )

    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(fail, range(8)))
    assert store.breakers().all()[TWO].failures == 8
    store.close()


@pytest.mark.parametrize("kind", [*databases.KINDS, *databases.CLUSTERS])
def test_one_of_many_agents_gets_the_probe(kind, request, tmp_path):
    store = databases.opened(kind, tmp_path, request.getfixturevalue)
    store.breakers().change(TWO, lambda _: OPEN)
    barrier = threading.Barrier(8)
    now = NOW + datetime.timedelta(seconds=60)
    until = now + datetime.timedelta(seconds=60)

    def compete(_number: int) -> bool:
        barrier.wait()
        changed = store.breakers().change(TWO, lambda seen: seen.with_probe(now=now, until=until))
        return changed is not None

    with futures.ThreadPoolExecutor(8) as pool:
        assert list(pool.map(compete, range(8))).count(True) == 1
    store.close()
