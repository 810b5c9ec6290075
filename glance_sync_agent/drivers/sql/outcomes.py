# SPDX-License-Identifier: Apache-2.0
"""The outcome of an attempt: what it writes into the row of its task."""

import datetime
from typing import Any, assert_never

import sqlalchemy as sa

from glance_sync_agent.domain import codes
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql import texts
from glance_sync_agent.drivers.sql.tables import TASKS

_IS_CURRENT = rows.IS_HELD & (TASKS.c.generation == sa.bindparam("current_generation"))


def finish(
    connection: sa.Connection, lease: tasks.Lease, outcome: tasks.Outcome, now: datetime.datetime
) -> bool:
    """Write an outcome and release the lease; return False if a newer request superseded it.

    :raises LeaseLost: another agent holds the lease.
    """
    held = rows.held(lease)
    current = {**held, "current_generation": lease.task.generation}
    if isinstance(outcome, tasks.Forgotten):
        ended = connection.execute(sa.delete(TASKS).where(_IS_CURRENT), current).rowcount
    else:
        values = {**rows.FREE, **_result(outcome, now), "updated_at": now}
        ended = rows.update(connection, _IS_CURRENT, current, values)
    if ended == 1:
        return True
    # The newer request has already written when the task is due, and its attempts.
    values = {**_seen(outcome), **rows.UNTOUCHED, **rows.REQUESTED, "updated_at": now}
    if rows.update(connection, rows.IS_HELD, held, values) == 1:
        return False
    raise rows.lost(lease)


def _result(
    outcome: tasks.Succeeded | tasks.RetryAt | tasks.Waiting | tasks.Failed,
    now: datetime.datetime,
) -> dict[str, Any]:
    since = outcome.since if isinstance(outcome, tasks.Waiting) else None
    return _state(outcome, now) | {
        "code": str(outcome.code),
        "reason": texts.reason_text(outcome.reason),
        "waiting_since": since,
    }


def _state(
    outcome: tasks.Succeeded | tasks.RetryAt | tasks.Waiting | tasks.Failed,
    now: datetime.datetime,
) -> dict[str, Any]:
    failing = TASKS.c.failing_since
    since = {"failing_since": sa.func.coalesce(failing, sa.literal(now, failing.type))}
    match outcome:
        case tasks.Succeeded():
            done = {"status": rows.SUCCESS, "attempts": 0}
            if not outcome.keeps_deletion:
                done |= {"may_delete": False, "may_delete_unwanted": False}
            done["done_at"] = now
            if outcome.code in codes.IN_STEP:
                done["cancelled_by"] = None
            # Only a copy in sync is sound. A damaged copy that is held stays damaged.
            sound = rows.SOUND if outcome.code is Code.IN_SYNC else {}
            return done | {"failing_since": None} | sound | _seen(outcome) | _held(outcome)
        case tasks.RetryAt(counts=False):
            return {"status": rows.PENDING, "not_before": outcome.when}
        case tasks.RetryAt():
            later = {"status": rows.PENDING, "not_before": outcome.when}
            return later | since | {"attempts": TASKS.c.attempts + 1}
        case tasks.Waiting():
            return {"status": rows.PENDING, "not_before": outcome.until}
        case tasks.Failed():
            failed = {"status": rows.FAILURE, "attempts": TASKS.c.attempts + 1}
            return failed | (since if outcome.gave_up else {"failing_since": None})
        case _:
            assert_never(outcome)


def _held(outcome: tasks.Succeeded) -> dict[str, Any]:
    """Return the note of a hold. A newer request may release the copy, so it counts alone."""
    return {} if outcome.held_id is None else {"held_id": outcome.held_id}


def _seen(outcome: tasks.Outcome) -> dict[str, Any]:
    """Return what an outcome knows of the copy; a newer request does not make it untrue."""
    if not isinstance(outcome, tasks.Succeeded) or outcome.copy is None:
        return {}
    copy = outcome.copy
    values: dict[str, Any] = {
        "copy_id": copy.copy_id,
        "copy_created_at": copy.created_at,
        "on_probation": False,
        "image_name": texts.name_text(copy.image_name),
    }
    if copy.size is not None:
        values |= {"bytes_done": copy.size, "bytes_total": copy.size, "has_data": 1}
    if not copy.is_deactivated:
        values |= {"deactivated_id": None, "held_id": None}
    if copy.copied_from is not None:
        values["copied_from"] = copy.copied_from
    return values
