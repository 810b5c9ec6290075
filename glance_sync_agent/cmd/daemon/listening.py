# SPDX-License-Identifier: Apache-2.0
"""The listener of the agent, which follows ``sync_enabled``."""

from collections.abc import Callable
import logging
import threading

from glance_sync_agent import errors
from glance_sync_agent.cmd.daemon import threads
from glance_sync_agent.drivers.bus.listeners import Listeners
from glance_sync_agent.wiring.configuration import Configuration

LOG = logging.getLogger(__name__)


class Listening:
    """Opens the listener while ``sync_enabled`` is true, and closes it otherwise."""

    def __init__(
        self,
        make_listener: Callable[[], Listeners],
        configuration: Configuration,
        signals: threads.Signals,
    ) -> None:
        self._make_listener = make_listener
        self._configuration = configuration
        self._signals = signals
        self._lock = threading.Lock()
        self._listener: Listeners | None = None

    def follow(self) -> None:
        """Open or close the listener as the settings say; does not wait for the broker."""
        if not self._configuration.settings.sync_enabled:
            LOG.warning(
                "sync_enabled is false: messages wait in the broker, and no task starts until it "
                "is true again"
            )
        threads.spawn("listener", self._open_or_close)

    def stop(self) -> None:
        """Close the listener and finish the messages in hand. Idempotent."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.stop()

    def _open_or_close(self) -> None:
        """Apply the current settings; threads may call this in any order."""
        with self._lock:
            old, is_enabled = self._listener, self._configuration.settings.sync_enabled
            if self._signals.stopping.is_set() or is_enabled == (old is not None):
                return
            new = self._listener = self._make_listener() if is_enabled else None
        if old is not None:
            old.stop()
        if new is not None:
            self._start(new)

    def _start(self, listener: Listeners) -> None:
        try:
            listener.start()
        except errors.SyncError as exc:
            LOG.warning("%s", exc)
            return
        self._signals.scan.set()
