# SPDX-License-Identifier: Apache-2.0
"""Note which tasks a person cancelled."""

import sqlalchemy as sa

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Apply the step."""
    missing.add_columns("tasks", sa.Column("cancelled_by", sa.String(255)))
