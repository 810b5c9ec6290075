# SPDX-License-Identifier: Apache-2.0
"""Note which copies were read back because no hash proves them."""

import sqlalchemy as sa

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply the step."""
    missing.add_columns("tasks", sa.Column("proven_id", sa.String(36)))
