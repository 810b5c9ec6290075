# SPDX-License-Identifier: Apache-2.0
"""Turns, for what one of several agents does at a time, in SQL.

Like a task's lease: one conditional UPDATE, whose row count tells who won.
"""

import datetime

import sqlalchemy as sa

from glance_sync_agent.drivers.sql import database
from glance_sync_agent.drivers.sql import tables

_TURNS = tables.TURNS


class SqlLeaderLeases:
    """``engine.ports.LeaderLeases`` beside the tasks."""

    def __init__(self, shared: database.Database) -> None:
        self._database = shared

    def take(
        self, name: str, *, owner: str, now: datetime.datetime, until: datetime.datetime
    ) -> bool:
        """Take a turn, or keep it for longer; False if it is somebody else's."""
        mine = {"owner": owner, "expires_at": until}
        is_named = _TURNS.c.name == name
        free = sa.or_(_TURNS.c.owner == owner, _TURNS.c.expires_at <= now)

        def work(connection: sa.Connection) -> bool:
            if connection.execute(sa.update(_TURNS).where(is_named, free).values(mine)).rowcount:
                return True
            if connection.execute(sa.select(_TURNS.c.owner).where(is_named)).first() is not None:
                return False
            # Should somebody be faster, this fails and all of it is done again.
            connection.execute(sa.insert(_TURNS).values(name=name, **mine))
            return True

        return self._database.write(f"take the turn {name}", work)

    def give_back(self, name: str, *, owner: str) -> None:
        """Let the next one have it. Idempotent."""
        end = sa.delete(_TURNS).where(_TURNS.c.name == name, _TURNS.c.owner == owner)
        self._database.write(f"end the turn {name}", lambda connection: connection.execute(end))
