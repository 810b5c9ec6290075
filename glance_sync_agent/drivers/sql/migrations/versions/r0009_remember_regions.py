# SPDX-License-Identifier: Apache-2.0
"""Remember which regions the catalogue had."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    """Apply the step."""
    text = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.create_table(
        "regions",
        sa.Column("name", text, primary_key=True),
        sa.Column("seen_at", time, nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )
