# SPDX-License-Identifier: Apache-2.0
"""Queries for tasks in SQL."""

from collections.abc import Callable, Iterator, Sequence
import datetime
from typing import Any

import sqlalchemy as sa

from glance_sync_agent.domain import fleet
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql import tables
from glance_sync_agent.drivers.sql import task_counts
from glance_sync_agent.drivers.sql import texts
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import TASKS
from glance_sync_agent.engine import ports

_PAGE_ROWS = 500
_OUTLINES = sa.select(
    TASKS.c.image_id,
    TASKS.c.region,
    TASKS.c.source_region,
    TASKS.c.code,
    TASKS.c.missing_since,
)


class SqlTaskQueries:
    """``engine.ports.TaskQueries``, and queries of the commands."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: tasks.TaskKey) -> tasks.Task | None:
        found = self._rows(f"read the task of {key}", sa.select(TASKS).where(rows.is_task(key)))
        return tables.task(found[0]) if found else None

    def find(self, image_ids: Sequence[images.ImageId]) -> Sequence[tasks.Task]:
        query = (
            sa.select(TASKS)
            .where(TASKS.c.image_id.in_(image_ids))
            .order_by(TASKS.c.image_id, TASKS.c.region)
        )
        return [tables.task(row) for row in self._rows("read tasks", query)]

    def outlines(self, image_ids: Sequence[images.ImageId]) -> Sequence[tasks.Outline]:
        query = (
            _OUTLINES.where(TASKS.c.image_id.in_(image_ids))
            .order_by(TASKS.c.image_id, TASKS.c.region)
        )
        rows = self._rows("read the outlines of tasks", query)
        return [
            tasks.Outline(
                images.ImageId(image_id), images.RegionId(region), source_region,
                code == Code.REGION_GONE, missing_since,
            )
            for image_id, region, source_region, code, missing_since in map(tuple, rows)
        ]

    def list(
        self,
        *,
        image_id: images.ImageId | None = None,
        region: images.RegionId | None = None,
        status: tasks.TaskStatus | None = None,
    ) -> Iterator[tasks.Task]:
        values = {"image_id": image_id, "region": region, "status": status and status.value}
        return self._walk(*(TASKS.c[name] == value for name, value in values.items() if value))

    def waiting(self) -> Iterator[tasks.Task]:
        return self._walk(rows.IS_PENDING, TASKS.c.waiting_since.is_not(None))

    def unverified(self, before: datetime.datetime) -> Iterator[tasks.Task]:
        known_since = sa.func.coalesce(TASKS.c.verified_at, TASKS.c.created_at)
        return self._walk(known_since < sa.literal(before, TASKS.c.verified_at.type))

    def image_ids(self) -> Iterator[images.ImageId]:
        query = sa.select(TASKS.c.image_id).distinct().order_by(TASKS.c.image_id)
        for row in self._pages(query, lambda last: TASKS.c.image_id > last.image_id):
            yield images.ImageId(row.image_id)

    def matching(self, task_filter: ports.TaskFilter) -> Iterator[tasks.Task]:
        return self._walk(*_conditions(task_filter))

    def page(
        self, task_filter: ports.TaskFilter, page: ports.Page
    ) -> Sequence[images.ImageId]:
        image_id = TASKS.c.image_id
        query = sa.select(image_id).distinct().where(*_conditions(task_filter)).limit(page.limit)
        if page.after is not None:
            follows = image_id < page.after if page.descending else image_id > page.after
            query = query.where(follows)
        query = query.order_by(image_id.desc() if page.descending else image_id)
        return [images.ImageId(row.image_id) for row in self._rows("list images", query)]

    def count(self, late_before: datetime.datetime) -> fleet.RegionCounts:
        return task_counts.counts(
            self._rows("count the tasks", task_counts.numbers()),
            self._rows("count the tasks", task_counts.unfinished(late_before)),
        )

    def named(self, image_name: str) -> Sequence[images.ImageId]:
        """Return the images whose last known name this is, each once, by id."""
        name = texts.name_text(image_name)
        query = (
            sa.select(TASKS.c.image_id, TASKS.c.image_name)
            .where(TASKS.c.image_name == name)
            .distinct()
            .order_by(TASKS.c.image_id)
        )
        found = self._rows("find images by name", query)
        # MariaDB ignores spaces at the end.
        return [images.ImageId(row.image_id) for row in found if row.image_name == name]

    def regions(self) -> Sequence[images.RegionId]:
        """Return the regions that have a task, by name."""
        query = sa.select(TASKS.c.region).distinct().order_by(TASKS.c.region)
        return [images.RegionId(row.region) for row in self._rows("list the regions", query)]

    def _walk(self, *conditions: sa.ColumnElement[bool]) -> Iterator[tasks.Task]:
        query = sa.select(TASKS).where(*conditions).order_by(TASKS.c.image_id, TASKS.c.region)
        return map(tables.task, self._pages(query, _follows))

    def _pages(
        self,
        query: sa.Select[Any],
        after: Callable[[sa.Row[Any]], sa.ColumnElement[bool]],
    ) -> Iterator[sa.Row[Any]]:
        """Walk the rows of an ordered query; each page is a short transaction of its own."""
        page = query.limit(_PAGE_ROWS)
        while True:
            found = self._rows("list tasks", page)
            yield from found
            if len(found) < _PAGE_ROWS:
                return
            page = query.where(after(found[-1])).limit(_PAGE_ROWS)

    def _rows(self, attempt: str, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        return self._database.read(attempt, lambda connection: connection.execute(query).all())


def _conditions(task_filter: ports.TaskFilter) -> Iterator[sa.ColumnElement[bool]]:
    if task_filter.region is not None:
        yield TASKS.c.region == task_filter.region
    if task_filter.status is not None:
        yield TASKS.c.status == task_filter.status.value
    if task_filter.code is not None:
        yield TASKS.c.code == task_filter.code.value
    if task_filter.image_name is not None:
        yield TASKS.c.image_name == texts.name_text(task_filter.image_name)
    if task_filter.since is not None:
        yield TASKS.c.updated_at >= sa.literal(task_filter.since, TASKS.c.updated_at.type)


def _follows(last: sa.Row[Any]) -> sa.ColumnElement[bool]:
    """Select the tasks after a row, in a form for which all databases use the primary key."""
    image_id, region = TASKS.c.image_id, TASKS.c.region
    return sa.and_(
        image_id >= last.image_id, sa.or_(image_id > last.image_id, region > last.region)
    )
