# SPDX-License-Identifier: Apache-2.0
"""Leases on jobs that only one of several agents may do at a time, in SQL."""

import datetime

import sqlalchemy as sa

from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import TURNS


class SqlLeaderLeases:
    """``engine.ports.LeaderLeases``; the row count of one conditional UPDATE says who won."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(
        self, name: str, *, owner: str, now: datetime.datetime, until: datetime.datetime
    ) -> bool:
        held = {"owner": owner, "expires_at": until}
        is_named = TURNS.c.name == name
        is_free = sa.or_(TURNS.c.owner == owner, TURNS.c.expires_at <= now)

        def work(connection: sa.Connection) -> bool:
            taken = sa.update(TURNS).where(is_named, is_free).values(held)
            if connection.execute(taken).rowcount:
                return True
            if connection.execute(sa.select(TURNS.c.owner).where(is_named)).first() is not None:
                return False
            # If another agent was faster, this fails and the transaction runs again.
            connection.execute(sa.insert(TURNS).values(name=name, **held))
            return True

        return self._database.write(f"take the leader lease {name}", work)

    def give_back(self, name: str, *, owner: str) -> None:
        end = sa.delete(TURNS).where(TURNS.c.name == name, TURNS.c.owner == owner)
        self._database.write(
            f"give back the leader lease {name}", lambda connection: connection.execute(end)
        )
