# SPDX-License-Identifier: Apache-2.0
"""The regions that should hold copies of an image now."""

from collections.abc import Callable

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import owner_facts
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.placement.projects import Projects


class Targets:
    """Joins the operator's strategy with Keystone's catalogue and its facts about owners."""

    def __init__(
        self,
        catalogue: ports.Catalogue,
        projects: Projects,
        policy: Callable[[], strategy.PlacementPolicy],
    ) -> None:
        self._catalogue = catalogue
        self._projects = projects
        self._policy = policy

    def regions(
        self, source_region: images.RegionId | None = None
    ) -> frozenset[images.RegionId]:
        """Return the regions that may hold a copy of some image of a region.

        :param source_region: None: the cascading region.
        :raises ServiceUnavailable: Keystone has never answered.
        """
        if self._policy().strategy is strategy.Strategy.NONE:
            return frozenset()
        return self._others(source_region)

    def with_copies(
        self, source_region: images.RegionId | None = None
    ) -> frozenset[images.RegionId]:
        """Return the regions that may have copies of images of a region, wanted or not.

        :param source_region: None: the cascading region.
        :raises ServiceUnavailable: Keystone has never answered.
        """
        return self._catalogue.regions() - {source_region or self._catalogue.cascading}

    def _others(self, source_region: images.RegionId | None) -> frozenset[images.RegionId]:
        """Return the regions that can hold copies of images of ``source_region``.

        The cascading region holds copies only of snapshots, if the operator names it.
        """
        cascading = self._catalogue.cascading
        others = self._catalogue.regions() - {source_region or cascading}
        is_named = cascading in self._policy().snapshot_regions
        return others if is_named and source_region else others - {cascading}

    @property
    def cascading(self) -> images.RegionId:
        """The region where images are published."""
        return self._catalogue.cascading

    def catalogue(self) -> frozenset[images.RegionId]:
        """Return every region in Keystone's catalogue.

        :raises ServiceUnavailable: Keystone has never answered.
        """
        return self._catalogue.regions()

    def placements(self, image: images.Image) -> strategy.Placements:
        """Return the placement of an image in each region that can hold a copy.

        :raises Undecided: Keystone does not answer, and the strategy needs its facts.
        """
        is_ours = image.region == self._catalogue.cascading
        regions = self._others(None if is_ours else image.region)
        policy, owner = self._policy(), image.metadata.owner
        needed: list[owner_facts.Fact] = []
        decision = strategy.decide(policy, image, regions, owner_facts.OwnerFacts())
        while isinstance(decision, owner_facts.Fact):
            needed.append(decision)
            decision = strategy.decide(policy, image, regions, self._facts(owner, needed))
        return decision

    def _facts(
        self, owner: str | None, needed: list[owner_facts.Fact]
    ) -> owner_facts.OwnerFacts:
        try:
            return self._projects.facts(owner, *needed)
        except (errors.TransientError, errors.Refused) as exc:
            raise errors.Undecided(
                f"Keystone does not say where images of project {owner} belong: {exc}"
            ) from exc
