# SPDX-License-Identifier: Apache-2.0
"""The counts of all tasks, read once for the requests of a few seconds."""

from collections.abc import Callable
from typing import Final

import cachetools

from glance_sync_agent import single_flight
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reports import task_counts

_SECONDS: Final = 2.0
_KEY: Final = "counts"


class SharedCounts:
    """Reads the counts, or counts if no agent does. Thread safe."""

    def __init__(self, outside: ports.Ports, completion_target: Callable[[], float]) -> None:
        """Read nothing yet.

        :param completion_target: returns the seconds after which a task is late.
        """
        self._outside = outside
        self._target = completion_target
        self._flight = single_flight.SingleFlight()
        self._kept: cachetools.TTLCache[str, task_counts.TaskCounts] = cachetools.TTLCache(
            1, _SECONDS, timer=outside.clock.monotonic
        )

    def read(self) -> task_counts.TaskCounts:
        """Return the counts.

        :raises ServiceUnavailable: the database is unreachable.
        """
        kept = self._kept.get(_KEY)
        return self._flight.run(_KEY, self._read) if kept is None else kept

    def _read(self) -> task_counts.TaskCounts:
        outside = self._outside
        found = task_counts.current(
            outside.store, outside.facts, outside.clock, self._target()
        )
        self._kept[_KEY] = found
        return found
