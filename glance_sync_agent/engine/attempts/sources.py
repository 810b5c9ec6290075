# SPDX-License-Identifier: Apache-2.0
"""Sources, read once for all regions that ask together."""

from collections import OrderedDict
from concurrent import futures
import dataclasses
import threading

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts.remote_sources import RemoteSources

_ENTRIES = 512
_FRESH_SECONDS = 5.0  # since the answer; a step that widens access takes less unless it hangs

_Key = tuple[images.RegionId, images.ImageId, str]  # the image, and the request for it


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A source as it was read."""

    image: images.Image | None  # None: there is none
    #: Why it is not joined with its data in another region. Then it shows lost access only.
    failure: errors.SyncError | None = None


@dataclasses.dataclass(slots=True)
class _View:
    read_at: float  # monotonic seconds, before the request was sent
    is_proven: bool = False  # Glance showed all images after this was read
    source: "futures.Future[Source]" = dataclasses.field(default_factory=futures.Future)


class SourceViews:
    """A short memory of sources.

    The tasks of one request all ask for the same image within moments. A view that was read for
    that request is younger than the event behind it, so it is as good as a new one. A later
    change of the image comes with a request of its own.
    """

    def __init__(
        self,
        regions: ports.Regions,
        cascading: images.RegionId,
        remote_sources: RemoteSources,
        clock: ports.Clock,
        *,
        max_age_seconds: float = 5.0,
    ) -> None:
        self._regions = regions
        self._cascading = cascading
        self._remote_sources = remote_sources
        self._clock = clock
        self._max_age = max_age_seconds
        self._lock = threading.Lock()
        self._views: OrderedDict[_Key, _View] = OrderedDict()

    def region(self, task: tasks.Task) -> images.RegionId:
        """Return the region of a task's source."""
        return task.source_region or self._cascading

    def read(self, task: tasks.Task) -> Source:
        """Return the source of a task as it really is, with its members.

        The first thread reads, and the others wait for its result. They share its failure, too:
        if each waited for a Glance that hangs, the wait would outlast their leases.

        :raises ServiceUnavailable: the Glance of its region, or of its data, does not answer.
        """
        key = self._key(task)
        view, is_new = self._view(key)
        if is_new:
            self._fill(key, view)
        return view.source.result()

    def require_rights(self, task: tasks.Task) -> None:
        """Prove that a source which is not found is not just hidden from the agent.

        One proof serves all regions that read the same view, because it is younger than the view.

        :raises ServiceUnavailable: its Glance does not answer.
        :raises Refused: Glance does not show all images, so private ones look absent.
        """
        with self._lock:
            view = self._views.get(self._key(task))
        was_read = view is not None and view.source.done()  # a proof during a read proves nothing
        if view is not None and view.is_proven:
            return
        self._regions.image_service(self.region(task)).require_all_rights()
        if view is not None and was_read:
            view.is_proven = True

    def read_anew(self, task: tasks.Task) -> Source:
        """Read the source of a task now; later reads return this or a newer state.

        :raises ServiceUnavailable: as in :meth:`read`.
        """
        key = self._key(task)
        with self._lock:
            view = self._put(key, self._clock.monotonic())
        self._fill(key, view)
        return view.source.result()

    def _key(self, task: tasks.Task) -> _Key:
        return self.region(task), task.key.image_id, task.request_id

    def _view(self, key: _Key) -> tuple[_View, bool]:
        """Return a view, and whether the caller has to fill it."""
        now = self._clock.monotonic()
        with self._lock:
            view = self._views.get(key)
            is_new = view is None or now - view.read_at > self._max_age
            if view is None or is_new:
                return self._put(key, now), True
            self._views.move_to_end(key)
            self._tidy(now)
            return view, False

    def _put(self, key: _Key, now: float) -> _View:
        """Begin a view, under the lock."""
        view = self._views[key] = _View(read_at=now)
        self._views.move_to_end(key)
        self._tidy(now)
        return view

    def _tidy(self, now: float) -> None:
        while len(self._views) > _ENTRIES or self._is_old(next(iter(self._views)), now):
            self._views.popitem(last=False)

    def _is_old(self, key: _Key, now: float) -> bool:
        return now - self._views[key].read_at > self._max_age

    def _fill(self, key: _Key, view: _View) -> None:
        region, image_id, _request_id = key
        try:
            found = self._joined(self._regions.image_service(region).get(image_id))
        except BaseException as exc:
            self._forget(key, view)
            view.source.set_exception(exc)
            raise
        if found.failure is not None:
            self._forget(key, view)
        view.source.set_result(found)

    def _joined(self, image: images.Image | None) -> Source:
        try:
            return Source(image=image and self._remote_sources.join(image))
        except errors.SyncError as exc:
            return Source(image=image, failure=exc)

    def _forget(self, key: _Key, view: _View) -> None:
        """Let the next reader try again."""
        with self._lock:
            if self._views.get(key) is view:
                del self._views[key]


class SourceReader:
    """Reads the source for one attempt, and knows whether that is recent enough to widen access.

    It is fresh if this attempt read it and has executed nothing since. A user who lost
    access to the source would otherwise see the copy while the view is old.
    """

    def __init__(self, views: SourceViews, task: tasks.Task, clock: ports.Clock) -> None:
        self._views = views
        self._task = task
        self._clock = clock
        self._renewed_at: float | None = None
        self._is_used = False

    @property
    def is_fresh(self) -> bool:
        """Tell whether the next step may widen access."""
        return not self._is_used and not self.is_old

    @property
    def is_old(self) -> bool:
        """Tell whether the renewal is so long ago that a step under way must not widen access.

        Keystone, or the Glance of the copy, may have taken its time since.
        """
        now = self._clock.monotonic()
        return self._renewed_at is None or now - self._renewed_at > _FRESH_SECONDS

    def use(self) -> None:
        """Take note that a step is executed, which may take long."""
        self._is_used = True

    def read(self) -> Source:
        """Return the source, as it may have been some seconds ago."""
        return self._views.read(self._task)

    def read_now(self) -> images.Image | None:
        """Return the source as it is now, during a step; that makes it not fresh for the next.

        :raises ServiceUnavailable: its Glance does not answer.
        """
        return self._views.read_anew(self._task).image

    def renew(self) -> None:
        """Read the source now.

        :raises ServiceUnavailable: its Glance does not answer.
        """
        self._views.read_anew(self._task)
        self._renewed_at = self._clock.monotonic()
        self._is_used = False
