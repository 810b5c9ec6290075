# SPDX-License-Identifier: Apache-2.0
"""Reads what lies on the message bus, so that a stranger's message can do no harm.

oslo.messaging reads a message long before it asks a dispatcher. One whose id it saw before it
neither hands on nor acknowledges, so that a place of the prefetch is lost with each
(oslo_messaging/_drivers/amqpdriver.py: AMQPListener.__call__); for one that it cannot read it
logs a traceback. Here JSON is read first, and what oslo.messaging is given always looks the same.
"""

from collections.abc import Callable
import json
import logging
import reprlib
from typing import Any

from kombu import serialization
from kombu.utils import json as kombu_json

_CONTENT = "content"
_UNREADABLE = "unreadable"
_VERSION, _MESSAGE = "oslo.version", "oslo.message"
_SHOWN_CHARACTERS = 120

#: What is no JSON still fails in the driver (oslo_messaging/_drivers/impl_rabbit.py:
#: Consumer._callback), under either name that the library's loggers go by.
_LOGGERS = ("oslo.messaging._drivers.impl_rabbit", "oslo_messaging._drivers.impl_rabbit")


def install() -> None:
    """Read the JSON of this process's message bus this way from now on. Idempotent."""
    register: Any = serialization.register  # has no types
    encode = kombu_json.dumps
    register("json", encode, decode, content_type="application/json", content_encoding="utf-8")


def decode(body: str | bytes) -> dict[str, object]:
    """Take a message out of its envelope; :func:`content` gives it back. Raises nothing.

    What is returned has none of the keys that mean something to oslo.messaging.
    """
    try:
        message = json.loads(body)
        if isinstance(message, dict) and _VERSION in message and _MESSAGE in message:
            message = json.loads(message[_MESSAGE])
    except (ValueError, TypeError, RecursionError) as exc:
        return {_UNREADABLE: f"{type(exc).__name__}: {exc}"[:_SHOWN_CHARACTERS]}
    return {_CONTENT: message}


def content(message: object) -> object:
    """Return the message that :func:`decode` read, or what came by another way than JSON.

    :raises ValueError: it could not be read.
    """
    if not isinstance(message, dict):
        return message
    if _UNREADABLE in message:
        raise ValueError(message[_UNREADABLE])
    return message.get(_CONTENT, message)


def shown(value: object) -> str:
    """Return a short form of anything, for a log line; its depth and size cost nothing."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = _SHOWN_CHARACTERS
    return short.repr(value)[:_SHOWN_CHARACTERS]


class Watch(logging.Filter):
    """Sees by the driver's log which messages fail there, and says it in one line.

    Of several at work, one sees a message, be it of its own bus or another's.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        """Begin with :meth:`start`.

        :param count: called for each of the messages; returns how many were dropped so far.
        """
        super().__init__()
        self._count = count

    def start(self) -> None:
        """Watch from now on. Idempotent."""
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def stop(self) -> None:
        """Watch no more. Idempotent."""
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the traceback, and whatever a stranger wrote at length, out of an error."""
        exc = record.exc_info[1] if record.exc_info else None
        if exc is not None and record.levelno >= logging.ERROR:
            record.msg = "Dropped a message (%d so far): it cannot be read: %s: %s"
            record.args = (self._count(), type(exc).__name__, shown(str(exc)))
            record.exc_info = record.exc_text = None
            # No warning, for oslo.log would repeat the error in hand behind it, as it is.
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True
