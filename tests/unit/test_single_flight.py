# SPDX-License-Identifier: Apache-2.0
"""Threads that ask for the same thing at the same time share one call."""

from concurrent import futures
import threading

import pytest

from glance_sync_agent import single_flight
from tests.fakes import locks


@pytest.fixture
def flight():
    return single_flight.SingleFlight()


class Call:
    """A call that waits until a test lets it end."""

    def __init__(self, failure=None):
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.count = 0
        self._failure = failure

    def __call__(self):
        self.count += 1
        self.begun.set()
        assert self.may_end.wait(10)
        if self._failure is not None:
            raise self._failure
        return "result"


def run_together(flight, call, threads=4):
    """Let threads run the call, and let it end when all of them wait for it."""
    flight._lock = lock = locks.CountedLock()
    with futures.ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(flight.run, "key", call) for _ in range(threads)]
        assert lock.was_left(threads)
        assert call.begun.wait(10)
        call.may_end.set()
    return running


def test_all_get_the_result_of_one_call(flight):
    call = Call()
    assert [one.result() for one in run_together(flight, call)] == ["result"] * 4
    assert call.count == 1


def test_all_get_the_failure_of_one_call(flight):
    failure = ValueError("no")
    call = Call(failure)
    assert [one.exception() for one in run_together(flight, call)] == [failure] * 4
    assert call.count == 1


@pytest.mark.parametrize("failure", [None, ValueError("no")])
def test_who_comes_later_runs_a_call_of_its_own(flight, failure):
    run_together(flight, Call(failure))
    assert flight.run("key", lambda: "another") == "another"


def test_calls_of_other_keys_run_beside_it(flight):
    call = Call()
    with futures.ThreadPoolExecutor(1) as pool:
        running = pool.submit(flight.run, "key", call)
        assert call.begun.wait(10)
        assert flight.is_running("key")
        assert not flight.is_running("other")
        assert flight.run("other", lambda: "another") == "another"
        call.may_end.set()
        assert running.result(10) == "result"
    assert not flight.is_running("key")
