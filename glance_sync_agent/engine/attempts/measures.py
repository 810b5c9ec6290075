# SPDX-License-Identifier: Apache-2.0
"""What the end of an attempt adds to the meters."""

import datetime

from glance_sync_agent.domain import codes
from glance_sync_agent.domain import history
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts.attempt_log import AttemptLog


def count(
    meters: ports.Meters,
    task: tasks.Task,
    outcome: tasks.Outcome | None,
    log: AttemptLog,
    now: datetime.datetime,
) -> None:
    """Count an attempt and its failure. A transfer was counted when it ended.

    :param outcome: None: it was cancelled.
    """
    region = task.key.region
    meters.attempted(region, _word(outcome))
    for event in log.events:
        if event.kind is history.Kind.FAILED:
            meters.failed(region, event.code)
    is_done = isinstance(outcome, tasks.Succeeded) and outcome.code in codes.IN_STEP
    if is_done and task.asked_at is not None:
        meters.completed(region, max((now - task.asked_at).total_seconds(), 0.0))


def _word(outcome: tasks.Outcome | None) -> str:
    match outcome:
        case None:
            return "cancelled"
        case tasks.Succeeded() | tasks.Forgotten():
            return "success"
        case tasks.Failed():
            return "failure"
    return "later"
