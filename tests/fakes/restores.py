# SPDX-License-Identifier: Apache-2.0
"""Operators who purge databases, lose them, and restore older states of them."""

import copy
from typing import Any

from tests.fakes import facts as fake_facts
from tests.fakes import glance
from tests.fakes import task_store

_KEPT = ("_records", "_members", "_data", "_used")


def backup(service: glance.FakeGlance) -> dict[str, object]:
    """Return the state of a Glance, for :func:`restore`."""
    with service.lock:
        return {name: copy.deepcopy(getattr(service, name)) for name in _KEPT}


def restore(service: glance.FakeGlance, state: dict[str, object]) -> None:
    """Have a Glance be what it was."""
    with service.lock:
        for name, kept in copy.deepcopy(state).items():
            setattr(service, name, kept)


def empty(service: glance.FakeGlance) -> None:
    """Begin anew with a Glance that never had an image."""
    with service.lock:
        for name in _KEPT:
            getattr(service, name).clear()


def purge(service: glance.FakeGlance) -> None:
    """Forget what was deleted, as ``glance-manage db purge`` does; its ids are free again."""
    with service.lock:
        service._used = set(service._records)


def backup_tasks(store: task_store.MemoryTaskStore) -> dict[Any, Any]:
    """Return the state of an agent's database, for :func:`restore_tasks`."""
    return copy.copy(store._rows)


def restore_tasks(store: task_store.MemoryTaskStore, state: dict[Any, Any]) -> None:
    """Have an agent's database be what it was."""
    store._rows = copy.copy(state)


def lose_database(
    store: task_store.MemoryTaskStore, facts: fake_facts.MemoryFacts
) -> None:
    """Have an agent's database be a new one."""
    store._rows.clear()
    facts._kept.clear()
