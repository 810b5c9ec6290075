# SPDX-License-Identifier: Apache-2.0
"""Who asks for something, and whether the same request has done it before."""

from collections.abc import Sequence, Set
import dataclasses

from glance_sync_agent.domain import history
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports

_MOST_EVENTS = 1000
_EVERYWHERE = images.RegionId("")
_IN_ALL = "in all regions"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Who asks, and with which request."""

    by: str
    request_id: str | None = None  # None: each request is a new one


class AskedBefore:
    """Reads in the events what the same person did under the same request id.

    All methods but :meth:`extent` raise ServiceUnavailable if the database does not answer.
    """

    def __init__(self, events: ports.EventStore) -> None:
        self._events = events

    def regions(
        self, kind: history.Kind, asked: Asked, image_id: images.ImageId | None = None
    ) -> Sequence[images.RegionId]:
        """Return the regions in which it was done."""
        return sorted({one.region or _EVERYWHERE for one in self._same(kind, asked, image_id)})

    def left(
        self,
        kind: history.Kind,
        asked: Asked,
        image_id: images.ImageId,
        wanted: Set[images.RegionId],
    ) -> tuple[Set[images.RegionId], Set[images.RegionId]]:
        """Return the wanted regions in which it is left to be done, and the others."""
        events = self._same(kind, asked, image_id)
        done = wanted & {one.region or _EVERYWHERE for one in events}
        is_all_done = any(one.text == _IN_ALL for one in events)
        return (set() if is_all_done else wanted - done), done

    def extent(self, asked: Asked, *, is_all: bool) -> str:
        """Return the text of an event that tells a repetition whether all regions were meant."""
        return _IN_ALL if is_all and asked.request_id is not None else ""

    def has_retried_all(self, what: str, asked: Asked) -> bool:
        """Tell whether all tasks that match a filter were retried."""
        events = self._same(history.Kind.RETRIED_ALL, asked, None)
        return any(one.text.endswith(f": {what}") for one in events)

    def _same(
        self, kind: history.Kind, asked: Asked, image_id: images.ImageId | None
    ) -> Sequence[history.Event]:
        if asked.request_id is None:
            return []
        same = history.Filter(kind=kind, request_id=asked.request_id, image_id=image_id)
        found = [one.event for one in self._events.newest(_MOST_EVENTS, same)]
        return [one for one in found if one.by == asked.by]
