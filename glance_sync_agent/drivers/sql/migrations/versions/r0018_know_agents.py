# SPDX-License-Identifier: Apache-2.0
"""Know the agents, and for how long tasks have waited."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Apply the step."""
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    if op.get_bind().dialect.name in {"mysql", "mariadb"}:
        # The counts of 200 regions take more than the 64 KB of a TEXT.
        op.alter_column(
            "facts", "value", type_=mysql.MEDIUMTEXT(), existing_nullable=False
        )
    missing.add_columns(
        "tasks",
        sa.Column("asked_at", time),
        sa.Column("done_at", time),
        sa.Column("claimed_at", time),
    )
    op.create_table(
        "agents",
        sa.Column("agent_id", sa.String(255), primary_key=True),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("started_at", time, nullable=False),
        sa.Column("seen_at", time, nullable=False),
        sa.Column("stopped_at", time),
        sa.Column("heard_at", time),
        sa.Column("scanned_at", time),
        sa.Column("scanned_changes_at", time),
        sa.Column("running", sa.Integer, nullable=False),
        sa.Column("waits_for", sa.Text, nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )
