# SPDX-License-Identifier: Apache-2.0
"""Note the region of a source, where its copy came from, and since when a task waits for it."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply the step."""
    text = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.add_column("tasks", sa.Column("source_region", text))
    op.add_column("tasks", sa.Column("copied_from", text))
    op.add_column("tasks", sa.Column("waiting_since", time))
