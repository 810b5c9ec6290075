# SPDX-License-Identifier: Apache-2.0
"""The request that a thread works on, for its log lines and for the services that it calls."""

from collections.abc import Iterator
import contextlib
import contextvars
import dataclasses
import re
import uuid

#: Takes the id to another service.
HEADER = "X-OpenStack-Request-ID"

_ID = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: As agents wrote it into the database before.
_OLD_ID = re.compile(r"[0-9a-f]{32}")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Served:
    """The ids of a request."""

    request_id: str
    global_id: str  # of the first request of a chain; may be the same


# The logging module asks for it, and no parameter leads there.
_CURRENT: contextvars.ContextVar[Served | None] = contextvars.ContextVar("request", default=None)


def new() -> str:
    """Return the id of a new request, as OpenStack writes them."""
    return f"req-{uuid.uuid4()}"


def current() -> Served | None:
    """Return what this thread works on; None: on no request."""
    return _CURRENT.get()


def of_call() -> str:
    """Return the id of the call that this thread answers, or of a new request."""
    served = current()
    return new() if served is None else served.request_id


@contextlib.contextmanager
def serving(request_id: str, global_id: str | None = None) -> Iterator[None]:
    """Work on a request in this thread; a text that is no id counts as none.

    :param global_id: None: the request is the first of its chain.
    """
    own = _parsed(request_id)
    found = own and Served(request_id=own, global_id=_parsed(global_id or "") or own)
    token = _CURRENT.set(found or None)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def _parsed(text: str) -> str | None:
    if _OLD_ID.fullmatch(text):
        return f"req-{uuid.UUID(text)}"
    return text if _ID.fullmatch(text) else None
