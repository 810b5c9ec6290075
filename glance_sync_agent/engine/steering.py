# SPDX-License-Identifier: Apache-2.0
"""What a person or a program asks of the agents, whether by a command or by the API.

The agents read it from the database, so it holds for all of them. Each request is an event. If
the same person asks for the same again under the same request id, nothing is done again.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set

from glance_sync_agent import errors
from glance_sync_agent import request_ids
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import history
from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.asked import Asked
from glance_sync_agent.engine.asked import AskedBefore
from glance_sync_agent.engine.requests import TaskRequests

_AT_ONCE = 2000  # tasks that are read before they are requested, region by region

Regions = Collection[images.RegionId] | None  # None: all that have or should have a copy


class Steering:
    """Writes what people ask for. Thread safe.

    All methods raise ServiceUnavailable if the database does not answer.
    """

    def __init__(self, outside: ports.Ports, requests: Callable[[], TaskRequests]) -> None:
        """Make it.

        :param requests: returns what requests tasks; it is called only if it is needed, because
            it needs the catalogue.
        """
        self._outside = outside
        self._store = outside.store
        self._before = AskedBefore(outside.history)
        self._clock = outside.clock
        self._requests = requests

    def sync(
        self,
        image_id: images.ImageId,
        regions: Regions,
        asked: Asked,
        *,
        may_delete: bool = False,
    ) -> Sequence[images.RegionId]:
        """Request an image again, whatever its state; return where.

        :param may_delete: if the source is gone, its copies go.
        :raises UnknownRegion: there is no region for the image.
        """
        earlier = self._before.regions(history.Kind.REQUESTED, asked, image_id)
        if earlier and self._everywhere(image_id, regions) <= set(earlier):
            return earlier
        for region in [None] if regions is None else sorted(regions):
            self._requests().request(image_id, region, may_delete=may_delete)
        found = self._regions_of(image_id, regions)
        if not found:
            raise errors.UnknownRegion(
                f"sync_strategy names no region for image {image_id}, and it has no task; name a "
                "region"
            )
        self._note(history.Kind.REQUESTED, asked, image_id, found)
        return found

    def retry(
        self, image_id: images.ImageId, regions: Regions, asked: Asked
    ) -> Sequence[images.RegionId]:
        """Make the failed and the waiting tasks of an image due now; return their regions.

        An unavailable region gets a probe at once.
        """
        kind = history.Kind.RETRIED
        known = set(self._regions_of(image_id, regions))
        left, done = self._before.left(kind, asked, image_id, known)
        opened = self._outside.breakers.all()
        stuck = [
            task
            for task in self._store.list(image_id=image_id)
            if task.key.region in left and self._is_stuck(task, opened)
        ]
        self._request_again(stuck)
        found = [task.key.region for task in stuck]
        extent = self._before.extent(asked, is_all=regions is None)
        self._note(kind, asked, image_id, found, extent)
        return sorted({*done, *found})

    def retry_all(self, task_filter: ports.TaskFilter, asked: Asked) -> int:
        """Make all failed and waiting tasks due now that match a filter; return how many.

        What somebody cancelled stays so, unless the filter names the code ``cancelled``.
        """
        what = str(task_filter)
        if self._before.has_retried_all(what, asked):
            return 0
        opened = self._outside.breakers.all()
        is_for_cancelled = task_filter.code is Code.CANCELLED
        count = self._request_again(
            task
            for task in self._store.matching(task_filter)
            if self._is_stuck(task, opened)
            and (is_for_cancelled or task.cancelled_by is None)
        )
        if count:
            text = f"{count} tasks: {what}"
            self._note(history.Kind.RETRIED_ALL, asked, None, [task_filter.region], text)
        return count

    def cancel(
        self, image_id: images.ImageId, regions: Regions, asked: Asked
    ) -> Sequence[images.RegionId]:
        """Cancel the tasks of an image that are not done; return their regions."""
        kind = history.Kind.CANCELLED
        known = set(self._regions_of(image_id, regions))
        left, done = self._before.left(kind, asked, image_id, known)
        now = self._clock.now()
        found = self._store.cancel(image_id, left, by=asked.by, now=now) if left else []
        extent = self._before.extent(asked, is_all=regions is None)
        self._note(kind, asked, image_id, found, extent)
        return sorted({*done, *found})

    def release(self, key: tasks.TaskKey, asked: Asked) -> bool:
        """Let the agent activate a copy that another user deactivated.

        :returns: False if no task knows a copy; nothing was written.
        """
        if key.region in self._before.regions(history.Kind.RELEASED, asked, key.image_id):
            return True
        request_id = asked.request_id or request_ids.new()
        is_known = self._store.permit_activation(
            key, now=self._clock.now(), request_id=request_id
        )
        if is_known:
            self._note(history.Kind.RELEASED, asked, key.image_id, [key.region])
        return is_known

    def pause(
        self, region: images.RegionId, asked: Asked, *, reason: str, finishes: bool
    ) -> pauses.Pause:
        """Pause a region; return the pause.

        :param finishes: running attempts may finish.
        """
        pause = pauses.Pause(
            since=self._clock.now(), by=asked.by, reason=reason, finishes=finishes
        )
        if region in self._before.regions(history.Kind.PAUSED, asked):
            return self._outside.pauses.all().get(region, pause)
        self._outside.pauses.pause(region, pause)
        self._note(history.Kind.PAUSED, asked, None, [region], reason)
        return pause

    def resume(self, region: images.RegionId, asked: Asked) -> bool:
        """End the pause of a region; return whether it was paused."""
        if region in self._before.regions(history.Kind.RESUMED, asked):
            return True
        was_paused = self._outside.pauses.resume(region)
        if was_paused:
            self._note(history.Kind.RESUMED, asked, None, [region])
        return was_paused

    def _everywhere(
        self, image_id: images.ImageId, regions: Regions
    ) -> Set[images.RegionId]:
        """Return regions, or all that have or should have a copy."""
        if regions is not None:
            return set(regions)
        return {*self._regions_of(image_id, None), *self._requests().targets()}

    def _regions_of(
        self, image_id: images.ImageId, regions: Regions
    ) -> Sequence[images.RegionId]:
        found = [task.key.region for task in self._store.list(image_id=image_id)]
        return [one for one in found if regions is None or one in regions]

    def _is_stuck(
        self, task: tasks.Task, known: Mapping[images.RegionId, breakers.Breaker]
    ) -> bool:
        if task.cancelled_by is not None:
            return True
        if task.status is tasks.TaskStatus.PENDING:
            now = self._clock.now()
            breaker = known.get(task.key.region, breakers.CLOSED)
            return task.not_before > now or breaker.is_open(now)
        return task.status is tasks.TaskStatus.FAILURE

    def _request_again(self, stuck: Iterable[tasks.Task]) -> int:
        """Make tasks due now; return how many. Their regions get a probe at once."""
        count, regions = 0, set()
        for some in batches.of(stuck, _AT_ONCE):
            by_region: dict[images.RegionId, list[images.ImageId]] = {}
            for task in some:
                by_region.setdefault(task.key.region, []).append(task.key.image_id)
            for region, image_ids in by_region.items():
                count += self._requests().request_again(region, image_ids)
                regions.add(region)
        now = self._clock.now()
        for region in sorted(regions):
            self._outside.breakers.change(region, lambda one: one.with_probe_due(now))
        return count

    def _note(
        self,
        kind: history.Kind,
        asked: Asked,
        image_id: images.ImageId | None,
        regions: Collection[images.RegionId | None],
        text: str = "",
    ) -> None:
        now = self._clock.now()
        self._outside.history.add(
            [
                history.Event(
                    at=now,
                    kind=kind,
                    by=asked.by,
                    request_id=asked.request_id,
                    image_id=image_id,
                    region=region,
                    text=text,
                )
                for region in regions
            ]
        )
