# SPDX-License-Identifier: Apache-2.0
"""Note recent failures, copies that vanished, and the project of a task."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply the step."""
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    text = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
    op.add_column("breakers", sa.Column("image_ids", sa.Text))
    op.add_column("breakers", sa.Column("answers", sa.Boolean))
    op.add_column("tasks", sa.Column("failing_since", time))
    op.add_column(
        "tasks", sa.Column("vanished", sa.Integer, nullable=False, server_default="0")
    )
    op.add_column("tasks", sa.Column("vanished_at", time))
    nobody = sa.text("''")
    op.add_column("tasks", sa.Column("project", text, nullable=False, server_default=nobody))
    op.create_index(
        "tasks_by_project", "tasks", ["status", "region", "project", "not_before", "image_id"]
    )
