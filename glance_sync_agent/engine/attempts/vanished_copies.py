# SPDX-License-Identifier: Apache-2.0
"""Copies that somebody deletes in their region again and again."""

from collections.abc import Callable

from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.transfer import progress


class VanishedCopies:
    """Makes them anew at growing intervals. Thread safe."""

    def __init__(
        self,
        store: ports.TaskStore,
        clock: ports.Clock,
        limits: Callable[[], progress.Limits],
    ) -> None:
        self._store = store
        self._clock = clock
        self._limits = limits

    def wait(self, lease: tasks.Lease, action: plans.CopyData) -> tasks.RetryAt | None:
        """Take note of a copy that has vanished; return when it may be made anew, None: now.

        :param action: the first one of an attempt.
        :raises LeaseLost: somebody else works on the task.
        """
        task, now = lease.task, self._clock.now()
        # Where its bytes came from is known only of a copy that was complete, and that we
        # did not delete ourselves.
        if action.into is not None or task.copied_from is None:
            return None
        before = task.vanished
        if before is None or before.is_over(now):
            self._store.note_vanished(lease, backoff.Vanishings(times=1, last_at=now))
            return None
        when = before.next_copy(self._limits().vanished)
        if now >= when:
            self._store.note_vanished(lease, before.once_more(now))
            return None
        reason = (
            f"somebody deleted the copy in its region, {before.times + 1} times lately; it is "
            f"copied again at {when.isoformat(timespec='seconds')}, or once you ask: "
            f"glance-sync sync {task.key.image_id} {task.key.region}"
        )
        return tasks.RetryAt(when=when, code=Code.COPY_VANISHED, reason=reason, counts=False)
