# SPDX-License-Identifier: Apache-2.0
"""The durable table of tasks in SQL, and what is stored beside it."""

import datetime
import types
import uuid

import sqlalchemy as sa

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql import task_requests
from glance_sync_agent.drivers.sql.agents import SqlAgentStore
from glance_sync_agent.drivers.sql.breakers import SqlBreakerStore
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.events import SqlEventStore
from glance_sync_agent.drivers.sql.facts import SqlFactStore
from glance_sync_agent.drivers.sql.jobs import SqlJobStore
from glance_sync_agent.drivers.sql.known_regions import KnownRegions
from glance_sync_agent.drivers.sql.leader_leases import SqlLeaderLeases
from glance_sync_agent.drivers.sql.region_changes import RegionChanges
from glance_sync_agent.drivers.sql.region_pauses import SqlPauseStore
from glance_sync_agent.drivers.sql.tables import TASKS
from glance_sync_agent.drivers.sql.task_notes import SqlTaskNotes
from glance_sync_agent.drivers.sql.task_queries import SqlTaskQueries
from glance_sync_agent.drivers.sql.task_queue import SqlTaskQueue
from glance_sync_agent.engine import ports


class SqlTaskStore(SqlTaskQueue, SqlTaskNotes, SqlTaskQueries):
    """``engine.ports.TaskStore`` in SQLite, PostgreSQL or MariaDB.

    Threads may share it. It connects on first use, and again after a fork.
    """

    def __init__(self, url: str, *, connections: int = 10, timeout_seconds: float = 30.0) -> None:
        """Check the URL; nothing is opened.

        :param url: of SQLAlchemy; ``sqlite:////path``, ``postgresql+psycopg://`` or
            ``mysql+pymysql://``.
        :param connections: most that are open at once in one process.
        :param timeout_seconds: for a connection, a lock or an answer.
        :raises ConfigurationError: it is not a URL, or its driver is not installed.
        """
        super().__init__(Database(url, connections=connections, timeout_seconds=timeout_seconds))

    def leader_leases(self) -> SqlLeaderLeases:
        """Return the leader leases of the agents that share the database."""
        return SqlLeaderLeases(self._database)

    def breakers(self) -> SqlBreakerStore:
        """Return the circuit breakers of the regions."""
        return SqlBreakerStore(self._database)

    def pauses(self) -> SqlPauseStore:
        """Return the pauses of the regions."""
        return SqlPauseStore(self._database)

    def history(self) -> SqlEventStore:
        """Return what happened."""
        return SqlEventStore(self._database)

    def agents(self) -> SqlAgentStore:
        """Return what the agents report."""
        return SqlAgentStore(self._database)

    def jobs(self) -> SqlJobStore:
        """Return the scans and verifications that people asked for."""
        return SqlJobStore(self._database)

    def facts(self) -> SqlFactStore:
        """Return the facts that the agents share."""
        return SqlFactStore(self._database)

    def known_regions(self) -> KnownRegions:
        """Return the regions that the database knows."""
        return KnownRegions(self._database)

    def region_changes(self) -> RegionChanges:
        """Return what renames and removes regions."""
        return RegionChanges(self._database)

    def upgrade(self) -> None:
        """Create the tables, or bring them to this version. Idempotent, also in two processes.

        :raises ConfigurationError: the file cannot be created, or a newer agent upgraded it.
        :raises ServiceUnavailable: the database is unreachable.
        """
        _schema().upgrade(self._database)

    def is_current(self) -> bool:
        """Return whether the schema is the one that this version of the agent needs.

        :raises ServiceUnavailable: the database is unreachable.
        """
        return bool(_schema().is_current(self._database))

    def is_newer(self) -> bool:
        """Return whether a newer agent upgraded the schema.

        :raises ServiceUnavailable: the database is unreachable.
        """
        return bool(_schema().is_newer(self._database))

    def revision(self) -> str | None:
        """Return the version of the schema; None if the database has none yet.

        :raises ServiceUnavailable: the database is unreachable.
        """
        found: str | None = _schema().revision(self._database)
        return found

    def ping(self) -> None:
        """Read one task, to show that the agent can.

        :raises ServiceUnavailable: the database is unreachable.
        :raises ConfigurationError: the schema is missing or too old.
        """
        self._database.read(
            "read tasks", lambda connection: connection.execute(sa.select(TASKS).limit(1)).all()
        )

    def try_write(self) -> None:
        """Insert, update and delete a task, to show that the agent can; roll it back.

        :raises ServiceUnavailable: the database is unreachable, or refuses.
        :raises ConfigurationError: the schema is missing or too old.
        """
        now = datetime.datetime.now(datetime.UTC)
        key = tasks.TaskKey(
            image_id=images.ImageId(str(uuid.uuid4())), region=images.RegionId("test of a write")
        )
        requested = task_requests.of_task(
            key, ports.Request(request_id=uuid.uuid4().hex, now=now, not_before=now)
        )

        def work(connection: sa.Connection) -> None:
            requested.write(connection)  # inserts
            requested.write(connection)  # updates
            connection.execute(sa.delete(TASKS).where(rows.is_task(key)))

        self._database.try_write("write tasks", work)

    def clock_ahead(self) -> datetime.timedelta:
        """Return how far the clock of the database is ahead of this machine's.

        :raises ServiceUnavailable: the database is unreachable.
        """
        return self._database.read("read the time", _clock_ahead)

    def close(self) -> None:
        """Close the connections of this process; the next use opens new ones."""
        self._database.close()


def _schema() -> types.ModuleType:
    """Return the module that knows alembic, which costs a start-up a fifth of a second."""
    from glance_sync_agent.drivers.sql import schema

    return schema


def _clock_ahead(connection: sa.Connection) -> datetime.timedelta:
    match connection.dialect.name:
        case "postgresql":
            query = sa.select(sa.func.timezone("UTC", sa.func.clock_timestamp()))
        case "mysql" | "mariadb":
            query = sa.select(sa.func.utc_timestamp(sa.literal_column("6")))
        case _:  # a file of this machine
            return datetime.timedelta()
    before = datetime.datetime.now(datetime.UTC)
    theirs: datetime.datetime = connection.execute(query).scalar_one()
    after = datetime.datetime.now(datetime.UTC)
    return theirs.replace(tzinfo=datetime.UTC) - (before + (after - before) / 2)
