# SPDX-License-Identifier: Apache-2.0
"""The pauses of the regions in SQL."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses
from glance_sync_agent.drivers.sql import texts
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import REGIONS

#: What the row of a region that is not paused says.
_NONE: Mapping[str, Any] = {
    "paused_at": None, "paused_by": None, "pause_reason": None, "pause_finishes": None,
}
_IS_PAUSED = REGIONS.c.paused_at.is_not(None)


class SqlPauseStore:
    """``engine.ports.PauseStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Mapping[images.RegionId, pauses.Pause]:
        query = sa.select(REGIONS).where(_IS_PAUSED)
        rows = self._database.read(
            "read the pauses", lambda connection: connection.execute(query).all()
        )
        return {images.RegionId(row.name): _pause(row) for row in rows}

    def pause(self, region: images.RegionId, pause: pauses.Pause) -> None:
        values = {
            "paused_at": pause.since,
            "paused_by": texts.person_text(pause.by),
            "pause_reason": texts.reason_text(pause.reason),
            "pause_finishes": pause.finishes,
        }
        is_named = REGIONS.c.name == region

        def work(connection: sa.Connection) -> None:
            if not connection.execute(sa.update(REGIONS).where(is_named).values(values)).rowcount:
                connection.execute(
                    sa.insert(REGIONS).values(name=region, seen_at=pause.since, **values)
                )

        # Durable, because a person relies on it.
        self._database.write(f"pause region {region}", work, durable=True)

    def resume(self, region: images.RegionId) -> bool:
        change = sa.update(REGIONS).where(REGIONS.c.name == region, _IS_PAUSED).values(**_NONE)
        return self._database.write(
            f"resume region {region}",
            lambda connection: connection.execute(change).rowcount == 1,
            durable=True,
        )


def _pause(row: sa.Row[Any]) -> pauses.Pause:
    return pauses.Pause(
        since=row.paused_at,
        by=row.paused_by,
        reason=row.pause_reason,
        finishes=bool(row.pause_finishes),
    )


def rename(connection: sa.Connection, old: images.RegionId, new: images.RegionId) -> None:
    """Give the pause of a region to its new name, which has a row already."""
    columns = [REGIONS.c[name] for name in _NONE]
    query = sa.select(*columns).where(REGIONS.c.name == old, _IS_PAUSED)
    row = connection.execute(query).one_or_none()
    if row is not None:
        values = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's own public name
        connection.execute(sa.update(REGIONS).where(REGIONS.c.name == new).values(values))
