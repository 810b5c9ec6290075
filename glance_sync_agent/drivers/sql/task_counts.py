# SPDX-License-Identifier: Apache-2.0
"""Counts of tasks by region, status and code."""

from collections.abc import Iterable, Mapping
import datetime
from typing import Any

import sqlalchemy as sa

from glance_sync_agent.domain import fleet
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql.tables import TASKS

#: Rows of older agents do not say when they were asked for.
_ASKED_AT = sa.func.coalesce(TASKS.c.asked_at, TASKS.c.updated_at)
_LEFT = sa.func.coalesce(TASKS.c.bytes_total, 0) - TASKS.c.bytes_done
_IS_DATA_LEFT = (TASKS.c.has_data == 0) & (_LEFT > 0)


def numbers() -> sa.Select[Any]:
    """Return the query for the numbers of tasks; the index ``tasks_by_code`` answers it alone."""
    return sa.select(
        TASKS.c.region, TASKS.c.status, TASKS.c.code, sa.func.count().label("tasks")
    ).group_by(TASKS.c.region, TASKS.c.status, TASKS.c.code)


def unfinished(late_before: datetime.datetime) -> sa.Select[Any]:
    """Return the query that reads each unfinished task once."""
    is_late = sa.literal(late_before, TASKS.c.asked_at.type) > _ASKED_AT
    return (
        sa.select(
            TASKS.c.region,
            sa.func.sum(sa.case((_IS_DATA_LEFT, _LEFT), else_=0)).label("waiting_bytes"),
            sa.func.min(_ASKED_AT, type_=TASKS.c.asked_at.type).label("oldest_asked_at"),
            sa.func.sum(sa.case((is_late, 1), else_=0)).label("late"),
        )
        .where(TASKS.c.status.in_([rows.PENDING, rows.PROCESSING]))
        .group_by(TASKS.c.region)
    )


def counts(
    counted: Iterable[sa.Row[Any]], waiting: Iterable[sa.Row[Any]]
) -> fleet.RegionCounts:
    """Return the rows of the two queries by region."""
    tasks: dict[images.RegionId, dict[tuple[str, str], int]] = {}
    for row in counted:
        tasks.setdefault(images.RegionId(row.region), {})[row.status, row.code] = row.tasks
    left = {images.RegionId(row.region): row for row in waiting}
    return {region: _of_region(tasks[region], left.get(region)) for region in sorted(tasks)}


def _of_region(
    tasks: Mapping[tuple[str, str], int], left: sa.Row[Any] | None
) -> fleet.Counts:
    return fleet.Counts(
        tasks=tasks,
        waiting_bytes=0 if left is None else int(left.waiting_bytes),
        oldest_asked_at=None if left is None else left.oldest_asked_at,
        late=0 if left is None else int(left.late),
    )
