# SPDX-License-Identifier: Apache-2.0
"""Note the damage that reading a copy back found, and when the copy was read."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply the step."""
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.add_column("tasks", sa.Column("damaged_id", sa.String(36)))
    op.add_column("tasks", sa.Column("damage", sa.String(255)))
    op.add_column("tasks", sa.Column("verified_at", time))
