# SPDX-License-Identifier: Apache-2.0
"""Tell copies that the agent deactivated from those that somebody else deactivated."""

from alembic import op
import sqlalchemy as sa

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply the step."""
    op.add_column("tasks", sa.Column("deactivated_id", sa.String(36)))
