# SPDX-License-Identifier: Apache-2.0
"""What the agents report, in SQL."""

from collections.abc import Sequence
import dataclasses
import datetime

import sqlalchemy as sa

from glance_sync_agent.domain import fleet
from glance_sync_agent.drivers.sql import texts
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import AGENTS


class SqlAgentStore:
    """``engine.ports.AgentStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Sequence[fleet.Agent]:
        query = sa.select(AGENTS).order_by(AGENTS.c.agent_id)
        rows = self._database.read(
            "read the agents", lambda connection: connection.execute(query).all()
        )
        return [
            fleet.Agent(**row._mapping)  # noqa: SLF001 - SQLAlchemy's own public name
            for row in rows
        ]

    def report(self, agent: fleet.Agent) -> None:
        names = [field.name for field in dataclasses.fields(fleet.Agent)]
        values = {name: getattr(agent, name) for name in names}
        values["waits_for"] = texts.reason_text(agent.waits_for)
        is_this = AGENTS.c.agent_id == agent.agent_id

        def work(connection: sa.Connection) -> None:
            if not connection.execute(sa.update(AGENTS).where(is_this).values(values)).rowcount:
                connection.execute(sa.insert(AGENTS).values(values))

        self._database.write(f"keep the report of agent {agent.agent_id}", work)

    def remove(self, before: datetime.datetime) -> int:
        is_old = AGENTS.c.seen_at < sa.literal(before, AGENTS.c.seen_at.type)
        change = sa.delete(AGENTS).where(is_old)
        return self._database.write(
            "remove old agents", lambda connection: connection.execute(change).rowcount
        )
