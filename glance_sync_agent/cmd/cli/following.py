# SPDX-License-Identifier: Apache-2.0
"""Waits until tasks are settled, and shows meanwhile what changes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import datetime
import enum
import time
from typing import Any

from glance_sync_agent.cmd.cli import task_view
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine.reports import times


class Outcome(enum.IntEnum):
    """How waiting ended, in exit statuses."""

    IN_STEP = 0
    FAILED = 1
    TIMED_OUT = 2


_SETTLED = {
    tasks.TaskStatus.SUCCESS: Outcome.IN_STEP,
    tasks.TaskStatus.FAILURE: Outcome.FAILED,
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """The tasks that an operator named; None matches everything."""

    image_ids: Sequence[images.ImageId] | None = None
    region: images.RegionId | None = None
    status: tasks.TaskStatus | None = None  # of the tasks that are shown

    def shown(self, store: task_store.SqlTaskStore) -> Iterator[tasks.Task]:
        """Walk the tasks with the named status."""
        return self._walk(store, self.status)

    def outcome(self, store: task_store.SqlTaskStore) -> Outcome | None:
        """Return how the tasks of all statuses ended; None: one is not settled."""
        worst = Outcome.IN_STEP
        for task in self._walk(store, None):
            found = _SETTLED.get(task.status)
            if found is None:
                return None
            worst = max(worst, found)
        return worst

    def _walk(
        self, store: task_store.SqlTaskStore, status: tasks.TaskStatus | None
    ) -> Iterator[tasks.Task]:
        for image_id in [None] if self.image_ids is None else self.image_ids:
            yield from store.list(image_id=image_id, region=self.region, status=status)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Patience:
    """How often to look, and for how long."""

    interval: float  # seconds
    timeout: float | None = None  # seconds; None: until all is settled
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def follow(
    outcome: Callable[[], Outcome | None], show: Callable[[], None], patience: Patience
) -> Outcome:
    """Return how the tasks ended, as soon as they have.

    :param outcome: returns None while a task is not settled.
    :param show: is called each time before it waits.
    """
    started = patience.monotonic()
    while (found := outcome()) is None:
        show()
        wait = patience.interval
        if patience.timeout is not None:
            left = started + patience.timeout - patience.monotonic()
            if left <= 0:
                return Outcome.TIMED_OUT
            wait = min(wait, left)
        patience.sleep(wait)
    return found


class Changes:
    """Says in a line what has changed since the last call."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._last: dict[tuple[str, str], tuple[str, str]] = {}

    def show(self, found: Sequence[Mapping[str, Any]], now: datetime.datetime) -> None:
        """Write the tasks that are new or have another status or reason, and those that left.

        :param found: the fields of tasks; see ``task_reports``.
        """
        before, self._last = self._last, {}
        for fields in found:
            key, state = _state(fields)
            self._last[key] = state
            if before.pop(key, None) != state:
                self._write(f"{times.text(now)} {key[0]} {task_view.sentence(fields)}")
        for image_id, region in before:
            self._write(f"{times.text(now)} {image_id} {region}: not in this list any more")


def _state(fields: Mapping[str, Any]) -> tuple[tuple[str, str], tuple[str, str]]:
    return (fields["image_id"], fields["region"]), (fields["status"], fields["reason"])
