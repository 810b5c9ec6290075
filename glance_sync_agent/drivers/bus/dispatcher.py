# SPDX-License-Identifier: Apache-2.0
"""Takes Glance's notifications: understand, store, then acknowledge; never the other way."""

from collections import Counter
from collections.abc import Callable
import logging
import threading
from typing import Any

import oslo_messaging
from oslo_messaging import dispatcher

from glance_sync_agent import errors
from glance_sync_agent.domain import events
from glance_sync_agent.drivers.bus import decoding
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)

#: Seconds before a message goes back to the broker, which delivers it again at once.
_REQUEUE_PAUSE_SECONDS = 5.0
_UNKNOWN_TYPES = 100  # types of events that are logged, however many a sender invents

_HANDLED: str = oslo_messaging.NotificationResult.HANDLED
_REQUEUE: str = oslo_messaging.NotificationResult.REQUEUE

Handle = Callable[[events.ImageEvent], None]


class Dispatcher(dispatcher.DispatcherBase):
    """Passes events to a function, and counts what happens to the messages."""

    #: Errors of Glance's uploads have the priority ERROR and change no image.
    supported_priorities = ("info",)

    def __init__(
        self, handle: Handle, stopping: threading.Event, meters: ports.Meters
    ) -> None:
        self._handle = handle
        self._meters = meters
        self._stopping = stopping
        self._lock = threading.Lock()
        self._unknown: set[str] = set()  # types that were logged
        self.counts: Counter[str] = Counter()

    def dispatch(self, incoming: Any) -> str:
        """Handle one message; return whether the broker may forget it."""
        try:
            event = _parse(incoming.message)
        except errors.UnknownEvent as exc:
            self._ignore(exc)
            return _HANDLED
        except errors.NotificationError as exc:
            LOG.warning("Dropped a message (%d so far): %s", self.drop(), exc)
            return _HANDLED
        return self._store(event)

    def drop(self) -> int:
        """Count a message that cannot be read; return how many there were."""
        return self._count("dropped")

    def _ignore(self, unknown: errors.UnknownEvent) -> None:
        """Log each type once, because other services may send many messages."""
        self._count("unknown")
        text = str(unknown)
        with self._lock:
            is_new = text not in self._unknown and len(self._unknown) < _UNKNOWN_TYPES
            if is_new:
                self._unknown.add(text)
        if is_new:
            LOG.info("Ignored a message; others of its type are ignored without a line: %s", text)

    def _store(self, event: events.ImageEvent | None) -> str:
        if event is None:
            self._count("ignored")
            return _HANDLED
        try:
            self._handle(event)
        except errors.SyncError as exc:
            LOG.warning("Returned the event of image %s to the bus: %s", event.image_id, exc)
        except Exception:  # a bug; oslo.messaging would deliver the event again without a pause
            LOG.exception("Returned the event of image %s to the bus", event.image_id)
        else:
            self._count("handled")
            return _HANDLED
        self._count("requeued")
        self._stopping.wait(_REQUEUE_PAUSE_SECONDS)
        return _REQUEUE

    def _count(self, what: str) -> int:
        self._meters.heard(what)
        with self._lock:
            self.counts[what] += 1
            return self.counts[what]


def _parse(incoming: object) -> events.ImageEvent | None:
    try:
        message = decoding.content(incoming)
    except ValueError as exc:
        raise errors.NotificationError(f"it cannot be read: {exc}") from exc
    if not isinstance(message, dict):
        raise errors.NotificationError(f"{decoding.shown(message)} is not a notification")
    try:
        return events.parse(message.get("event_type"), message.get("payload"))
    except errors.UnknownEvent:
        raise
    except errors.NotificationError as exc:
        sender = decoding.shown(message.get("publisher_id"))
        kind = decoding.shown(message.get("event_type"))
        raise errors.NotificationError(f"{kind} from {sender}: {exc}") from exc
    except RecursionError as exc:
        raise errors.NotificationError("nested too deeply for a notification") from exc
