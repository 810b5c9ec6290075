# SPDX-License-Identifier: Apache-2.0
"""Which projects get the next tasks of a region, so no project waits for thousands of another."""

from collections.abc import Sequence
import dataclasses
import datetime
import math

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports

#: Between two queries for projects with due tasks; a new project waits for at most so long.
_ASK_SECONDS = 1.0
#: Projects of one query. If there are more, the next query goes on from there.
_MOST = 50


@dataclasses.dataclass(slots=True)
class _Turns:
    projects: list[str] = dataclasses.field(default_factory=list)  # with due tasks, next first
    asked_at: float = -math.inf  # monotonic seconds
    after: str | None = None  # where the last query ended


class ProjectTurns:
    """Remembers for each region which project is next. For one thread."""

    def __init__(
        self, store: ports.TaskStore, clock: ports.Clock, *, with_data: bool | None
    ) -> None:
        """Start with no project.

        :param with_data: of which tasks, as in ``TaskStore.claim``.
        """
        self._store = store
        self._clock = clock
        self._with_data = with_data
        self._regions: dict[images.RegionId, _Turns] = {}

    def of(self, region: images.RegionId, now: datetime.datetime) -> Sequence[str]:
        """Return the projects with due tasks in their order; none unless there are several.

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
        """Note which tasks were claimed for the next projects.

        A project that got a task goes to the end. A project without due tasks leaves the list.

        :param limit: tasks that could have been claimed.
        """
        turns = self._regions[region]
        served = {lease.task.project for lease in leases}
        positions = (position for position, one in enumerate(turns.projects) if one in served)
        asked = len(turns.projects) if len(leases) < limit else max(positions, default=0)
        turns.projects = [
            *(one for one in turns.projects[asked:] if one not in served),
            *(one for one in turns.projects if one in served),
        ]
