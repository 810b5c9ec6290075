# SPDX-License-Identifier: Apache-2.0
"""Copies that are in the middle of an upload, and those whose upload has died."""

from typing import TypeGuard

from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports

_REMEMBERED = 1024
_IN_UPLOAD = frozenset(
    {images.ImageStatus.SAVING, images.ImageStatus.UPLOADING, images.ImageStatus.IMPORTING}
)


def is_in_upload(copy: images.Image | None) -> TypeGuard[images.Image]:
    """Tell whether a copy waits for the end of an upload into it."""
    return copy is not None and copy.status in _IN_UPLOAD


class BusyCopies:
    """A memory of since when copies have been busy.

    A Glance that is killed in the middle of an upload leaves its record ``saving``, and never
    takes other data for it. Uploads into copies are ours, and one that still runs shows a sign of
    life within a lease, so what is busy for longer waits in vain.
    """

    def __init__(self, clock: ports.Clock) -> None:
        self._clock = clock
        self._since: dict[tasks.TaskKey, tuple[images.ImageId, float]] = {}  # monotonic seconds

    def removal(
        self, key: tasks.TaskKey, copy: images.Image, *, lease_seconds: float
    ) -> plans.DeleteCopy | None:
        """Take note of a copy that is in an upload; None unless that is of no use."""
        now = self._clock.monotonic()
        image_id, since = self._since.pop(key, (None, now))
        if image_id != copy.image_id:
            since = now
        self._since[key] = (copy.image_id, since)
        # Another agent may have gone on with a task, so that nobody here forgets it.
        while len(self._since) > _REMEMBERED:
            self._since.pop(next(iter(self._since)), None)
        if now - since <= lease_seconds:
            return None
        return plans.DeleteCopy(
            copy=copy,
            reason=f"it was {copy.status} for {now - since:.0f} s, so the upload into it has died",
        )

    def forget(self, key: tasks.TaskKey) -> None:
        """Take note that the copy is not busy, or is no more. Idempotent."""
        self._since.pop(key, None)
