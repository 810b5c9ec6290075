# SPDX-License-Identifier: Apache-2.0
"""One attempt at one task: look, ask what to do, do it, and look again."""

from collections.abc import Callable
import dataclasses
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import narrowing
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import copies
from glance_sync_agent.engine.attempts import copy_notes
from glance_sync_agent.engine.attempts import execution
from glance_sync_agent.engine.attempts import large_slots
from glance_sync_agent.engine.attempts import location_records
from glance_sync_agent.engine.attempts import sources
from glance_sync_agent.engine.attempts import vanished_copies
from glance_sync_agent.engine.placement import targets
from glance_sync_agent.engine.placement import wanted_copies
from glance_sync_agent.engine.transfer import busy_copies
from glance_sync_agent.engine.transfer import origins
from glance_sync_agent.engine.transfer import progress

LOG = logging.getLogger(__name__)

#: Copy, what narrows, record, status, a look at the source before each of these three, and the
#: last look are eight; more steps than this means that somebody else keeps changing the copy.
_MAX_STEPS = 10
_BUSY_COPY_SECONDS = 5.0
_NOBODYS = frozenset({identity.Whose.FOREIGN, identity.Whose.INHERITED})
_UNASKED = strategy.Placement(wanted=True, step=strategy.DecidedBy.STRATEGY, why="")
_NO_REGION = strategy.Placement(
    wanted=False, step=strategy.DecidedBy.STRATEGY, why="it has no image endpoint in the catalogue"
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AttemptSettings:
    """How long things may take, and what an operator lets an attempt do."""

    limits: progress.Limits
    delete_out_of_strategy: bool = False  # a copy does not stay where its image does not belong
    record_locations: bool = False  # a source lists the URLs of its copies


class Replication:
    """Brings one copy in step with its source."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        source_views: sources.SourceViews,
        data_origins: origins.Origins,
        store: ports.TaskStore,
        wanted: targets.Targets,
        wanted_as: wanted_copies.WantedCopies,
        recorded: location_records.LocationRecords,
        deletes_unwanted: Callable[[], bool],
        in_regions: large_slots.LargeSlots,
        clock: ports.Clock,
        stop: ports.StopFlag,
        limits: Callable[[], progress.Limits],
        new_id: Callable[[], images.ImageId] = images.new_id,
    ) -> None:
        self._regions = regions
        self._sources = source_views
        self._store = store
        self._targets = wanted
        self._wanted_as = wanted_as
        self._map = recorded
        self._deletes_unwanted = deletes_unwanted
        self._clock = clock
        self._stop = stop
        self._limits = limits
        self._busy = busy_copies.BusyCopies(clock)
        self._vanished = vanished_copies.VanishedCopies(store, clock, limits)
        self._deeds = execution.Executor(
            regions=regions,
            data_origins=data_origins,
            store=store,
            in_regions=in_regions,
            clock=clock,
            stop=stop,
            limits=limits,
            new_id=new_id,
        )

    def run(self, lease: tasks.Lease) -> tasks.Outcome:
        """Do what brings the copy in step; return only what was seen, never what was hoped.

        :raises TransientError: it may work later.
        :raises PermanentError: somebody has to act first.
        :raises LeaseLost: somebody else works on the task.
        """
        if lease.task.key.region not in self._targets.catalogue():
            return tasks.Succeeded(
                code=plans.REGION_GONE.code, reason=plans.REGION_GONE.text, keeps_deletion=True
            )
        notes = copy_notes.CopyNotes(lease, self._store)
        try:
            outcome = self._bring_in_step(lease, notes)
        except errors.LeaseLost:
            raise
        except errors.SyncError:
            notes.save()
            raise
        match outcome:
            case tasks.RetryAt() | tasks.Succeeded(copy=None):
                # The row would not find what was made, or found: of a source that went meanwhile
                # for instance, whose deletion is yet to be announced.
                notes.save()
        return outcome

    def _bring_in_step(
        self, lease: tasks.Lease, notes: copy_notes.CopyNotes
    ) -> tasks.Outcome:
        task = lease.task
        service = self._regions.image_service(task.key.region)
        wanted = self._wanted_as.in_region(task.key.region)
        kept = self._clock.monotonic()
        copy = self._copy_before(service, task, notes)
        look = sources.SourceReader(self._sources, task)
        known_regions = self._targets.catalogue()
        just_read: images.Image | None = None
        for step in range(_MAX_STEPS):
            kept = self._keep(lease, kept)
            if self._stop.is_set():
                raise errors.Cancelled("the agent is stopping")
            source = look.read()
            attempt = execution.Attempt(
                lease=lease,
                service=service,
                evidence=identity.Evidence(
                    key=self._key(task),
                    source=source and wanted(source, copy),
                    proven_id=notes.proven_id,
                    regions=known_regions,
                ),
                notes=notes,
                look=look,
                just_read=just_read,
            )
            if copy is None and not notes.has_lost and _is_deactivated(source):
                copy = copies.find(service, attempt.evidence)
            found = None if copy is None else attempt.whose(copy)
            verdict = self._verdict(source, task.key.region)
            action = plans.next_action(
                attempt.evidence.source,
                copy,
                found=found,
                unwanted=None if verdict.wanted else verdict.why,
                may_delete=task.may_delete,
                # Not on the word of an event alone: a look counts first how many would go.
                delete_unwanted=task.may_delete and self._deletes_unwanted(),
                damage=task.damage,
                proven_id=notes.proven_id,
                deactivated_id=notes.deactivated_id,
            )
            LOG.debug("%s: %s", task.key, type(action).__name__)
            if _widens(action) and not look.is_fresh:
                look.renew()
                continue
            now_or_later = self._unless_later(lease, action, found, is_first=step == 0)
            if isinstance(now_or_later, tasks.RetryAt):
                return now_or_later
            action = now_or_later
            self._forget_busy(task.key, action)
            self._map.follow(source, service, copy, action)
            if isinstance(action, plans.Settled | plans.AwaitSource):
                return self._end(task, action, verdict, source, copy, found)
            look.is_fresh = False
            copy = self._deeds.do(attempt, action)
            just_read = copy if isinstance(action, plans.CopyData) and look.is_fresh else None
        raise errors.ServiceUnavailable(f"{task.key}: still not in step after {_MAX_STEPS} steps")

    def _unless_later(
        self,
        lease: tasks.Lease,
        action: plans.Action,
        found: identity.Identity | None,
        *,
        is_first: bool,
    ) -> plans.Settled | plans.AwaitSource | plans.Executable | tasks.RetryAt:
        """Return what to do now, or when to look again."""
        if isinstance(action, plans.Wait):
            removal = self._removal(lease.task.key, action, found)
            if removal is not None:
                return removal
            later = self._clock.now() + datetime.timedelta(seconds=_BUSY_COPY_SECONDS)
            return tasks.RetryAt(
                when=later, code=Code.COPY_BUSY, reason=action.reason, counts=False
            )
        if is_first and isinstance(action, plans.CopyData):
            return self._vanished.wait(lease, action) or action
        return action

    def _removal(
        self, key: tasks.TaskKey, action: plans.Wait, found: identity.Identity | None
    ) -> plans.DeleteCopy | plans.Conflict | None:
        """Return what to do about a copy that has been busy for too long; None: it has not."""
        removal = self._busy.removal(key, action.copy, lease_seconds=self._limits().lease)
        if removal is None or (found is not None and found.may_be_replaced):
            return removal
        why = found.reason if found is not None else ""
        return plans.Conflict(
            reason=f"image {action.copy.image_id} of region {key.region}: {removal.reason}. It is "
            f"left alone, because nothing proves that it is our copy: {why}; delete it there"
        )

    def _forget_busy(self, key: tasks.TaskKey, action: plans.Action) -> None:
        """Take note that the copy is not busy, unless nobody has looked.

        A first attempt makes the record without a look; the one that it may find in its place
        has been busy since it was found before.
        """
        if not (isinstance(action, plans.CopyData) and action.into is None):
            self._busy.forget(key)

    def _end(
        self,
        task: tasks.Task,
        action: plans.Settled | plans.AwaitSource,
        verdict: strategy.Placement,
        source: images.Image | None,
        copy: images.Image | None,
        found: identity.Identity | None,
    ) -> tasks.Outcome:
        """Return what an attempt came to that has nothing to do any more, or not yet."""
        if isinstance(action, plans.AwaitSource):
            return self._awaiting(task, action)
        is_missing = copy is None or copy.size is None  # a record that waits for data is no copy
        if is_missing and source is not None and (told := _told(action, verdict, source)):
            return told
        if copy is None and task.waiting_since is not None:
            return _awaited_in_vain(source)
        came_from = None if copy is None else self._deeds.origin_of(copy)
        return _nothing_left(action, source, copy, found, came_from)

    def _key(self, task: tasks.Task) -> images.SourceKey:
        return images.SourceKey(image_id=task.key.image_id, region=self._sources.region(task))

    def _awaiting(
        self, task: tasks.Task, action: plans.AwaitSource
    ) -> tasks.Waiting | tasks.Failed:
        now, seconds = self._clock.now(), self._limits().snapshot
        since = task.waiting_since or now
        until = since + datetime.timedelta(seconds=seconds)
        if now < until:
            return tasks.Waiting(since=since, until=until, reason=action.reason)
        return tasks.Failed(
            code=Code.SNAPSHOT_TIMEOUT,
            reason=f"{action.reason} still, after {seconds:g} s (snapshot_timeout); it is copied "
            "when Glance says that it is active"
        )

    def _verdict(
        self, source: images.Image | None, region: images.RegionId
    ) -> strategy.Placement:
        """Return whether the copy should be there; of no source, and of a copy, nobody asks."""
        if source is None or identity.names_itself(source):
            return _UNASKED
        return self._targets.verdicts(source).get(region, _NO_REGION)

    def _keep(self, lease: tasks.Lease, kept: float) -> float:
        """Renew the lease between two steps, if a good part of it is gone; return when it was."""
        now, limits = self._clock.monotonic(), self._limits()
        if now - kept < limits.lease / 3:
            return kept
        progress.renew(lease, store=self._store, clock=self._clock, limits=limits)
        return now

    def _copy_before(
        self, service: ports.ImageService, task: tasks.Task, notes: copy_notes.CopyNotes
    ) -> images.Image | None:
        """Find the copy that the row knows, or else the image with the id of the source.

        Where no row knows a copy, the record that is made shows whether there is one, and
        nothing that is there can be ours of a source that is gone, or never had data.
        """
        if notes.known is None and _has_no_copy(task, self._sources.read(task)):
            return None
        copy = service.get(notes.known.copy_id if notes.known else task.key.image_id)
        if copy is None and notes.known is not None:
            # To somebody with fewer rights than before, private images are absent.
            service.require_all_rights()
            notes.miss()
        return copy


def _widens(action: plans.Action) -> bool:
    """Tell whether an action gives access, for which the source has to be looked at anew."""
    return isinstance(action, plans.UpdateMetadata | plans.SetActive) and narrowing.widens(action)


def _told(
    action: plans.Settled, verdict: strategy.Placement, source: images.Image
) -> tasks.Outcome | None:
    """Return why an image that whoever made it may miss here is not here; None: as usual."""
    if verdict.step in strategy.UNEXPECTED:
        return tasks.Succeeded(code=action.code, reason=action.text)
    if verdict.wanted and (lost := remotes.loss(source)) is not None:
        return tasks.Failed(
            code=Code.SNAPSHOT_LOST, reason=f"{lost} before it was copied"
        )
    return None


def _awaited_in_vain(source: images.Image | None) -> tasks.Outcome:
    if source is None or source.status is images.ImageStatus.DELETED:
        return tasks.Failed(
            code=Code.SNAPSHOT_LOST, reason="snapshot was deleted before it had data"
        )
    if source.status is images.ImageStatus.KILLED:
        return tasks.Failed(
            code=Code.SNAPSHOT_LOST, reason="snapshot was killed before it had data"
        )
    return tasks.Forgotten()  # it is not wanted here any more


def _nothing_left(
    action: plans.Settled,
    source: images.Image | None,
    copy: images.Image | None,
    found: identity.Identity | None,
    came_from: images.RegionId | None,
) -> tasks.Outcome:
    if copy is None or found is None or found.whose in _NOBODYS:
        return tasks.Forgotten()  # a row tells of a copy, or of why there should be one
    if source is None or not action.is_in_step:
        return tasks.Succeeded(code=action.code, reason=action.text)
    seen = tasks.CopySeen(
        copy_id=copy.image_id,
        created_at=copy.created_at,
        image_name=source.metadata.name,
        size=copy.size,
        copied_from=came_from,
        is_deactivated=copy.status is images.ImageStatus.DEACTIVATED,
    )
    return tasks.Succeeded(code=action.code, reason=action.text, copy=seen)


def _is_deactivated(source: images.Image | None) -> bool:
    return source is not None and source.status is images.ImageStatus.DEACTIVATED


def _is_active(source: images.Image | None) -> bool:
    return source is not None and source.status is images.ImageStatus.ACTIVE


def _has_no_copy(task: tasks.Task, source: images.Image | None) -> bool:
    """Tell whether to look for a copy that no row knows would be in vain."""
    if source is None or not copies.is_possible(source):
        return True
    if task.waiting_since is not None and remotes.loss(source) is not None:
        return True  # a snapshot that went before it had data
    return _is_first(task) and _is_active(source)


def _is_first(task: tasks.Task) -> bool:
    """Tell whether there is most likely no copy yet, so that looking for it would be in vain.

    If there is one all the same, making the record is refused, and then it is looked at.
    """
    return task.copy_id is None and task.attempts == 0 and not task.may_delete
