# SPDX-License-Identifier: Apache-2.0
"""Sources, each with what the agent knows of its copies."""

from collections.abc import Callable, Mapping, Sequence, Set
import dataclasses
import functools

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts.remote_sources import RemoteSources
from glance_sync_agent.engine.placement.targets import Targets
from glance_sync_agent.engine.placement.wanted_copies import OwnIds
from glance_sync_agent.engine.placement.wanted_copies import WantedCopies


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A source, and its copies by region."""

    source: images.Image
    source_region: images.RegionId | None  # as tasks note it; None: the cascading one
    #: None: Keystone does not say where it belongs, or its data is in a region that failed.
    placements: strategy.Placements | None
    rows: Mapping[images.RegionId, tasks.Task]
    #: Regions with a copy of another region's image that has the same id.
    taken: Set[images.RegionId]
    catalogue: frozenset[images.RegionId]  # when the source was read
    own_ids: OwnIds  # of the kernels and ramdisks of all these sources
    #: Reads the source's members, once for all regions.
    members: Callable[[], Mapping[str, images.MemberStatus]]

    def is_wanted(self, region: images.RegionId) -> bool:
        """Tell whether the strategy places a copy in a region."""
        placement = self.placements and self.placements.get(region)
        return bool(placement and placement.wanted)

    def has_copy(self, region: images.RegionId) -> bool:
        """Tell whether the task of a region knows a copy."""
        row = self.rows.get(region)
        return row is not None and row.copy_id is not None

    def copy_id(self, region: images.RegionId) -> images.ImageId:
        """Return the id that the copy in a region has, or would have."""
        row = self.rows.get(region)
        return (row and row.copy_id) or self.source.image_id


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """The pairs of some sources, and why some of them have no placements."""

    pairs: Sequence[Pair]
    #: Regions that failed.
    failures: Mapping[images.RegionId, errors.SyncError]
    #: Owners of whom Keystone does not say where their images belong.
    undecided: Mapping[str | None, errors.Undecided]


class Pairs:
    """Reads pairs. Writes nothing."""

    def __init__(
        self,
        outside: ports.Ports,
        targets: Targets,
        wanted_copies: WantedCopies,
        remote_sources: RemoteSources,
        is_keystone_away: Callable[[], bool],
    ) -> None:
        self._outside = outside
        self._targets = targets
        self._wanted_copies = wanted_copies
        self._remote_sources = remote_sources
        self._is_keystone_away = is_keystone_away

    def of(
        self,
        sources: Sequence[images.Image],
        *,
        without: Set[images.RegionId] = frozenset(),
        undecided: Set[str | None] = frozenset(),
    ) -> Page:
        """Return the pairs of at most 100 sources of a region.

        :param without: regions that get no request for data.
        :param undecided: owners about whom Keystone is not asked again.
        :raises SyncError: the database or Keystone does not answer.
        """
        joined = self._remote_sources.join_all(sources, without=without)
        rows: dict[images.ImageId, list[tasks.Task]] = {}
        for task in self._outside.store.find([source.image_id for source in sources]):
            rows.setdefault(task.key.image_id, []).append(task)
        own_ids = self._wanted_copies.own_ids(sources)
        known = [joined.sources[one.image_id] for one in sources if one.image_id in joined.sources]
        catalogue = self._targets.catalogue()
        pairs = []
        refused: dict[str | None, errors.Undecided] = {}
        for one in known:
            pair = self._pair(one, rows.get(one.image_id, []), own_ids, catalogue)
            if one.metadata.owner not in undecided | refused.keys():
                try:
                    pair = dataclasses.replace(pair, placements=self._placements(one))
                except errors.Undecided as exc:
                    if self._is_keystone_away():
                        raise
                    refused[one.metadata.owner] = exc
            pairs.append(pair)
        # Access that these sources lost is compared whatever became of their data.
        pairs += [
            self._pair(one, rows.get(one.image_id, []), own_ids, catalogue)
            for one in joined.unjoined
        ]
        return Page(pairs=pairs, failures=joined.failures, undecided=refused)

    def _placements(self, source: images.Image) -> strategy.Placements:
        # A copy is no source, so the answer of Keystone would change nothing.
        return {} if identity.names_itself(source) else self._targets.placements(source)

    def _pair(
        self,
        source: images.Image,
        rows: Sequence[tasks.Task],
        own_ids: OwnIds,
        catalogue: frozenset[images.RegionId],
    ) -> Pair:
        cascading = self._outside.catalogue.cascading
        origin = None if source.region == cascading else source.region
        others = [row for row in rows if row.source_region != origin]
        return Pair(
            source=source,
            source_region=origin,
            placements=None,
            rows={row.key.region: row for row in rows if row.source_region == origin},
            taken={row.key.region for row in others if row.copy_id is not None},
            catalogue=catalogue,
            own_ids=own_ids,
            members=functools.cache(functools.partial(self._members, source)),
        )

    def _members(self, source: images.Image) -> Mapping[str, images.MemberStatus]:
        return self._outside.regions.image_service(source.region).members(source)
