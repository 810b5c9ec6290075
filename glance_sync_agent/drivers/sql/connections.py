# SPDX-License-Identifier: Apache-2.0
"""What each connection to a database is told when it is made, and when a transaction begins."""

from collections.abc import MutableSequence
import contextlib
import os
import sqlite3
from typing import Any
import urllib.parse

import sqlalchemy as sa
from sqlalchemy import event

from glance_sync_agent.drivers.sql import failures

#: Execution option; absent: the transaction only reads.
SYNCHRONOUS = "glance_sync_synchronous"

# Galera: the first statement of a transaction waits until this node has applied what others
# committed before, be it a SELECT (1), an UPDATE, a DELETE (2) or an INSERT (4).
_SYNC_WAIT = 1 | 2 | 4


def prepare(engine: sa.Engine) -> None:
    """Have the connections of an engine be what the statements are written for."""
    match engine.dialect.name:
        case "sqlite":
            event.listen(engine, "do_connect", _open_existing)
            event.listen(engine, "connect", _prepare)
            event.listen(engine, "begin", _begin)
        case "mysql" | "mariadb":
            event.listen(engine, "connect", _wait_for_other_nodes)
            event.listen(engine, "handle_error", _leave_if_not_primary)


def _open_existing(
    dialect: sa.Dialect,
    record: object,
    arguments: MutableSequence[Any],
    parameters: dict[str, Any],
) -> None:
    # A wrong path is an error and not a new, empty database that all may read.
    arguments[0] = f"file:{urllib.parse.quote(os.fsencode(arguments[0]))}?mode=rw"
    parameters["uri"] = True


def _prepare(connection: Any, record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would not be IMMEDIATE
    # The file keeps the mode, so this does something once in its life. Whoever finds it locked,
    # perhaps by another one who is at it, works without: it is only slower for readers.
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode=WAL").close()


def _begin(connection: sa.Connection) -> None:
    level = connection.get_execution_options().get(SYNCHRONOUS)
    if level is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous={level}")
    # A plain BEGIN takes the lock at the first write, and fails at once if what was read
    # before it has changed.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _wait_for_other_nodes(connection: Any, record: object) -> None:
    """Have a node of Galera decide on what is known everywhere; others do not know the variable.

    Otherwise an agent whose statements reach several nodes does not find what it just wrote.
    """
    with connection.cursor() as cursor:
        if cursor.execute("SHOW SESSION VARIABLES LIKE 'wsrep_sync_wait'"):
            cursor.execute(f"SET SESSION wsrep_sync_wait={_SYNC_WAIT}")


def _leave_if_not_primary(context: sa.ExceptionContext) -> None:
    """Have the pool drop its connections to a node that takes no statements; others may."""
    if failures.is_not_primary(context.original_exception):
        context.is_disconnect = True
