# SPDX-License-Identifier: Apache-2.0
"""Texts by name that the agents of one database share, in SQL."""

import sqlalchemy as sa

from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import FACTS


class SqlFactStore:
    """``engine.ports.FactStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> str | None:
        query = sa.select(FACTS.c.value).where(FACTS.c.name == name)
        return self._database.read(
            f"read fact {name}", lambda connection: connection.execute(query).scalar_one_or_none()
        )

    def put(self, name: str, value: str) -> None:
        change = sa.update(FACTS).where(FACTS.c.name == name).values(value=value)

        def work(connection: sa.Connection) -> None:
            # All databases count a row that has this value already.
            if connection.execute(change).rowcount == 0:
                connection.execute(sa.insert(FACTS).values(name=name, value=value))

        self._database.write(f"write fact {name}", work)
