# SPDX-License-Identifier: Apache-2.0
"""Find tasks by what operators filter by, without reading all of them.

With four million tasks, PostgreSQL makes these indexes in less than half a minute, in which no
agent can write.
"""

from alembic import op
import sqlalchemy as sa

revision = "0020"
down_revision = "0019"


_INDEXES = {
    "tasks_by_name": ["image_name", "image_id"],
    "tasks_by_code": ["code", "region", "image_id", "status"],
    "tasks_by_change": ["updated_at", "image_id"],
}


def upgrade() -> None:
    """Apply the step."""
    # Each takes long, and MariaDB commits each at once: a step that was broken off goes on.
    found = {one["name"] for one in sa.inspect(op.get_bind()).get_indexes("tasks")}
    for name, columns in _INDEXES.items():
        if name not in found:
            op.create_index(name, "tasks", columns)
