# SPDX-License-Identifier: Apache-2.0
"""Engines of SQLAlchemy for the supported databases: options, and set-up of connections."""

from collections.abc import MutableSequence
import contextlib
import os
import sqlite3
from typing import Any
import urllib.parse

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

from glance_sync_agent import errors
from glance_sync_agent.drivers.sql import failures

#: Execution option; absent: the transaction only reads.
SYNCHRONOUS = "glance_sync_synchronous"

# A node of Galera applies what other nodes committed before it runs the first statement of a
# transaction, if that is a SELECT (1), an UPDATE or DELETE (2), or an INSERT (4).
_SYNC_WAIT = 1 | 2 | 4

_LOCK_WAITS = 3  # that fit into the time for one call
_RECYCLE_SECONDS = 1800  # MariaDB closes idle connections after 8 hours, firewalls sooner


def parse(url: str) -> sa.URL:
    """Read the URL of a database.

    :raises ConfigurationError: it is not a URL, or of a database in memory.
    """
    try:
        parsed = sa.make_url(url)
    except sa_exc.ArgumentError:
        # From None, because that exception quotes the URL, which may hold a password.
        raise errors.ConfigurationError(
            "[database] connection is not a URL such as sqlite:////var/lib/glance/sync.db"
        ) from None
    if is_file(parsed) and parsed.database in {None, "", ":memory:"}:
        raise errors.ConfigurationError(
            f"[database] connection {name(parsed)}: a database in memory loses its tasks"
        )
    return parsed


def is_file(url: sa.URL) -> bool:
    """Return whether the database is a SQLite file."""
    return url.get_backend_name() == "sqlite"


def name(url: sa.URL) -> str:
    """Return a URL without credentials and options."""
    return sa.URL.create(
        url.drivername, host=url.host, port=url.port, database=url.database
    ).render_as_string()


def create(url: sa.URL, size: int, timeout_seconds: float) -> sa.Engine:
    """Create an engine; nothing is opened.

    :param size: most connections that are open at once.
    :param timeout_seconds: for a connection, a lock or an answer.
    :raises ConfigurationError: the driver is not installed, or the database not supported.
    """
    try:
        engine = sa.create_engine(
            url,
            pool_size=size,
            max_overflow=0,
            pool_timeout=timeout_seconds,
            **_options(url, timeout_seconds),
        )
    except (ImportError, sa_exc.SQLAlchemyError) as exc:
        raise errors.ConfigurationError(
            f"[database] connection {name(url)}: cannot load its driver: {exc}; install the "
            "extra postgresql (psycopg) or mysql (PyMySQL) of this package"
        ) from exc
    _set_up(engine)
    return engine


def _options(url: sa.URL, timeout_seconds: float) -> dict[str, Any]:
    seconds = max(1, round(timeout_seconds))
    connect_args: dict[str, Any]
    match url.get_backend_name():
        case "sqlite":
            return {"connect_args": {"timeout": timeout_seconds}}
        case "postgresql":
            connect_args = {"connect_timeout": seconds, "tcp_user_timeout": seconds * 1000}
        case "mysql" | "mariadb":
            lock_seconds = max(1, seconds // _LOCK_WAITS)
            connect_args = {
                "charset": "utf8mb4",
                "connect_timeout": seconds,
                "read_timeout": seconds * 2,  # longer than the wait for a lock
                "write_timeout": seconds,
                "init_command": f"SET innodb_lock_wait_timeout={lock_seconds}",
            }
        case other:
            raise errors.ConfigurationError(
                f"[database] connection {name(url)}: {other} is not supported; use sqlite, "
                "postgresql+psycopg or mysql+pymysql"
            )
    return {
        "connect_args": connect_args,
        # The statements are written for it, and InnoDB locks no gaps under it.
        "isolation_level": "READ COMMITTED",
        "pool_pre_ping": True,
        # Each transaction has ended when its connection comes back. Another rollback would cost
        # a round trip, and a traceback in the log if the server went away just then.
        "pool_reset_on_return": None,
        "pool_recycle": _RECYCLE_SECONDS,
    }


def _set_up(engine: sa.Engine) -> None:
    """Set the connections of an engine up for what the statements need."""
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
    # With a wrong path, SQLite would create an empty database that all users can read.
    arguments[0] = f"file:{urllib.parse.quote(os.fsencode(arguments[0]))}?mode=rw"
    parameters["uri"] = True


def _prepare(connection: Any, record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would not be IMMEDIATE
    # The file keeps the mode. If it is locked, perhaps by another process that sets the mode,
    # readers are only slower.
    with contextlib.suppress(sqlite3.OperationalError):
        connection.execute("PRAGMA journal_mode=WAL").close()


def _begin(connection: sa.Connection) -> None:
    level = connection.get_execution_options().get(SYNCHRONOUS)
    if level is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous={level}")
    # A plain BEGIN locks at the first write, and fails at once if a row that it read has changed.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _wait_for_other_nodes(connection: Any, record: object) -> None:
    """Let a node of Galera catch up first, so that an agent reads what it wrote elsewhere.

    Servers without Galera do not have the variable.
    """
    with connection.cursor() as cursor:
        if cursor.execute("SHOW SESSION VARIABLES LIKE 'wsrep_sync_wait'"):
            cursor.execute(f"SET SESSION wsrep_sync_wait={_SYNC_WAIT}")


def _leave_if_not_primary(context: sa.ExceptionContext) -> None:
    """Drop the connections to a node of Galera that takes no statements; others may."""
    if failures.is_not_primary(context.original_exception):
        context.is_disconnect = True
