# SPDX-License-Identifier: Apache-2.0
"""Transactions in SQLite, PostgreSQL or MariaDB."""

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
import threading
import time
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
import tenacity

from glance_sync_agent import errors
from glance_sync_agent.drivers.sql import connections
from glance_sync_agent.drivers.sql import failures

UPGRADE_COMMAND = "glance-sync-manage db upgrade"

_TRIES = 20  # of a transaction that lost a race
_PAUSE_SECONDS = 0.01  # at most, after the first of them; then twice as long each time
_LONGEST_PAUSE_SECONDS = 1.0
_LOCK_WAITS = 3  # that fit into the time for one call
_RECYCLE_SECONDS = 1800  # MariaDB drops connections that idle for 8 hours, firewalls sooner

_Result = TypeVar("_Result")


class _UnansweredCommitError(Exception):
    """A COMMIT that failed so that nobody knows whether it took place."""


class _TakenBackError(Exception):
    """What was written shall not stay."""


class Database:
    """Runs functions in transactions.

    Connects when first used. Each process has connections of its own, so an instance may be
    made, and even used, before a fork. Threads may share it.
    """

    def __init__(
        self,
        url: str,
        *,
        connections: int,
        timeout_seconds: float,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Check the URL; nothing is opened.

        :param connections: most that are open at once in one process.
        :param timeout_seconds: for a connection, a lock or an answer.
        :param sleep: waits before a transaction that lost a race is tried again.
        :raises ConfigurationError: the URL is none, or its driver is not installed.
        """
        self._connections = connections
        self.timeout_seconds = timeout_seconds
        self._sleep = sleep
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
        connections.prepare(engine)
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
        with self._translated(attempt):
            return self._repeated(work, {})

    def write(
        self, attempt: str, work: Callable[[sa.Connection], _Result], *, durable: bool = False
    ) -> _Result:
        """Run ``work`` in a transaction; run it again if another one got in its way.

        :param attempt: what it tries to do, for the error message.
        :param durable: what is committed must survive a power failure.
        :raises ServiceUnavailable: the database does not answer. Nothing was written, unless the
            message says that this is not known; so the caller must be able to do it again.
        :raises ConfigurationError: there is no table, or not this version of it.
        """
        # A SQLite commit survives the death of the process in any case. NORMAL leaves its way
        # to the disk to the kernel, so that a power failure takes back the last few commits
        # and nothing else: enough where a lost commit only repeats work.
        options = {connections.SYNCHRONOUS: "FULL" if durable else "NORMAL"}
        with self._translated(attempt), self._turn():
            return self._repeated(work, options)

    def _repeated(
        self, work: Callable[[sa.Connection], _Result], options: dict[str, str]
    ) -> _Result:
        """Run ``work`` in a transaction, again and again while others get in its way.

        The pauses are drawn by chance and grow, so that agents that collide part.
        """
        retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception(failures.passes),
            stop=tenacity.stop_after_attempt(_TRIES)
            | tenacity.stop_after_delay(self.timeout_seconds),
            wait=tenacity.wait_random_exponential(
                multiplier=_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS
            ),
            sleep=self._sleep,
            reraise=True,
        )
        done: _Result = retry(self._run, work, options)
        return done

    def _run(
        self, work: Callable[[sa.Connection], _Result], options: dict[str, str]
    ) -> _Result:
        """Run ``work`` in a transaction, once.

        :param options: of the connection, if it writes.
        """
        process = os.getpid()
        engine = self._engines.get(process) or self._engines.setdefault(process, self._engine())
        with engine.connect() as connection:
            connection.execution_options(**options)
            transaction = connection.begin()
            try:
                result = work(connection)
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except sa_exc.DBAPIError as exc:
                # A read wrote nothing, and SQLite is no server whose answer could be lost.
                is_known = not options or self.path is not None
                if is_known or failures.is_rolled_back(exc):
                    raise
                raise _UnansweredCommitError(str(exc.orig)) from exc
            return result

    def try_write(self, attempt: str, work: Callable[[sa.Connection], object]) -> None:
        """Run ``work`` in a transaction, and take back what it wrote.

        :param attempt: what it tries to do, for the error message.
        :raises ServiceUnavailable: the database does not answer, or does not let us write.
        :raises ConfigurationError: there is no table, or not this version of it.
        """
        options = {connections.SYNCHRONOUS: "NORMAL"}

        def try_it(connection: sa.Connection) -> None:
            work(connection)
            raise _TakenBackError

        with self._translated(attempt), self._turn(), contextlib.suppress(_TakenBackError):
            self._run(try_it, options)

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
    def _translated(self, attempt: str) -> Iterator[None]:
        try:
            yield
        except _UnansweredCommitError as exc:
            raise errors.ServiceUnavailable(
                f"cannot {attempt} in the database {self.name}: no answer to COMMIT "
                f"({_first_line(exc)}), so it is not known whether that was written"
            ) from exc
        except sa_exc.SQLAlchemyError as exc:
            seen = _first_line(getattr(exc, "orig", None) or exc)
            message = f"cannot {attempt} in the database {self.name}: {seen}"
            if self.is_missing() or failures.is_outdated(exc):
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


def _first_line(exc: BaseException) -> str:
    return str(exc).partition("\n")[0]
