# SPDX-License-Identifier: Apache-2.0
"""Find tasks by what operators filter by, without reading all of them.

With four million tasks, PostgreSQL makes these indexes in less than half a minute, in which no
agent can write.
"""

from glance_sync_agent.drivers.sql.migrations import missing

revision = "0020"
down_revision = "0019"


_INDEXES = {
    "tasks_by_name": ["image_name", "image_id"],
    "tasks_by_code": ["code", "region", "image_id", "status"],
    "tasks_by_change": ["updated_at", "image_id"],
}


def upgrade() -> None:
    """Apply the step."""
    missing.create_indexes("tasks", _INDEXES)
