# SPDX-License-Identifier: Apache-2.0
"""The regions that should hold copies of an image, now."""

from collections.abc import Callable

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.placement import projects


class Targets:
    """Joins the operator's strategy with Keystone's catalogue and what Keystone says of owners."""

    def __init__(
        self,
        catalogue: ports.Catalogue,
        known_projects: projects.Projects,
        current_policy: Callable[[], strategy.PlacementPolicy],
    ) -> None:
        self._catalogue = catalogue
        self._projects = known_projects
        self._policy = current_policy

    def regions(
        self, source_region: images.RegionId | None = None
    ) -> frozenset[images.RegionId]:
        """Return the regions that may hold a copy of some image; which of them is decided later.

        :param source_region: where the image is; None: in the cascading region.
        :raises ServiceUnavailable: Keystone has never answered.
        """
        if self._policy().strategy is strategy.Strategy.NONE:
            return frozenset()
        return self._others(source_region)

    def with_copies(
        self, source_region: images.RegionId | None = None
    ) -> frozenset[images.RegionId]:
        """Return the regions that may have a copy of some image, wanted or not.

        :param source_region: where the image is; None: in the cascading region.
        :raises ServiceUnavailable: Keystone has never answered.
        """
        return self._catalogue.regions() - {source_region or self._catalogue.cascading}

    def _others(self, source_region: images.RegionId | None) -> frozenset[images.RegionId]:
        """Return the regions that can hold copies of images of ``source_region``.

        The cascading one holds copies only of snapshots, and only where the operator said so.
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
        """Return every region that Keystone knows.

        :raises ServiceUnavailable: Keystone has never answered.
        """
        return self._catalogue.regions()

    def verdicts(self, image: images.Image) -> strategy.Placements:
        """Return for each region that can hold a copy of an image whether it should, and why.

        :raises Undecided: Keystone, which has to be asked, does not answer.
        """
        is_ours = image.region == self._catalogue.cascading
        regions = self._others(None if is_ours else image.region)
        policy, owner = self._policy(), image.metadata.owner
        needed: list[rules.Fact] = []
        decision = strategy.decide(policy, image, regions, strategy.OwnerFacts())
        while isinstance(decision, rules.Fact):
            needed.append(decision)  # each once, for what is known is not asked for
            decision = strategy.decide(policy, image, regions, self._facts(owner, needed))
        return decision

    def _facts(self, owner: str | None, needed: list[rules.Fact]) -> strategy.OwnerFacts:
        try:
            return self._projects.facts(owner, *needed)
        except (errors.TransientError, errors.Refused) as exc:
            raise errors.Undecided(
                f"Keystone does not say where images of project {owner} belong: {exc}"
            ) from exc
