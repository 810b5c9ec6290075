# SPDX-License-Identifier: Apache-2.0
"""Note the region of a source, where its copy came from, and since when a task waits for it."""

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply the step."""
    text = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    missing.add_columns(
        "tasks",
        sa.Column("source_region", text),
        sa.Column("copied_from", text),
        sa.Column("waiting_since", time),
    )
