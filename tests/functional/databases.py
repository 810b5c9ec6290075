# SPDX-License-Identifier: Apache-2.0
"""The database of an agent that has not run yet."""

import pathlib

from glance_sync_agent.drivers.sql import task_store


def opened(directory: pathlib.Path) -> task_store.SqlTaskStore:
    """Return the tasks of the agent whose files are in ``directory``."""
    return task_store.SqlTaskStore(f"sqlite:///{directory / 'state' / 'sync.sqlite'}")


def make(directory: pathlib.Path) -> None:
    """Make the tables, as ``glance-sync-manage db upgrade`` does it, in less time."""
    (directory / "state").mkdir()
    store = opened(directory)
    store.upgrade()
    store.close()
