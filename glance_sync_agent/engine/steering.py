# SPDX-License-Identifier: Apache-2.0
"""What a person or a program asks of the agents, whether by a command or by the API.

The agents read it from the database, so it holds for all of them. Each request is an event. If
the same person asks for the same again under the same request id, nothing is done again.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
import dataclasses

from glance_sync_agent import errors
from glance_sync_agent import request_ids
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import history
from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.requests import TaskRequests

_MOST_REGIONS = 1000
_AT_ONCE = 2000  # tasks that are read before they are requested, region by region
_EVERYWHERE = images.RegionId("")

Regions = Collection[images.RegionId] | None  # None: all that have or should have a copy


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Who asks, and with which request."""

    by: str
    request_id: str | None = None  # None: each request is a new one


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
        earlier = self._earlier(history.Kind.REQUESTED, asked, image_id)
        if earlier and (regions is None or set(regions) <= set(earlier)):
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
        earlier = self._earlier(history.Kind.RETRIED, asked, image_id)
        if earlier and (regions is None or set(earlier) <= set(regions)):
            return earlier
        known = self._outside.breakers.all()
        stuck = [
            task
            for task in self._store.list(image_id=image_id)
            if (regions is None or task.key.region in regions) and self._is_stuck(task, known)
        ]
        self._request_again(stuck)
        found = [task.key.region for task in stuck]
        self._note(history.Kind.RETRIED, asked, image_id, found)
        return found

    def retry_all(self, task_filter: ports.TaskFilter, asked: Asked) -> int:
        """Make all failed and waiting tasks due now that match a filter; return how many."""
        what = str(task_filter)
        if self._has_retried(what, asked):
            return 0
        known = self._outside.breakers.all()
        count = self._request_again(
            task for task in self._store.matching(task_filter) if self._is_stuck(task, known)
        )
        if count:
            text = f"{count} tasks: {what}"
            self._note(history.Kind.RETRIED_ALL, asked, None, [task_filter.region], text)
        return count

    def cancel(
        self, image_id: images.ImageId, regions: Regions, asked: Asked
    ) -> Sequence[images.RegionId]:
        """Cancel the tasks of an image that are not done; return their regions."""
        earlier = self._earlier(history.Kind.CANCELLED, asked, image_id)
        if earlier and (regions is None or set(earlier) <= set(regions)):
            return earlier
        found = self._store.cancel(image_id, regions, by=asked.by, now=self._clock.now())
        self._note(history.Kind.CANCELLED, asked, image_id, found)
        return found

    def release(self, key: tasks.TaskKey, asked: Asked) -> bool:
        """Let the agent activate a copy that another user deactivated.

        :returns: False if no task knows a copy; nothing was written.
        """
        if key.region in self._earlier(history.Kind.RELEASED, asked, key.image_id):
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
        if region in self._earlier(history.Kind.PAUSED, asked):
            return self._outside.pauses.all().get(region, pause)
        self._outside.pauses.pause(region, pause)
        self._note(history.Kind.PAUSED, asked, None, [region], reason)
        return pause

    def resume(self, region: images.RegionId, asked: Asked) -> bool:
        """End the pause of a region; return whether it was paused."""
        if region in self._earlier(history.Kind.RESUMED, asked):
            return True
        was_paused = self._outside.pauses.resume(region)
        if was_paused:
            self._note(history.Kind.RESUMED, asked, None, [region])
        return was_paused

    def _earlier(
        self, kind: history.Kind, asked: Asked, image_id: images.ImageId | None = None
    ) -> Sequence[images.RegionId]:
        """Return the regions in which the same was done before under the same request id."""
        if asked.request_id is None:
            return []
        same = history.Filter(kind=kind, request_id=asked.request_id, image_id=image_id)
        found = [one.event for one in self._outside.history.newest(_MOST_REGIONS, same)]
        return sorted({one.region or _EVERYWHERE for one in found if one.by == asked.by})

    def _has_retried(self, what: str, asked: Asked) -> bool:
        if asked.request_id is None:
            return False
        same = history.Filter(kind=history.Kind.RETRIED_ALL, request_id=asked.request_id)
        found = [one.event for one in self._outside.history.newest(_MOST_REGIONS, same)]
        return any(one.by == asked.by and one.text.endswith(f": {what}") for one in found)

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
