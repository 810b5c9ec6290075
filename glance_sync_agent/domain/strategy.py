# SPDX-License-Identifier: Apache-2.0
"""Which regions an image belongs in, as far as the operator decides."""

from collections.abc import Iterable
import enum

from glance_sync_agent.domain import images


class Strategy(enum.StrEnum):
    """``sync_strategy``."""

    NONE = "none"
    ALL = "all"


def target_regions(
    strategy: Strategy, *, cascading: images.RegionId, catalogue: Iterable[images.RegionId]
) -> frozenset[images.RegionId]:
    """Return the regions that should hold a copy.

    :param catalogue: every region with an image endpoint.
    """
    if strategy is Strategy.NONE:
        return frozenset()
    return frozenset(catalogue) - {cascading}
