# SPDX-License-Identifier: Apache-2.0
"""Pauses in memory."""

from collections.abc import Mapping

from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses


class MemoryPauses:
    """``engine.ports.PauseStore``; held to ``tests/contract/test_pauses.py``."""

    def __init__(self) -> None:
        self._known: dict[images.RegionId, pauses.Pause] = {}

    def all(self) -> Mapping[images.RegionId, pauses.Pause]:
        return dict(self._known)

    def pause(self, region: images.RegionId, pause: pauses.Pause) -> None:
        self._known[region] = pause

    def resume(self, region: images.RegionId) -> bool:
        return self._known.pop(region, None) is not None
