# SPDX-License-Identifier: Apache-2.0
"""What happened, in SQL."""

from collections.abc import Iterator, Sequence
import datetime

import sqlalchemy as sa

from glance_sync_agent.domain import history
from glance_sync_agent.drivers.sql import event_rows
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import EVENTS


class SqlEventStore:
    """``engine.ports.EventStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, events: Sequence[history.Event]) -> None:
        # Durable, because most of these are what people asked for.
        self._database.write(
            "keep events",
            lambda connection: event_rows.insert(connection, events),
            durable=True,
        )

    def newest(
        self, limit: int, event_filter: history.Filter = history.ALL
    ) -> Sequence[history.Recorded]:
        query = (
            sa.select(EVENTS)
            .where(*_conditions(event_filter))
            .order_by(EVENTS.c.number.desc())
            .limit(limit)
        )
        rows = self._database.read(
            "read events", lambda connection: connection.execute(query).all()
        )
        return [event_rows.recorded(row) for row in rows]

    def remove(self, before: datetime.datetime, limit: int) -> int:
        # By number, because MariaDB has no LIMIT in a subquery of DELETE.
        oldest = (
            sa.select(EVENTS.c.number)
            .where(EVENTS.c.at < sa.literal(before, EVENTS.c.at.type))
            .order_by(EVENTS.c.at)
            .limit(limit)
        )

        def work(connection: sa.Connection) -> int:
            numbers = connection.execute(oldest).scalars().all()
            if not numbers:
                return 0
            return connection.execute(
                sa.delete(EVENTS).where(EVENTS.c.number.in_(numbers))
            ).rowcount

        return self._database.write("remove old events", work)


def _conditions(event_filter: history.Filter) -> Iterator[sa.ColumnElement[bool]]:
    if event_filter.image_id is not None:
        yield EVENTS.c.image_id == event_filter.image_id
    if event_filter.region is not None:
        yield EVENTS.c.region == event_filter.region
    if event_filter.kind is not None:
        yield EVENTS.c.kind == str(event_filter.kind)
    if event_filter.request_id is not None:
        yield EVENTS.c.request_id == event_filter.request_id
    if event_filter.before is not None:
        yield EVENTS.c.number < event_filter.before
