# SPDX-License-Identifier: Apache-2.0
"""``engine.ports.StopFlag``: an event of threads, and the fake whose waiting takes no time."""

import threading

import pytest

from tests.fakes import clock as clocks


@pytest.fixture(params=["event", "fake"])
def flag(request):
    if request.param == "event":
        return threading.Event()
    return clocks.FakeStopFlag(clocks.FakeClock())


def test_it_is_not_set_at_first_however_long_one_waits(flag):
    assert not flag.is_set()
    assert not flag.wait(0.001)
    assert not flag.is_set()


def test_once_it_is_set_nobody_waits(flag):
    flag.set()
    assert flag.is_set()
    assert flag.wait(3600.0)


def test_in_the_fake_waiting_lets_time_pass():
    clock = clocks.FakeClock()
    clocks.FakeStopFlag(clock).wait(2.5)
    assert clock.seconds == 2.5
