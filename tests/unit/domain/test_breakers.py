# SPDX-License-Identifier: Apache-2.0
"""When a region is unavailable, and when a probe is due (``domain.breakers``)."""

import datetime

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images

CONNECTION, REQUEST, ANSWER = errors.Fault
NOW = datetime.datetime(2026, 3, 29, 0, 59, 30, tzinfo=datetime.UTC)
ALMOST_ONE = 0.999


def at(seconds: float) -> datetime.datetime:
    return NOW + datetime.timedelta(seconds=seconds)


def policy(*, failures: int = 3, base: float = 10.0, cap: float = 300.0) -> breakers.BreakerPolicy:
    return breakers.BreakerPolicy(failures=failures, base=base, cap=cap)


def failed(
    of: breakers.BreakerPolicy,
    seen: breakers.Breaker = breakers.CLOSED,
    *,
    began: float = 0.0,
    now: float = 1.0,
    chance: float = 0.5,
    at_least: float | None = None,
    image_id: str = "one",
    fault: errors.Fault = errors.Fault.CONNECTION,
    of_data: bool = False,
) -> breakers.Breaker:
    failure = breakers.RegionFailure(
        image_id=images.ImageId(image_id),
        fault=fault,
        began=at(began),
        reason="no answer",
        of_data=of_data,
        retry_after=at_least,
    )
    found = of.failed(seen, failure, now=at(now), chance=chance)
    assert found is not None
    return found


def opened(
    *,
    failures: int = 3,
    since: float = 0.0,
    until: float = 10.0,
    image_ids: str = "one",
    answers: bool = False,
) -> breakers.Breaker:
    return breakers.Breaker(
        failures=failures,
        since=at(since),
        retry_at=at(until),
        reason="no answer",
        image_ids=ids(image_ids),
        answers=answers,
    )


def ids(names: str) -> tuple[images.ImageId, ...]:
    return tuple(map(images.ImageId, names.split()))


def pause(of: breakers.BreakerPolicy, *, failures: int, **options) -> float:
    """Return the seconds that a breaker opens for at its ``failures``th failure in a row."""
    seen = breakers.Breaker(failures=failures - 1)
    found = failed(of, seen, now=1.0, **options)
    assert found.since == at(1.0)
    assert found.retry_at is not None
    return (found.retry_at - at(1.0)).total_seconds()


def test_a_region_that_answers_is_available():
    nothing = breakers.Breaker(
        failures=0,
        since=None,
        retry_at=None,
        reason="",
        image_ids=(),
        answers=False,
        of_data=False,
    )
    assert nothing == breakers.CLOSED
    assert not breakers.CLOSED.is_open(NOW)
    assert not breakers.CLOSED.is_unavailable(NOW)
    assert breakers.CLOSED.with_probe(now=NOW, until=at(60)) is None
    assert breakers.CLOSED.with_probe_due(NOW) is None
    assert breakers.CLOSED.without_probe(began=NOW, now=NOW) is None


def test_so_many_failures_in_a_row_open_it():
    first = failed(policy())
    assert first == breakers.Breaker(failures=1, reason="no answer", image_ids=ids("one"))
    second = failed(policy(), first)
    assert second == breakers.Breaker(failures=2, reason="no answer", image_ids=ids("one"))
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
    assert opened().is_unavailable(at(9.999))
    assert not opened().is_unavailable(at(10.0))


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


def test_an_attempt_that_began_before_it_opened_changes_nothing():
    seen = opened(since=5.0)
    for now in (6.0, 99.0):
        failure = breakers.RegionFailure(
            image_id=images.ImageId("two"), fault=CONNECTION, began=at(4.999), reason="late"
        )
        assert policy().failed(seen, failure, now=at(now), chance=0.5) is None


def test_a_probe_that_fails_opens_it_for_longer():
    probe = opened().with_probe(now=at(20), until=at(80))
    assert probe == opened(since=20, until=80)
    assert failed(policy(), probe, began=20, now=30) == opened(failures=4, since=30, until=45)


def test_there_is_one_probe_at_a_time():
    assert opened().with_probe(now=at(9.999), until=at(80)) is None
    probe = opened().with_probe(now=at(10), until=at(80))
    assert probe == opened(since=10, until=80)
    assert probe.is_open(at(79))
    assert probe.with_probe(now=at(79), until=at(99)) is None


def test_a_probe_without_outcome_makes_way_for_another():
    probe = opened(since=10, until=80)
    assert probe.with_probe(now=at(80), until=at(150)) == opened(since=80, until=150)


def test_a_probe_that_proved_nothing_makes_way_for_another_at_once():
    probe = opened(since=10, until=80)
    assert probe.without_probe(began=at(10), now=at(15)) == opened(since=10, until=15)
    assert probe.without_probe(began=at(9.999), now=at(15)) is None


def test_an_operator_can_make_the_probe_due_now():
    assert opened().with_probe_due(at(3)) == opened(until=3)
    assert opened().with_probe_due(at(10)) is None


def test_a_short_pause_is_not_made_longer():
    assert pause(policy(base=0.5), failures=3, chance=0.0) == 0.25


@pytest.mark.parametrize("fault", [REQUEST, ANSWER])
def test_one_image_that_fails_repeatedly_counts_once(fault):
    seen = failed(policy(), fault=fault)
    assert seen.failures == 1
    assert seen.answers is (fault is ANSWER)
    failure = breakers.RegionFailure(
        image_id=images.ImageId("one"), fault=fault, began=at(5), reason="again"
    )
    assert policy().failed(seen, failure, now=at(6), chance=0.5) is None


@pytest.mark.parametrize("fault", [REQUEST, ANSWER])
def test_failures_of_different_images_in_a_row_open_it(fault):
    seen = breakers.CLOSED
    for number, image_id in enumerate(["one", "two", "three"], 1):
        assert not seen.is_open(at(1))
        seen = failed(policy(), seen, image_id=image_id, fault=fault)
        assert seen.failures == number
    assert seen.is_open(at(1))
    assert seen.image_ids == ids("one two three")


def test_a_failed_connection_counts_for_any_image():
    seen = failed(policy(), fault=ANSWER)
    seen = failed(policy(), seen, fault=CONNECTION)
    assert (seen.failures, seen.answers) == (2, False)
    assert failed(policy(), seen, image_id="two", fault=REQUEST) == opened(
        since=1, until=8.5, image_ids="one two"
    )


def test_the_breaker_keeps_as_many_failed_images_as_open_it():
    seen = opened(image_ids="one two three")
    assert failed(policy(), seen, image_id="four").image_ids == ids("two three four")
    assert failed(policy(), seen, image_id="one").image_ids == ids("two three one")
    assert failed(policy(failures=0), seen, image_id="four").image_ids == ()


def test_a_region_that_answers_about_many_images_is_slowed_down_with_short_pauses():
    seen = breakers.Breaker(failures=2, image_ids=ids("one two"))
    found = failed(policy(), seen, image_id="three", fault=ANSWER, at_least=3600.0)
    assert found == opened(since=1, until=1.75, image_ids="one two three", answers=True)
    assert found.is_open(at(1.5))
    assert not found.is_unavailable(at(1.5))
    again = failed(policy(), found, began=2, now=3, image_id="three", fault=ANSWER)
    assert again == opened(since=3, until=3.75, image_ids="one two three", answers=True)


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_the_pauses_of_a_slow_region_are_a_tenth_of_the_others(chance, seconds):
    assert policy().slow_pause(chance) == seconds


def test_a_slow_region_becomes_unavailable_without_answers_and_slow_again_with_them():
    slow = opened(answers=True)
    silent = failed(policy(), slow, now=2, fault=REQUEST)
    assert silent == opened(failures=4, since=2, until=17)
    probe = silent.with_probe(now=at(20), until=at(80))
    assert probe is not None
    slower = failed(policy(), probe, began=20, now=21, fault=ANSWER)
    assert slower == opened(since=21, until=21.75, answers=True)


def test_a_batch_for_a_slow_region_leaves_it_slow():
    batch = opened(answers=True).with_probe(now=at(10), until=at(11))
    assert batch == opened(since=10, until=11, answers=True)


def test_a_breaker_that_was_open_closes_if_more_failures_are_allowed_by_now():
    assert failed(policy(failures=9), opened(), image_id="two", fault=ANSWER) == breakers.Breaker(
        failures=4, reason="no answer", image_ids=ids("one two"), answers=True
    )


@pytest.mark.parametrize(
    ("attempts", "of_data"),
    [
        ([True], True),
        ([False], False),
        ([True, True, True, True], True),
        ([True, True, False], False),
        ([True, True, True, False, True], False),
        ([False, True, True], False),
    ],
)
def test_it_shows_whether_only_attempts_with_data_failed(attempts, of_data):
    seen = breakers.CLOSED
    for number, one in enumerate(attempts, 1):
        seen = failed(policy(), seen, began=number, now=number, of_data=one)
    assert seen.failures == len(attempts)
    assert seen.of_data is of_data


def test_a_failure_is_not_of_data_by_default():
    failure = breakers.RegionFailure(
        image_id=images.ImageId("one"), fault=CONNECTION, began=NOW, reason="no answer"
    )
    found = policy().failed(breakers.CLOSED, failure, now=NOW, chance=0.5)
    assert found is not None
    assert not found.of_data
