# SPDX-License-Identifier: Apache-2.0
"""Note which copies have their data, so that their tasks need not wait for large copies.

Also note whether a breaker counts attempts to copy data only.
"""

from alembic import op
import sqlalchemy as sa

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


def upgrade() -> None:
    """Apply the step.

    A copy that the agent found has its data as well, if its task succeeded. The copy may be
    adopted, held, or out of strategy.
    """
    op.add_column("breakers", sa.Column("of_data", sa.Boolean))
    op.add_column(
        "tasks", sa.Column("has_data", sa.SmallInteger, nullable=False, server_default="0")
    )
    is_in_sync = sa.and_(_TASKS.c.code == "in_sync", _TASKS.c.copy_id.is_not(None))
    is_found = sa.and_(_TASKS.c.status == "success", _TASKS.c.copy_created_at.is_not(None))
    is_there = sa.or_(_TASKS.c.copied_from.is_not(None), is_in_sync, is_found)
    op.execute(sa.update(_TASKS).where(is_there).values(has_data=1))
    op.drop_index("tasks_by_due_time", "tasks")
    op.drop_index("tasks_by_project", "tasks")
    kind = ["status", "has_data", "region"]
    op.create_index("tasks_by_due_time", "tasks", [*kind, "not_before", "image_id"])
    op.create_index("tasks_by_project", "tasks", [*kind, "project", "not_before", "image_id"])
