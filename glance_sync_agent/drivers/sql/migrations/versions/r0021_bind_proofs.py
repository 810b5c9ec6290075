# SPDX-License-Identifier: Apache-2.0
"""Note which hash the bytes of a copy were compared with; a proof without it counts no more."""

import sqlalchemy as sa

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Apply the step."""
    missing.add_columns("tasks", sa.Column("proven_hash", sa.String(255)))
