# SPDX-License-Identifier: Apache-2.0
"""Note which copies the agent deactivated, and no other user."""

from alembic import op
import sqlalchemy as sa

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply the step."""
    op.add_column("tasks", sa.Column("deactivated_id", sa.String(36)))
