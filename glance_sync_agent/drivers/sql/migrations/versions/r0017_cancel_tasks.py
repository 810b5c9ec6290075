# SPDX-License-Identifier: Apache-2.0
"""Note which tasks a person cancelled."""

from alembic import op
import sqlalchemy as sa

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Apply the step."""
    op.add_column("tasks", sa.Column("cancelled_by", sa.String(255)))
