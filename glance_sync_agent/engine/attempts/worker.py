# SPDX-License-Identifier: Apache-2.0
"""Works on due tasks in other threads, and writes the outcome of each attempt."""

from collections import Counter
from collections.abc import Callable
import dataclasses
import logging
import threading

from glance_sync_agent import errors
from glance_sync_agent import request_ids
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import claims
from glance_sync_agent.engine.attempts import measures
from glance_sync_agent.engine.attempts.attempt_log import AttemptLog
from glance_sync_agent.engine.attempts.failures import Failures
from glance_sync_agent.engine.attempts.large_slots import LargeSlots
from glance_sync_agent.engine.attempts.paused_regions import PausedRegions
from glance_sync_agent.engine.attempts.references import References
from glance_sync_agent.engine.attempts.region_health import RegionHealth
from glance_sync_agent.engine.attempts.runner import Runner

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """How many tasks run at a time, and how long failures are tried again."""

    tasks_per_region: int
    lease_seconds: float  # a task stays ours after the last sign of life
    retries: backoff.RetryPolicy


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WorkerParts:
    """What works on a task, from its claim to its outcome."""

    runner: Runner
    region_health: RegionHealth
    slots: LargeSlots
    paused: PausedRegions
    references: References


class Worker:
    """Claims tasks and works on them. A region that hangs delays no other region."""

    def __init__(
        self,
        outside: ports.Ports,
        settings: Callable[[], WorkerSettings],
        runtime: ports.Runtime,
        parts: WorkerParts,
    ) -> None:
        self._store = outside.store
        self._history = outside.history
        self._clock = outside.clock
        self._runtime = runtime
        self._parts = parts
        self._per_region = settings().tasks_per_region
        self._claims = claims.Claims(
            outside, runtime.owner, settings().lease_seconds, parts.region_health, parts.slots
        )
        self._failures = Failures(
            outside.clock, lambda: settings().retries, runtime, parts.region_health
        )
        self._running: Counter[images.RegionId] = Counter()  # without the extra slots
        self._extra: set[images.RegionId] = set()  # regions whose extra slot is taken
        self._keys: set[tasks.TaskKey] = set()
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)

    def dispatch(self) -> int:
        """Claim due tasks for which there is room; return how many were claimed.

        :raises ServiceUnavailable: the database does not answer.
        """
        count = 0
        paused = self._parts.paused.follow()
        for region, kinds in self._claims.due_regions():
            if paused.of(region) is not None:
                continue
            claimed = self._claims.claim(self._room(region), kinds)
            for lease in claimed.leases:
                self._start(lease)
            for lease in claimed.extra:
                self._start(lease, is_extra=True)
            count += len(claimed.leases) + len(claimed.extra)
        return count

    def follow_pauses(self) -> None:
        """Call off the running tasks of paused regions; :meth:`dispatch` does it, too.

        :raises ServiceUnavailable: the database does not answer.
        """
        self._parts.paused.follow()

    def _room(self, region: images.RegionId) -> claims.Room:
        with self._lock:
            return claims.Room(
                region=region,
                slots=self._per_region - self._running[region],
                is_extra_free=region not in self._extra,
                running=[key.image_id for key in self._keys if key.region == region],
            )

    def running(self) -> int:
        """Return how many tasks are being worked on."""
        with self._lock:
            return len(self._keys)

    def wait_idle(self, timeout_seconds: float | None) -> bool:
        """Wait until no task is being worked on; return False if that took too long."""
        with self._ended:
            return self._ended.wait_for(lambda: not self._keys, timeout_seconds)

    def _start(self, lease: tasks.Lease, *, is_extra: bool = False) -> None:
        key = lease.task.key
        with self._lock:
            if is_extra:
                self._extra.add(key.region)
            else:
                self._running[key.region] += 1
            self._keys.add(key)

        def work() -> None:
            try:
                with request_ids.serving(lease.task.request_id):
                    self.work(lease)
            finally:
                self._end(key, is_extra=is_extra)
                self._runtime.wake()

        self._runtime.submit(work)

    def _end(self, key: tasks.TaskKey, *, is_extra: bool) -> None:
        self._parts.slots.leave(key)
        with self._ended:
            if is_extra:
                self._extra.discard(key.region)
            else:
                self._running[key.region] -= 1
            self._keys.discard(key)
            self._ended.notify_all()

    def work(self, lease: tasks.Lease) -> None:
        """Run one attempt and write its outcome. Raises nothing: the thread is a pool's."""
        try:
            if not self._attempt_under(lease):
                self._request_again(lease.task)
        except errors.SyncError as exc:
            # The lease runs out by itself, and the task is claimed again.
            LOG.error("Could not write the outcome of %s: %s", lease.task.key, exc)
        except Exception:  # a bug, which the pool would hide
            LOG.exception("The outcome of %s was not written", lease.task.key)

    def _attempt_under(self, lease: tasks.Lease) -> bool:
        """Run one attempt and write its outcome; return False if the lease was lost meanwhile."""
        log = AttemptLog(lease.task, self._clock, self._runtime.owner)
        try:
            outcome = self._outcome(lease, log)
            log.add_outcome(outcome)
            self._write(lease, outcome, log)
        except errors.LeaseLost:
            self._keep(log)
            return False
        _report(lease.task, outcome)
        measures.count(self._runtime.meters, lease.task, outcome, log, self._clock.now())
        self._note_region(lease.task, outcome)
        self._parts.references.follow(lease.task, outcome)
        return True

    def _write(
        self, lease: tasks.Lease, outcome: tasks.Outcome | None, log: AttemptLog
    ) -> None:
        now = self._clock.now()
        if outcome is None:
            self._store.release(lease, now)
            self._keep(log)
        elif not self._store.finish(lease, outcome, now, events=log.events):
            LOG.debug("%s was requested again meanwhile", lease.task.key)

    def _keep(self, log: AttemptLog) -> None:
        """Keep what an attempt did that has no outcome. The log has it in any case."""
        if not log.events:
            return
        try:
            self._history.add(log.events)
        except errors.SyncError as exc:
            LOG.warning("Could not keep what an attempt did: %s", exc)

    def _request_again(self, task: tasks.Task) -> None:
        """Request a task again, because its attempt may have changed the copy without a lease.

        The agent that holds the lease now may have read the copy before that change.

        :raises ServiceUnavailable: the database does not answer.
        """
        LOG.info("Lost the lease on %s; requested it again", task.key)
        now = self._clock.now()
        # As a scan requests it, so that a task that gave up does not begin anew.
        self._store.request_in(
            task.key.region,
            [task.key.image_id],
            ports.Request(
                request_id=request_ids.new(),
                now=now,
                not_before=now,
                source_region=task.source_region,
            ),
        )

    def _note_region(self, task: tasks.Task, outcome: tasks.Outcome | None) -> None:
        try:
            self._parts.region_health.note_outcome(task, outcome)
        except errors.SyncError as exc:  # the outcome itself is written
            LOG.warning("Did not note what %s shows about its region: %s", task.key, exc)

    def _outcome(self, lease: tasks.Lease, log: AttemptLog) -> tasks.Outcome | None:
        """Return the outcome of an attempt; None if it was cancelled."""
        try:
            return self._parts.runner.run(lease, log)
        except errors.LeaseLost:
            raise
        except errors.Cancelled:
            return None
        except errors.SyncError as exc:
            return self._failures.outcome(lease.task, exc)
        except Exception as exc:  # a bug: visible, and tried again
            LOG.exception("The attempt at %s crashed", lease.task.key)
            return self._failures.outcome(lease.task, exc)


def _report(task: tasks.Task, outcome: tasks.Outcome | None) -> None:
    if isinstance(outcome, tasks.Failed) and outcome.code is not Code.CANCELLED:
        LOG.error(
            "Gave up %s after %d attempts: %s. "
            "Once the cause is gone, run: glance-sync retry %s %s%s",
            task.key, task.attempts + 1, outcome.reason, task.key.image_id, task.key.region,
            "; otherwise the agent tries again in a day" if outcome.gave_up else "",
        )
