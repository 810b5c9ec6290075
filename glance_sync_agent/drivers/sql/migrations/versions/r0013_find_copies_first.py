# SPDX-License-Identifier: Apache-2.0
"""Note which copies have their data, so that their tasks need not wait for large copies.

Also note whether a breaker counts attempts to copy data only.
"""

from alembic import op
import sqlalchemy as sa

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0013"
down_revision = "0012"

_TASKS = sa.table(
    "tasks",
    sa.column("has_data"),
    sa.column("copied_from"),
    sa.column("copy_id"),
    sa.column("copy_created_at"),
    sa.column("status"),
    sa.column("code"),
)

_KIND = ("status", "has_data", "region")
_INDEXES = {
    "tasks_by_due_time": [*_KIND, "not_before", "image_id"],
    "tasks_by_project": [*_KIND, "project", "not_before", "image_id"],
}


def upgrade() -> None:
    """Apply the step.

    A copy that the agent found has its data as well, if its task succeeded. The copy may be
    adopted, held, or out of strategy.
    """
    missing.add_columns("breakers", sa.Column("of_data", sa.Boolean))
    missing.add_columns(
        "tasks", sa.Column("has_data", sa.SmallInteger, nullable=False, server_default="0")
    )
    is_in_sync = sa.and_(_TASKS.c.code == "in_sync", _TASKS.c.copy_id.is_not(None))
    is_found = sa.and_(_TASKS.c.status == "success", _TASKS.c.copy_created_at.is_not(None))
    is_there = sa.or_(_TASKS.c.copied_from.is_not(None), is_in_sync, is_found)
    op.execute(sa.update(_TASKS).where(is_there).values(has_data=1))
    for name, columns in _INDEXES.items():
        op.drop_index(name, "tasks", if_exists=True)
        op.create_index(name, "tasks", columns)
