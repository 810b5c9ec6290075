# SPDX-License-Identifier: Apache-2.0
"""The version of the schema, and its upgrade with alembic."""

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
from glance_sync_agent.drivers.sql.database import Database

LOG = logging.getLogger(__name__)

_MIGRATIONS = pathlib.Path(__file__).with_name("migrations")
_FILE_MODE = 0o640
_LOCK = 7238045123  # any number, but the same for every agent


def is_current(database: Database) -> bool:
    """Return whether the schema is the one that this version of the agent needs."""
    needed = script.ScriptDirectory(str(_MIGRATIONS)).get_heads()
    return set(needed) == set(_heads(database))


def is_newer(database: Database) -> bool:
    """Return whether a newer agent upgraded the schema."""
    known = {one.revision for one in script.ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}
    return not known.issuperset(_heads(database))


def revision(database: Database) -> str | None:
    """Return the version of the schema; None if the database has none yet."""
    return ", ".join(_heads(database)) or None


def _heads(database: Database) -> tuple[str, ...]:
    if database.is_missing():
        return ()

    def work(connection: sa.Connection) -> tuple[str, ...]:
        return migration.MigrationContext.configure(connection).get_current_heads()

    return database.read("read the version of the schema", work)


def upgrade(database: Database) -> None:
    """Bring the schema to this version. Idempotent; one of two processes does it."""
    if database.path is not None:
        _create_file(database.path)
    try:
        database.write(
            "upgrade the schema",
            lambda connection: _migrate(connection, database.timeout_seconds),
            durable=True,
        )
    except util.CommandError as exc:
        raise errors.ConfigurationError(
            f"cannot upgrade the schema of the database {database.name}: {exc}; did a newer "
            "agent upgrade it?"
        ) from exc


def _create_file(path: pathlib.Path) -> None:
    try:
        # SQLite would let all users read it. Its -wal and -shm files get the same mode.
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
    """Keep other upgrades out. For SQLite the transaction does that."""
    match connection.dialect.name:
        case "postgresql":
            milliseconds = round(timeout_seconds * 1000)
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            yield
        case "mysql" | "mariadb":
            # DDL commits, so the lock must outlive the transaction.
            name = f"glance_sync_{_LOCK}"
            if connection.scalar(sa.select(sa.func.get_lock(name, timeout_seconds))) != 1:
                raise errors.ServiceUnavailable("another agent is upgrading the database")
            try:
                yield
                # The version is written last and is no DDL, so nothing has committed it yet.
                connection.exec_driver_sql("COMMIT")
            finally:
                connection.execute(sa.select(sa.func.release_lock(name)))
        case _:
            yield
