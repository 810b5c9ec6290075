# SPDX-License-Identifier: Apache-2.0
"""Which databases the tests of the task store run on."""

import os
import pathlib

import sqlalchemy as sa

from glance_sync_agent.drivers import task_store
from glance_sync_agent.drivers import task_table

#: URLs of empty databases on servers, separated by spaces. They lose what is in them.
SERVERS = tuple(os.environ.get("GLANCE_SYNC_TEST_DATABASES", "").split())


def label(url: str) -> str:
    """Return the test id for the URL of a server."""
    return sa.make_url(url).get_backend_name()


def sqlite_url(directory: pathlib.Path) -> str:
    """Return the URL of a file in a directory."""
    return f"sqlite:///{directory / 'tasks.db'}"


def empty(url: str) -> None:
    """Drop what the agent makes in a database on a server."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for table in ("tasks", "alembic_version"):
            connection.execute(sa.text(f"DROP TABLE IF EXISTS {table}"))
    engine.dispose()


def made(url: str) -> task_store.TaskStore:
    """Return a store without tasks."""
    store = task_store.TaskStore(url)
    store.upgrade()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.delete(task_table.TASKS))
    engine.dispose()
    return store
