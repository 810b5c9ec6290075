# SPDX-License-Identifier: Apache-2.0
"""Glance's notifications, off the message bus."""

from collections import Counter
from collections.abc import Callable, Sequence
import logging
import threading
from typing import Any

from oslo_config import cfg
import oslo_messaging
from oslo_messaging import dispatcher
from oslo_messaging.notify import listener
import tenacity

from glance_sync_agent import errors
from glance_sync_agent.domain import events
from glance_sync_agent.drivers.bus import decoding
from glance_sync_agent.drivers.bus import probe

LOG = logging.getLogger(__name__)

#: Handlers at work at once. A handler is one short commit, so few are enough.
_THREADS = 4
#: Seconds before a message that could not be stored goes back to the broker, which would
#: deliver it again at once.
_REQUEUE_PAUSE_SECONDS = 5.0
#: Seconds that the library gets to let go of the broker; it does not while the broker is away.
_STOP_SECONDS = 10.0

#: Types of events that are told of, however many a stranger makes up.
_UNKNOWN_TYPES = 100

_HANDLED: str = oslo_messaging.NotificationResult.HANDLED
_REQUEUE: str = oslo_messaging.NotificationResult.REQUEUE

Handle = Callable[[events.ImageEvent], None]


class Dispatcher(dispatcher.DispatcherBase):
    """Understand, store, then acknowledge; never the other way round.

    Takes the place of oslo.messaging's own dispatcher, which hands a message whose envelope is
    odd (say, a number as priority) back to the broker, and gets it again at once, for ever.
    """

    #: Errors of Glance's uploads come at priority ERROR and change no image.
    supported_priorities = ("info",)

    def __init__(self, handle: Handle, stopping: threading.Event) -> None:
        self._handle = handle
        self._stopping = stopping
        self._lock = threading.Lock()
        self._unknown: set[str] = set()  # types that were told of
        self.counts: Counter[str] = Counter()

    def dispatch(self, incoming: Any) -> str:
        """Take one message; tell whether the broker may forget it."""
        try:
            event = _parse(incoming.message)
        except errors.NotificationError as exc:
            failure = exc
        else:
            return self._store(event)
        # Out here, because oslo.log repeats the error in hand behind every warning.
        if isinstance(failure, errors.UnknownEvent):
            self._ignore(failure)
        else:
            LOG.warning("Dropped a message (%d so far): %s", self.drop(), failure)
        return _HANDLED

    def drop(self) -> int:
        """Count a message that cannot be read; return how many there were."""
        return self._count("dropped")

    def _ignore(self, unknown: errors.UnknownEvent) -> None:
        """Say once for each type that nothing comes of it: other services may send many."""
        self._count("unknown")
        text = str(unknown)
        with self._lock:
            is_new = text not in self._unknown and len(self._unknown) < _UNKNOWN_TYPES
            if is_new:
                self._unknown.add(text)
        if is_new:
            LOG.info("Ignoring a message, and without another word all of its type: %s", text)

    def _store(self, event: events.ImageEvent | None) -> str:
        if event is None:
            self._count("ignored")
            return _HANDLED
        failure = None
        try:
            self._handle(event)
        except errors.SyncError as exc:
            failure = exc
        except Exception:  # a bug; left to oslo.messaging, it would come back at once, for ever
            LOG.exception("Gave the event of image %s back to the bus", event.image_id)
        else:
            self._count("handled")
            return _HANDLED
        if failure is not None:
            LOG.warning("Gave the event of image %s back to the bus: %s", event.image_id, failure)
        self._count("requeued")
        self._stopping.wait(_REQUEUE_PAUSE_SECONDS)
        return _REQUEUE

    def _count(self, what: str) -> int:
        with self._lock:
            self.counts[what] += 1
            return self.counts[what]


def _parse(incoming: object) -> events.ImageEvent | None:
    try:
        message = decoding.content(incoming)
    except ValueError as exc:
        raise errors.NotificationError(f"it cannot be read: {exc}") from exc
    if not isinstance(message, dict):
        raise errors.NotificationError(f"{decoding.shown(message)} is no notification")
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


class Listener:
    """Consumes the events of one region's Glance."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        *,
        topics: Sequence[str],
        exchange: str,
        pool: str,
        prefetch: int,
        handle: Handle,
        url: str | None = None,
    ) -> None:
        """Keep the parts; connects to nothing.

        :param url: of the bus; None: the ``transport_url`` of ``conf``.
        """
        self._conf = conf
        self._url = url
        self._topics = topics
        self._exchange = exchange
        self._pool = pool
        self._prefetch = prefetch
        self._stopping = threading.Event()
        self._dispatcher = Dispatcher(handle, self._stopping)
        self._watch = decoding.Watch(self._dispatcher.drop)
        self._lock = threading.Lock()
        self._server: listener.NotificationServer | None = None

    def start(self) -> None:
        """Begin to consume; returns when the queue exists, however long the broker is away.

        :raises ServiceUnavailable: :meth:`stop` was called before the broker answered.
        """
        decoding.install()
        self._watch.start()
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(oslo_messaging.MessagingException),
            stop=tenacity.stop_when_event_set(self._stopping),
            wait=tenacity.wait_exponential_jitter(multiplier=1, max=30),
            sleep=tenacity.sleep_using_event(self._stopping),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            retry(self._listen)
        except oslo_messaging.MessagingException as exc:
            raise errors.ServiceUnavailable(f"could not listen on the message bus: {exc}") from exc

    def _listen(self) -> None:
        targets = [
            oslo_messaging.Target(topic=topic, exchange=self._exchange) for topic in self._topics
        ]
        server = listener.NotificationServer(
            self._transport(),
            targets,
            self._dispatcher,
            executor="threading",
            allow_requeue=True,
            pool=self._pool,
        )
        server.start(override_pool_size=_THREADS)
        with self._lock:
            self._server = server
        if self._stopping.is_set():
            self._close()
            return
        where = "" if self._url is None else " on " + probe.address(self._parsed_url())
        topics = ", ".join(self._topics)
        LOG.info("Listening on topics %s in pool %s%s", topics, self._pool, where)

    def _tell(self, state: tenacity.RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        where = probe.address(self._parsed_url())
        what = f"Cannot listen on the message bus {where}, next attempt in {seconds:.0f} s"
        if probe.is_refusal(failure):
            remedy = probe.remedy(self._pool)
            LOG.error("%s, but in vain until somebody acts: %s: %s", what, remedy, failure)
        else:
            LOG.warning("%s: %s", what, failure)

    def _parsed_url(self) -> Any:
        return oslo_messaging.TransportURL.parse(self._conf, self._url)

    def _transport(self) -> Any:
        url = self._parsed_url()
        # In the URL, because the driver's option exists only once the driver is loaded.
        url.query.setdefault("rabbit_qos_prefetch_count", str(self._prefetch))
        return oslo_messaging.get_notification_transport(self._conf, url=str(url))

    def stop(self) -> None:
        """Take no more messages and finish those in hand. What was not acknowledged comes back."""
        self._stopping.set()
        self._close()
        self._watch.stop()
        LOG.info("Stopped listening: %s", dict(self._dispatcher.counts))

    def _close(self) -> None:
        with self._lock:
            server, self._server = self._server, None
        if server is None:
            return

        def close() -> None:
            server.stop()
            server.wait()

        closing = threading.Thread(target=close, name="listener-close", daemon=True)
        closing.start()
        closing.join(_STOP_SECONDS)
        if closing.is_alive():
            LOG.warning("Left the message bus without a farewell: it does not answer")
