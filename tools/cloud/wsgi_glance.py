# SPDX-License-Identifier: Apache-2.0
"""Glance's WSGI application, made safe for parallel writers on SQLite.

A transaction that reads first and writes later cannot wait for the write lock:
SQLite refuses it at once, and Glance answers 500 and leaves half an image
behind. Taking the lock at the start makes it wait.
"""

import os
import pathlib

from glance.common import wsgi_app
import sqlalchemy.engine
import sqlalchemy.event

_OVERRIDES = "local.conf"


@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, "before_cursor_execute", retval=True)
def _begin_immediate(  # type: ignore[no-untyped-def]
    _connection, _cursor, statement, parameters, _context, _many
):
    # oslo.db begins transactions itself (oslo_db/sqlalchemy/engines.py: _sqlite_emit_begin)
    return ("BEGIN IMMEDIATE" if statement == "BEGIN" else statement), parameters


if pathlib.Path(os.environ["OS_GLANCE_CONFIG_DIR"], _OVERRIDES).exists():
    wsgi_app.CONFIG_FILES.append(_OVERRIDES)

application = wsgi_app.init_app()
