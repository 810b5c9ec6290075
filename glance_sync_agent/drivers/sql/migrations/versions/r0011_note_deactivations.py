# SPDX-License-Identifier: Apache-2.0
"""Note which copies the agent deactivated, and no other user."""

import sqlalchemy as sa

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply the step."""
    missing.add_columns("tasks", sa.Column("deactivated_id", sa.String(36)))
