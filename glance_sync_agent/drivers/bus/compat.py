# SPDX-License-Identifier: Apache-2.0
"""Uses parts of oslo.messaging and kombu that they do not document.

``tests/unit/drivers/bus/test_compat.py`` fails when one of these parts changes.
"""

from collections.abc import Callable, Sequence
import logging
from typing import Any, TypeAlias

from kombu import serialization
from kombu.utils import json as kombu_json
from oslo_messaging import dispatcher
from oslo_messaging.notify import listener

from glance_sync_agent.drivers.bus import decoding

#: oslo.log calls the logger of ``oslo_messaging._drivers.impl_rabbit`` by the first name.
_DRIVER_LOGGERS = (
    "oslo.messaging._drivers.impl_rabbit",
    "oslo_messaging._drivers.impl_rabbit",
)

Server: TypeAlias = Any  # it has no types


def install_decoder() -> None:
    """Read all JSON of this process's message buses with :mod:`decoding`. Idempotent.

    oslo.messaging neither delivers nor acknowledges a message whose id it saw before, and so
    loses a slot of the prefetch with each (``AMQPListener.__call__`` in amqpdriver.py). It finds
    no id in what :func:`decoding.decode` returns. kombu has one decoder for a process.
    """
    register: Any = serialization.register  # has no types
    register(
        "json",
        kombu_json.dumps,
        decoding.decode,
        content_type="application/json",
        content_encoding="utf-8",
    )


def make_server(
    transport: Any, targets: Sequence[Any], own_dispatcher: dispatcher.DispatcherBase, pool: str
) -> Server:
    """Return a server that hands each message to a dispatcher of ours.

    ``get_notification_listener`` uses oslo.messaging's dispatcher. That one returns a message
    with an odd envelope (say, a number as priority) to the broker, which delivers it again.
    """
    return listener.NotificationServer(
        transport,
        targets,
        own_dispatcher,
        executor="threading",
        allow_requeue=True,
        pool=pool,
    )


class UnreadableMessages(logging.Filter):
    """Counts the messages that the driver rejects, and logs each in one short line.

    The driver rejects a message that is no JSON and logs a traceback; nothing else reports it
    (``ConsumerBase._callback`` in impl_rabbit.py). If several filters run, one sees a message.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        """Begin with :meth:`start`.

        :param count: counts a dropped message and returns how many there were.
        """
        super().__init__()
        self._count = count

    def start(self) -> None:
        """Filter from now on. Idempotent."""
        for name in _DRIVER_LOGGERS:
            logging.getLogger(name).addFilter(self)

    def stop(self) -> None:
        """Filter no more. Idempotent."""
        for name in _DRIVER_LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace a traceback, and long texts of the sender, by a short line."""
        exc = record.exc_info[1] if record.exc_info else None
        if exc is not None and record.levelno >= logging.ERROR:
            record.msg = "Dropped a message (%d so far): it cannot be read: %s: %s"
            record.args = (self._count(), type(exc).__name__, decoding.shown(str(exc)))
            record.exc_info = record.exc_text = None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True
