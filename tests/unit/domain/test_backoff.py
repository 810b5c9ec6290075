# SPDX-License-Identifier: Apache-2.0
"""When the agent retries a failed task, or replaces a copy (``domain.backoff``)."""

import datetime

import hypothesis
from hypothesis import strategies as st
import pytest

from glance_sync_agent.domain import backoff

NOW = datetime.datetime(2026, 3, 29, 0, 59, 30, tzinfo=datetime.UTC)
ALMOST_ONE = 0.999


def policy(*, retries: int = 100, base: float = 5.0, cap: float = 600.0) -> backoff.RetryPolicy:
    return backoff.RetryPolicy(retries=retries, base=base, cap=cap)


def wait(of: backoff.RetryPolicy, *, failed: int = 1, chance: float, **options) -> float:
    """Return the seconds until the next attempt."""
    when = of.next_attempt(failed=failed, since=NOW, now=NOW, chance=chance, **options)
    assert when is not None
    return (when - NOW).total_seconds()


@pytest.mark.parametrize(
    ("retries", "failed", "goes_on"),
    [(0, 1, False), (1, 1, True), (1, 2, False), (5, 5, True), (5, 6, False), (5, 7, False)],
)
def test_there_are_as_many_retries_as_allowed(retries, failed, goes_on):
    when = policy(retries=retries).next_attempt(failed=failed, since=NOW, now=NOW, chance=0.5)
    assert (when is not None) is goes_on


@pytest.mark.parametrize(
    ("failed", "ceiling"),
    [(1, 5), (2, 10), (3, 20), (4, 40), (7, 320), (8, 600), (9, 600), (100, 600)],
)
def test_the_ceiling_doubles_with_each_failure_up_to_the_cap(failed, ceiling):
    assert wait(policy(), failed=failed, chance=0.5) == ceiling / 2


@pytest.mark.parametrize("failed", [1, 3, 50])
def test_without_luck_there_is_no_wait_and_with_all_of_it_nearly_the_ceiling(failed):
    ceiling = min(600, 5 * 2 ** (failed - 1))
    assert wait(policy(), failed=failed, chance=0.0) == 0
    assert wait(policy(), failed=failed, chance=ALMOST_ONE) == pytest.approx(ceiling * ALMOST_ONE)


def test_a_base_above_the_cap_is_cut_to_it():
    assert wait(policy(base=50, cap=8), chance=0.25) == 2


@pytest.mark.parametrize(
    ("at_least", "seconds"),
    [(None, 2.5), (0.0, 2.5), (2.4, 2.5), (2.5, 2.5), (2.6, 2.6), (3600.0, 3600.0)],
)
def test_the_wait_is_as_long_as_the_service_asked_for(at_least, seconds):
    assert wait(policy(), chance=0.5, at_least=at_least) == seconds


def test_the_cap_does_not_cut_what_the_service_asked_for():
    assert wait(policy(cap=1), chance=ALMOST_ONE, at_least=30) == 30


def test_what_the_service_asked_for_gives_no_further_retry():
    spent = policy(retries=2)
    assert spent.next_attempt(failed=3, since=NOW, now=NOW, chance=0.5, at_least=1) is None


@pytest.mark.parametrize(
    ("failed", "exponent"), [(64, 63), (65, 64), (66, 64), (2000, 64)], ids=str
)
def test_the_exponent_stops_growing_before_it_overflows(failed, exponent):
    tiny, boundless = 2.0**-60, 2.0**10
    assert wait(policy(retries=2000, base=tiny, cap=boundless), failed=failed, chance=0.5) == (
        min(boundless, tiny * 2.0**exponent) / 2
    )


@hypothesis.given(
    failed=st.integers(1, 5000),
    chance=st.floats(0, 1, exclude_max=True),
    at_least=st.none() | st.floats(0, 7200),
)
def test_the_wait_is_always_between_what_was_asked_for_and_the_cap(failed, chance, at_least):
    seconds = wait(policy(retries=5000), failed=failed, chance=chance, at_least=at_least)
    asked, rounding = at_least or 0, 1e-6
    assert asked - rounding <= seconds <= max(600, asked) + rounding


@pytest.mark.parametrize(
    ("failed", "seconds", "goes_on"),
    [(3, 3600, False), (3, 3599.9, True), (3, 0, True), (99, 3599.9, True), (2, 9999, True)],
)
def test_an_attempt_is_the_last_one_if_retries_and_time_are_used_up(failed, seconds, goes_on):
    patient = backoff.RetryPolicy(retries=2, base=5, cap=600, give_up=3600)
    when = patient.next_attempt(
        failed=failed, since=NOW, now=NOW + datetime.timedelta(seconds=seconds), chance=0.5
    )
    assert (when is not None) is goes_on


@pytest.mark.parametrize(
    ("times", "seconds"), [(1, 600), (2, 1200), (8, 76800), (9, 86400), (99, 86400)]
)
def test_pauses_before_replacing_a_vanished_copy_double_up_to_a_day(times, seconds):
    vanished = backoff.Vanishings(times=times, last_at=NOW)
    assert vanished.next_copy(600.0) == NOW + datetime.timedelta(seconds=seconds)
    assert vanished.next_copy(0.0) == NOW


def test_each_vanishing_counts_and_a_week_without_one_resets_the_count():
    week, moment = datetime.timedelta(days=7), datetime.timedelta(microseconds=1)
    twice = backoff.Vanishings(times=1, last_at=NOW).once_more(NOW + week)
    assert twice == backoff.Vanishings(times=2, last_at=NOW + week)
    assert not twice.is_over(NOW + 2 * week - moment)
    assert twice.is_over(NOW + 2 * week)
    assert backoff.DAY_SECONDS == 24 * 3600
