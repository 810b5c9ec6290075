# SPDX-License-Identifier: Apache-2.0
"""What the agents of one database remember together, besides their tasks."""

import sqlalchemy as sa

from glance_sync_agent.drivers.sql import database
from glance_sync_agent.drivers.sql import tables

_FACTS = tables.FACTS


class SqlFactStore:
    """``engine.ports.FactStore`` in a table."""

    def __init__(self, kept_in: database.Database) -> None:
        """Keep the database; nothing is read yet."""
        self._database = kept_in

    def get(self, name: str) -> str | None:
        """Return what is remembered under a name; None: nothing is."""
        query = sa.select(_FACTS.c.value).where(_FACTS.c.name == name)
        return self._database.read(
            f"read fact {name}", lambda connection: connection.execute(query).scalar_one_or_none()
        )

    def put(self, name: str, value: str) -> None:
        """Remember something in the place of what was remembered under the name. Idempotent."""

        def work(connection: sa.Connection) -> None:
            change = sa.update(_FACTS).where(_FACTS.c.name == name).values(value=value)
            # A row that is as it should be counts as one that was found, in all databases.
            if connection.execute(change).rowcount == 0:
                connection.execute(sa.insert(_FACTS).values(name=name, value=value))

        self._database.write(f"note fact {name}", work)
