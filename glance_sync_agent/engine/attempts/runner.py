# SPDX-License-Identifier: Apache-2.0
"""Runs attempts."""

from collections.abc import Callable

from glance_sync_agent import errors
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts.attempt import Attempt
from glance_sync_agent.engine.attempts.attempt import Parts
from glance_sync_agent.engine.attempts.attempt_log import AttemptLog
from glance_sync_agent.engine.attempts.attempt_settings import AttemptSettings
from glance_sync_agent.engine.attempts.copy_notes import CopyNotes
from glance_sync_agent.engine.transfer import progress


class Runner:
    """Runs one attempt for each lease. Thread safe."""

    def __init__(
        self,
        outside: ports.Ports,
        settings: Callable[[], AttemptSettings],
        stop: ports.StopFlag,
        parts: Parts,
    ) -> None:
        self._outside = outside
        self._settings = settings
        self._stop = stop
        self._parts = parts

    def run(self, lease: tasks.Lease, log: AttemptLog) -> tasks.Outcome:
        """Bring one copy closer to its source; return what was seen, never what was hoped.

        :param log: gets what was done, also if the attempt fails.
        :raises TransientError: it may work later.
        :raises PermanentError: an operator has to act first.
        :raises LeaseLost: somebody else works on the task.
        """
        if lease.task.key.region not in self._parts.targets.catalogue():
            return tasks.Succeeded(
                code=plans.REGION_GONE.code, reason=plans.REGION_GONE.text, keeps_deletion=True
            )
        notes = CopyNotes(lease, self._outside.store)
        attempt = Attempt(self._outside, self._settings, self._stop, self._parts, notes, log)
        try:
            outcome = attempt.run()
        except errors.LeaseLost:
            raise
        except errors.SyncError:
            notes.write_news_if_possible()
            # What happens to a copy at the hands of another attempt says nothing of its region.
            progress.renew(
                lease,
                store=self._outside.store,
                clock=self._outside.clock,
                limits=self._settings().limits,
            )
            raise
        match outcome:
            case tasks.RetryAt() | tasks.Failed() | tasks.Succeeded(copy=None):
                # Otherwise the row would not know a copy that this attempt made or found.
                notes.write_news_if_possible()
        return outcome
