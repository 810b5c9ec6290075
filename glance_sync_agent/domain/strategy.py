# SPDX-License-Identifier: Apache-2.0
"""Which regions an image belongs in, as far as the operator decides."""

from collections.abc import Iterable
import enum
from typing import assert_never

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
    match strategy:
        case Strategy.NONE:
            return frozenset()
        case Strategy.ALL:
            return frozenset(catalogue) - {cascading}
        case _:
            assert_never(strategy)
