# SPDX-License-Identifier: Apache-2.0
"""Keep what was done, what failed, and what people asked for."""

from alembic import op
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0016"
down_revision = "0015"

_INDEXES = {
    "events_by_image": ["image_id", "number"],
    "events_by_time": ["at"],
    "events_by_request": ["request_id"],
    "events_by_kind": ["kind", "number"],
    "events_by_region": ["region", "number"],
}


def upgrade() -> None:
    """Apply the step."""
    region = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
    time = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    op.create_table(
        "events",
        sa.Column(
            "number",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            primary_key=True,
            autoincrement=True,
        ),
        sa.Column("at", time, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("by", sa.String(255), nullable=False),
        sa.Column("image_id", sa.String(36)),
        sa.Column("region", region),
        sa.Column("request_id", sa.String(255)),
        sa.Column("code", sa.String(32), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("copy_id", sa.String(36)),
        sa.Column("size", sa.BigInteger),
        sa.Column("seconds", sa.Float),
        sa.Column("owner", sa.String(255)),
        sa.Column("multihash", sa.String(255)),
        sa.Column("proof", sa.Text),
        sqlite_autoincrement=True,
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
        mariadb_engine="InnoDB",
        mariadb_charset="utf8mb4",
        mariadb_collate="utf8mb4_bin",
    )
    missing.create_indexes("events", _INDEXES)
