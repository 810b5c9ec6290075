# SPDX-License-Identifier: Apache-2.0
"""The limit on how fast copies are read back."""

from collections.abc import Callable

from glance_sync_agent import errors
from glance_sync_agent.engine import ports


class Pace:
    """Keeps readings below a rate. For one thread.

    :param stop: ends the waiting.
    :param bytes_per_second: the rate of the moment; 0: no limit.
    """

    def __init__(
        self, *, clock: ports.Clock, stop: ports.StopFlag, bytes_per_second: Callable[[], int]
    ) -> None:
        self._clock = clock
        self._stop = stop
        self._rate = bytes_per_second
        self._free_at = clock.monotonic()

    def take(self, count: int) -> None:
        """Wait until ``count`` more bytes stay below the rate.

        Idle time earns no credit.

        :raises Cancelled: the agent is stopping.
        """
        now, rate = self._clock.monotonic(), self._rate()
        seconds = count / rate if rate else 0.0
        self._free_at = max(self._free_at, now) + seconds
        if self._stop.wait(self._free_at - now):
            raise errors.Cancelled("the agent is stopping")
