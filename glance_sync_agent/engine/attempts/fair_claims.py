# SPDX-License-Identifier: Apache-2.0
"""Whose tasks of a region are taken next, so that no project waits for another one's thousands."""

from collections.abc import Sequence
import dataclasses
import datetime
import math

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports

#: Between two questions who has due tasks; who is new waits for so long at the most.
_ASK_SECONDS = 1.0
#: Projects that one question is about. With more of them the next question goes on from there.
_MOST = 50


@dataclasses.dataclass(slots=True)
class _Turns:
    projects: list[str] = dataclasses.field(default_factory=list)  # with due tasks, next first
    asked_at: float = -math.inf  # monotonic seconds
    after: str | None = None  # where the last question ended


class ProjectTurns:
    """Remembers for each region whose turn it is. For one thread."""

    def __init__(
        self, store: ports.TaskStore, clock: ports.Clock, *, with_data: bool | None
    ) -> None:
        """Start with nobody's turn.

        :param with_data: of which tasks, as in ``TaskStore.claim``.
        """
        self._store = store
        self._clock = clock
        self._with_data = with_data
        self._regions: dict[images.RegionId, _Turns] = {}

    def of(self, region: images.RegionId, now: datetime.datetime) -> Sequence[str]:
        """Return the projects that have due tasks, in turn; none if they are not several.

        :raises ServiceUnavailable: the database does not answer.
        """
        turns = self._regions.setdefault(region, _Turns())
        if self._clock.monotonic() - turns.asked_at >= _ASK_SECONDS:
            found, turns.after = self._store.due_projects(
                region, now, after=turns.after, most=_MOST, with_data=self._with_data
            )
            turns.asked_at = self._clock.monotonic()
            turns.projects += [one for one in found if one not in turns.projects]
        return tuple(turns.projects) if len(turns.projects) > 1 else ()

    def note(
        self, region: images.RegionId, leases: Sequence[tasks.Lease], limit: int
    ) -> None:
        """Take note of what was claimed for the projects whose turn it was.

        Who got a task goes to the end, and who had none to give goes.

        :param limit: tasks that could have been claimed.
        """
        turns = self._regions[region]
        served = {lease.task.project for lease in leases}
        positions = (place for place, one in enumerate(turns.projects) if one in served)
        asked = len(turns.projects) if len(leases) < limit else max(positions, default=0)
        turns.projects = [
            *(one for one in turns.projects[asked:] if one not in served),
            *(one for one in turns.projects if one in served),
        ]
