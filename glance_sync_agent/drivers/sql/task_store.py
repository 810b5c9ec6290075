# SPDX-License-Identifier: Apache-2.0
"""The durable table of tasks in SQL.

A task changes owner or state in one conditional UPDATE, whose row count tells who won; nothing
depends on what an earlier statement read. No statement needs ``RETURNING``, which MariaDB lacks
for UPDATE.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import dataclasses
import datetime
import functools
from typing import Any
import uuid

import sqlalchemy as sa

from glance_sync_agent import errors
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.drivers.sql import breakers
from glance_sync_agent.drivers.sql import database
from glance_sync_agent.drivers.sql import facts
from glance_sync_agent.drivers.sql import known_regions
from glance_sync_agent.drivers.sql import leadership
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql import schema
from glance_sync_agent.drivers.sql import tables
from glance_sync_agent.drivers.sql import task_requests
from glance_sync_agent.engine import ports

_TASKS = tables.TASKS
_PAGE_ROWS = 500


class SqlTaskStore:
    """``engine.ports.TaskStore`` in SQLite, PostgreSQL or MariaDB.

    Threads may share it. It connects when first used and anew after a fork.
    """

    def __init__(self, url: str, *, connections: int = 10, timeout_seconds: float = 30.0) -> None:
        """Check the URL; nothing is opened.

        :param url: of SQLAlchemy; ``sqlite:////path``, ``postgresql+psycopg://`` or
            ``mysql+pymysql://``.
        :param connections: most that are open at once in one process.
        :param timeout_seconds: for a connection, a lock or an answer.
        :raises ConfigurationError: the URL is none, or its driver is not installed.
        """
        self._database = database.Database(
            url, connections=connections, timeout_seconds=timeout_seconds
        )

    def upgrade(self) -> None:
        """Make the database, or bring it to this version. Idempotent, also when run twice at once.

        :raises ConfigurationError: the file cannot be made, or a newer agent was here.
        :raises ServiceUnavailable: the database does not answer.
        """
        schema.upgrade(self._database)

    def is_current(self) -> bool:
        """Tell whether the schema is the one that this version of the agent needs.

        :raises ServiceUnavailable: the database does not answer.
        """
        return schema.is_current(self._database)

    def revision(self) -> str | None:
        """Return the version of the schema; None if the database has none yet.

        :raises ServiceUnavailable: the database does not answer.
        """
        return schema.revision(self._database)

    def ping(self) -> None:
        """Look whether the tasks can be read.

        :raises ServiceUnavailable: the database does not answer.
        :raises ConfigurationError: the schema is missing or too old.
        """
        self._database.read(
            "read tasks", lambda connection: connection.execute(sa.select(_TASKS).limit(1)).all()
        )

    def try_write(self) -> None:
        """Try whether tasks can be written; nothing of that stays.

        :raises ServiceUnavailable: they cannot.
        :raises ConfigurationError: the schema is missing or too old.
        """
        now = datetime.datetime.now(datetime.UTC)
        request = task_requests.RequestedTasks(
            request=ports.Request(request_id=uuid.uuid4().hex, now=now, not_before=now),
            image_ids={images.ImageId(str(uuid.uuid4()))},
            regions={images.RegionId("a trial that is taken back")},
        )

        def work(connection: sa.Connection) -> None:
            request.write(connection)  # inserts
            request.write(connection)  # updates
            connection.execute(
                sa.delete(_TASKS).where(_TASKS.c.image_id.in_(request.image_ids))
            )

        self._database.try_write("write tasks", work)

    def leader_leases(self) -> leadership.SqlLeaderLeases:
        """Return the leader leases of the agents that share the database."""
        return leadership.SqlLeaderLeases(self._database)

    def breakers(self) -> breakers.SqlBreakerStore:
        """Return the breakers of the regions, which are kept beside the tasks."""
        return breakers.SqlBreakerStore(self._database)

    def facts(self) -> facts.SqlFactStore:
        """Return what is remembered beside the tasks."""
        return facts.SqlFactStore(self._database)

    def known_regions(self) -> known_regions.KnownRegions:
        """Return what the database knows of regions as such."""
        return known_regions.KnownRegions(self._database)

    def clock_ahead(self) -> datetime.timedelta:
        """Return how far the clock of the database is ahead of this machine's.

        :raises ServiceUnavailable: the database does not answer.
        """
        return self._database.read("read the time", _clock_ahead)

    def close(self) -> None:
        """Close the connections of this process; the next use opens new ones."""
        self._database.close()

    def request(
        self,
        image_id: images.ImageId,
        regions: Iterable[images.RegionId],
        request: ports.Request,
        *,
        elsewhere: bool = True,
        of_source_only: bool = False,
        project: str | None = None,
    ) -> int:
        """Ask for an image to be looked at in ``regions`` and wherever it has a task already.

        With ``elsewhere`` false, in ``regions`` only.
        """
        asked = task_requests.RequestedTasks(
            request=request,
            image_ids={image_id},
            regions=frozenset(regions),
            elsewhere=elsewhere,
            projects={} if project is None else {image_id: project},
            of_source_only=of_source_only,
        )
        # Durable, because the caller acknowledges the message that asked for it.
        return self._database.write(
            f"request tasks for image {image_id}", asked.write, durable=True
        )

    def request_in(
        self,
        region: images.RegionId,
        image_ids: Iterable[images.ImageId],
        request: ports.Request,
        *,
        projects: Mapping[images.ImageId, str] | None = None,
    ) -> int:
        """Ask for images to be looked at in one region, all of them or none."""
        asked = task_requests.RequestedTasks(
            request=request,
            image_ids=frozenset(image_ids),
            regions={region},
            projects=projects or {},
            is_scan=True,
            of_source_only=True,
        )
        # Not durable: whoever looks at everything looks again after a power failure.
        return self._database.write(f"request tasks in region {region}", asked.write)

    def due_regions(
        self, now: datetime.datetime, *, with_data: bool | None = None
    ) -> Sequence[images.RegionId]:
        """Return the regions with a task that may be claimed."""
        earliest = self._database.read(
            "look for due tasks", functools.partial(rows.earliest, with_data=with_data)
        )
        return sorted(region for region, time in earliest.items() if time <= now)

    def next_due(self) -> datetime.datetime | None:
        """Return when the next task can be claimed, past times included; None: no task waits."""
        earliest = self._database.read("look for the next task", rows.earliest)
        return min(earliest.values(), default=None)

    def due_projects(
        self,
        region: images.RegionId,
        now: datetime.datetime,
        *,
        after: str | None,
        most: int,
        with_data: bool | None = None,
    ) -> tuple[Sequence[str], str | None]:
        """Look at the next projects with tasks of a region; return those with due ones."""
        return self._database.read(
            f"look whose tasks of region {region} are due",
            functools.partial(
                rows.due_projects,
                region=region,
                now=now,
                after=after,
                most=most,
                with_data=with_data,
            ),
        )

    def claim(
        self,
        region: images.RegionId,
        limit: int,
        *,
        owner: str,
        now: datetime.datetime,
        until: datetime.datetime,
        claim_filter: ports.ClaimFilter = ports.ANY_TASK,
    ) -> Sequence[tasks.Lease]:
        """Lease up to ``limit`` due or abandoned tasks of a region, longest waiting first."""
        due = rows.due(now)
        wanted = [_TASKS.c.region == region, *rows.is_below(claim_filter.below)]
        if claim_filter.without:
            wanted.append(_TASKS.c.image_id.not_in(claim_filter.without))

        def work(connection: sa.Connection) -> list[tasks.Lease]:
            leases = []
            for row in rows.claimable(
                connection,
                wanted,
                due=due,
                limit=limit,
                projects=claim_filter.projects,
                with_data=claim_filter.with_data,
            ):
                lease = tasks.Lease(task=tables.task(row), token=uuid.uuid4().hex)
                taken = (
                    sa.update(_TASKS)
                    .where(rows.is_task(lease.task.key), sa.or_(*(state for state, _ in due)))
                    .values(rows.taken(lease, owner=owner, now=now, until=until))
                )
                if connection.execute(taken).rowcount == 1:
                    leases.append(_as_claimed(lease, now))
            return leases

        return self._database.write(f"claim tasks of region {region}", work)

    def renew(
        self,
        lease: tasks.Lease,
        *,
        now: datetime.datetime,
        until: datetime.datetime,
        bytes_done: int,
        bytes_total: int | None,
    ) -> None:
        """Report progress and keep the lease."""
        self._update(
            lease,
            lease_expires_at=until,
            bytes_done=bytes_done,
            bytes_total=bytes_total,
            updated_at=now,
        )

    def note_copy(
        self, lease: tasks.Lease, copy: identity.KnownCopy | None, image_name: str | None
    ) -> None:
        """Remember which image is the copy; its bytes are yet to come, from wherever."""
        is_proven = _TASKS.c.proven_id == (None if copy is None else copy.copy_id)
        self._update(
            lease,
            copy_id=None if copy is None else copy.copy_id,
            copy_created_at=None if copy is None else copy.created_at,
            on_probation=copy is not None and copy.on_probation,
            image_name=tables.name_text(image_name),
            copied_from=None,
            has_data=0,
            # It was read back, and is still the one.
            proven_id=sa.case((is_proven, _TASKS.c.proven_id), else_=sa.null()),
            **rows.SOUND,
        )

    def note_copied(self, lease: tasks.Lease, copied_from: images.RegionId) -> None:
        """Remember that the copy has its bytes, and the region in which they were read."""
        self._update(lease, copied_from=copied_from)

    def note_proven(self, lease: tasks.Lease, copy_id: images.ImageId) -> None:
        """Remember that a copy was read back and has the source's bytes."""
        self._update(lease, proven_id=copy_id)

    def note_vanished(self, lease: tasks.Lease, vanished: backoff.Vanishings) -> None:
        """Remember that somebody deleted the copy, and how often that was so."""
        self._update(lease, vanished=vanished.times, vanished_at=vanished.last_at)

    def note_deactivated(self, lease: tasks.Lease, copy_id: images.ImageId) -> None:
        """Remember that a copy is deactivated by the agent, before it is."""
        self._update(lease, deactivated_id=copy_id)

    def release(self, lease: tasks.Lease, now: datetime.datetime) -> None:
        """Give the lease back as if the task had never been claimed."""
        self._update(lease, **rows.UNTOUCHED, not_before=now, updated_at=now)

    def _update(self, lease: tasks.Lease, **values: Any) -> None:
        change = sa.update(_TASKS).where(rows.is_held(lease)).values(**values)

        def work(connection: sa.Connection) -> None:
            if connection.execute(change).rowcount != 1:
                raise _lost(lease)

        self._database.write(f"update the task of {lease.task.key}", work)

    def finish(self, lease: tasks.Lease, outcome: tasks.Outcome, now: datetime.datetime) -> bool:
        """Write an outcome under the lease's token and give the lease back."""
        seen = rows.is_held(lease) & (_TASKS.c.generation == lease.task.generation)
        end: sa.Update | sa.Delete
        if isinstance(outcome, tasks.Forgotten):
            end = sa.delete(_TASKS).where(seen)
        else:
            values = {**rows.FREE, **rows.result(outcome, now), "updated_at": now}
            end = sa.update(_TASKS).where(seen).values(values)
        # The newer request has written its time and its attempts, 0, already.
        put_back = {**rows.seen(outcome), **rows.UNTOUCHED, **rows.REQUESTED}
        again = (
            sa.update(_TASKS)
            .where(rows.is_held(lease))
            .values(**put_back, updated_at=now)
        )

        def work(connection: sa.Connection) -> bool:
            if connection.execute(end).rowcount == 1:
                return True
            if connection.execute(again).rowcount == 1:
                return False
            raise _lost(lease)

        return self._database.write(f"finish the task of {lease.task.key}", work)

    def release_owned(self, owner: str, now: datetime.datetime) -> int:
        """Give back every lease of an owner that is known to be dead; return how many."""
        change = (
            sa.update(_TASKS)
            .where(rows.IS_PROCESSING, _TASKS.c.lease_owner == owner)
            .values(**rows.UNTOUCHED, not_before=now, updated_at=now)
        )
        return self._database.write(
            f"release the tasks of {owner}",
            lambda connection: connection.execute(change).rowcount,
        )

    def distrust(
        self,
        key: tasks.TaskKey,
        damage: verification.Damage,
        *,
        now: datetime.datetime,
        request_id: str,
    ) -> bool:
        """Note that a copy is damaged and request its task, if that still has this copy."""
        noted = (
            sa.update(_TASKS)
            .where(rows.is_task(key), _TASKS.c.copy_id == damage.copy_id)
            .values(
                damaged_id=damage.copy_id,
                damage=tables.damage_text(damage.found),
                has_data=0,  # it is to come once more
            )
        )
        asked = _asked(key, now=now, request_id=request_id)

        def work(connection: sa.Connection) -> bool:
            if connection.execute(noted).rowcount != 1:
                return False
            return asked.write(connection) == 1

        return self._database.write(f"request the repair of {key}", work, durable=True)

    def note_verified(self, key: tasks.TaskKey, now: datetime.datetime) -> None:
        """Remember when the copy was read back. Nothing if there is no such task."""
        change = sa.update(_TASKS).where(rows.is_task(key)).values(verified_at=now)
        self._database.write(
            f"note that {key} was read back", lambda connection: connection.execute(change)
        )

    def adopt(
        self,
        key: tasks.TaskKey,
        copy: identity.KnownCopy,
        *,
        now: datetime.datetime,
        request_id: str,
        source_region: images.RegionId | None,
        unless_known: bool = False,
    ) -> bool:
        """Note which image is the copy, and of which source; request the task, or make it."""
        asked = _asked(key, now=now, request_id=request_id, source_region=source_region)
        moved = task_requests.moved(rows.is_task(key), source_region)
        noted = (
            sa.update(_TASKS)
            .where(rows.is_task(key))
            .values(
                copy_id=copy.copy_id,
                copy_created_at=copy.created_at,
                on_probation=False,
                copied_from=None,
                has_data=1,  # as most have that somebody says is the copy
                proven_id=None,
                **rows.SOUND,
            )
        )

        known = sa.select(_TASKS.c.copy_id).where(
            rows.is_task(key), _TASKS.c.copy_id.is_not(None)
        )

        def work(connection: sa.Connection) -> bool:
            if _is_at_work(connection, key):
                return False
            if unless_known and connection.execute(known).first() is not None:
                return True
            connection.execute(moved)
            asked.write(connection)
            connection.execute(noted)
            return True

        return self._database.write(f"adopt a copy of {key}", work, durable=True)

    def permit_activation(
        self, key: tasks.TaskKey, *, now: datetime.datetime, request_id: str
    ) -> bool:
        """Note the copy of a task as one that the agent deactivated, and request the task."""
        noted = (
            sa.update(_TASKS)
            .where(rows.is_task(key), _TASKS.c.copy_id.is_not(None))
            .values(deactivated_id=_TASKS.c.copy_id)
        )
        asked = _asked(key, now=now, request_id=request_id)

        def work(connection: sa.Connection) -> bool:
            if connection.execute(noted).rowcount != 1:
                return False
            return asked.write(connection) == 1

        return self._database.write(f"permit to activate {key}", work, durable=True)

    def disown(self, key: tasks.TaskKey, copy_id: images.ImageId) -> bool:
        """Forget the copy of a task, if it is this one."""
        forgotten = (
            sa.update(_TASKS)
            .where(rows.is_task(key), _TASKS.c.copy_id == copy_id)
            .values(copied_from=None, **rows.NO_COPY)
        )

        def work(connection: sa.Connection) -> bool:
            if _is_at_work(connection, key):
                return False
            connection.execute(forgotten)
            return True

        return self._database.write(f"disown a copy of {key}", work, durable=True)

    def note_missing(
        self,
        image_id: images.ImageId,
        regions: Iterable[images.RegionId],
        since: datetime.datetime | None,
    ) -> None:
        """Remember since when the source of some tasks is missing; None: it is there."""
        change = (
            sa.update(_TASKS)
            .where(_TASKS.c.image_id == image_id, _TASKS.c.region.in_(sorted(regions)))
            .values(missing_since=since)
        )
        self._database.write(
            f"note whether image {image_id} is missing",
            lambda connection: connection.execute(change),
        )

    def unverified(self, before: datetime.datetime) -> Iterator[tasks.Task]:
        """Walk the tasks that were made, and last verified if ever, before a time."""
        known_since = sa.func.coalesce(_TASKS.c.verified_at, _TASKS.c.created_at)
        query = (
            sa.select(_TASKS)
            .where(known_since < sa.literal(before, _TASKS.c.verified_at.type))
            .order_by(_TASKS.c.image_id, _TASKS.c.region)
        )
        for row in self._pages(query, rows.after):
            yield tables.task(row)

    def get(self, key: tasks.TaskKey) -> tasks.Task | None:
        """Read one task."""
        query = sa.select(_TASKS).where(rows.is_task(key))
        row = self._database.read(
            f"read the task of {key}", lambda connection: connection.execute(query).one_or_none()
        )
        return None if row is None else tables.task(row)

    def find(self, image_ids: Sequence[images.ImageId]) -> Sequence[tasks.Task]:
        """Read the tasks of some images in all regions, in order of image and region."""
        query = (
            sa.select(_TASKS)
            .where(_TASKS.c.image_id.in_(image_ids))
            .order_by(_TASKS.c.image_id, _TASKS.c.region)
        )
        rows = self._database.read("read tasks", functools.partial(_rows, query))
        return [tables.task(row) for row in rows]

    def list(
        self,
        *,
        image_id: images.ImageId | None = None,
        region: images.RegionId | None = None,
        status: tasks.TaskStatus | None = None,
    ) -> Iterator[tasks.Task]:
        """Walk the tasks in order of image and region, in constant memory."""
        wanted = {"image_id": image_id, "region": region, "status": status and status.value}
        query = (
            sa.select(_TASKS)
            .where(*(_TASKS.c[name] == value for name, value in wanted.items() if value))
            .order_by(_TASKS.c.image_id, _TASKS.c.region)
        )
        for row in self._pages(query, rows.after):
            yield tables.task(row)

    def named(self, image_name: str) -> Sequence[images.ImageId]:
        """Return the images that had a name when they were looked at last, each once, by id."""
        name = tables.name_text(image_name)
        query = (
            sa.select(_TASKS.c.image_id, _TASKS.c.image_name)
            .where(_TASKS.c.image_name == name)
            .distinct()
            .order_by(_TASKS.c.image_id)
        )
        rows = self._database.read("look for a name", functools.partial(_rows, query))
        # MariaDB takes no notice of spaces at the end.
        return [images.ImageId(row.image_id) for row in rows if row.image_name == name]

    def regions(self) -> Sequence[images.RegionId]:
        """Return the regions that have a task, by name."""
        query = sa.select(_TASKS.c.region).distinct().order_by(_TASKS.c.region)
        rows = self._database.read("list the regions", functools.partial(_rows, query))
        return [images.RegionId(row.region) for row in rows]

    def waiting(self) -> Iterator[tasks.Task]:
        """Walk the pending tasks that wait for a snapshot, like :meth:`list`."""
        query = (
            sa.select(_TASKS)
            .where(rows.IS_PENDING, _TASKS.c.waiting_since.is_not(None))
            .order_by(_TASKS.c.image_id, _TASKS.c.region)
        )
        for row in self._pages(query, rows.after):
            yield tables.task(row)

    def image_ids(self) -> Iterator[images.ImageId]:
        """Walk the images that have a task, each once, in constant memory."""
        query = sa.select(_TASKS.c.image_id).distinct().order_by(_TASKS.c.image_id)
        for row in self._pages(query, lambda last: _TASKS.c.image_id > last.image_id):
            yield images.ImageId(row.image_id)

    def _pages(
        self,
        query: sa.Select[Any],
        after: Callable[[sa.Row[Any]], sa.ColumnElement[bool]],
    ) -> Iterator[sa.Row[Any]]:
        """Walk the rows of an ordered query, each page in a short transaction of its own."""
        page = query.limit(_PAGE_ROWS)
        while True:
            rows = self._database.read("list tasks", functools.partial(_rows, page))
            yield from rows
            if len(rows) < _PAGE_ROWS:
                return
            page = query.where(after(rows[-1])).limit(_PAGE_ROWS)


def _rows(query: sa.Select[Any], connection: sa.Connection) -> Sequence[sa.Row[Any]]:
    return connection.execute(query).all()


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


def _asked(
    key: tasks.TaskKey,
    *,
    now: datetime.datetime,
    request_id: str,
    source_region: images.RegionId | None = None,
) -> task_requests.RequestedTasks:
    """Return the request of one task, by name and due at once."""
    return task_requests.RequestedTasks(
        request=ports.Request(
            request_id=request_id, now=now, not_before=now, source_region=source_region
        ),
        image_ids={key.image_id},
        regions={key.region},
    )


def _is_at_work(connection: sa.Connection, key: tasks.TaskKey) -> bool:
    query = sa.select(_TASKS.c.status).where(rows.is_task(key)).with_for_update()
    return connection.execute(query).scalar_one_or_none() == rows.PROCESSING


def _as_claimed(lease: tasks.Lease, now: datetime.datetime) -> tasks.Lease:
    task = dataclasses.replace(
        lease.task, status=tasks.TaskStatus.PROCESSING, bytes_done=0, updated_at=now
    )
    return dataclasses.replace(lease, task=task)


def _lost(lease: tasks.Lease) -> errors.LeaseLost:
    return errors.LeaseLost(f"the lease on {lease.task.key} is somebody else's, or the task gone")
