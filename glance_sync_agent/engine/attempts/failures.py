# SPDX-License-Identifier: Apache-2.0
"""Turns the error of an attempt into its outcome: again later, or failed.

The only place that knows about retrying.
"""

from collections.abc import Callable, Mapping
import datetime
import logging
from typing import Final

from glance_sync_agent import errors
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts.region_health import RegionHealth

LOG = logging.getLogger(__name__)

# At most twice that, so that waiting tasks do not all return at once.
_KEYSTONE_AWAY_SECONDS = 10.0
_PROJECT_SECONDS = 120.0

#: Failures that pass only with an operator's help, which their code shows.
_CODES: Final[Mapping[type[Exception], Code]] = {
    errors.StorageFull: Code.STORAGE_FULL,
    errors.UploadRefused: Code.UPLOAD_REFUSED,
}


class Failures:
    """Decides when a failed task is tried again. Thread safe."""

    def __init__(
        self,
        clock: ports.Clock,
        policy: Callable[[], backoff.RetryPolicy],
        runtime: ports.Runtime,
        region_health: RegionHealth,
    ) -> None:
        self._clock = clock
        self._policy = policy
        self._chance = runtime.chance
        self._is_keystone_away = runtime.is_keystone_away
        self._region_health = region_health

    def outcome(self, task: tasks.Task, failure: Exception) -> tasks.Outcome:
        """Return the outcome of an attempt that raised an error.

        :raises ServiceUnavailable: the database does not answer.
        """
        match failure:
            case errors.PermanentError():
                return tasks.Failed(code=_code_of(failure), reason=str(failure))
            case errors.Undecided():
                # Keystone fails for some projects only, perhaps until an operator helps.
                is_away = self._is_keystone_away()
                pause = _KEYSTONE_AWAY_SECONDS if is_away else _PROJECT_SECONDS
                return self._undecided(task, str(failure), pause)
            case errors.TransientError() if self._is_keystone_away():
                # A Glance without its Keystone says 503, or nothing. That is not its fault.
                reason = f"{type(failure).__name__}: {failure}; and Keystone does not answer"
                return self._undecided(task, reason, _KEYSTONE_AWAY_SECONDS)
            case errors.TransientError(region=task.key.region):
                return self._region_failed(task, failure)
            case errors.TransientError():
                return self._later(task, failure, _at_least(task, failure))
            case _:
                return self._later(task, failure, None)

    def _undecided(self, task: tasks.Task, reason: str, pause: float) -> tasks.RetryAt:
        """Wait without counting: no image is lost if Keystone is away for a day.

        :param pause: seconds; the task waits for once to twice as long.
        """
        pause *= 1 + self._chance()
        when = self._clock.now() + datetime.timedelta(seconds=pause)
        LOG.warning("%s waits: %s", task.key, reason)
        return tasks.RetryAt(
            when=when, code=Code.KEYSTONE_UNAVAILABLE, reason=reason, counts=False
        )

    def _region_failed(
        self, task: tasks.Task, failure: errors.TransientError
    ) -> tasks.Outcome:
        """Count it while the image may be at fault; wait once the region is unavailable.

        If a Glance answers about an image, the image may always be at fault.
        """
        when = self._region_health.again_at(self._region_health.note_failure(task, failure))
        if when is None or failure.fault is errors.Fault.ANSWER:
            return self._later(task, failure, failure.retry_after)
        if isinstance(failure, errors.TransferInterrupted):
            # The region answered until then. If no other image proves it well, one image whose
            # bytes never arrive would be sent for ever.
            pause = when - self._clock.now()
            return self._later(task, failure, pause.total_seconds())
        LOG.warning("%s waits for its region: %s", task.key, failure)
        reason = f"{type(failure).__name__}: {failure}"
        return tasks.RetryAt(
            when=when, code=Code.REGION_UNAVAILABLE, reason=reason, counts=False
        )

    def _later(
        self, task: tasks.Task, failure: Exception, at_least: float | None
    ) -> tasks.Outcome:
        reason = f"{type(failure).__name__}: {failure}"
        now = self._clock.now()
        when = self._policy().next_attempt(
            failed=task.attempts + 1,
            since=task.failing_since or now,
            now=now,
            chance=self._chance(),
            at_least=at_least,
        )
        if when is None:
            return tasks.Failed(code=Code.GAVE_UP, reason=reason)
        LOG.warning(
            "Attempt %d at %s failed, next at %s: %s",
            task.attempts + 1, task.key, when.isoformat(timespec="seconds"), reason,
        )
        code = _CODES.get(type(failure), Code.ATTEMPT_FAILED)
        return tasks.RetryAt(when=when, code=code, reason=reason)


def _code_of(failure: errors.PermanentError) -> Code:
    if isinstance(failure, errors.ImageIdTaken):
        return Code.CONFLICT
    return Code.REFUSED


def _at_least(task: tasks.Task, failure: errors.TransientError) -> float | None:
    """Return the seconds that a task has to wait after a failure; None: it need not."""
    if isinstance(failure, errors.TransferTimedOut) and failure.retry_after is not None:
        # It takes as long each time, so the pause doubles each time.
        return backoff.ceiling(task.attempts, base=failure.retry_after, cap=backoff.DAY_SECONDS)
    return failure.retry_after
