# SPDX-License-Identifier: Apache-2.0
"""The version of the schema in a database, and the way to the next one (alembic)."""

from collections.abc import Iterator
import contextlib
import logging
import os
import pathlib

from alembic import command
from alembic import config
from alembic import migration
from alembic import script
from alembic import util
import sqlalchemy as sa

from glance_sync_agent import errors
from glance_sync_agent.drivers.sql import database

LOG = logging.getLogger(__name__)

_MIGRATIONS = pathlib.Path(__file__).with_name("migrations")
_FILE_MODE = 0o640
_LOCK = 7238045123  # any number, as long as every agent has the same


def is_current(target: database.Database) -> bool:
    """Tell whether the schema is the one that this version of the agent needs.

    :raises ServiceUnavailable: the database does not answer.
    """
    if target.is_missing():
        return False
    wanted = set(script.ScriptDirectory(str(_MIGRATIONS)).get_heads())
    return wanted == set(target.read("read the version of the schema", _heads))


def revision(target: database.Database) -> str | None:
    """Return the version of the schema; None if the database has none yet.

    :raises ServiceUnavailable: the database does not answer.
    """
    heads = () if target.is_missing() else target.read("read the version of the schema", _heads)
    return ", ".join(heads) or None


def _heads(connection: sa.Connection) -> tuple[str, ...]:
    return migration.MigrationContext.configure(connection).get_current_heads()


def upgrade(target: database.Database) -> None:
    """Bring the schema to this version. Idempotent; of two at once, one does it.

    :raises ConfigurationError: the file cannot be made, or a newer agent was here.
    :raises ServiceUnavailable: the database does not answer.
    """
    if target.path is not None:
        _create_file(target.path)
    try:
        target.write(
            "upgrade the schema",
            lambda connection: _migrate(connection, target.timeout_seconds),
            durable=True,
        )
    except util.CommandError as exc:
        raise errors.ConfigurationError(
            f"cannot upgrade the schema of the database {target.name}: {exc};"
            " was it upgraded by a newer agent?"
        ) from exc


def _create_file(path: pathlib.Path) -> None:
    try:
        # SQLite would let all read it. Its -wal and -shm files get the mode of this one.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _FILE_MODE))
    except FileExistsError:
        return
    except OSError as exc:
        raise errors.ConfigurationError(
            f"[database] connection: cannot create {path}: {exc.strerror}"
        ) from exc
    LOG.info("Created the database %s", path)


def _migrate(connection: sa.Connection, timeout_seconds: float) -> None:
    settings = config.Config()
    settings.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    settings.attributes["connection"] = connection
    with _locked(connection, timeout_seconds):
        command.upgrade(settings, "head")


@contextlib.contextmanager
def _locked(connection: sa.Connection, timeout_seconds: float) -> Iterator[None]:
    """Keep other upgrades out. SQLite needs no more than the transaction that it is in."""
    match connection.dialect.name:
        case "postgresql":
            milliseconds = round(timeout_seconds * 1000)
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            yield
        case "mysql" | "mariadb":
            # Its DDL commits, so the lock has to outlive the transaction.
            name = f"glance_sync_{_LOCK}"
            if connection.scalar(sa.select(sa.func.get_lock(name, timeout_seconds))) != 1:
                raise errors.ServiceUnavailable("another agent is upgrading the database")
            try:
                yield
                # The version, written last, is no DDL: whoever is next would not see it.
                connection.exec_driver_sql("COMMIT")
            finally:
                connection.execute(sa.select(sa.func.release_lock(name)))
        case _:
            yield
