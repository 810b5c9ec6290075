# SPDX-License-Identifier: Apache-2.0
"""One attempt at one task: look, decide, execute, and look again."""

from collections.abc import Callable
import dataclasses
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import narrowing
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import situations
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import copies
from glance_sync_agent.engine.attempts import execution
from glance_sync_agent.engine.attempts import outcomes
from glance_sync_agent.engine.attempts import placements
from glance_sync_agent.engine.attempts import vanished_copies
from glance_sync_agent.engine.attempts.attempt_log import AttemptLog
from glance_sync_agent.engine.attempts.attempt_settings import AttemptSettings
from glance_sync_agent.engine.attempts.busy_copies import BusyCopies
from glance_sync_agent.engine.attempts.context import Context
from glance_sync_agent.engine.attempts.copy_notes import CopyNotes
from glance_sync_agent.engine.attempts.location_records import LocationRecords
from glance_sync_agent.engine.attempts.sources import SourceReader
from glance_sync_agent.engine.attempts.sources import SourceViews
from glance_sync_agent.engine.placement.targets import Targets
from glance_sync_agent.engine.placement.wanted_copies import Wanted
from glance_sync_agent.engine.placement.wanted_copies import WantedCopies
from glance_sync_agent.engine.transfer import progress

LOG = logging.getLogger(__name__)

_RENEW_SECONDS = 3.0
#: No sequence of actions needs more. If it takes more, somebody keeps changing the copy.
_MAX_STEPS = 12


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What all attempts share."""

    sources: SourceViews
    targets: Targets
    wanted_copies: WantedCopies
    location_records: LocationRecords
    busy_copies: BusyCopies
    executor: execution.Executor


class Attempt:
    """What one attempt knows. For one thread."""

    def __init__(
        self,
        outside: ports.Ports,
        settings: Callable[[], AttemptSettings],
        stop: ports.StopFlag,
        parts: Parts,
        notes: CopyNotes,
        log: AttemptLog,
    ) -> None:
        self._store = outside.store
        self._clock = outside.clock
        self._settings = settings
        self._stop = stop
        self._parts = parts
        self._notes = notes
        self._log = log
        self._lease = notes.lease
        self._task = notes.lease.task
        self._service = outside.regions.image_service(self._task.key.region)
        self._reader = SourceReader(parts.sources, self._task, self._clock)
        self._renewed = self._clock.monotonic()
        self._last = execution.Done(copy=None)  # what the last step showed
        self._sent: images.Multihash | None = None
        self._just_read: images.Image | None = None

    def run(self) -> tasks.Outcome:
        """Look, decide and execute until nothing is left to execute."""
        wanted = self._parts.wanted_copies.in_region(self._task.key.region)
        self._last = execution.Done(
            copy=copies.first_copy(self._service, self._parts.sources, self._notes)
        )
        regions = self._parts.targets.catalogue()
        region = self._task.key.region
        key = images.SourceKey(
            image_id=self._task.key.image_id, region=self._parts.sources.region(self._task)
        )
        for step in range(_MAX_STEPS):
            self._keep_lease()
            seen, copy = self._reader.read(), self._last.copy
            source = seen.image
            evidence = identity.Evidence(
                key=key,
                source=source and wanted(source, copy),
                proven_id=self._proven_id(source),
                regions=regions,
            )
            context = self._context(evidence, wanted, is_first=step == 0)
            if copy is None and not self._notes.has_lost and _is_deactivated(source):
                copy = copies.find(self._service, evidence)
                self._last = dataclasses.replace(self._last, copy=copy)
            placement, undecided = placements.of(self._parts.targets, seen, region)
            situation = self._situation(context, placement)
            action = plans.decide(situation)
            LOG.debug("%s: %s", self._task.key, type(action).__name__)
            if undecided is not None:
                action = placements.allowed(action, undecided)
            if narrowing.widens_access(action) and not self._reader.is_fresh:
                self._reader.renew()
                continue
            self._note(action, source, copy)
            if isinstance(action, actions.Conclusion):
                return outcomes.outcome(action, self._seen(placement, source, situation))
            if source is None:
                self._parts.sources.require_rights(self._task)
            postponed = self._execute(context, action)
            if postponed is not None:
                return postponed
        raise errors.ServiceUnavailable(
            f"{self._task.key}: still not in step after {_MAX_STEPS} steps"
        )

    def _context(
        self, evidence: identity.Evidence, wanted: Wanted, *, is_first: bool
    ) -> Context:
        return Context(
            lease=self._lease,
            service=self._service,
            evidence=evidence,
            notes=self._notes,
            log=self._log,
            reader=self._reader,
            wanted=wanted,
            is_first=is_first,
            just_read=self._just_read,
        )

    def _proven_id(self, source: images.Image | None) -> images.ImageId | None:
        """Return the copy that was read back and has the bytes that the source has now."""
        multihash = None if source is None else source.multihash or self._sent
        return self._notes.proven_for(multihash)

    def _situation(
        self, context: Context, placement: strategy.Placement
    ) -> situations.Situation:
        task, copy, settings = self._task, self._last.copy, self._settings()
        limits, now = settings.limits, self._clock.now()
        return situations.Situation(
            source=context.evidence.source,
            copy=copy,
            identity=None if copy is None else context.whose(copy),
            unwanted=None if placement.wanted else placement.why,
            cancelled_by=task.cancelled_by,
            may_delete=task.may_delete,
            # An event alone deletes nothing: a scan counts first how many copies would go.
            deletes_unwanted=task.may_delete_unwanted and settings.delete_out_of_strategy,
            damage=task.damage,
            proven_id=self._proven_id(context.evidence.source),
            deactivated_id=self._notes.deactivated_id,
            held_id=self._notes.held_id,
            busy_seconds=self._parts.busy_copies.seconds(task.key, copy),
            most_busy_seconds=limits.lease,
            wait=vanished_copies.wait(task, now, pause_seconds=limits.vanished)
            if context.is_first
            else None,
            sent=self._sent,
            misread=self._last.misread,
            refusal=self._last.refusal,
        )

    def _note(
        self,
        action: actions.Action,
        source: images.Image | None,
        copy: images.Image | None,
    ) -> None:
        """Note what an action says about the copy, before it is executed."""
        makes_record = isinstance(action, actions.CopyData) and action.into is None
        is_active = copy is not None and copy.status is images.ImageStatus.ACTIVE
        if copy is not None and is_active and not isinstance(action, actions.SetActive):
            # The deactivation never arrived, or was undone.
            self._notes.write_active(copy.image_id)
        if not makes_record and not isinstance(action, actions.Wait):
            # The first attempt does not search for a record. If one is there already, its upload
            # time goes on.
            self._parts.busy_copies.forget(self._task.key)
        self._parts.location_records.follow(source, self._service, copy, action)

    def _execute(
        self, context: Context, action: actions.Executable
    ) -> tasks.RetryAt | None:
        """Execute an action and remember what it showed; return when to try again, None: now.

        :raises DigestMismatch: the copy had wrong bytes, and was deleted.
        """
        self._reader.use()
        result = self._parts.executor.execute(context, action)
        if isinstance(result, execution.Postponed):
            when = result.until or self._task.not_before  # keeps its position in the queue
            LOG.debug("%s waits: %s", self._task.key, result.reason)
            return tasks.RetryAt(
                when=when, code=result.code, reason=result.reason, counts=False
            )
        refusal = result.refusal or self._last.refusal
        self._last = dataclasses.replace(result, refusal=refusal)
        self._sent = result.sent or self._sent
        is_copied = isinstance(action, actions.CopyData)
        self._just_read = result.copy if is_copied and self._reader.is_fresh else None
        if isinstance(action, actions.DeleteCopy) and action.mismatch is not None:
            expected, actual = action.mismatch
            what = f"copy {action.copy.image_id} of {self._task.key}, now deleted"
            raise errors.DigestMismatch(what=what, expected=expected, actual=actual)
        return None

    def _seen(
        self,
        placement: strategy.Placement,
        source: images.Image | None,
        situation: situations.Situation,
    ) -> outcomes.Seen:
        return outcomes.Seen(
            task=dataclasses.replace(self._task, held_id=self._notes.held_id),
            placement=placement,
            source=source,
            copy=situation.copy,
            identity=situation.identity,
            copied_from=self._notes.copied_from,
            now=self._clock.now(),
            snapshot_timeout=self._settings().limits.snapshot,
        )

    def _keep_lease(self) -> None:
        """Renew the lease between two steps, unless it was done lately.

        An attempt that was called off notices it here.

        :raises Cancelled: the agent is stopping.
        """
        now, limits = self._clock.monotonic(), self._settings().limits
        if now - self._renewed >= min(limits.lease / 3, _RENEW_SECONDS):
            progress.renew(
                self._lease, store=self._store, clock=self._clock, limits=limits
            )
            self._renewed = now
        if self._stop.is_set():
            raise errors.Cancelled("the agent is stopping")


def _is_deactivated(source: images.Image | None) -> bool:
    return source is not None and source.status is images.ImageStatus.DEACTIVATED
