# SPDX-License-Identifier: Apache-2.0
"""Copies in the middle of an upload."""

from collections.abc import MutableMapping
import threading

import cachetools

from glance_sync_agent.domain import images
from glance_sync_agent.domain import readiness
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports

_REMEMBERED = 1024


class BusyCopies:
    """Remembers since when uploads into copies run. Thread safe.

    A Glance that is killed in the middle of an upload leaves its record ``saving``, and never
    takes other data for it. Uploads into copies are ours, and each shows a sign of life within
    a lease. A copy that is busy for longer waits in vain.
    """

    def __init__(self, clock: ports.Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: MutableMapping[tasks.TaskKey, tuple[images.ImageId, float]] = (
            cachetools.LRUCache(maxsize=_REMEMBERED)
        )

    def seconds(self, key: tasks.TaskKey, copy: images.Image | None) -> float:
        """Return for how long an upload into a copy has run, as far as this agent saw it."""
        if copy is None or copy.status not in readiness.IN_UPLOAD:
            return 0.0
        now = self._clock.monotonic()
        with self._lock:
            image_id, since = self._since.get(key, (copy.image_id, now))
            if image_id != copy.image_id:
                since = now
            self._since[key] = (copy.image_id, since)
        return now - since

    def forget(self, key: tasks.TaskKey) -> None:
        """Note that the copy is not busy, or does not exist. Idempotent."""
        with self._lock:
            self._since.pop(key, None)
