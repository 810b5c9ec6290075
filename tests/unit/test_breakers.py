# SPDX-License-Identifier: Apache-2.0
"""When a region is left alone, and when one task is let through (``domain.breakers``)."""

import datetime

import pytest

from glance_sync_agent.domain import breakers

NOW = datetime.datetime(2026, 3, 29, 0, 59, 30, tzinfo=datetime.UTC)
ALMOST_ONE = 0.999


def at(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


def policy(*, failures: int = 3, base: float = 10.0, cap: float = 300.0) -> breakers.Policy:
    return breakers.Policy(failures=failures, base=base, cap=cap)


def failed(
    of: breakers.Policy,
    seen: breakers.Breaker = breakers.CLOSED,
    *,
    began: float = 0.0,
    now: float = 1.0,
    chance: float = 0.5,
    at_least: float | None = None,
) -> breakers.Breaker:
    found = of.failed(
        seen,
        began=at(began),
        now=at(now),
        chance=chance,
        reason="no answer",
        at_least=at_least,
    )
    assert found is not None
    return found


def opened(*, failures: int = 3, since: float = 0.0, until: float = 10.0) -> breakers.Breaker:
    return breakers.Breaker(
        failures=failures, since=at(since), retry_at=at(until), reason="no answer"
    )


def pause(of: breakers.Policy, *, failures: int, **options) -> float:
    """Return the seconds that a breaker opens for at its ``failures``th failure in a row."""
    seen = breakers.Breaker(failures=failures - 1)
    found = failed(of, seen, now=1.0, **options)
    assert found.since == at(1.0)
    assert found.retry_at is not None
    return (found.retry_at - at(1.0)).total_seconds()


def test_a_region_that_answers_is_not_left_alone():
    nothing = breakers.Breaker(failures=0, since=None, retry_at=None, reason="")
    assert nothing == breakers.CLOSED
    assert not breakers.CLOSED.is_open(NOW)
    assert breakers.CLOSED.probed(now=NOW, until=at(60)) is None
    assert breakers.CLOSED.awaited(NOW) is None
    assert breakers.CLOSED.given_up(began=NOW, now=NOW) is None


def test_so_many_failures_in_a_row_open_it():
    first = failed(policy())
    assert first == breakers.Breaker(failures=1, reason="no answer")
    second = failed(policy(), first)
    assert second == breakers.Breaker(failures=2, reason="no answer")
    assert failed(policy(), second) == opened(since=1.0, until=8.5)


def test_one_failure_may_be_enough():
    assert failed(policy(failures=1)).is_open(at(1.0))


def test_a_breaker_that_is_switched_off_counts_and_never_opens():
    seen = breakers.CLOSED
    for _ in range(9):
        seen = failed(policy(failures=0), seen)
    assert seen == breakers.Breaker(failures=9, reason="no answer")


def test_it_is_open_until_the_pause_is_over():
    assert opened().is_open(NOW)
    assert opened().is_open(at(9.999))
    assert not opened().is_open(at(10.0))


@pytest.mark.parametrize(
    ("failures", "ceiling"),
    [(3, 10), (4, 20), (5, 40), (7, 160), (8, 300), (9, 300), (67, 300), (5000, 300)],
)
def test_each_failure_in_a_row_doubles_the_pause_up_to_the_cap(failures, ceiling):
    assert pause(policy(), failures=failures, chance=0.0) == ceiling / 2
    assert pause(policy(), failures=failures, chance=0.5) == ceiling * 0.75
    assert pause(policy(), failures=failures, chance=ALMOST_ONE) == (
        pytest.approx(ceiling * (1 + ALMOST_ONE) / 2)
    )


@pytest.mark.parametrize(
    ("failures", "exponent"), [(66, 63), (67, 64), (68, 64), (5000, 64)], ids=str
)
def test_the_exponent_stops_growing_before_it_overflows(failures, exponent):
    tiny = policy(base=2.0**-60, cap=2.0**10)
    assert pause(tiny, failures=failures, chance=0.0) == min(2.0**10, 2.0 ** (exponent - 60)) / 2


@pytest.mark.parametrize(
    ("at_least", "seconds"), [(None, 7.5), (0.0, 7.5), (7.4, 7.5), (7.6, 7.6), (3600.0, 3600.0)]
)
def test_the_pause_is_as_long_as_the_region_asked_for(at_least, seconds):
    assert pause(policy(), failures=3, at_least=at_least) == seconds


def test_what_began_before_it_opened_is_no_news():
    seen = opened(since=5.0)
    for now in (6.0, 99.0):
        found = policy().failed(seen, began=at(4.999), now=at(now), chance=0.5, reason="late")
        assert found is None


def test_a_probe_that_fails_opens_it_for_longer():
    probe = opened().probed(now=at(20), until=at(80))
    assert probe == opened(since=20, until=80)
    assert failed(policy(), probe, began=20, now=30) == opened(failures=4, since=30, until=45)


def test_one_probe_is_let_through_and_no_other_one_beside_it():
    assert opened().probed(now=at(9.999), until=at(80)) is None
    probe = opened().probed(now=at(10), until=at(80))
    assert probe == opened(since=10, until=80)
    assert probe.is_open(at(79))
    assert probe.probed(now=at(79), until=at(99)) is None


def test_a_probe_that_was_never_heard_of_again_makes_way_for_another():
    probe = opened(since=10, until=80)
    assert probe.probed(now=at(80), until=at(150)) == opened(since=80, until=150)


def test_a_probe_that_told_nothing_makes_way_for_another_at_once():
    probe = opened(since=10, until=80)
    assert probe.given_up(began=at(10), now=at(15)) == opened(since=10, until=15)
    assert probe.given_up(began=at(9.999), now=at(15)) is None


def test_somebody_who_knows_that_it_is_mended_brings_the_probe_forward():
    assert opened().awaited(at(3)) == opened(until=3)
    assert opened().awaited(at(10)) is None


def test_a_short_pause_is_not_made_longer():
    assert pause(policy(base=0.5), failures=3, chance=0.0) == 0.25
