# SPDX-License-Identifier: Apache-2.0
"""Create the task table."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply the step."""
    text = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.create_table(
        "tasks",
        sa.Column("image_id", sa.String(36), primary_key=True),
        sa.Column("region", text, primary_key=True),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("request_id", sa.String(255), nullable=False),
        sa.Column("may_delete", sa.Boolean, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("not_before", time, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("image_name", sa.String(255)),
        sa.Column("copy_id", sa.String(36)),
        sa.Column("bytes_done", sa.BigInteger, nullable=False),
        sa.Column("bytes_total", sa.BigInteger),
        sa.Column("lease_token", sa.String(32)),
        sa.Column("lease_owner", sa.String(255)),
        sa.Column("lease_expires_at", time),
        sa.Column("created_at", time, nullable=False),
        sa.Column("updated_at", time, nullable=False),
        sqlite_with_rowid=False,
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )
    columns = ["status", "region", "not_before", "image_id"]
    missing.create_indexes("tasks", {"tasks_by_due_time": columns})
