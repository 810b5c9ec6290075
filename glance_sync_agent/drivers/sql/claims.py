# SPDX-License-Identifier: Apache-2.0
"""Claims: which tasks are due, and how they are leased."""

from collections.abc import Iterator, Sequence
import dataclasses
import datetime
import itertools
from typing import Any, NamedTuple
import uuid

import sqlalchemy as sa

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql import tables
from glance_sync_agent.drivers.sql.tables import TASKS
from glance_sync_agent.engine import ports


class _State(NamedTuple):
    """A state from which a task is claimed."""

    condition: sa.ColumnElement[bool]
    since: sa.Column[datetime.datetime]  # when the task was due


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The fields are the parameters of ``engine.ports.TaskQueue.claim``."""

    region: images.RegionId
    limit: int
    owner: str
    now: datetime.datetime
    until: datetime.datetime
    claim_filter: ports.ClaimFilter

    def write(self, connection: sa.Connection) -> list[tasks.Lease]:
        """Lease the tasks in the transaction of ``connection``."""
        found = [tables.task(row) for row in self._claimable(connection)]
        is_due = rows.IS_ONE & sa.or_(*(state.condition for state in self._states()))
        leases = (self._lease(connection, task, is_due) for task in found)
        return [lease for lease in leases if lease is not None]

    def _lease(
        self, connection: sa.Connection, task: tasks.Task, is_due: sa.ColumnElement[bool]
    ) -> tasks.Lease | None:
        """Lease a task; return None if another agent was faster."""
        token = uuid.uuid4().hex
        values = {
            "status": rows.PROCESSING,
            "lease_token": token,
            "lease_owner": self.owner,
            "lease_expires_at": self.until,
            "bytes_done": 0,
            "updated_at": self.now,
            "claimed_at": self.now,
        }
        if rows.update(connection, is_due, rows.one(task.key), values) != 1:
            return None
        task = dataclasses.replace(
            task,
            status=tasks.TaskStatus.PROCESSING,
            bytes_done=0,
            updated_at=self.now,
            claimed_at=self.now,
        )
        return tasks.Lease(task=task, token=token)

    def _states(self) -> tuple[_State, _State]:
        """Return the states of pending and of abandoned tasks."""
        not_before, expires_at = TASKS.c.not_before, TASKS.c.lease_expires_at
        return (
            _State(rows.IS_PENDING & (not_before <= self.now), not_before),
            _State(rows.IS_PROCESSING & (expires_at <= self.now), expires_at),
        )

    def _claimable(self, connection: sa.Connection) -> Sequence[sa.Row[Any]]:
        """Read and lock the tasks to lease."""
        states = pending, abandoned = self._states()
        projects = self.claim_filter.projects
        if not projects:
            selected = (self._select(connection, state, self.limit) for state in states)
            return _longest_waiting([*itertools.chain(*selected)], self.limit)
        # Abandoned tasks come first, because projects that always have more would starve them.
        found = self._select(connection, abandoned, self.limit)
        for projects_left, project in zip(range(len(projects), 0, -1), projects, strict=True):
            if share := -(-(self.limit - len(found)) // projects_left):
                is_of_project = TASKS.c.project == project
                found += self._select(connection, pending, share, is_of_project)
        if rest := self.limit - len(found):
            is_other = TASKS.c.image_id.not_in([row.image_id for row in found])
            found += self._select(connection, pending, rest, is_other)
        return found

    def _select(
        self,
        connection: sa.Connection,
        state: _State,
        most: int,
        *conditions: sa.ColumnElement[bool],
    ) -> list[sa.Row[Any]]:
        query = (
            sa.select(TASKS)
            .where(*self._filter(), state.condition, *conditions)
            .order_by(state.since, TASKS.c.image_id)
            .limit(most)
            .with_for_update(skip_locked=True)
        )
        kinds = rows.kinds(with_data=self.claim_filter.with_data)
        if state.since is TASKS.c.lease_expires_at:
            # There are no more leased tasks than workers.
            return [*connection.execute(query.where(sa.or_(*kinds)))]
        # One query for each kind can use an index and stop at the limit.
        found = [row for kind in kinds for row in connection.execute(query.where(kind))]
        return _longest_waiting(found, most)

    def _filter(self) -> Iterator[sa.ColumnElement[bool]]:
        yield TASKS.c.region == self.region
        below, size = self.claim_filter.below, TASKS.c.bytes_total
        if below is not None:
            yield sa.or_(size.is_(None), size < below, TASKS.c.has_data == 1)
        if self.claim_filter.without:
            yield TASKS.c.image_id.not_in(self.claim_filter.without)


def _longest_waiting(found: Sequence[sa.Row[Any]], most: int) -> list[sa.Row[Any]]:
    by_time = sorted(
        found, key=lambda row: (row.lease_expires_at or row.not_before, row.image_id)
    )
    return by_time[:most]


# The next two read one row of an index for each kind of task and each region or project, so they
# take as long with a hundred thousand waiting tasks as with one.


def earliest(
    connection: sa.Connection, *, with_data: bool | None = None
) -> dict[images.RegionId, datetime.datetime]:
    """Return the time from which each region has a task to claim.

    :param with_data: as in :func:`rows.kinds`.
    """
    times: dict[images.RegionId, datetime.datetime] = {}
    kinds = rows.kinds(with_data=with_data)
    for kind in kinds:
        first = (
            sa.select(TASKS.c.region, TASKS.c.not_before)
            .where(rows.IS_PENDING, kind)
            .order_by(TASKS.c.region, TASKS.c.not_before)
            .limit(1)
        )
        row = connection.execute(first).one_or_none()
        while row is not None:
            times[row.region] = min(times.get(row.region, row.not_before), row.not_before)
            row = connection.execute(first.where(TASKS.c.region > row.region)).one_or_none()
    # There are no more leased tasks than workers.
    leased = sa.select(TASKS.c.region, TASKS.c.lease_expires_at).where(
        rows.IS_PROCESSING, sa.or_(*kinds)
    )
    for region, expires_at in connection.execute(leased):
        times[region] = min(times.get(region, expires_at), expires_at)
    return times


def due_projects(
    connection: sa.Connection,
    region: images.RegionId,
    now: datetime.datetime,
    *,
    after: str | None,
    most: int,
    with_data: bool | None,
) -> tuple[Sequence[str], str | None]:
    """Check the next ``most`` projects with pending tasks; see ``TaskQueue.due_projects``."""
    project = TASKS.c.project
    due: list[str] = []
    first = (
        sa.select(project, TASKS.c.not_before)
        .where(rows.IS_PENDING, TASKS.c.region == region)
        .order_by(project, TASKS.c.not_before)
        .limit(1)
    )
    kinds = rows.kinds(with_data=with_data)
    for _ in range(most):
        query = first if after is None else first.where(project > after)
        found = [row for kind in kinds for row in connection.execute(query.where(kind))]
        if not found:
            return due, None
        after = min(row.project for row in found)
        if min(row.not_before for row in found if row.project == after) <= now:
            due.append(after)
    return due, after
