# SPDX-License-Identifier: Apache-2.0
"""Note recent failures, copies that vanished, and the project of a task."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply the step."""
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    text = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
    missing.add_columns(
        "breakers", sa.Column("image_ids", sa.Text), sa.Column("answers", sa.Boolean)
    )
    missing.add_columns(
        "tasks",
        sa.Column("failing_since", time),
        sa.Column("vanished", sa.Integer, nullable=False, server_default="0"),
        sa.Column("vanished_at", time),
        sa.Column("project", text, nullable=False, server_default=sa.text("''")),
    )
    columns = ["status", "region", "project", "not_before", "image_id"]
    missing.create_indexes("tasks", {"tasks_by_project": columns})
