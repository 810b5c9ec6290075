# SPDX-License-Identifier: Apache-2.0
"""Events in memory."""

from collections.abc import Sequence
import datetime

from glance_sync_agent.domain import history


class MemoryHistory:
    """``engine.ports.EventStore``; held to ``tests/contract/test_history.py``."""

    def __init__(self) -> None:
        self._kept: list[history.Recorded] = []
        self._number = 0

    def add(self, events: Sequence[history.Event]) -> None:
        for event in events:
            self._number += 1
            self._kept.append(history.Recorded(number=self._number, event=event))

    def newest(
        self, limit: int, event_filter: history.Filter = history.ALL
    ) -> Sequence[history.Recorded]:
        found = [one for one in reversed(self._kept) if _matches(one, event_filter)]
        return found[:limit]

    def remove(self, before: datetime.datetime, limit: int) -> int:
        by_time = sorted(self._kept, key=lambda one: one.event.at)
        old = [one for one in by_time if one.event.at < before][:limit]
        self._kept = [one for one in self._kept if one not in old]
        return len(old)


def _matches(one: history.Recorded, event_filter: history.Filter) -> bool:
    return (
        event_filter.image_id in {None, one.event.image_id}
        and event_filter.region in {None, one.event.region}
        and event_filter.kind in {None, one.event.kind}
        and event_filter.request_id in {None, one.event.request_id}
        and (event_filter.before is None or one.number < event_filter.before)
    )
