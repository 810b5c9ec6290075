# SPDX-License-Identifier: Apache-2.0
"""Listeners on the message buses of regions."""

from collections.abc import Sequence
import dataclasses
import logging
import threading
from typing import Any

from oslo_config import cfg
import oslo_messaging
import tenacity

from glance_sync_agent import errors
from glance_sync_agent.drivers.bus import compat
from glance_sync_agent.drivers.bus import dispatcher
from glance_sync_agent.drivers.bus import probe
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)

_THREADS = 4  # each message is one short commit, so few are enough
#: Seconds that oslo.messaging has to close; without its broker it never does.
_STOP_SECONDS = 10.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """What to listen to."""

    topics: Sequence[str]
    exchange: str
    pool: str  # the name of the queue; all agents of a pool share the messages
    prefetch: int  # messages that the broker sends ahead
    url: str | None = None  # of the bus; None: ``transport_url``


class Listener:
    """Consumes the events of one region's Glance."""

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        subscription: Subscription,
        handle: dispatcher.Handle,
        meters: ports.Meters,
    ) -> None:
        """Keep the parts; connects to nothing."""
        self._conf = conf
        self._subscription = subscription
        self._stopping = threading.Event()
        self._dispatcher = dispatcher.Dispatcher(handle, self._stopping, meters)
        self._unreadable = compat.UnreadableMessages(self._dispatcher.drop)
        self._lock = threading.Lock()
        self._server: compat.Server | None = None

    def start(self) -> None:
        """Begin to consume; return when the queue exists, however long that takes.

        :raises ServiceUnavailable: :meth:`stop` was called before the broker answered.
        """
        compat.install_decoder()
        self._unreadable.start()
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(oslo_messaging.MessagingException),
            stop=tenacity.stop_when_event_set(self._stopping),
            wait=tenacity.wait_exponential_jitter(multiplier=1, max=30),
            sleep=tenacity.sleep_using_event(self._stopping),
            before_sleep=self._log_failure,
            reraise=True,
        )
        try:
            retry(self._listen)
        except oslo_messaging.MessagingException as exc:
            raise errors.ServiceUnavailable(f"could not listen on the message bus: {exc}") from exc

    def _listen(self) -> None:
        subscription = self._subscription
        targets = [
            oslo_messaging.Target(topic=topic, exchange=subscription.exchange)
            for topic in subscription.topics
        ]
        transport = self._transport()
        server = compat.make_server(transport, targets, self._dispatcher, subscription.pool)
        server.start(override_pool_size=_THREADS)
        with self._lock:
            self._server = server
        if self._stopping.is_set():
            self._close()
            return
        where = "" if subscription.url is None else " on " + probe.address(self._parsed_url())
        topics = ", ".join(subscription.topics)
        LOG.info("Listening on topics %s in pool %s%s", topics, subscription.pool, where)

    def _log_failure(self, state: tenacity.RetryCallState) -> None:
        failure = state.outcome.exception() if state.outcome else None
        seconds = state.next_action.sleep if state.next_action else 0.0
        what = f"Cannot listen on the message bus {probe.address(self._parsed_url())}"
        again = f"The next attempt is in {seconds:.0f} s"
        if probe.is_refusal(failure):
            remedy = probe.remedy(self._subscription.pool)
            LOG.error("%s, which refused: %s. %s. To correct it, %s", what, failure, again, remedy)
        else:
            LOG.warning("%s: %s. %s", what, failure, again)

    def _parsed_url(self) -> Any:
        return oslo_messaging.TransportURL.parse(self._conf, self._subscription.url)

    def _transport(self) -> Any:
        url = self._parsed_url()
        # In the URL, because the option exists only after the driver is loaded.
        url.query.setdefault("rabbit_qos_prefetch_count", str(self._subscription.prefetch))
        return oslo_messaging.get_notification_transport(self._conf, url=str(url))

    def stop(self) -> None:
        """Stop consuming and finish running messages. The broker delivers all others again."""
        self._stopping.set()
        self._close()
        self._unreadable.stop()
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
            LOG.warning("Stopped without closing the message bus, which is unreachable")


class Listeners:
    """The listener of the cascading region, and those of others that must not delay it."""

    def __init__(self, main: Listener, others: Sequence[Listener] = ()) -> None:
        self._main = main
        self._others = others

    def start(self) -> None:
        """Begin to consume; return when the queue of the cascading region exists.

        :raises ServiceUnavailable: :meth:`stop` was called before its broker answered.
        """
        for one in self._others:
            threading.Thread(
                target=_start, args=(one,), name="listener-start", daemon=True
            ).start()
        self._main.start()

    def stop(self) -> None:
        """Stop all listeners at the same time."""
        stopping = [
            threading.Thread(target=one.stop, name="listener-stop", daemon=True)
            for one in (self._main, *self._others)
        ]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()


def _start(listener: Listener) -> None:
    try:
        listener.start()
    except errors.SyncError as exc:
        LOG.warning("%s", exc)
