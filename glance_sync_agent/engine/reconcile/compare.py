# SPDX-License-Identifier: Apache-2.0
"""What differs between sources and their copies, a page of sources at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
import dataclasses
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import situations
from glance_sync_agent.domain import steps
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import requests
from glance_sync_agent.engine.attempts import copies
from glance_sync_agent.engine.attempts import location_records
from glance_sync_agent.engine.attempts import remote_sources
from glance_sync_agent.engine.placement import targets
from glance_sync_agent.engine.placement import wanted_copies
from glance_sync_agent.engine.reconcile import member_scans

LOG = logging.getLogger(__name__)

#: Codes of tasks that are not true any more where an image is not wanted. While a region was out
#: of the catalogue nobody looked, so members may have been removed that no scan would miss.
_OUTDATED = frozenset({Code.IN_SYNC, Code.HELD, Code.REGION_GONE})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Something to be done about an image in a region."""

    image_id: images.ImageId
    image_name: str | None
    region: images.RegionId
    step: steps.Step
    source_region: images.RegionId | None = None  # None: the cascading one
    may_delete: bool = False  # the copy goes for good, because its source did or by strategy
    size: int | None = None  # of the source, in bytes; None: nobody knows
    project: str | None = None  # that owns the source; None: not known


#: What is the same for all that is requested together.
_Kind = tuple[images.RegionId, bool, images.RegionId | None]

#: Does something about differences, or keeps them; returns how many tasks that made.
Ask = Callable[[Sequence[Difference]], int]


def asking(requests: requests.TaskRequests) -> Ask:
    """Return what requests a task for each difference, those of a region in one commit."""

    def ask(found: Sequence[Difference]) -> int:
        alike: dict[_Kind, list[images.ImageId]] = {}
        for one in found:
            kind = one.region, one.may_delete, one.source_region
            alike.setdefault(kind, []).append(one.image_id)
        projects = {one.image_id: one.project for one in found if one.project is not None}
        return sum(
            requests.request_in(
                region,
                image_ids,
                may_delete=may_delete,
                source_region=source_region,
                projects=projects,
            )
            for (region, may_delete, source_region), image_ids in alike.items()
        )

    return ask


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A source, and what is known of it by region."""

    source: images.Image
    verdicts: strategy.Placements
    rows: Mapping[images.RegionId, tasks.Task]
    #: Regions with copies of an image of another region that has the same id.
    taken: Set[images.RegionId]
    catalogue: frozenset[images.RegionId]  # when the page of this source was read
    own_ids: wanted_copies.OwnIds  # of the kernels and ramdisks of all these sources
    #: Of the source; empty until they were read, which is done once for all regions.
    members: list[Mapping[str, images.MemberStatus]] = dataclasses.field(default_factory=list)


class Differences:
    """Compares sources with their copies. Writes nothing."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        store: ports.TaskStore,
        wanted: targets.Targets,
        wanted_as: wanted_copies.WantedCopies,
        recorded: location_records.LocationRecords,
        deletes_unwanted: Callable[[], bool],
        joined: remote_sources.RemoteSources,
        cascading: images.RegionId,
    ) -> None:
        self._regions = regions
        self._store = store
        self._targets = wanted
        self._wanted_as = wanted_as
        self._map = recorded
        self._deletes_unwanted = deletes_unwanted
        self._joining = joined
        self._cascading = cascading

    def regions_for(self, origin: images.RegionId) -> frozenset[images.RegionId]:
        """Return the regions that sources of a region may go to, or have gone to."""
        return self._targets.with_copies(self._noted(origin))

    def pairs(
        self, page: Sequence[images.Image], *, without: Set[images.RegionId] = frozenset()
    ) -> tuple[Sequence[Pair], Mapping[images.RegionId, errors.SyncError]]:
        """Return at most 100 sources with what belongs to them, and the regions that failed.

        Tasks of other regions' images with the same ids do not belong to them.
        Sources whose data is in a region that failed are left out.

        :param without: regions that are not asked for data; left out as well.
        :raises SyncError: the database or Keystone does not answer.
        """
        joined = self._joining.join_all(page, without=without)
        rows: dict[images.ImageId, list[tasks.Task]] = {}
        for task in self._store.find([source.image_id for source in page]):
            rows.setdefault(task.key.image_id, []).append(task)
        own_ids = self._wanted_as.own_ids(page)
        known = [joined.sources[one.image_id] for one in page if one.image_id in joined.sources]
        catalogue = self._targets.catalogue()
        found = [
            self._pair(one, rows.get(one.image_id, []), own_ids, catalogue) for one in known
        ]
        return found, joined.failures

    def _pair(
        self,
        source: images.Image,
        rows: Sequence[tasks.Task],
        own_ids: wanted_copies.OwnIds,
        catalogue: frozenset[images.RegionId],
    ) -> Pair:
        origin = self._noted(source.region)
        others = [row for row in rows if row.source_region != origin]
        return Pair(
            source=source,
            verdicts=self._verdicts(source),
            rows={row.key.region: row for row in rows if row.source_region == origin},
            taken={row.key.region for row in others if row.copy_id is not None},
            catalogue=catalogue,
            own_ids=own_ids,
        )

    def find(
        self,
        region: images.RegionId,
        pairs: Sequence[Pair],
        *,
        failed_before: datetime.datetime | None = None,
        members: member_scans.Share = member_scans.ALL,
    ) -> Iterator[Difference]:
        """Yield what differs in a region, which is asked one question for all the pairs.

        :param failed_before: tasks that failed since are left alone, and those that are not
            finished; None: nothing is, because what decides may have changed under them.
        :param members: the sources whose members are compared, and whose copies are looked for if
            their rows were lost.
        :raises SyncError: the region does not answer.
        """
        service = self._regions.image_service(region)
        yield from self._taken(region, pairs)
        pairs = [
            pair
            for pair in pairs
            if region not in pair.taken
            and not tasks.is_settled(pair.rows.get(region), failed_before)
        ]
        asked = [pair for pair in pairs if self._may_have_copy(pair, region)]
        ids = [_copy_id(pair, region) for pair in asked]
        found = service.find(ids) if ids else {}
        for pair in pairs:
            copy = found.get(_copy_id(pair, region))
            verdict = pair.verdicts.get(region)
            is_wanted = _is_wanted(pair, region)
            if is_wanted:
                if copy is None and (members.is_first or members.has(pair.source.image_id)):
                    copy = _unnoted_copy(service, pair)
                step = self._step(service, pair, copy, members)
            else:
                step = self._unwanted(service, pair, copy, verdict)
            if step is not None:
                may_delete = step.what is steps.StepKind.DELETE and not is_wanted
                yield self._difference(pair, region, step, may_delete=may_delete)

    def _taken(
        self, region: images.RegionId, pairs: Sequence[Pair]
    ) -> Iterator[Difference]:
        """Yield what cannot be copied to a region, because its task there is another image's."""
        found = [pair for pair in pairs if region in pair.taken and _is_wanted(pair, region)]
        for pair in found:
            why = "a copy of another region's image with the same id is there"
            step = steps.Step(what=steps.StepKind.REPORT, why=why)
            yield self._difference(pair, region, step, may_delete=False)
        if found:
            first = found[0].source
            LOG.warning(
                "%d images of region %s cannot be copied to region %s, where copies of other "
                "regions' images with the same ids are, %s among them. Publish them again with "
                "other ids", len(found), first.region, region, first.image_id,
            )

    def _may_have_copy(self, pair: Pair, region: images.RegionId) -> bool:
        if _is_wanted(pair, region):
            return region in pair.rows or copies.is_possible(pair.source)
        row = pair.rows.get(region)
        return row is not None and (row.copy_id is not None or self._deletes(pair, region))

    def _is_target(self, pair: Pair, region: images.RegionId) -> bool:
        """Tell whether images go from the region of a source to another one at all."""
        return region in self._targets.regions(self._noted(pair.source.region))

    def _deletes(self, pair: Pair, region: images.RegionId) -> bool:
        return self._deletes_unwanted() and self._is_target(pair, region)

    def _verdicts(self, source: images.Image) -> strategy.Placements:
        # Copies are no sources: whatever Keystone would say of them, nothing comes of it.
        return {} if identity.names_itself(source) else self._targets.verdicts(source)

    def _noted(self, origin: images.RegionId) -> images.RegionId | None:
        """Return what tasks have as the region of their source."""
        return None if origin == self._cascading else origin

    def _difference(
        self, pair: Pair, region: images.RegionId, step: steps.Step, *, may_delete: bool
    ) -> Difference:
        source = pair.source
        return Difference(
            image_id=source.image_id,
            image_name=source.metadata.name,
            region=region,
            step=step,
            source_region=self._noted(source.region),
            may_delete=may_delete,
            size=source.size,
            project=source.metadata.owner,
        )

    def _unwanted(
        self,
        service: ports.ImageService,
        pair: Pair,
        copy: images.Image | None,
        verdict: strategy.Placement | None,
    ) -> steps.Step | None:
        region, row = service.region, pair.rows.get(service.region)
        why = verdict.why if verdict else "images go elsewhere"
        told = f"not wanted any more: {why}"
        if copy is not None:
            wanted = self._wanted_as.in_region(region)(pair.source, copy)
            action = self._action(region, pair, wanted, copy, unwanted=why)
            if isinstance(action, actions.DeleteCopy):
                return steps.Step(what=steps.StepKind.DELETE, why=told)
            if isinstance(action, actions.UpdateMetadata | actions.SetActive):
                return steps.step_of(action)
        if row is not None and (not _is_done(row) or row.code in _OUTDATED):
            why = told  # its task shall say so, or go
        elif self._map.differs(pair.source, service, None):
            why = "a location names a copy"
        else:
            return None
        # Whoever set sync_strategy to None wants no task but for what is taken back.
        is_asked = self._is_target(pair, region)
        return steps.Step(what=steps.StepKind.NOTE, why=why) if is_asked else None

    def _step(
        self,
        service: ports.ImageService,
        pair: Pair,
        copy: images.Image | None,
        members: member_scans.Share,
    ) -> steps.Step | None:
        row = pair.rows.get(service.region)
        wanted = self._wanted_as.in_region(service.region, pair.own_ids)(pair.source, copy)
        action = self._action(service.region, pair, wanted, copy)
        if not isinstance(action, actions.Settled) or not action.is_in_step:
            return steps.step_of(action) or _failure_over(pair.source, row)
        if row is None:
            # Without a row, because the database was lost, nothing would prove later that the
            # source existed, and the copy would outlive it.
            return steps.Step(what=steps.StepKind.ADOPT, why="a copy of ours without a task")
        if row.code is not action.code:
            why = f"{action.text}, and its task says: {row.reason}"
            return steps.Step(what=steps.StepKind.NOTE, why=why)
        if self._map.differs(pair.source, service, None if action.code is Code.HELD else copy):
            return steps.Step(what=steps.StepKind.NOTE, why="no location names the copy")
        if copy is not None and self._have_other_members(service, pair, copy, members):
            return steps.Step(what=steps.StepKind.UPDATE, why="members")
        return None

    def _action(
        self,
        region: images.RegionId,
        pair: Pair,
        wanted: images.Image,
        copy: images.Image | None,
        *,
        unwanted: str | None = None,
    ) -> actions.Action:
        """Return what is to be done about what a listing tells of a copy."""
        row = pair.rows.get(region)
        situation = situations.Situation(
            source=wanted,
            copy=copy,
            identity=None if copy is None else _whose(copy, pair, wanted, row),
            unwanted=unwanted,
            deletes_unwanted=unwanted is not None and self._deletes(pair, region),
            proven_id=None if row is None else row.proven_id,
            deactivated_id=None if row is None else row.deactivated_id,
        )
        return plans.decide(situation)

    def _have_other_members(
        self,
        service: ports.ImageService,
        pair: Pair,
        copy: images.Image,
        asked: member_scans.Share,
    ) -> bool:
        """Ask, for members are not in a listing, and their changes leave no trace in a record."""
        source = pair.source
        if copy.metadata.visibility != "shared" or not self._wanted_as.have_our_members():
            return False
        if not asked.has(source.image_id):
            return False
        if not pair.members:
            pair.members.append(self._regions.image_service(source.region).members(source))
        return pair.members[0] != service.members(copy)


def _is_wanted(pair: Pair, region: images.RegionId) -> bool:
    verdict = pair.verdicts.get(region)
    return verdict is not None and verdict.wanted


def _copy_id(pair: Pair, region: images.RegionId) -> images.ImageId:
    row = pair.rows.get(region)
    return (row and row.copy_id) or pair.source.image_id


def _unnoted_copy(service: ports.ImageService, pair: Pair) -> images.Image | None:
    """Find the copy with an id of its own that a lost row knew.

    Of an active source the attempt to copy it finds that; one that is not is not copied.
    """
    source = pair.source
    if source.status is not images.ImageStatus.DEACTIVATED or service.region in pair.rows:
        return None
    evidence = identity.Evidence(
        key=images.key_of(source), source=source, regions=pair.catalogue
    )
    return copies.find(service, evidence)


def _whose(
    copy: images.Image,
    pair: Pair,
    wanted: images.Image,
    row: tasks.Task | None,
) -> identity.Identity:
    evidence = identity.Evidence(
        key=images.key_of(pair.source),
        source=wanted,
        known=None if row is None else row.known_copy,
        proven_id=None if row is None else row.proven_id,
        regions=pair.catalogue,
    )
    return identity.whose(copy, evidence)


def _failure_over(source: images.Image, row: tasks.Task | None) -> steps.Step | None:
    """Return what becomes of a task where nothing is to be done: it shall tell no failure.

    A snapshot that was lost before it was copied is one for good.
    """
    if row is None or not _has_failed(row) or remotes.loss(source):
        return None
    why = f"nothing to do, and its task says: {row.reason}"
    return steps.Step(what=steps.StepKind.NOTE, why=why)


def _is_done(row: tasks.Task) -> bool:
    return row.status is tasks.TaskStatus.SUCCESS


def _has_failed(row: tasks.Task) -> bool:
    return row.status is tasks.TaskStatus.FAILURE
