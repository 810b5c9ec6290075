# SPDX-License-Identifier: Apache-2.0
"""Time that goes on when a test says so."""

import datetime

from tests.unit import builders


class FakeClock:
    """``engine.ports.Clock``; both clocks go on together."""

    def __init__(self, start: datetime.datetime = builders.NOW) -> None:
        self._start = start
        self.seconds = 0.0

    def now(self) -> datetime.datetime:
        return self._start + datetime.timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return 1000.0 + self.seconds

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.seconds += seconds


class FakeStopFlag:
    """``engine.ports.StopFlag``; who waits for it lets time pass.

    Held to ``tests/contract/test_stop_flag.py``.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    def wait(self, timeout: float) -> bool:
        if not self._is_set:
            self._clock.advance(timeout)
        return self._is_set
