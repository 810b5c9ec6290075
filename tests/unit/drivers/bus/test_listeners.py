# SPDX-License-Identifier: Apache-2.0
"""Several buses at once: an unreachable one delays no other."""

import threading
from typing import Any

import pytest

from glance_sync_agent import errors
from glance_sync_agent.drivers.bus import listeners


class Bus:
    """Listens at once, or never if its broker is unreachable."""

    def __init__(self, *, is_away=False):
        self._is_away = is_away
        self.listens = threading.Event()
        self.is_stopped = threading.Event()

    def start(self):
        if self._is_away:
            self.is_stopped.wait(10)
            raise errors.ServiceUnavailable("could not listen on the message bus: no answer")
        self.listens.set()

    def stop(self):
        self.is_stopped.set()


def joined(main: Any, *others: Any) -> listeners.Listeners:
    return listeners.Listeners(main, others)


def test_all_listeners_start_and_stop():
    buses = [Bus(), Bus(), Bus()]
    found = joined(*buses)
    found.start()
    assert all(bus.listens.wait(10) for bus in buses)
    found.stop()
    assert all(bus.is_stopped.is_set() for bus in buses)


def test_a_region_with_an_unreachable_bus_delays_no_other(caplog):
    main, away, other = Bus(), Bus(is_away=True), Bus()
    found = joined(main, away, other)
    found.start()
    assert main.listens.is_set()
    assert other.listens.wait(10)
    found.stop()
    for thread in threading.enumerate():
        if thread.name == "listener-start":
            thread.join(10)
    assert "could not listen on the message bus: no answer" in caplog.text


def test_an_unreachable_bus_of_the_cascading_region_is_an_error():
    main = Bus(is_away=True)
    main.stop()
    with pytest.raises(errors.ServiceUnavailable):
        joined(main).start()
