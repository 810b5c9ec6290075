# SPDX-License-Identifier: Apache-2.0
"""Glance's WSGI application, made safe for parallel writers on SQLite.

A transaction that reads first cannot wait for the write lock later. SQLite refuses
it at once, so Glance answers 500 and leaves half an image. With the lock from the
start, the transaction waits.
"""

from collections.abc import Callable, Iterable
import os
import pathlib
import re
from typing import Any

from glance.common import wsgi_app
import sqlalchemy.engine
import sqlalchemy.event

_OVERRIDES = "local.conf"
_TELL_SIZE = "tell-size"
_REFUSE = "refuse"
_IMAGE = re.compile(r"/v2/images/[0-9a-f-]{36}")


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "before_cursor_execute", retval=True)
def _begin_immediate(  # type: ignore[no-untyped-def]
    _connection, _cursor, statement, parameters, _context, _many
):
    # oslo.db begins transactions itself (oslo_db/sqlalchemy/engines.py: _sqlite_emit_begin)
    return ("BEGIN IMMEDIATE" if statement == "BEGIN" else statement), parameters


def _telling_size(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Answer HEAD of an image with a size, like a proxy; pass on the other requests."""

    def tell(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "HEAD" or not _IMAGE.fullmatch(environ["PATH_INFO"]):
            return application(environ, start_response)
        start_response("200 OK", [("Content-Length", "1")])
        return []

    return tell


def _refusing(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Answer requests of the method in the file ``refuse``; pass on the others."""

    def refuse(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if (status := _refusal(environ["REQUEST_METHOD"])) is None:
            return application(environ, start_response)
        start_response(status, [("Content-Length", "0")])
        return []

    return refuse


def _refusal(method: str) -> str | None:
    """Return the status line for requests of a method; None: that of Glance."""
    # Glance must not run inside of an except block: it may log or chain that exception.
    try:
        told, status, *reason = (_config_dir / _REFUSE).read_text().split(maxsplit=2)
    except FileNotFoundError:
        return None
    return " ".join([status, *(reason or ["Refused"])]) if told == method else None


_config_dir = pathlib.Path(os.environ["OS_GLANCE_CONFIG_DIR"])
if (_config_dir / _OVERRIDES).exists():
    wsgi_app.CONFIG_FILES.append(_OVERRIDES)

application = wsgi_app.init_app()
if (_config_dir / _TELL_SIZE).exists():
    application = _telling_size(application)
application = _refusing(application)
