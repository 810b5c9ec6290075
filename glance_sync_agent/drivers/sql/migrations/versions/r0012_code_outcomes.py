# SPDX-License-Identifier: Apache-2.0
"""Give each task a code for programs, besides the text for operators."""

from alembic import op
import sqlalchemy as sa

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0012"
down_revision = "0011"

_TASKS = sa.table("tasks", sa.column("code"), sa.column("status"), sa.column("reason"))


def upgrade() -> None:
    """Apply the step. Without the code, the next scan would request every task in sync."""
    missing.add_columns(
        "tasks", sa.Column("code", sa.String(32), nullable=False, server_default=sa.text("''"))
    )
    is_in_sync = sa.and_(_TASKS.c.status == "success", _TASKS.c.reason == "in sync")
    op.execute(sa.update(_TASKS).where(is_in_sync).values(code="in_sync"))
