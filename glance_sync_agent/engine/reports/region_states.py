# SPDX-License-Identifier: Apache-2.0
"""Why the tasks of a region wait: it is paused, or unavailable."""

from collections.abc import Mapping
import dataclasses
from typing import Self

from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import conflicts
from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.current_pauses import CurrentPauses
from glance_sync_agent.engine.reports import times


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RegionStates:
    """The pauses and circuit breakers of all regions."""

    breakers: Mapping[images.RegionId, breakers.Breaker]
    pauses: pauses.Pauses

    @classmethod
    def read(cls, kept: ports.BreakerStore, paused: CurrentPauses) -> Self:
        """Read them.

        :raises ServiceUnavailable: the database is unreachable.
        """
        return cls(breakers=kept.all(), pauses=paused.read())

    def reason(self, task: tasks.Task) -> tuple[Code, str]:
        """Return why a task has its status; a pending one may wait for its region."""
        region = task.key.region
        if task.status is not tasks.TaskStatus.PENDING:
            return task.code, task.reason
        if task.cancelled_by is not None:
            return Code.CANCELLED, conflicts.cancelled_text(task.cancelled_by)
        if (pause := self.pauses.of(region)) is not None:
            text = f"region {region} is paused {pause_text(pause)}"
            by_person = f"; 'glance-sync resume {region}' ends that"
            return Code.REGION_PAUSED, text if pause.until else f"{text}{by_person}"
        breaker = self.breakers.get(region, breakers.CLOSED)
        if breaker.retry_at is None or breaker.answers:
            return task.code, task.reason
        return Code.REGION_UNAVAILABLE, (
            f"region {region} is unavailable until {times.text(breaker.retry_at)}, after "
            f"{breaker.failures} failures in a row: {breaker.reason}"
        )


def pause_text(pause: pauses.Pause) -> str:
    """Return since and until when a region is paused, by whom, and why."""
    until = "" if pause.until is None else f" until {times.text(pause.until)}"
    return f"since {times.text(pause.since)}{until} by {pause.by}: {pause.reason}"
