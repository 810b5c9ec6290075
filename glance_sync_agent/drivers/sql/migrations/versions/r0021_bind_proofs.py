# SPDX-License-Identifier: Apache-2.0
"""Bind proofs and permissions to what they were given for.

A proof counts only with the hash that the bytes of the copy were compared with. Copies that are
out of strategy are deleted by a permission of their own.
"""

import sqlalchemy as sa

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Apply the step."""
    missing.add_columns(
        "tasks",
        sa.Column("proven_hash", sa.String(255)),
        sa.Column("may_delete_unwanted", sa.Boolean),
    )
