# SPDX-License-Identifier: Apache-2.0
"""Transactions in SQLite, PostgreSQL or MariaDB."""

from collections.abc import Callable, Iterator, MutableSequence
import contextlib
import os
import pathlib
import sqlite3
import threading
from typing import Any, TypeVar
import urllib.parse

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy import exc as sa_exc

from glance_sync_agent import errors

UPGRADE_COMMAND = "glance-sync-manage db upgrade"

_TRIES = 10  # of a transaction that lost a race
_RECYCLE_SECONDS = 1800  # MariaDB drops connections that idle for 8 hours, firewalls sooner
_SYNCHRONOUS = "glance_sync_synchronous"  # execution option; absent: the transaction only reads

# SQLSTATEs of PostgreSQL and error numbers of MariaDB for a deadlock or a failed serialization.
_LOST_RACES = frozenset({"40001", "40P01", 1213, 1020})
_NOT_PERMITTED = "42501"  # SQLSTATE of PostgreSQL for a missing GRANT
_UNKNOWN_COLUMN = 1054  # MariaDB calls it an OperationalError

_Result = TypeVar("_Result")


class Database:
    """Runs functions in transactions.

    Connects when first used. Each process has connections of its own, so an instance may be
    made, and even used, before a fork. Threads may share it.
    """

    def __init__(self, url: str, *, connections: int, timeout_seconds: float) -> None:
        """Check the URL; nothing is opened.

        :param connections: most that are open at once in one process.
        :param timeout_seconds: for a connection, a lock or an answer.
        :raises ConfigurationError: the URL is none, or its driver is not installed.
        """
        self._connections = connections
        self.timeout_seconds = timeout_seconds
        try:
            self._url = sa.make_url(url)
        except sa_exc.ArgumentError:
            # From None, because that exception quotes the URL, which may hold a password.
            raise errors.ConfigurationError(
                "[database] connection is not a URL such as sqlite:////var/lib/glance/sync.db"
            ) from None
        self.kind = self._url.get_backend_name()
        self.name = sa.URL.create(
            self._url.drivername,
            host=self._url.host,
            port=self._url.port,
            database=self._url.database,
        ).render_as_string()
        #: The file, if it is SQLite.
        self.path = pathlib.Path(self._url.database or "") if self.kind == "sqlite" else None
        if self.path is not None and self._url.database in {None, "", ":memory:"}:
            raise errors.ConfigurationError(
                f"[database] connection {self.name}: a database in memory forgets its tasks"
            )
        # By process id. What a parent process opened is kept and never touched: to close it
        # here would break the parent's locks (SQLite) or end its session (the others).
        self._engines = {os.getpid(): self._engine()}
        self._writing = threading.Lock()

    def _engine(self) -> sa.Engine:
        try:
            engine = sa.create_engine(
                self._url,
                pool_size=self._connections,
                max_overflow=0,
                pool_timeout=self.timeout_seconds,
                **self._options(),
            )
        except (ImportError, sa_exc.SQLAlchemyError) as exc:
            raise errors.ConfigurationError(
                f"[database] connection {self.name}: cannot load its driver: {exc};"
                " the extras postgresql and mysql of this package bring psycopg and PyMySQL"
            ) from exc
        if self.path is not None:
            event.listen(engine, "do_connect", _open_existing)
            event.listen(engine, "connect", _prepare)
            event.listen(engine, "begin", _begin)
        return engine

    def _options(self) -> dict[str, Any]:
        seconds = max(1, round(self.timeout_seconds))
        connect_args: dict[str, Any]
        match self.kind:
            case "sqlite":
                return {"connect_args": {"timeout": self.timeout_seconds}}
            case "postgresql":
                connect_args = {"connect_timeout": seconds, "tcp_user_timeout": seconds * 1000}
            case "mysql" | "mariadb":
                connect_args = {
                    "charset": "utf8mb4",
                    "connect_timeout": seconds,
                    "read_timeout": seconds * 2,  # longer than the wait for a lock
                    "write_timeout": seconds,
                    "init_command": f"SET innodb_lock_wait_timeout={seconds}",
                }
            case other:
                raise errors.ConfigurationError(
                    f"[database] connection {self.name}: {other} is not supported;"
                    " sqlite, postgresql+psycopg and mysql+pymysql are"
                )
        return {
            "connect_args": connect_args,
            # What the statements are written for; and InnoDB locks no gaps under it.
            "isolation_level": "READ COMMITTED",
            "pool_pre_ping": True,
            # Each transaction has ended when its connection comes back. Another rollback would
            # cost a round trip, and a traceback in the log where the server went just then.
            "pool_reset_on_return": None,
            "pool_recycle": _RECYCLE_SECONDS,
        }

    def read(self, attempt: str, work: Callable[[sa.Connection], _Result]) -> _Result:
        """Run ``work`` in a transaction that writes nothing.

        :param attempt: what it tries to do, for the error message.
        :raises ServiceUnavailable: the database does not answer.
        :raises ConfigurationError: there is no table, or not this version of it.
        """
        with self._translated(attempt), self._transaction() as connection:
            return work(connection)

    def write(
        self, attempt: str, work: Callable[[sa.Connection], _Result], *, durable: bool = False
    ) -> _Result:
        """Run ``work`` in a transaction; run it again if another one got in its way.

        :param attempt: what it tries to do, for the error message.
        :param durable: what is committed must survive a power failure.
        :raises ServiceUnavailable: the database does not answer; nothing was written.
        :raises ConfigurationError: there is no table, or not this version of it.
        """
        # A SQLite commit survives the death of the process in any case. NORMAL leaves its way
        # to the disk to the kernel, so that a power failure takes back the last few commits
        # and nothing else: enough where a lost commit only repeats work.
        options = {_SYNCHRONOUS: "FULL" if durable else "NORMAL"}
        with self._translated(attempt), self._turn():
            for _ in range(_TRIES - 1):
                try:
                    with self._transaction(options) as connection:
                        return work(connection)
                except sa_exc.DBAPIError as exc:
                    if not _lost_a_race(exc):
                        raise
            with self._transaction(options) as connection:
                return work(connection)

    def try_write(self, attempt: str, work: Callable[[sa.Connection], object]) -> None:
        """Run ``work`` in a transaction, and take back what it wrote.

        :param attempt: what it tries to do, for the error message.
        :raises ServiceUnavailable: the database does not answer, or does not let us write.
        :raises ConfigurationError: there is no table, or not this version of it.
        """
        options = {_SYNCHRONOUS: "NORMAL"}
        with self._translated(attempt), self._turn(), self._transaction(options) as connection:
            try:
                work(connection)
            finally:
                connection.rollback()

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """Let the threads of this process write one after another, where the database would.

        SQLite makes who finds it locked sleep for ever longer; a lock wakes the next at once.
        """
        if self.path is None:
            yield
        elif self._writing.acquire(timeout=self.timeout_seconds):
            try:
                yield
            finally:
                self._writing.release()
        else:
            raise errors.ServiceUnavailable(
                f"cannot write to the database {self.name}: busy for {self.timeout_seconds:g} s"
            )

    @contextlib.contextmanager
    def _transaction(self, options: dict[str, str] | None = None) -> Iterator[sa.Connection]:
        process = os.getpid()
        engine = self._engines.get(process) or self._engines.setdefault(process, self._engine())
        with engine.connect() as connection:
            connection.execution_options(**options or {})
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def _translated(self, attempt: str) -> Iterator[None]:
        try:
            yield
        except sa_exc.SQLAlchemyError as exc:
            seen = str(getattr(exc, "orig", None) or exc).partition("\n")[0]
            message = f"cannot {attempt} in the database {self.name}: {seen}"
            if self.is_missing() or _is_outdated(exc):
                raise errors.ConfigurationError(f"{message}; run '{UPGRADE_COMMAND}'") from exc
            raise errors.ServiceUnavailable(message) from exc

    def is_missing(self) -> bool:
        """Tell whether it is a SQLite file that does not exist."""
        try:
            return self.path is not None and not self.path.exists()
        except OSError:  # we may not look; the database says so as well
            return False

    def close(self) -> None:
        """Close the connections of this process; the next use opens new ones."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None:
            engine.dispose()


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
    level = connection.get_execution_options().get(_SYNCHRONOUS)
    if level is None:
        connection.exec_driver_sql("BEGIN")
        return
    connection.exec_driver_sql(f"PRAGMA synchronous={level}")
    # A plain BEGIN takes the lock at the first write, and fails at once if what was read
    # before it has changed.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _lost_a_race(exc: sa_exc.DBAPIError) -> bool:
    """Tell whether another transaction inserted our row first, or the two deadlocked."""
    return isinstance(exc, sa_exc.IntegrityError) or not _LOST_RACES.isdisjoint(_codes(exc))


def _is_outdated(exc: sa_exc.SQLAlchemyError) -> bool:
    """Tell whether a table or a column is missing."""
    if isinstance(exc, sa_exc.ProgrammingError):
        return _NOT_PERMITTED not in _codes(exc)
    return isinstance(exc, sa_exc.OperationalError) and (
        str(exc.orig).startswith(("no such table", "no such column", "table tasks has no column"))
        or _UNKNOWN_COLUMN in _codes(exc)
    )


def _codes(exc: sa_exc.DBAPIError) -> set[object]:
    """Return the driver's own codes: an SQLSTATE, or MariaDB's number."""
    return {getattr(exc.orig, "sqlstate", None), *getattr(exc.orig, "args", ())[:1]}
