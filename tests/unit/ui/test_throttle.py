# SPDX-License-Identifier: Apache-2.0
"""How often somebody may try to log in."""

from concurrent import futures

from glance_sync_agent.ui import throttle

PER_USER = 8
PER_ADDRESS = 20


class Clock:
    """A monotonic clock that stands still."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_tries_at_once_gain_nothing():
    found = throttle.Throttle(Clock())
    with futures.ThreadPoolExecutor(8) as pool:
        waits = list(pool.map(lambda number: found.begin(f"a{number}", "u"), range(50)))
    assert waits.count(0) == PER_USER
    assert set(waits) == {0, 300}


def test_a_window_ends_whatever_is_tried_meanwhile():
    clock = Clock()
    found = throttle.Throttle(clock)
    for _ in range(PER_USER):
        assert found.begin("a", "u") == 0
    clock.now = 299.5
    assert found.begin("a", "u") == 1
    clock.now = 300
    assert found.begin("a", "u") == 0


def test_many_users_of_one_address_may_log_in():
    found = throttle.Throttle(Clock())
    for number in range(5 * PER_ADDRESS):
        assert found.begin("proxy", f"u{number}") == 0
        found.succeeded("proxy", f"u{number}")


def test_a_try_that_nobody_decided_is_given_back():
    found = throttle.Throttle(Clock())
    for _ in range(5 * PER_ADDRESS):
        assert found.begin("a", "u") == 0
        found.give_back("a", "u")


def test_a_success_after_the_table_was_replaced_is_no_error():
    found = throttle.Throttle(Clock())
    found.succeeded("a", "u")
    assert found.begin("a", "u") == 0


def test_the_table_is_bounded():
    found = throttle.Throttle(Clock())
    for number in range(12_000):
        found.begin(f"a{number}", "u")
    assert found.begin("a11999", "other") == 0


def test_a_name_counts_in_any_case():
    assert throttle.one_name(("Admin ", "Default")) == throttle.one_name(("admin", "default"))
    assert throttle.one_name(("a", "b")) != throttle.one_name(("ab", ""))
    assert throttle.one_name(("\u00e0dmin", "x")) == throttle.one_name(("admin", "x"))
    assert throttle.one_name(("a\u0300dmin", "x")) == throttle.one_name(("admin", "x"))
