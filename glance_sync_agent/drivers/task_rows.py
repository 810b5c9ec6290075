# SPDX-License-Identifier: Apache-2.0
"""What the statements of the task store are made of: conditions and changes of rows."""

from collections.abc import Sequence
import datetime
from typing import Any, assert_never

import sqlalchemy as sa

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers import task_table

_TASKS = task_table.TASKS

# Plain strings: psycopg would send an enumeration's name instead of its value.
PENDING = tasks.TaskStatus.PENDING.value
PROCESSING = tasks.TaskStatus.PROCESSING.value
_SUCCESS = tasks.TaskStatus.SUCCESS.value
_FAILURE = tasks.TaskStatus.FAILURE.value

IS_PENDING = _TASKS.c.status == PENDING
IS_PROCESSING = _TASKS.c.status == PROCESSING
IS_DONE = _TASKS.c.status == _SUCCESS
FREE = {"lease_token": None, "lease_owner": None, "lease_expires_at": None}
SOUND = {"damaged_id": None, "damage": None}
UNTOUCHED = {"status": PENDING, "bytes_done": 0, **FREE}


def due(
    now: datetime.datetime,
) -> Sequence[tuple[sa.ColumnElement[bool], sa.Column[datetime.datetime]]]:
    """Return the two states from which a task is claimed, each with the time it was due."""
    not_before, expires_at = _TASKS.c.not_before, _TASKS.c.lease_expires_at
    return (
        (IS_PENDING & (not_before <= now), not_before),
        (IS_PROCESSING & (expires_at <= now), expires_at),
    )


def is_below(size: int | None) -> Sequence[sa.ColumnElement[bool]]:
    """Select what brings less than ``size`` bytes, or nobody knows how many; None: all."""
    if size is None:
        return ()
    total = _TASKS.c.bytes_total
    return (sa.or_(total.is_(None), total < size, _TASKS.c.copied_from.is_not(None)),)


def taken(
    lease: tasks.Lease, *, owner: str, now: datetime.datetime, until: datetime.datetime
) -> dict[str, object]:
    """Return what a claim writes."""
    return {
        "status": PROCESSING,
        "lease_token": lease.token,
        "lease_owner": owner,
        "lease_expires_at": until,
        "bytes_done": 0,
        "updated_at": now,
    }


def result(
    outcome: tasks.Succeeded | tasks.RetryAt | tasks.Waiting | tasks.Failed,
) -> dict[str, Any]:
    """Return what an outcome leaves in the row."""
    since = outcome.since if isinstance(outcome, tasks.Waiting) else None
    return _state(outcome) | {
        "reason": task_table.reason_text(outcome.reason),
        "waiting_since": since,
    }


def _state(
    outcome: tasks.Succeeded | tasks.RetryAt | tasks.Waiting | tasks.Failed,
) -> dict[str, Any]:
    match outcome:
        case tasks.Succeeded():
            done = {"status": _SUCCESS, "attempts": 0, "may_delete": False}
            return done | SOUND | seen(outcome)
        case tasks.RetryAt():
            attempts = _TASKS.c.attempts + (1 if outcome.counts else 0)
            return {"status": PENDING, "attempts": attempts, "not_before": outcome.when}
        case tasks.Waiting():
            return {"status": PENDING, "not_before": outcome.until}
        case tasks.Failed():
            return {"status": _FAILURE, "attempts": _TASKS.c.attempts + 1}
        case _:
            assert_never(outcome)


def seen(outcome: tasks.Outcome) -> dict[str, Any]:
    """Return what an outcome tells of the copy, which is true whoever asked meanwhile."""
    if not isinstance(outcome, tasks.Succeeded) or outcome.copy is None:
        return {}
    copy = outcome.copy
    name = task_table.name_text(copy.image_name)
    values: dict[str, Any] = {
        "copy_id": copy.copy_id,
        "copy_created_at": copy.created_at,
        "on_probation": False,
        "image_name": name,
    }
    if copy.size is not None:
        values |= {"bytes_done": copy.size, "bytes_total": copy.size}
    if copy.copied_from is not None:
        values["copied_from"] = copy.copied_from
    return values


def earliest(connection: sa.Connection) -> dict[images.RegionId, datetime.datetime]:
    """Return the time from which each region has something to claim.

    One probe of the index for each region: it takes as long with a hundred thousand tasks
    waiting as with one.
    """
    times: dict[images.RegionId, datetime.datetime] = {}
    first = (
        sa.select(_TASKS.c.region, _TASKS.c.not_before)
        .where(IS_PENDING)
        .order_by(_TASKS.c.region, _TASKS.c.not_before)
        .limit(1)
    )
    row = connection.execute(first).one_or_none()
    while row is not None:
        times[row.region] = row.not_before
        row = connection.execute(first.where(_TASKS.c.region > row.region)).one_or_none()
    # There are no more of these than workers.
    leased = sa.select(_TASKS.c.region, _TASKS.c.lease_expires_at).where(IS_PROCESSING)
    for region, expires_at in connection.execute(leased):
        times[region] = min(times.get(region, expires_at), expires_at)
    return times


def is_task(key: tasks.TaskKey) -> sa.ColumnElement[bool]:
    """Select the row of a key."""
    return (_TASKS.c.image_id == key.image_id) & (_TASKS.c.region == key.region)


def is_held(lease: tasks.Lease) -> sa.ColumnElement[bool]:
    """Select the row of a lease while it is that lease's."""
    return is_task(lease.task.key) & (_TASKS.c.lease_token == lease.token)


def after(last: sa.Row[Any]) -> sa.ColumnElement[bool]:
    """Select what follows a row; spelled so that each of the databases uses its primary key."""
    image_id, region = _TASKS.c.image_id, _TASKS.c.region
    return sa.and_(
        image_id >= last.image_id, sa.or_(image_id > last.image_id, region > last.region)
    )
