# SPDX-License-Identifier: Apache-2.0
"""Note which copies were read back because no hash proves them."""

from alembic import op
import sqlalchemy as sa

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply the step."""
    op.add_column("tasks", sa.Column("proven_id", sa.String(36)))
