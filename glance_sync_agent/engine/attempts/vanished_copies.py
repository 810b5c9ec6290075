# SPDX-License-Identifier: Apache-2.0
"""Copies that somebody deletes in their region again and again."""

import datetime

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports


def wait(
    task: tasks.Task, now: datetime.datetime, *, pause_seconds: float
) -> actions.Wait | None:
    """Return what keeps a copy that vanished from being made again; None: nothing does.

    :param pause_seconds: before the third copy; it doubles from there.
    """
    before = _earlier(task, now)
    if before is None or now >= (when := before.next_copy(pause_seconds)):
        return None
    return actions.Wait(
        code=Code.COPY_VANISHED,
        until=when,
        reason=f"somebody deleted the copy in its region, {before.times + 1} times lately; it is "
        f"copied again at {when.isoformat(timespec='seconds')}, or once you ask: glance-sync "
        f"sync {task.key.image_id} {task.key.region}",
    )


def note(lease: tasks.Lease, now: datetime.datetime, store: ports.TaskNotes) -> None:
    """Count a copy that vanished, once its new record exists.

    :raises LeaseLost: somebody else works on the task.
    """
    # The row names an origin only of a complete copy that the agent itself did not delete.
    if lease.task.copied_from is None:
        return
    before = _earlier(lease.task, now)
    first = backoff.Vanishings(times=1, last_at=now)
    store.note_vanished(lease, first if before is None else before.once_more(now))


def _earlier(task: tasks.Task, now: datetime.datetime) -> backoff.Vanishings | None:
    if task.copied_from is None or task.vanished is None or task.vanished.is_over(now):
        return None
    return task.vanished
