# SPDX-License-Identifier: Apache-2.0
"""Note which copies somebody else deactivated, so that no active copy takes their place."""

from alembic import op
import sqlalchemy as sa

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0014"
down_revision = "0013"

_TASKS = sa.table(
    "tasks", sa.column("code"), sa.column("copy_id"), sa.column("held_id", sa.String(36))
)


def upgrade() -> None:
    """Apply the step."""
    missing.add_columns("tasks", sa.Column("held_id", sa.String(36)))
    is_held = _TASKS.c.code == "held"
    op.execute(sa.update(_TASKS).where(is_held).values(held_id=_TASKS.c.copy_id))
