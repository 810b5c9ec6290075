# SPDX-License-Identifier: Apache-2.0
"""Transactions in SQLite, PostgreSQL or MariaDB."""

from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
import threading
import time
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy import exc as sa_exc
import tenacity

from glance_sync_agent import errors
from glance_sync_agent.drivers.sql import engines
from glance_sync_agent.drivers.sql import failures

UPGRADE_COMMAND = "glance-sync-manage db upgrade"

_TRIES = 20  # of a transaction that lost a race
_PAUSE_SECONDS = 0.01  # at most, after the first of them; then twice as long each time
_LONGEST_PAUSE_SECONDS = 1.0

_Result = TypeVar("_Result")


class _UnansweredCommitError(Exception):
    """A COMMIT failed, and may have taken place."""


class _RollBackError(Exception):
    """Rolls a transaction back that succeeded."""


class Database:
    """Runs functions in transactions.

    Connects on first use. Each process has connections of its own, so an instance may be made,
    and even used, before a fork. Threads may share it.
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

        :param sleep: waits before a transaction that lost a race is tried again.
        :raises ConfigurationError: it is not a URL, or its driver is not installed.
        """
        self._connections = connections
        self.timeout_seconds = timeout_seconds
        # Thread safe. The pauses are random and grow, so that colliding agents separate.
        self._retry = tenacity.Retrying(
            retry=tenacity.retry_if_exception(failures.passes),
            stop=tenacity.stop_after_attempt(_TRIES)
            | tenacity.stop_after_delay(timeout_seconds),
            wait=tenacity.wait_random_exponential(
                multiplier=_PAUSE_SECONDS, max=_LONGEST_PAUSE_SECONDS
            ),
            sleep=sleep,
            reraise=True,
        )
        self._url = engines.parse(url)
        self.name = engines.name(self._url)
        #: The file; None if it is not SQLite.
        self.path = pathlib.Path(self._url.database or "") if engines.is_file(self._url) else None
        # By process id. A child never touches what its parent opened: closing it would break
        # the parent's locks (SQLite) or end its session (the others).
        self._engines = {os.getpid(): self._engine()}
        self._writing = threading.Lock()

    def _engine(self) -> sa.Engine:
        return engines.create(self._url, self._connections, self.timeout_seconds)

    def read(self, attempt: str, work: Callable[[sa.Connection], _Result]) -> _Result:
        """Run ``work`` in a transaction that writes nothing.

        :param attempt: what it tries to do, for the error message.
        :raises ServiceUnavailable: the database is unreachable.
        :raises ConfigurationError: the schema is missing or too old.
        """
        with self._translated(attempt):
            return self._repeated(work, {})

    def write(
        self, attempt: str, work: Callable[[sa.Connection], _Result], *, durable: bool = False
    ) -> _Result:
        """Run ``work`` in a transaction; run it again if another one got in its way.

        :param attempt: what it tries to do, for the error message.
        :param durable: the commit must survive a power failure.
        :raises ServiceUnavailable: the database is unreachable. Nothing was written, unless the
            message says that this is not known; so the caller must be able to repeat it.
        :raises ConfigurationError: the schema is missing or too old.
        """
        # A SQLite commit survives the death of the process in any case. With NORMAL, a power
        # failure undoes the last few commits, which is enough if a lost commit repeats work.
        synchronous = {engines.SYNCHRONOUS: "FULL" if durable else "NORMAL"}
        with self._translated(attempt), self._write_lock():
            return self._repeated(work, synchronous)

    def _repeated(
        self, work: Callable[[sa.Connection], _Result], execution_options: dict[str, str]
    ) -> _Result:
        done: _Result = self._retry(self._run, work, execution_options)
        return done

    def _run(
        self, work: Callable[[sa.Connection], _Result], execution_options: dict[str, str]
    ) -> _Result:
        """Run ``work`` in a transaction, once.

        :param execution_options: empty if it only reads.
        """
        process = os.getpid()
        engine = self._engines.get(process) or self._engines.setdefault(process, self._engine())
        with engine.connect() as connection:
            connection.execution_options(**execution_options)
            transaction = connection.begin()
            try:
                result = work(connection)
            except BaseException:
                transaction.rollback()
                raise
            try:
                transaction.commit()
            except sa_exc.DBAPIError as exc:
                # A read writes nothing, and SQLite has no server whose answer could be lost.
                is_known = not execution_options or self.path is not None
                if is_known or failures.is_rolled_back(exc):
                    raise
                raise _UnansweredCommitError(str(exc.orig)) from exc
            return result

    def try_write(self, attempt: str, work: Callable[[sa.Connection], object]) -> None:
        """Run ``work`` in a transaction, and roll it back.

        :param attempt: what it tries to do, for the error message.
        :raises ServiceUnavailable: the database is unreachable, or refuses to write.
        :raises ConfigurationError: the schema is missing or too old.
        """
        synchronous = {engines.SYNCHRONOUS: "NORMAL"}

        def try_it(connection: sa.Connection) -> None:
            work(connection)
            raise _RollBackError

        with self._translated(attempt), self._write_lock(), contextlib.suppress(_RollBackError):
            self._run(try_it, synchronous)

    @contextlib.contextmanager
    def _write_lock(self) -> Iterator[None]:
        """Let the threads of this process write to a SQLite file one after another.

        SQLite makes a writer that waits sleep for ever longer; a lock wakes the next at once.
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
        """Return whether it is a SQLite file that does not exist."""
        try:
            return self.path is not None and not self.path.exists()
        except OSError:  # not permitted, and the database will say so as well
            return False

    def close(self) -> None:
        """Close the connections of this process; the next use opens new ones."""
        engine = self._engines.pop(os.getpid(), None)
        if engine is not None:
            engine.dispose()


def _first_line(exc: BaseException) -> str:
    return str(exc).partition("\n")[0]
