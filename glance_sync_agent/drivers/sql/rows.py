# SPDX-License-Identifier: Apache-2.0
"""Conditions and values that several statements about tasks share."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from glance_sync_agent import errors
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import TASKS

# Plain strings, because psycopg sends the name of an enumeration's member and not its value.
PENDING = tasks.TaskStatus.PENDING.value
PROCESSING = tasks.TaskStatus.PROCESSING.value
SUCCESS = tasks.TaskStatus.SUCCESS.value
FAILURE = tasks.TaskStatus.FAILURE.value

IS_PENDING = TASKS.c.status == PENDING
IS_PROCESSING = TASKS.c.status == PROCESSING

FREE = {"lease_token": None, "lease_owner": None, "lease_expires_at": None}
UNTOUCHED = {"status": PENDING, "bytes_done": 0, **FREE}
REQUESTED: Mapping[str, str] = {"code": str(Code.REQUESTED), "reason": ""}
SOUND = {"damaged_id": None, "damage": None}
NO_COPY: dict[str, Any] = {
    "copy_id": None,
    "copy_created_at": None,
    "on_probation": False,
    "proven_id": None,
    "held_id": None,
    "has_data": 0,
    **SOUND,
}


def is_task(key: tasks.TaskKey) -> sa.ColumnElement[bool]:
    """Select the row of a key."""
    return (TASKS.c.image_id == key.image_id) & (TASKS.c.region == key.region)


def is_held(lease: tasks.Lease) -> sa.ColumnElement[bool]:
    """Select the row of a lease, unless another agent holds it by now."""
    return is_task(lease.task.key) & (TASKS.c.lease_token == lease.token)


def kinds(*, with_data: bool | None) -> Sequence[sa.ColumnElement[bool]]:
    """Return a condition for each kind of task, because a query for one kind can use an index.

    :param with_data: True: only tasks whose copy has its data; False: only others; None: both.
    """
    values = (0, 1) if with_data is None else (int(with_data),)
    return [TASKS.c.has_data == value for value in values]


def update_held(database: Database, lease: tasks.Lease, **values: Any) -> None:
    """Change the task of a lease.

    :raises LeaseLost: another agent holds the lease.
    :raises ServiceUnavailable: the database is unreachable.
    """
    change = sa.update(TASKS).where(is_held(lease)).values(**values)

    def work(connection: sa.Connection) -> None:
        if connection.execute(change).rowcount != 1:
            raise lost(lease)

    database.write(f"update the task of {lease.task.key}", work)


def lost(lease: tasks.Lease) -> errors.LeaseLost:
    """Return the error of a lease whose token is not in the database any more."""
    return errors.LeaseLost(
        f"another agent holds the lease on {lease.task.key}, or the task is gone"
    )
