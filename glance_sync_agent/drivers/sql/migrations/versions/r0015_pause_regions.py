# SPDX-License-Identifier: Apache-2.0
"""Note which regions are paused: since when, by whom, and why."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply the step."""
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.add_column("regions", sa.Column("paused_at", time))
    op.add_column("regions", sa.Column("paused_by", sa.String(255)))
    op.add_column("regions", sa.Column("pause_reason", sa.Text))
    op.add_column("regions", sa.Column("pause_finishes", sa.Boolean))
