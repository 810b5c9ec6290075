# SPDX-License-Identifier: Apache-2.0
"""What the cascading region says of an image, read once for all regions that ask together."""

from collections import OrderedDict
import dataclasses
import threading

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports

_ENTRIES = 512


@dataclasses.dataclass(slots=True)
class _View:
    read_at: float  # monotonic seconds, before the request was sent
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    read: bool = False
    image: images.Image | None = None


class SourceViews:
    """A short memory of sources.

    The tasks of one request all ask for the same image within moments. A view that was read
    for that request is younger than the event behind it, so it is as good as a new one; a
    younger change of the image comes with a request of its own.
    """

    def __init__(
        self,
        regions: ports.Regions,
        cascading: images.RegionId,
        clock: ports.Clock,
        *,
        max_age_seconds: float = 5.0,
    ) -> None:
        self._regions = regions
        self._cascading = cascading
        self._clock = clock
        self._max_age = max_age_seconds
        self._lock = threading.Lock()
        self._views: OrderedDict[tuple[str, str], _View] = OrderedDict()

    def region(self, task: tasks.Task) -> images.RegionId:
        """Return the region of a task's source."""
        return task.source_region or self._cascading

    def read(self, task: tasks.Task) -> images.Image | None:
        """Return the source of a task with its members; None if there is none.

        :raises ServiceUnavailable: the Glance of its region does not answer.
        """
        view = self._view((task.key.image_id, task.request_id))
        with view.lock:  # the first to come reads, the others wait for it
            if not view.read:
                service = self._regions.image_service(self.region(task))
                view.image = service.get(task.key.image_id)
                view.read = True
            return view.image

    def _view(self, key: tuple[str, str]) -> _View:
        now = self._clock.monotonic()
        with self._lock:
            view = self._views.get(key)
            if view is None or now - view.read_at > self._max_age:
                view = _View(read_at=now)
                self._views[key] = view
            self._views.move_to_end(key)
            while len(self._views) > _ENTRIES:
                self._views.popitem(last=False)
            return view
