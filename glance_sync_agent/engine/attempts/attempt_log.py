# SPDX-License-Identifier: Apache-2.0
"""What one attempt did, for the history."""

from typing import Any

from glance_sync_agent.domain import history
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports


class AttemptLog:
    """The events of one attempt. For one thread."""

    def __init__(self, task: tasks.Task, clock: ports.Clock, by: str) -> None:
        """Begin without events.

        :param by: the agent.
        """
        self.events: list[history.Event] = []
        self._task = task
        self._clock = clock
        self._by = by

    def add(self, kind: history.Kind, **details: Any) -> None:
        """Note that something was done.

        :param details: fields of :class:`history.Event`.
        """
        self.events.append(
            history.Event(
                at=self._clock.now(),
                kind=kind,
                by=self._by,
                image_id=self._task.key.image_id,
                region=self._task.key.region,
                request_id=self._task.request_id,
                **details,
            )
        )

    def add_outcome(self, outcome: tasks.Outcome | None) -> None:
        """Note that the attempt failed, if it did. A task that only waits has not failed.

        :param outcome: None: the attempt was cancelled.
        """
        match outcome:
            case tasks.Failed(code=Code.CANCELLED):
                pass  # it did what a person asked for
            case (
                tasks.Failed(code=code, reason=reason)
                | tasks.RetryAt(code=code, reason=reason, counts=True)
            ):
                self.add(history.Kind.FAILED, code=code, text=reason)
