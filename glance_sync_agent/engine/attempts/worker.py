# SPDX-License-Identifier: Apache-2.0
"""Takes due tasks, runs them, and writes what came of it.

The one place that turns errors into "later" and "failed".
"""

from collections import Counter
from collections.abc import Callable, Sequence
import dataclasses
import datetime
import logging
import threading
import uuid

from glance_sync_agent import errors
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import fair_claims
from glance_sync_agent.engine.attempts import large_slots
from glance_sync_agent.engine.attempts import region_health
from glance_sync_agent.engine.attempts import replication

LOG = logging.getLogger(__name__)

#: Twice that at the most, so that all who wait do not come at once.
_UNDECIDED_SECONDS = 10.0

Submit = Callable[[Callable[[], None]], object]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class WorkerSettings:
    """How many tasks run at a time, and how long failures are tried again."""

    tasks_per_region: int
    retries: backoff.RetryPolicy


class Worker:
    """Claims tasks as far as each region has room, and works on them in other threads.

    A region's room is its own, so one that hangs delays nobody else. One that answers nobody is
    left alone, and its tasks wait without a failure being counted. What it answers about one
    image is counted for that image.

    Each region has one more slot, for a task whose copy already has its data. A visibility or a
    member that is taken back waits neither for hours of transfers nor for the byte path.

    :param afterwards: is told of each attempt whose outcome was written.
    """

    def __init__(
        self,
        *,
        store: ports.TaskStore,
        attempt: replication.Replication,
        known_outages: region_health.RegionHealth,
        in_regions: large_slots.LargeSlots,
        clock: ports.Clock,
        submit: Submit,
        owner: str,
        per_region: int,
        lease_seconds: float,
        policy: Callable[[], backoff.RetryPolicy],
        chance: Callable[[], float],
        is_keystone_away: Callable[[], bool],
        afterwards: Callable[[tasks.Task, tasks.Outcome | None], None],
        wake: ports.Wake,
    ) -> None:
        self._store = store
        self._attempt = attempt
        self._outages = known_outages
        self._places = in_regions
        self._clock = clock
        self._submit = submit
        self._owner = owner
        self._per_region = per_region
        self._lease = datetime.timedelta(seconds=lease_seconds)
        self._policy = policy
        self._chance = chance
        self._is_keystone_away = is_keystone_away
        self._afterwards = afterwards
        self._wake = wake
        self._turns = {
            kind: fair_claims.ProjectTurns(store, clock, with_data=kind)
            for kind in (None, False, True)
        }
        self._running: Counter[images.RegionId] = Counter()  # without those apart
        self._apart: set[images.RegionId] = set()  # whose place for that is taken
        self._keys: set[tasks.TaskKey] = set()
        self._lock = threading.Lock()
        self._ended = threading.Condition(self._lock)

    def dispatch(self) -> int:
        """Claim what is due and has room; return how many tasks were taken.

        :raises ServiceUnavailable: the database does not answer.
        """
        now = self._clock.now()
        bringing, copies = (
            self._store.due_regions(now, with_data=kind) for kind in (False, True)
        )
        if due := sorted({*bringing, *copies}):
            self._outages.look()
        return sum(self._take(region, is_copy_due=region in copies) for region in due)

    def _take(self, region: images.RegionId, *, is_copy_due: bool) -> int:
        room = self._per_region - self._running[region]
        admission = region_health.Admission.NONE
        leases: Sequence[tasks.Lease] = ()
        now = self._clock.now()
        if room > 0:
            admission = self._outages.admission(
                region, now=now, seconds=self._lease.total_seconds()
            )
        if admission is region_health.Admission.PROBE:
            leases = self._claim_probe(region, now)
        elif admission is region_health.Admission.ALL:
            leases = self._claim(region, room, now)
        for lease in leases:
            self._start(lease)
        # Where there was room for all that is due, nothing is left.
        is_left = admission is not region_health.Admission.ALL or len(leases) >= room
        return len(leases) + (self._take_apart(region) if is_copy_due and is_left else 0)

    def _claim_probe(
        self, region: images.RegionId, now: datetime.datetime
    ) -> Sequence[tasks.Lease]:
        """Claim the task that shows whether a region answers again."""
        # With another image each time, as long as there is one.
        failed = self._outages.failed_last(region)
        for with_data in self._outages.probes(region):
            for without in (failed, ()):
                leases = self._claim(region, 1, now, without=without, with_data=with_data)
                if leases:
                    return leases
        self._outages.give_up_probe(region, now)
        return ()

    def _take_apart(self, region: images.RegionId) -> int:
        """Take a task whose copy has its data, beside all others; return how many."""
        with self._lock:
            is_taken = region in self._apart
        if is_taken or not self._outages.admits_copies(region):
            return 0
        leases = self._claim(region, 1, self._clock.now(), with_data=True)
        for lease in leases:
            self._places.keep_apart(lease.task.key)
            self._start(lease, is_apart=True)
        return len(leases)

    def _claim(
        self,
        region: images.RegionId,
        limit: int,
        now: datetime.datetime,
        *,
        without: Sequence[images.ImageId] = (),
        with_data: bool | None = None,
    ) -> Sequence[tasks.Lease]:
        turns = self._turns[with_data]
        projects = turns.of(region, now)
        leases = self._store.claim(
            region,
            limit,
            owner=self._owner,
            now=now,
            until=now + self._lease,
            below=self._places.limit(region),
            # One that outlived its lease, or whose lease a clock that was set ended, never runs
            # beside another of ours; as long as nobody else takes it, it may go on.
            without=[*self._running_in(region), *without],
            projects=projects,
            with_data=with_data,
        )
        if projects:
            turns.note(region, leases, limit)
        return leases

    def _running_in(self, region: images.RegionId) -> Sequence[images.ImageId]:
        with self._lock:
            return [key.image_id for key in self._keys if key.region == region]

    def running(self) -> int:
        """Return how many tasks are being worked on."""
        with self._lock:
            return len(self._keys)

    def wait_idle(self, timeout_seconds: float | None) -> bool:
        """Wait until nothing is worked on; return False if that took too long."""
        with self._ended:
            return self._ended.wait_for(lambda: not self._keys, timeout_seconds)

    def _start(self, lease: tasks.Lease, *, is_apart: bool = False) -> None:
        region = lease.task.key.region
        with self._lock:
            if is_apart:
                self._apart.add(region)
            else:
                self._running[region] += 1
            self._keys.add(lease.task.key)

        def work() -> None:
            try:
                self.work(lease)
            finally:
                self._places.leave(lease.task.key)
                with self._ended:
                    if is_apart:
                        self._apart.discard(region)
                    else:
                        self._running[region] -= 1
                    self._keys.discard(lease.task.key)
                    self._ended.notify_all()
                self._wake()

        self._submit(work)

    def work(self, lease: tasks.Lease) -> None:
        """Run one attempt and write its outcome. Raises nothing: the thread is a pool's."""
        try:
            if not self._attempt_under(lease):
                self._look_again(lease.task)
        except errors.SyncError as exc:
            # The lease runs out by itself and the task is taken again.
            LOG.error("Could not write the outcome of %s: %s", lease.task.key, exc)
        except Exception:  # a bug, which the pool would keep to itself
            LOG.exception("The outcome of %s was not written", lease.task.key)

    def _attempt_under(self, lease: tasks.Lease) -> bool:
        """Run one attempt and write its outcome; return False if the lease was lost meanwhile."""
        try:
            outcome = self._outcome(lease)
            if outcome is None:
                self._store.release(lease, self._clock.now())
            elif not self._store.finish(lease, outcome, self._clock.now()):
                LOG.debug("%s was requested again meanwhile", lease.task.key)
        except errors.LeaseLost:
            return False
        self._tell_of_region(lease.task, outcome)
        self._afterwards(lease.task, outcome)
        return True

    def _look_again(self, task: tasks.Task) -> None:
        """Request a task again, because its attempt may have changed the copy without a lease.

        The agent that holds the lease now may have read the copy before that change.

        :raises ServiceUnavailable: the database does not answer.
        """
        LOG.info("Lost the lease on %s; it is looked at again", task.key)
        now = self._clock.now()
        # As a scan asks, so that what gave up does not begin anew.
        self._store.request_in(
            task.key.region,
            [task.key.image_id],
            now=now,
            not_before=now,
            request_id=uuid.uuid4().hex,
            source_region=task.source_region,
        )

    def _tell_of_region(self, task: tasks.Task, outcome: tasks.Outcome | None) -> None:
        failure = None
        try:
            self._outages.note_outcome(task, outcome)
        except errors.SyncError as exc:
            failure = exc
        if failure is not None:  # the outcome itself is written
            LOG.warning("What %s tells of its region was not noted: %s", task.key, failure)

    def _outcome(self, lease: tasks.Lease) -> tasks.Outcome | None:
        """Return what came of an attempt; None if it was called off."""
        try:
            return self._attempt.run(lease)
        except errors.LeaseLost:
            raise
        except errors.Cancelled:
            return None
        except errors.SyncError as exc:
            failure: Exception = exc
        except Exception as exc:  # a bug: visible, and tried again
            LOG.exception("The attempt at %s crashed", lease.task.key)
            failure = exc
        # Out here, because oslo.log repeats the error in hand behind every line.
        return self._after(lease.task, failure)

    def _after(self, task: tasks.Task, failure: Exception) -> tasks.Outcome:
        match failure:
            case errors.PermanentError():
                return self._failed(task, _code_of(failure), str(failure))
            case errors.Undecided():
                return self._undecided(task, str(failure))
            case errors.NoSlot(retry_after=seconds):
                LOG.debug("%s waits: %s", task.key, failure)
                when = task.not_before  # where it stood among those that wait
                if seconds is not None:
                    when = self._clock.now() + datetime.timedelta(seconds=seconds)
                return tasks.RetryAt(
                    when=when, code=Code.NO_SLOT, reason=str(failure), counts=False
                )
            case errors.TransientError() if self._is_keystone_away():
                # A Glance that cannot ask who we are says 503, or nothing; it is not its fault.
                reason = f"{type(failure).__name__}: {failure}; and Keystone does not answer"
                return self._undecided(task, reason)
            case errors.TransientError(region=task.key.region):
                return self._region_failed(task, failure)
            case errors.TransientError():
                return self._later(task, failure, _at_least(task, failure))
            case _:
                return self._later(task, failure, None)

    def _undecided(self, task: tasks.Task, reason: str) -> tasks.RetryAt:
        """Wait without counting: a Keystone that is away for a day loses no image."""
        pause = _UNDECIDED_SECONDS * (1 + self._chance())
        when = self._clock.now() + datetime.timedelta(seconds=pause)
        LOG.warning("%s waits: %s", task.key, reason)
        return tasks.RetryAt(
            when=when, code=Code.KEYSTONE_UNAVAILABLE, reason=reason, counts=False
        )

    def _region_failed(
        self, task: tasks.Task, failure: errors.TransientError
    ) -> tasks.Outcome:
        """Count it while that may be an image's own fault; once the region is left alone, wait.

        What a Glance answers about an image always may be.
        """
        when = self._outages.again_at(self._outages.note_failure(task, failure))
        if when is None or failure.fault is errors.Fault.ANSWER:
            return self._later(task, failure, failure.retry_after)
        if isinstance(failure, errors.TransferInterrupted):
            # The region answered up to there. With no other image beside it to prove the region
            # well, one whose bytes never arrive would be sent for ever.
            pause = when - self._clock.now()
            return self._later(task, failure, pause.total_seconds())
        LOG.warning("%s waits for its region: %s", task.key, failure)
        reason = f"{type(failure).__name__}: {failure}"
        return tasks.RetryAt(
            when=when, code=Code.REGION_UNAVAILABLE, reason=reason, counts=False
        )

    def _later(
        self, task: tasks.Task, exc: Exception, at_least: float | None
    ) -> tasks.Outcome:
        reason = f"{type(exc).__name__}: {exc}"
        when = self._policy().next_attempt(
            failed=task.attempts + 1,
            since=task.failing_since or self._clock.now(),
            now=self._clock.now(),
            chance=self._chance(),
            at_least=at_least,
        )
        if when is None:
            return self._failed(task, Code.GAVE_UP, reason)
        LOG.warning(
            "Attempt %d at %s failed, next at %s: %s",
            task.attempts + 1, task.key, when.isoformat(timespec="seconds"), reason,
        )
        return tasks.RetryAt(when=when, code=Code.ATTEMPT_FAILED, reason=reason)

    def _failed(self, task: tasks.Task, code: Code, reason: str) -> tasks.Failed:
        failed = tasks.Failed(code=code, reason=reason)
        LOG.error(
            "Gave up %s after %d attempts: %s. Once it is mended, run: glance-sync retry %s %s%s",
            task.key, task.attempts + 1, reason, task.key.image_id, task.key.region,
            "; otherwise it is tried again in a day" if failed.gave_up else "",
        )
        return failed


def _code_of(failure: errors.PermanentError) -> Code:
    match failure:
        case errors.ImageConflict() | errors.ImageIdTaken():
            return Code.CONFLICT
        case errors.FormatRefused():
            return Code.FORMAT_REFUSED
    return Code.REFUSED


def _at_least(task: tasks.Task, failure: errors.TransientError) -> float | None:
    """Return the seconds that a task has to wait after a failure; None: it need not."""
    if isinstance(failure, errors.TransferTimedOut) and failure.retry_after is not None:
        # It takes as long each time, so each time it is left for twice as long.
        return backoff.ceiling(task.attempts, base=failure.retry_after, cap=backoff.DAY_SECONDS)
    return failure.retry_after
