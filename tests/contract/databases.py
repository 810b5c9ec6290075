# SPDX-License-Identifier: Apache-2.0
"""The databases on which the tests of the task store run."""

from collections.abc import Callable
import functools
import itertools
import pathlib
from typing import Any

import sqlalchemy as sa

from glance_sync_agent.drivers.sql import database
from glance_sync_agent.drivers.sql import tables
from glance_sync_agent.drivers.sql import task_store

#: Each is the name of a fixture that gives a URL.
SERVERS = ("postgresql", "mariadb")
KINDS = ("sqlite", *SERVERS)
#: Two nodes of Galera: the tests write through one of them, or through both in turn.
CLUSTERS = ("one_writer", "writers_in_turn")


class InTurn:
    """Makes each call through the next of several nodes; wraps stores and their parts."""

    def __init__(self, *through: Any) -> None:
        self._through = through
        self._next = itertools.cycle(through)
        self._given: dict[str, InTurn] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(next(self._next), name)

    def leader_leases(self) -> "InTurn":
        """Return the leader leases."""
        return self._part("leader_leases")

    def breakers(self) -> "InTurn":
        """Return the breakers."""
        return self._part("breakers")

    def pauses(self) -> "InTurn":
        """Return the pauses."""
        return self._part("pauses")

    def agents(self) -> "InTurn":
        """Return the agents."""
        return self._part("agents")

    def jobs(self) -> "InTurn":
        """Return the jobs."""
        return self._part("jobs")

    def history(self) -> "InTurn":
        """Return the history."""
        return self._part("history")

    def _part(self, name: str) -> "InTurn":
        if name not in self._given:
            self._given[name] = InTurn(*(getattr(one, name)() for one in self._through))
        return self._given[name]

    def close(self) -> None:
        """Close the connections to all nodes."""
        for one in self._through:
            one.close()


def opened(kind: str, directory: pathlib.Path, server: Callable[[str], Any]) -> Any:
    """Return a store without tasks in a database of a kind."""
    if kind not in CLUSTERS:
        return made(url_of(kind, directory, server))
    first, second = server("galera")
    _upgrade_once(first)
    store = _emptied(first)
    return store if kind == "one_writer" else InTurn(store, task_store.SqlTaskStore(second))


def url_of(kind: str, directory: pathlib.Path, server: Callable[[str], str]) -> str:
    """Return the URL of a database: a file in the directory, or on a server."""
    return f"sqlite:///{directory / 'tasks.db'}" if kind == "sqlite" else server(kind)


def empty(url: str) -> None:
    """Drop the tables of the agent in a database on a server."""
    names = (*tables.METADATA.tables, "alembic_version")
    run(url, *(sa.text(f"DROP TABLE IF EXISTS {name}") for name in names))


def run(url: str, *statements: sa.Executable) -> None:
    """Run statements again until no transaction of an ended test is in their way."""
    on = database.Database(url, connections=1, timeout_seconds=30)

    def work(connection: sa.Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    on.write("prepare a test", work)
    on.close()


def made(url: str) -> task_store.SqlTaskStore:
    """Return a store without tasks."""
    store = task_store.SqlTaskStore(url)
    store.upgrade()
    store.close()
    return _emptied(url)


@functools.cache
def _upgrade_once(url: str) -> None:
    """Create the tables of a cluster, which no test drops."""
    store = task_store.SqlTaskStore(url)
    store.upgrade()
    store.close()


def _emptied(url: str) -> task_store.SqlTaskStore:
    run(url, *(sa.delete(table) for table in tables.METADATA.tables.values()))
    return task_store.SqlTaskStore(url)
