# SPDX-License-Identifier: Apache-2.0
"""The cancellation of tasks in SQL."""

from collections.abc import Collection, Sequence
import dataclasses
import datetime

import sqlalchemy as sa

from glance_sync_agent.domain import conflicts
from glance_sync_agent.domain import images
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql import texts
from glance_sync_agent.drivers.sql.tables import TASKS


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Cancellation:
    """The fields are the parameters of ``engine.ports.TaskQueue.cancel``."""

    image_id: images.ImageId
    regions: Collection[images.RegionId] | None
    by: str
    now: datetime.datetime

    def write(self, connection: sa.Connection) -> Sequence[images.RegionId]:
        """Cancel the tasks in the transaction of ``connection``."""
        conditions = [TASKS.c.image_id == self.image_id, TASKS.c.status != rows.SUCCESS]
        if self.regions is not None:
            conditions.append(TASKS.c.region.in_(sorted(self.regions)))
        query = (
            sa.select(TASKS.c.region).where(*conditions).order_by(TASKS.c.region)
            .with_for_update()
        )
        found = [images.RegionId(row.region) for row in connection.execute(query)]
        if found:
            is_found = (TASKS.c.image_id == self.image_id) & TASKS.c.region.in_(found)
            connection.execute(sa.update(TASKS).where(is_found).values(self._values()))
        return found

    def _values(self) -> dict[str, object]:
        by = texts.person_text(self.by)
        return {
            **rows.FREE,
            # One more attempt takes access away or deletes, if that is due, and fails the task.
            "status": rows.PENDING,
            "not_before": self.now,
            "code": str(Code.CANCELLED),
            "reason": texts.reason_text(conflicts.cancelled_text(by)),
            "cancelled_by": by,
            "generation": TASKS.c.generation + 1,
            "bytes_done": 0,
            "failing_since": None,
            "waiting_since": None,
            "updated_at": self.now,
        }
