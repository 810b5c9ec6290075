# SPDX-License-Identifier: Apache-2.0
"""The circuit breakers of the regions in SQL."""

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.sql import texts
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import BREAKERS


class SqlBreakerStore:
    """``engine.ports.BreakerStore``; only regions that failed last have a row."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Mapping[images.RegionId, breakers.Breaker]:
        rows = self._database.read(
            "read the breakers", lambda connection: connection.execute(sa.select(BREAKERS)).all()
        )
        return {images.RegionId(row.region): _breaker(row) for row in rows}

    def change(
        self,
        region: images.RegionId,
        decide: Callable[[breakers.Breaker], breakers.Breaker | None],
    ) -> breakers.Breaker | None:
        is_of_region = BREAKERS.c.region == region

        def work(connection: sa.Connection) -> breakers.Breaker | None:
            query = sa.select(BREAKERS).where(is_of_region).with_for_update()
            row = connection.execute(query).one_or_none()
            changed = decide(breakers.CLOSED if row is None else _breaker(row))
            if changed is None:
                return None
            if changed == breakers.CLOSED:
                connection.execute(sa.delete(BREAKERS).where(is_of_region))
            elif row is None:
                # If another agent was faster, this fails and the transaction runs again.
                connection.execute(
                    sa.insert(BREAKERS).values(region=region, **_values(changed))
                )
            else:
                connection.execute(sa.update(BREAKERS).where(is_of_region).values(_values(changed)))
            return changed

        return self._database.write(f"change the breaker of region {region}", work)


def _breaker(row: sa.Row[Any]) -> breakers.Breaker:
    return breakers.Breaker(
        failures=row.failures,
        since=row.since,
        retry_at=row.retry_at,
        reason=row.reason,
        image_ids=tuple(map(images.ImageId, (row.image_ids or "").split())),
        answers=bool(row.answers),
        of_data=bool(row.of_data),
    )


def _values(breaker: breakers.Breaker) -> dict[str, Any]:
    return {
        "failures": breaker.failures,
        "since": breaker.since,
        "retry_at": breaker.retry_at,
        "reason": texts.reason_text(breaker.reason),
        "image_ids": " ".join(breaker.image_ids),
        "answers": breaker.answers,
        "of_data": breaker.of_data,
    }
