# SPDX-License-Identifier: Apache-2.0
"""Finds what differs between sources and their copies in a region."""

from collections.abc import Callable, Iterator, Sequence
import datetime
import logging

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import situations
from glance_sync_agent.domain import steps
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import copies
from glance_sync_agent.engine.attempts.location_records import LocationRecords
from glance_sync_agent.engine.placement.targets import Targets
from glance_sync_agent.engine.placement.wanted_copies import WantedCopies
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile.member_comparison import MemberComparison
from glance_sync_agent.engine.reconcile.member_scans import Share
from glance_sync_agent.engine.reconcile.pairs import Pair

LOG = logging.getLogger(__name__)

#: Codes that no longer hold for an image that is out of strategy. No scan compares members in a
#: region that is out of the catalogue, so members may have been removed meanwhile.
_OUTDATED = frozenset({Code.IN_SYNC, Code.HELD, Code.REGION_GONE})

#: Of a copy that is not wanted, all changes narrow access.
_NARROWING = (actions.UpdateMetadata, actions.SetActive)
_RESTS = "its task failed, or nobody can tell whether it belongs there"
_ENTRY_DIFFERS = "the locations of the source do not match the copy"


class RegionComparison:
    """Compares pairs. Writes nothing."""

    def __init__(
        self,
        regions: ports.Regions,
        targets: Targets,
        wanted_copies: WantedCopies,
        location_records: LocationRecords,
        deletes_unwanted: Callable[[], bool],
    ) -> None:
        self._regions = regions
        self._targets = targets
        self._wanted_copies = wanted_copies
        self._location_records = location_records
        self._members = MemberComparison(wanted_copies.have_our_members)
        self._deletes_unwanted = deletes_unwanted

    def find(
        self,
        region: images.RegionId,
        pairs: Sequence[Pair],
        failed_before: datetime.datetime | None,
        share: Share,
    ) -> Iterator[differences.Difference]:
        """Yield what differs in a region, which gets one request for all pairs.

        :param failed_before: see :class:`Scope`.
        :param share: the sources whose members are compared, and whose copies are searched for
            if no task knows them.
        :raises SyncError: the region does not answer.
        """
        service = self._regions.image_service(region)
        yield from self._taken(region, pairs)
        pairs = [
            pair
            for pair in pairs
            if region not in pair.taken and not _waits(pair.rows.get(region), failed_before)
        ]
        ids = [pair.copy_id(region) for pair in pairs if self._may_have_copy(pair, region)]
        found = service.find(ids) if ids else {}
        for pair in pairs:
            copy = found.get(pair.copy_id(region))
            is_settled = tasks.is_settled(pair.rows.get(region), failed_before)
            if is_settled or pair.placements is None:
                step = self._narrowing(service, pair, copy, share)
            elif pair.is_wanted(region):
                if copy is None and (share.is_first or share.has(pair.source.image_id)):
                    copy = _unknown_copy(service, pair)
                step = self._step(service, pair, copy, share)
            else:
                step = self._unwanted(service, pair, copy, share)
            if step is not None:
                is_deletion = step.what is steps.StepKind.DELETE
                may_delete = is_deletion and not pair.is_wanted(region)
                yield differences.of_pair(pair, region, step, may_delete=may_delete)

    def _taken(
        self, region: images.RegionId, pairs: Sequence[Pair]
    ) -> Iterator[differences.Difference]:
        """Yield what a region cannot hold, because another image's copy has the id."""
        found = [pair for pair in pairs if region in pair.taken and pair.is_wanted(region)]
        why = "the region has a copy of another region's image with the same id"
        step = steps.Step(what=steps.StepKind.REPORT, why=why)
        for pair in found:
            yield differences.of_pair(pair, region, step)
        if found:
            first = found[0].source
            LOG.warning(
                "%d images of region %s cannot be copied to region %s: copies of other regions' "
                "images have the same ids there. One of them is %s. Publish them again with other "
                "ids", len(found), first.region, region, first.image_id,
            )

    def _may_have_copy(self, pair: Pair, region: images.RegionId) -> bool:
        if pair.is_wanted(region):
            return region in pair.rows or copies.is_possible(pair.source)
        return pair.has_copy(region) or (region in pair.rows and self._deletes(pair, region))

    def _is_target(self, pair: Pair, region: images.RegionId) -> bool:
        """Tell whether any image of the source's region may go to a region."""
        return region in self._targets.regions(pair.source_region)

    def _deletes(self, pair: Pair, region: images.RegionId) -> bool:
        return self._deletes_unwanted() and self._is_target(pair, region)

    def _narrowing(
        self, service: ports.ImageService, pair: Pair, copy: images.Image | None, share: Share
    ) -> steps.Step | None:
        """Return what takes access away. It waits for no task that failed, nor for Keystone."""
        if copy is None:
            return None
        action = self._action(service.region, pair, copy, unwanted=_RESTS)
        first = action.first if isinstance(action, actions.DeleteCopy) else action
        if isinstance(first, _NARROWING):
            return steps.step_of(first)
        return self._members.narrowing(service, pair, copy, share)

    def _unwanted(
        self, service: ports.ImageService, pair: Pair, copy: images.Image | None, share: Share
    ) -> steps.Step | None:
        region, row = service.region, pair.rows.get(service.region)
        placement = pair.placements and pair.placements.get(region)
        unwanted = placement.why if placement else "no image of its region goes here"
        why = f"out of strategy: {unwanted}"
        held_id = None
        if copy is not None:
            action = self._action(region, pair, copy, unwanted=unwanted)
            if isinstance(action, actions.DeleteCopy):
                return steps.Step(what=steps.StepKind.DELETE, why=why)
            if isinstance(action, _NARROWING):
                return steps.step_of(action)
            held_id = action.held_id if isinstance(action, actions.Settled) else None
        is_done = row is not None and row.status is tasks.TaskStatus.SUCCESS
        is_noted = row is None or (held_id in {None, row.held_id} and not _is_over(row, copy))
        if row is None or (is_done and is_noted and row.code not in _OUTDATED):
            if not self._location_records.differs(pair.source, service, None):
                return self._members.narrowing(service, pair, copy, share)
            why = _ENTRY_DIFFERS
        if self._is_target(pair, region):
            return steps.Step(what=steps.StepKind.NOTE, why=why)
        # With sync_strategy None, the only tasks are those that take access back.
        return self._members.narrowing(service, pair, copy, share)

    def _step(
        self, service: ports.ImageService, pair: Pair, copy: images.Image | None, share: Share
    ) -> steps.Step | None:
        row = pair.rows.get(service.region)
        action = self._action(service.region, pair, copy)
        if not isinstance(action, actions.Settled) or not action.is_in_step:
            return steps.step_of(action) or _outdated_failure(pair.source, row)
        if row is None:
            # After the loss of the database, only a task proves later that the source existed.
            # Without it the copy would outlive the source.
            return steps.Step(what=steps.StepKind.ADOPT, why="the copy has no task")
        if row.code is not action.code:
            why = f"{action.text}, but the task says: {row.reason}"
            return steps.Step(what=steps.StepKind.NOTE, why=why)
        recorded = None if action.code is Code.HELD else copy
        if self._location_records.differs(pair.source, service, recorded):
            return steps.Step(what=steps.StepKind.NOTE, why=_ENTRY_DIFFERS)
        return self._members.step(service, pair, copy, share)

    def _action(
        self,
        region: images.RegionId,
        pair: Pair,
        copy: images.Image | None,
        *,
        unwanted: str | None = None,
    ) -> actions.Action:
        row = pair.rows.get(region)
        wanted = self._wanted_copies.in_region(region, pair.own_ids)(pair.source, copy)
        found = None if copy is None else identity.whose(copy, _evidence(pair, wanted, row))
        situation = situations.Situation(
            source=wanted,
            copy=copy,
            identity=found,
            unwanted=unwanted,
            deletes_unwanted=unwanted is not None and self._deletes(pair, region),
            proven_id=None if row is None else row.proven_for(pair.source.multihash),
            deactivated_id=None if row is None else row.deactivated_id,
            held_id=None if row is None else row.held_id,
        )
        return plans.decide(situation)


def _waits(row: tasks.Task | None, failed_before: datetime.datetime | None) -> bool:
    """Tell whether a task is about to be tried anyway."""
    is_failed = row is not None and row.status is tasks.TaskStatus.FAILURE
    return not is_failed and tasks.is_settled(row, failed_before)


def _is_over(row: tasks.Task, copy: images.Image | None) -> bool:
    """Tell whether somebody ended the hold of a copy that a row still notes."""
    if copy is None or copy.status is not images.ImageStatus.ACTIVE:
        return False
    return row.held_id == copy.image_id


def _unknown_copy(service: ports.ImageService, pair: Pair) -> images.Image | None:
    """Find the copy with an id of its own whose task was lost.

    An attempt to copy an active source finds it; a deactivated source is not copied.
    """
    source = pair.source
    if source.status is not images.ImageStatus.DEACTIVATED or service.region in pair.rows:
        return None
    return copies.find(service, _evidence(pair, source, None))


def _evidence(pair: Pair, wanted: images.Image, row: tasks.Task | None) -> identity.Evidence:
    return identity.Evidence(
        key=images.key_of(pair.source),
        source=wanted,
        known=None if row is None else row.known_copy,
        proven_id=None if row is None else row.proven_for(pair.source.multihash),
        regions=pair.catalogue,
    )


def _outdated_failure(source: images.Image, row: tasks.Task | None) -> steps.Step | None:
    """Return the step for a task that reports a failure although nothing is to be done.

    The loss of a snapshot before it was copied is a failure that lasts.
    """
    if row is None or row.status is not tasks.TaskStatus.FAILURE or remotes.loss(source):
        return None
    why = f"nothing to do, but the task says: {row.reason}"
    return steps.Step(what=steps.StepKind.NOTE, why=why)
