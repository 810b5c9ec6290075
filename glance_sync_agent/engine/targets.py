# SPDX-License-Identifier: Apache-2.0
"""The regions that should hold copies, now."""

from collections.abc import Callable

from glance_sync_agent.domain import images
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine import ports


class Targets:
    """Joins the operator's strategy with Keystone's catalogue."""

    def __init__(
        self, catalogue: ports.Catalogue, current_strategy: Callable[[], strategy.Strategy]
    ) -> None:
        self._catalogue = catalogue
        self._strategy = current_strategy

    def regions(self) -> frozenset[images.RegionId]:
        """Return the regions that should hold a copy of every image.

        :raises ServiceUnavailable: Keystone has never answered.
        """
        return strategy.target_regions(
            self._strategy(),
            cascading=self._catalogue.cascading,
            catalogue=self._catalogue.regions(),
        )
