# SPDX-License-Identifier: Apache-2.0
"""What leader leases promise (``engine.ports.LeaderLeases``), and the clock of a database."""

from collections.abc import Iterator
from concurrent import futures
import datetime
import threading

import pytest

from glance_sync_agent.engine import ports
from tests.contract import databases
from tests.fakes import leader_leases as fake

NOW = datetime.datetime(2026, 3, 29, 1, 59, 59, 987654, tzinfo=datetime.UTC)


@pytest.fixture(params=["memory", *databases.KINDS, *databases.CLUSTERS])
def leases(request, tmp_path) -> Iterator[ports.LeaderLeases]:
    if request.param == "memory":
        yield fake.MemoryLeaderLeases()
        return
    store = databases.opened(request.param, tmp_path, request.getfixturevalue)
    yield store.leader_leases()
    store.close()


def take(leases: ports.LeaderLeases, owner: str, at: float = 0, name: str = "look") -> bool:
    now = NOW + datetime.timedelta(seconds=at)
    return leases.take(name, owner=owner, now=now, until=now + datetime.timedelta(seconds=60))


def test_one_agent_leads_and_the_other_does_not(leases):
    assert take(leases, "a")
    assert not take(leases, "b")
    assert not take(leases, "b", at=59.9)


def test_the_leader_extends_its_lease(leases):
    assert take(leases, "a")
    assert take(leases, "a", at=50)
    assert not take(leases, "b", at=70)


def test_another_agent_takes_a_lease_that_was_not_renewed(leases):
    assert take(leases, "a")
    assert take(leases, "b", at=60)
    assert not take(leases, "a", at=61)


def test_a_lease_that_is_given_back_is_free(leases):
    assert take(leases, "a")
    leases.give_back("look", owner="a")
    assert take(leases, "b", at=1)


def test_an_agent_cannot_give_back_the_lease_of_another(leases):
    assert take(leases, "a")
    leases.give_back("look", owner="b")
    leases.give_back("other", owner="a")
    assert not take(leases, "b")


def test_each_name_is_a_lease_of_its_own(leases):
    assert take(leases, "a", name="one")
    assert take(leases, "b", name="two")


@pytest.mark.parametrize("kind", [*databases.KINDS, *databases.CLUSTERS])
def test_one_of_many_agents_at_once_wins(kind, request, tmp_path):
    store = databases.opened(kind, tmp_path, request.getfixturevalue)
    barrier = threading.Barrier(8)

    def compete(number: int) -> bool:
        barrier.wait()
        return take(store.leader_leases(), f"agent-{number}")

    with futures.ThreadPoolExecutor(8) as pool:
        won = list(pool.map(compete, range(8)))
    store.close()
    assert won.count(True) == 1


@pytest.mark.parametrize("kind", [*databases.KINDS, *databases.CLUSTERS])
def test_a_database_on_this_machine_has_the_clock_of_this_machine(kind, request, tmp_path):
    store = databases.opened(kind, tmp_path, request.getfixturevalue)
    assert abs(store.clock_ahead()) < datetime.timedelta(seconds=1)
    store.close()
