# SPDX-License-Identifier: Apache-2.0
"""What turns promise (``engine.ports.LeaderLeases``), and the clock of a database."""

from collections.abc import Iterator
from concurrent import futures
import datetime
import threading

import pytest

from glance_sync_agent.engine import ports
from tests.contract import databases
from tests.fakes import turns as fake

NOW = datetime.datetime(2026, 3, 29, 1, 59, 59, 987654, tzinfo=datetime.UTC)


@pytest.fixture(params=["memory", *databases.KINDS, *databases.CLUSTERS])
def turns(request, tmp_path) -> Iterator[ports.LeaderLeases]:
    if request.param == "memory":
        yield fake.MemoryTurns()
        return
    store = databases.opened(request.param, tmp_path, request.getfixturevalue)
    yield store.turns()
    store.close()


def take(turns: ports.LeaderLeases, owner: str, at: float = 0, name: str = "look") -> bool:
    now = NOW + datetime.timedelta(seconds=at)
    return turns.take(name, owner=owner, now=now, until=now + datetime.timedelta(seconds=60))


def test_one_has_it_and_the_other_does_not(turns):
    assert take(turns, "a")
    assert not take(turns, "b")
    assert not take(turns, "b", at=59.9)


def test_who_has_it_keeps_it_for_longer(turns):
    assert take(turns, "a")
    assert take(turns, "a", at=50)
    assert not take(turns, "b", at=70)


def test_the_turn_of_somebody_who_is_not_heard_of_goes_to_the_next(turns):
    assert take(turns, "a")
    assert take(turns, "b", at=60)
    assert not take(turns, "a", at=61)


def test_what_is_given_back_is_free(turns):
    assert take(turns, "a")
    turns.give_back("look", owner="a")
    assert take(turns, "b", at=1)


def test_nobody_gives_back_what_is_somebody_else_s(turns):
    assert take(turns, "a")
    turns.give_back("look", owner="b")
    turns.give_back("other", owner="a")
    assert not take(turns, "b")


def test_each_name_is_a_turn_of_its_own(turns):
    assert take(turns, "a", name="one")
    assert take(turns, "b", name="two")


@pytest.mark.parametrize("kind", [*databases.KINDS, *databases.CLUSTERS])
def test_of_many_at_once_one_wins(kind, request, tmp_path):
    store = databases.opened(kind, tmp_path, request.getfixturevalue)
    barrier = threading.Barrier(8)

    def compete(number: int) -> bool:
        barrier.wait()
        return take(store.turns(), f"agent-{number}")

    with futures.ThreadPoolExecutor(8) as pool:
        won = list(pool.map(compete, range(8)))
    store.close()
    assert won.count(True) == 1


@pytest.mark.parametrize("kind", [*databases.KINDS, *databases.CLUSTERS])
def test_a_database_on_this_machine_has_the_clock_of_this_machine(kind, request, tmp_path):
    store = databases.opened(kind, tmp_path, request.getfixturevalue)
    assert abs(store.clock_ahead()) < datetime.timedelta(seconds=1)
    store.close()
