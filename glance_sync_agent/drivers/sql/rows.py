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
    "proven_hash": None,
    "held_id": None,
    "has_data": 0,
    **SOUND,
}


def is_task(key: tasks.TaskKey) -> sa.ColumnElement[bool]:
    """Select the row of a key."""
    return (TASKS.c.image_id == key.image_id) & (TASKS.c.region == key.region)


# SQLAlchemy takes longer to build a condition than a database to evaluate it. So what every
# attempt writes uses conditions that are built once, with parameters.
IS_ONE = (TASKS.c.image_id == sa.bindparam("one_image_id")) & (
    TASKS.c.region == sa.bindparam("one_region")
)
IS_HELD = IS_ONE & (TASKS.c.lease_token == sa.bindparam("held_token"))


def one(key: tasks.TaskKey) -> dict[str, Any]:
    """Return the parameters of ``IS_ONE``, which selects the row of a key."""
    return {"one_image_id": key.image_id, "one_region": key.region}


def held(lease: tasks.Lease) -> dict[str, Any]:
    """Return the parameters of ``IS_HELD``.

    It selects the row of a lease, unless another agent holds it by now.
    """
    return {**one(lease.task.key), "held_token": lease.token}


def update(
    connection: sa.Connection,
    condition: sa.ColumnElement[bool],
    parameters: Mapping[str, Any],
    values: Mapping[str, Any],
) -> int:
    """Change tasks; return how many.

    :param parameters: of ``condition``.
    :param values: of columns, or expressions.
    """
    statement = sa.update(TASKS).where(condition)
    computed = {
        name: value for name, value in values.items() if isinstance(value, sa.ColumnElement)
    }
    if computed:
        statement = statement.values(computed)
    plain = {name: value for name, value in values.items() if name not in computed}
    return connection.execute(statement, {**plain, **parameters}).rowcount


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

    def work(connection: sa.Connection) -> None:
        if update(connection, IS_HELD, held(lease), values) != 1:
            raise lost(lease)

    database.write(f"update the task of {lease.task.key}", work)


def lost(lease: tasks.Lease) -> errors.LeaseLost:
    """Return the error of a lease whose token is not in the database any more."""
    return errors.LeaseLost(
        f"another agent holds the lease on {lease.task.key}, or the task is gone"
    )
