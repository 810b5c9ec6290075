# SPDX-License-Identifier: Apache-2.0
"""The pauses that hold now, of people and of windows."""

from collections.abc import Callable, Sequence

from glance_sync_agent.domain import pause_windows
from glance_sync_agent.domain import pauses
from glance_sync_agent.engine import ports

Windows = Callable[[], Sequence[pause_windows.PauseWindow]]


class CurrentPauses:
    """Reads the pauses that hold now. Thread safe."""

    def __init__(self, kept: ports.PauseStore, windows: Windows, clock: ports.Clock) -> None:
        """Make it.

        :param windows: returns those of sync.conf.
        """
        self._kept = kept
        self._windows = windows
        self._clock = clock

    def read(self) -> pauses.Pauses:
        """Return the pauses.

        :raises ServiceUnavailable: the database is unreachable.
        """
        kept = self._kept.all()
        return pause_windows.pauses_at(self._clock.now(), kept, self._windows())
