# SPDX-License-Identifier: Apache-2.0
"""The slots of a region; large images leave one of them free for all others."""

from collections import defaultdict
import dataclasses
import datetime
import threading

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks

#: After this time a copy that found no slot for its read-back looks for one again.
_AGAIN = datetime.timedelta(seconds=30)
#: Between two such tries in a region.
_BETWEEN = datetime.timedelta(seconds=1)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SlotSettings:
    """Which images are large, and how many tasks run in a region."""

    tasks_per_region: int
    large_image_bytes: int  # from this size on an image is large; 0: none is


class LargeSlots:
    """Counts the large images that are being transferred or read back. Thread safe.

    Only the source shows how large an image is. So a task whose image turns out to be large may
    give its slot back once. From then on its row has the size.
    """

    def __init__(self, settings: SlotSettings) -> None:
        # If a region has one slot only, no large image would ever get it.
        is_kept = settings.large_image_bytes > 0 and settings.tasks_per_region > 1
        self._most = settings.tasks_per_region - 1 if is_kept else None
        self._large_bytes = settings.large_image_bytes
        self._lock = threading.Lock()
        self._taken: dict[images.RegionId, set[tasks.TaskKey]] = defaultdict(set)
        self._apart: set[tasks.TaskKey] = set()
        self._tries: dict[images.RegionId, datetime.datetime] = {}  # the last ones

    def limit(self, region: images.RegionId) -> int | None:
        """Return the size below which a task may be claimed, in bytes; None: any size."""
        with self._lock:
            is_full = self._most is not None and len(self._taken[region]) >= self._most
        return self._large_bytes if is_full else None

    def keep_apart(self, key: tasks.TaskKey) -> None:
        """Give a task no slot for a transfer, because it runs in the extra slot of its region."""
        with self._lock:
            self._apart.add(key)

    def take(self, key: tasks.TaskKey, size: int) -> bool:
        """Take a slot for ``size`` bytes; False if there is none. Idempotent."""
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

    def next_try(
        self, region: images.RegionId, now: datetime.datetime
    ) -> datetime.datetime:
        """Return when a copy that found no slot for its read-back looks for one again.

        No two copies look at the same time. Otherwise thousands of them would keep the extra slot
        from a task that takes access back.
        """
        first = now + _AGAIN
        with self._lock:
            self._tries[region] = max(first, self._tries.get(region, now) + _BETWEEN)
            return self._tries[region]

    def leave(self, key: tasks.TaskKey) -> None:
        """Give the slot back. Idempotent."""
        with self._lock:
            self._apart.discard(key)
            self._taken[key.region].discard(key)
