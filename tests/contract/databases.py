# SPDX-License-Identifier: Apache-2.0
"""Which databases the tests of the task store run on."""

from collections.abc import Callable
import pathlib

import sqlalchemy as sa

from glance_sync_agent.drivers import task_store
from glance_sync_agent.drivers import task_table

#: Each is the name of a fixture that gives a URL.
SERVERS = ("postgresql", "mariadb")
KINDS = ("sqlite", *SERVERS)


def url_of(kind: str, directory: pathlib.Path, server: Callable[[str], str]) -> str:
    """Return the URL of a database: a file in the directory, or what is on a server."""
    return f"sqlite:///{directory / 'tasks.db'}" if kind == "sqlite" else server(kind)


def empty(url: str) -> None:
    """Drop what the agent makes in a database on a server."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table in ("tasks", "turns", "breakers", "facts", "alembic_version"):
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {table}"))
    engine.dispose()


def made(url: str) -> task_store.TaskStore:
    """Return a store without tasks."""
    store = task_store.TaskStore(url)
    store.upgrade()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table in task_table.METADATA.tables.values():
            connection.execute(sa.delete(table))
    engine.dispose()
    return store
