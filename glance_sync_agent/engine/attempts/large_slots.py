# SPDX-License-Identifier: Apache-2.0
"""The places of a region, one of which large images leave free for all others."""

from collections import defaultdict
import dataclasses
import threading

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SlotSettings:
    """Which images are large, and how many tasks run in a region."""

    tasks_per_region: int
    large_image_bytes: int


class LargeSlots:
    """Counts the large images on their way to each region, or read back there. Thread safe.

    How large an image is, only its source tells. So a task whose image turns out to be large
    gives its place back once, and is known by the size in its row from then on.
    """

    def __init__(self, *, per_region: int, large_bytes: int) -> None:
        """Start with nothing on its way.

        :param per_region: places that a region has.
        :param large_bytes: from this size on an image is large; 0: none is.
        """
        # Where there is one place only, to leave that free would be to copy no large image.
        is_kept = large_bytes > 0 and per_region > 1
        self._most = per_region - 1 if is_kept else None
        self._large_bytes = large_bytes
        self._lock = threading.Lock()
        self._taken: dict[images.RegionId, set[tasks.TaskKey]] = defaultdict(set)
        self._apart: set[tasks.TaskKey] = set()

    def limit(self, region: images.RegionId) -> int | None:
        """Return the bytes that a task must stay below to be claimed; None: any will do."""
        with self._lock:
            is_full = self._most is not None and len(self._taken[region]) >= self._most
        return self._large_bytes if is_full else None

    def keep_apart(self, key: tasks.TaskKey) -> None:
        """Give a task no slot for bytes, because it runs in the extra slot of its region."""
        with self._lock:
            self._apart.add(key)

    def take(self, key: tasks.TaskKey, size: int) -> bool:
        """Take a place for ``size`` bytes, or tell that there is none. Idempotent."""
        with self._lock:
            if key in self._apart:
                return False
        if self._most is None or size < self._large_bytes:
            return True
        with self._lock:
            taken = self._taken[key.region]
            if key not in taken and len(taken) >= self._most:
                return False
            taken.add(key)
            return True

    def leave(self, key: tasks.TaskKey) -> None:
        """Give the place back. Idempotent."""
        with self._lock:
            self._apart.discard(key)
            self._taken[key.region].discard(key)
