# SPDX-License-Identifier: Apache-2.0
"""What facts promise (``engine.ports.FactStore``)."""

from collections.abc import Iterator
import concurrent.futures

import pytest

from glance_sync_agent.engine import ports
from tests.contract import databases
from tests.fakes import facts as fake


@pytest.fixture(params=["memory", *databases.KINDS])
def facts(request, tmp_path) -> Iterator[ports.FactStore]:
    if request.param == "memory":
        yield fake.MemoryFacts()
        return
    store = databases.made(databases.url_of(request.param, tmp_path, request.getfixturevalue))
    yield store.facts()
    store.close()


def test_an_unknown_fact_has_no_value(facts):
    assert facts.get("cascading") is None


def test_a_fact_has_its_last_value(facts):
    facts.put("cascading", "RegionOne")
    facts.put("cascading", "RegionÜ")
    facts.put("cascading", "RegionÜ")
    facts.put("Cascading", "")
    assert (facts.get("cascading"), facts.get("Cascading")) == ("RegionÜ", "")


def test_the_name_of_a_fact_can_contain_the_longest_name_of_a_region(facts):
    name = "newest source of " + "ü" * 255
    facts.put(name, "x" * 1000)
    assert facts.get(name) == "x" * 1000


def test_a_change_replaces_a_value_by_what_follows_from_it(facts):
    assert facts.change("count", lambda before: f"{before} and one") == "None and one"
    assert facts.change("count", lambda before: f"{before} more") == "None and one more"
    assert facts.get("count") == "None and one more"


def test_a_change_may_leave_a_fact_as_it_is(facts):
    assert facts.change("count", lambda _before: None) is None
    assert facts.get("count") is None
    facts.put("count", "1")
    assert facts.change("count", lambda _before: None) == "1"
    assert facts.get("count") == "1"


def test_no_change_at_the_same_time_as_another_is_lost(facts):
    def add(number):
        facts.change("numbers", lambda before: f"{before or ''} {number}")

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(20)))
    assert sorted(map(int, facts.get("numbers").split())) == list(range(20))
