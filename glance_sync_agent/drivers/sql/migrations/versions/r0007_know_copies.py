# SPDX-License-Identifier: Apache-2.0
"""Note when copies were created, and since when sources are missing."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply the step."""
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    missing.add_columns(
        "tasks",
        sa.Column("copy_created_at", time),
        sa.Column("on_probation", sa.Boolean),
        sa.Column("missing_since", time),
    )
    op.create_table(
        "facts",
        sa.Column("name", sa.String(300), primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )
