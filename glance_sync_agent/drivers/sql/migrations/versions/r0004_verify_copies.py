# SPDX-License-Identifier: Apache-2.0
"""Note the damage that reading a copy back found, and when the copy was read."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply the step."""
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    missing.add_columns(
        "tasks",
        sa.Column("damaged_id", sa.String(36)),
        sa.Column("damage", sa.String(255)),
        sa.Column("verified_at", time),
    )
