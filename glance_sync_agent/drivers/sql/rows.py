# SPDX-License-Identifier: Apache-2.0
"""What the statements of the task store are made of: conditions and changes of rows."""

from collections.abc import Mapping, Sequence
import datetime
from typing import Any, assert_never

import sqlalchemy as sa

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers.sql import tables

_TASKS = tables.TASKS

# Plain strings: psycopg would send an enumeration's name instead of its value.
PENDING = tasks.TaskStatus.PENDING.value
PROCESSING = tasks.TaskStatus.PROCESSING.value
_SUCCESS = tasks.TaskStatus.SUCCESS.value
_FAILURE = tasks.TaskStatus.FAILURE.value

IS_PENDING = _TASKS.c.status == PENDING
IS_PROCESSING = _TASKS.c.status == PROCESSING
IS_DONE = _TASKS.c.status == _SUCCESS
HAS_FAILED = _TASKS.c.status == _FAILURE
FREE = {"lease_token": None, "lease_owner": None, "lease_expires_at": None}
SOUND = {"damaged_id": None, "damage": None}
NO_COPY: dict[str, Any] = {
    "copy_id": None,
    "copy_created_at": None,
    "on_probation": False,
    "proven_id": None,
    "has_data": 0,
    **SOUND,
}
NEVER_VANISHED = {"vanished": 0, "vanished_at": None}
UNTOUCHED = {"status": PENDING, "bytes_done": 0, **FREE}


REQUESTED: Mapping[str, str] = {"code": str(Code.REQUESTED), "reason": ""}


def due(
    now: datetime.datetime,
) -> Sequence[tuple[sa.ColumnElement[bool], sa.Column[datetime.datetime]]]:
    """Return the two states from which a task is claimed, each with the time it was due."""
    not_before, expires_at = _TASKS.c.not_before, _TASKS.c.lease_expires_at
    return (
        (IS_PENDING & (not_before <= now), not_before),
        (IS_PROCESSING & (expires_at <= now), expires_at),
    )


def kinds(*, with_data: bool | None) -> Sequence[sa.ColumnElement[bool]]:
    """Select tasks whose copy has its bytes, or those whose bytes are yet to come; None: both.

    :returns: a condition for each kind, because a query for one kind can follow an index.
    """
    wanted = (0, 1) if with_data is None else (int(with_data),)
    return [_TASKS.c.has_data == one for one in wanted]


def fair_share(tasks_left: int, projects_left: int) -> int:
    """Return how many of the tasks that may still be claimed the next project gets."""
    return -(-max(tasks_left, 0) // projects_left)


def claimable(
    connection: sa.Connection,
    wanted: Sequence[sa.ColumnElement[bool]],
    *,
    due: Sequence[tuple[sa.ColumnElement[bool], sa.Column[datetime.datetime]]],
    limit: int,
    projects: Sequence[str],
    with_data: bool | None,
) -> Sequence[sa.Row[Any]]:
    """Read and lock the tasks to be claimed next, ``limit`` of them at the most.

    As many of each of ``projects``, in that order, and then those that wait longest; but first
    of all what was abandoned, which would wait for ever beside projects that always have more.

    :param due: what :func:`due` gives.
    :param with_data: see :func:`kinds`.
    """
    of_kinds = kinds(with_data=with_data)

    def rows(
        state: sa.ColumnElement[bool],
        time: sa.Column[datetime.datetime],
        most: int,
        *more: sa.ColumnElement[bool],
    ) -> Sequence[sa.Row[Any]]:
        # One query for each state and kind, because each can follow the index and stop at the
        # limit.
        query = (
            sa.select(_TASKS)
            .where(*wanted, state, *more)
            .order_by(time, _TASKS.c.image_id)
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        return _longest_waiting(
            [row for kind in of_kinds for row in connection.execute(query.where(kind))], most
        )

    pending, processing = due
    if not projects:
        return _longest_waiting([*rows(*pending, limit), *rows(*processing, limit)], limit)
    found = [*rows(*processing, limit)]
    for left, project in zip(range(len(projects), 0, -1), projects, strict=True):
        if share := fair_share(limit - len(found), left):
            found += rows(*pending, share, _TASKS.c.project == project)
    if len(found) < limit:
        taken = [row.image_id for row in found]
        found += rows(*pending, limit - len(found), _TASKS.c.image_id.not_in(taken))
    return found


def _longest_waiting(found: Sequence[sa.Row[Any]], most: int) -> Sequence[sa.Row[Any]]:
    by_time = sorted(
        found, key=lambda row: (row.lease_expires_at or row.not_before, row.image_id)
    )
    return by_time[:most]


def is_below(size: int | None) -> Sequence[sa.ColumnElement[bool]]:
    """Select what brings less than ``size`` bytes, or nobody knows how many; None: all."""
    if size is None:
        return ()
    total = _TASKS.c.bytes_total
    return (sa.or_(total.is_(None), total < size, _TASKS.c.has_data == 1),)


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
    now: datetime.datetime,
) -> dict[str, Any]:
    """Return what an outcome leaves in the row."""
    since = outcome.since if isinstance(outcome, tasks.Waiting) else None
    return _state(outcome, now) | {
        "code": str(outcome.code),
        "reason": tables.reason_text(outcome.reason),
        "waiting_since": since,
    }


def _state(
    outcome: tasks.Succeeded | tasks.RetryAt | tasks.Waiting | tasks.Failed,
    now: datetime.datetime,
) -> dict[str, Any]:
    failing = _TASKS.c.failing_since
    since = {"failing_since": sa.func.coalesce(failing, sa.literal(now, failing.type))}
    match outcome:
        case tasks.Succeeded():
            may_delete = _TASKS.c.may_delete if outcome.keeps_deletion else False
            done = {"status": _SUCCESS, "attempts": 0, "may_delete": may_delete}
            return done | {"failing_since": None} | SOUND | seen(outcome)
        case tasks.RetryAt(counts=False):
            return {"status": PENDING, "not_before": outcome.when}
        case tasks.RetryAt():
            later = {"status": PENDING, "not_before": outcome.when}
            return later | since | {"attempts": _TASKS.c.attempts + 1}
        case tasks.Waiting():
            return {"status": PENDING, "not_before": outcome.until}
        case tasks.Failed():
            failed = {"status": _FAILURE, "attempts": _TASKS.c.attempts + 1}
            return failed | (since if outcome.gave_up else {"failing_since": None})
        case _:
            assert_never(outcome)


def seen(outcome: tasks.Outcome) -> dict[str, Any]:
    """Return what an outcome tells of the copy, which is true whoever asked meanwhile."""
    if not isinstance(outcome, tasks.Succeeded) or outcome.copy is None:
        return {}
    copy = outcome.copy
    name = tables.name_text(copy.image_name)
    values: dict[str, Any] = {
        "copy_id": copy.copy_id,
        "copy_created_at": copy.created_at,
        "on_probation": False,
        "image_name": name,
    }
    if copy.size is not None:
        values |= {"bytes_done": copy.size, "bytes_total": copy.size, "has_data": 1}
    if not copy.is_deactivated:
        values["deactivated_id"] = None
    if copy.copied_from is not None:
        values["copied_from"] = copy.copied_from
    return values


def due_projects(
    connection: sa.Connection,
    region: images.RegionId,
    now: datetime.datetime,
    *,
    after: str | None,
    most: int,
    with_data: bool | None,
) -> tuple[Sequence[str], str | None]:
    """Look at the next projects with a pending task, with a probe of the index for each kind.

    :param with_data: see :func:`kinds`.
    :returns: those with a due one, and the last one that was looked at; None: there is no other.
    """
    project = _TASKS.c.project
    found: list[str] = []
    first = (
        sa.select(project, _TASKS.c.not_before)
        .where(IS_PENDING, _TASKS.c.region == region)
        .order_by(project, _TASKS.c.not_before)
        .limit(1)
    )
    of_kinds = kinds(with_data=with_data)
    for _ in range(most):
        query = first if after is None else first.where(project > after)
        rows = [row for kind in of_kinds for row in connection.execute(query.where(kind))]
        if not rows:
            return found, None
        after = min(row.project for row in rows)
        if min(row.not_before for row in rows if row.project == after) <= now:
            found.append(after)
    return found, after


def earliest(
    connection: sa.Connection, *, with_data: bool | None = None
) -> dict[images.RegionId, datetime.datetime]:
    """Return the time from which each region has something to claim.

    One probe of the index for each kind and region: it takes as long with a hundred thousand
    tasks waiting as with one.

    :param with_data: see :func:`kinds`.
    """
    times: dict[images.RegionId, datetime.datetime] = {}
    of_kinds = kinds(with_data=with_data)
    for kind in of_kinds:
        first = (
            sa.select(_TASKS.c.region, _TASKS.c.not_before)
            .where(IS_PENDING, kind)
            .order_by(_TASKS.c.region, _TASKS.c.not_before)
            .limit(1)
        )
        row = connection.execute(first).one_or_none()
        while row is not None:
            times[row.region] = min(times.get(row.region, row.not_before), row.not_before)
            row = connection.execute(first.where(_TASKS.c.region > row.region)).one_or_none()
    # There are no more of these than workers.
    leased = sa.select(_TASKS.c.region, _TASKS.c.lease_expires_at).where(
        IS_PROCESSING, sa.or_(*of_kinds)
    )
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
