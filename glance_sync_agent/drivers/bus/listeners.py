# SPDX-License-Identifier: Apache-2.0
"""The message buses of several regions, listened to at once."""

from collections.abc import Sequence
import logging
import threading

from glance_sync_agent import errors
from glance_sync_agent.drivers.bus import notifications

LOG = logging.getLogger(__name__)


class Listeners:
    """The cascading region's bus, and those of others that must not hold it up."""

    def __init__(
        self, main: notifications.Listener, others: Sequence[notifications.Listener] = ()
    ) -> None:
        self._main = main
        self._others = others

    def start(self) -> None:
        """Begin to consume; returns when the queue of the cascading region exists.

        :raises ServiceUnavailable: :meth:`stop` was called before its broker answered.
        """
        for one in self._others:
            threading.Thread(
                target=_start, args=(one,), name="listener-start", daemon=True
            ).start()
        self._main.start()

    def stop(self) -> None:
        """Take no more messages and finish those in hand, all at the same time."""
        stopping = [
            threading.Thread(target=one.stop, name="listener-stop", daemon=True)
            for one in (self._main, *self._others)
        ]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()


def _start(listener: notifications.Listener) -> None:
    failure = None
    try:
        listener.start()
    except errors.SyncError as exc:
        failure = exc
    if failure is not None:
        LOG.warning("%s", failure)
