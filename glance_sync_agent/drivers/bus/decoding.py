# SPDX-License-Identifier: Apache-2.0
"""Reads the body of a message so that no content can do harm."""

import json
import reprlib

_CONTENT = "content"
_UNREADABLE = "unreadable"
_VERSION, _MESSAGE = "oslo.version", "oslo.message"
_SHOWN_CHARACTERS = 120


def decode(body: str | bytes) -> dict[str, object]:
    """Take a message out of its envelope; :func:`content` returns it. Raises nothing.

    The result has no key that means something to oslo.messaging.
    """
    try:
        message = json.loads(body)
        if isinstance(message, dict) and _VERSION in message and _MESSAGE in message:
            message = json.loads(message[_MESSAGE])
    except (ValueError, TypeError, RecursionError) as exc:
        return {_UNREADABLE: f"{type(exc).__name__}: {exc}"[:_SHOWN_CHARACTERS]}
    return {_CONTENT: message}


def content(message: object) -> object:
    """Return the message that :func:`decode` read; any other message as it is.

    :raises ValueError: it could not be read.
    """
    if not isinstance(message, dict):
        return message
    if _UNREADABLE in message:
        raise ValueError(message[_UNREADABLE])
    return message.get(_CONTENT, message)


def shown(value: object) -> str:
    """Return a short form of a value for a log line; its depth and size cost nothing."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = _SHOWN_CHARACTERS
    return short.repr(value)[:_SHOWN_CHARACTERS]
