# SPDX-License-Identifier: Apache-2.0
"""Add circuit breakers: which regions are unreachable, and when the next probe is due."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply the step."""
    text = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.create_table(
        "breakers",
        sa.Column("region", text, primary_key=True),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("since", time),
        sa.Column("retry_at", time),
        sa.Column("reason", sa.Text, nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )
