# SPDX-License-Identifier: Apache-2.0
"""Texts by name that the agents of one database share, in SQL."""

from collections.abc import Callable

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

    def change(self, name: str, decide: Callable[[str | None], str | None]) -> str | None:
        """Replace a value by the answer of ``decide``, unless that is None; return the value."""
        is_named = FACTS.c.name == name

        def work(connection: sa.Connection) -> str | None:
            query = sa.select(FACTS.c.value).where(is_named).with_for_update()
            before = connection.execute(query).scalar_one_or_none()
            value = decide(before)
            if value is None:
                return before
            if before is None:
                # If another agent was faster, this fails and the transaction runs again.
                connection.execute(sa.insert(FACTS).values(name=name, value=value))
            else:
                connection.execute(sa.update(FACTS).where(is_named).values(value=value))
            return value

        return self._database.write(f"change fact {name}", work)
