# SPDX-License-Identifier: Apache-2.0
"""Note which regions are paused: since when, by whom, and why."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply the step."""
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    missing.add_columns(
        "regions",
        sa.Column("paused_at", time),
        sa.Column("paused_by", sa.String(255)),
        sa.Column("pause_reason", sa.Text),
        sa.Column("pause_finishes", sa.Boolean),
    )
