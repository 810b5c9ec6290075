# SPDX-License-Identifier: Apache-2.0
"""Note which images failed last, since when tasks fail, and whose images they are about."""

from alembic import op
import sqlalchemy as sa

revision = "0010"
down_revision = "0006"


def upgrade() -> None:
    """Apply the step."""
    op.add_column("breakers", sa.Column("image_ids", sa.Text))
    op.add_column("breakers", sa.Column("answers", sa.Boolean))
