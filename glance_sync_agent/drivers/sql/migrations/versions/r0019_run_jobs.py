# SPDX-License-Identifier: Apache-2.0
"""Run scans and verifications that people ask for."""

from typing import Any

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0019"
down_revision = "0018"

_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
    "mariadb_engine": "InnoDB",
    "mariadb_charset": "utf8mb4",
    "mariadb_collate": "utf8mb4_bin",
}


_INDEXES = {
    "jobs_by_state": ["state", "asked_at"],
    "jobs_by_kind": ["kind", "asked_at", "job_id"],
}


def upgrade() -> None:
    """Apply the step."""
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    region = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.String(36), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("options", sa.Text, nullable=False),
        sa.Column("asked_at", time, nullable=False),
        sa.Column("asked_by", sa.String(255), nullable=False),
        sa.Column("request_id", sa.String(255)),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("runs", sa.Integer, nullable=False),
        sa.Column("agent_id", sa.String(255)),
        sa.Column("lease_expires_at", time),
        sa.Column("started_at", time),
        sa.Column("ended_at", time),
        sa.Column("report", sa.Text, nullable=False),
        if_not_exists=True,
        **_OPTIONS,
    )
    missing.create_indexes("jobs", _INDEXES)
    op.create_table(
        "job_findings",
        sa.Column("job_id", sa.String(36), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("region", region, nullable=False),
        sa.Column("image_name", sa.String(255)),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("size", sa.BigInteger),
        if_not_exists=True,
        **_OPTIONS,
    )
