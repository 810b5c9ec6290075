# SPDX-License-Identifier: Apache-2.0
"""Breakers in memory."""

from collections.abc import Callable, Mapping
import threading

from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images


class MemoryBreakers:
    """``engine.ports.BreakerStore``; held to ``tests/contract/test_breakers.py``."""

    def __init__(self) -> None:
        self._known: dict[images.RegionId, breakers.Breaker] = {}
        self._lock = threading.Lock()

    def all(self) -> Mapping[images.RegionId, breakers.Breaker]:
        return dict(self._known)

    def change(
        self,
        region: images.RegionId,
        decide: Callable[[breakers.Breaker], breakers.Breaker | None],
    ) -> breakers.Breaker | None:
        with self._lock:
            changed = decide(self._known.get(region, breakers.CLOSED))
            if changed == breakers.CLOSED:
                self._known.pop(region, None)
            elif changed is not None:
                self._known[region] = changed
            return changed
