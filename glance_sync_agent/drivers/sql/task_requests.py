# SPDX-License-Identifier: Apache-2.0
"""A request: which tasks it is for, and what it writes into them."""

from collections.abc import Iterator, Mapping, Set
import dataclasses
import enum
import itertools
from typing import Any, TypeAlias

import sqlalchemy as sa

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql import texts
from glance_sync_agent.drivers.sql.tables import TASKS
from glance_sync_agent.engine import ports

_Found: TypeAlias = Mapping[tuple[str, str], Any]  # rows by image and region

_HAS_FAILED = TASKS.c.status == rows.FAILURE


class RequestKind(enum.Enum):
    """Which tasks a request is for, and how much it resets."""

    EVERYWHERE = enum.auto()  # also tasks that an image has in other regions
    IN_REGIONS = enum.auto()  # a copy that vanished there is made again at once
    SCAN = enum.auto()  # in the regions; a task that gave up keeps its failed attempts


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RequestedTasks:
    """The tasks of images in regions; for the fields see ``engine.ports.TaskQueue``."""

    request: ports.Request
    image_ids: Set[images.ImageId]
    regions: Set[images.RegionId]
    kind: RequestKind
    projects: Mapping[images.ImageId, str] = dataclasses.field(default_factory=dict)
    of_source_only: bool = False

    def write(self, connection: sa.Connection) -> int:
        """Write the request in the transaction of ``connection``; return how many tasks it has."""
        found = self._lock(connection)
        keys = set(itertools.product(self.image_ids, self.regions))
        if self.of_source_only:
            others = self._take_over(connection, found, keys)
            keys -= others
            found = {key: row for key, row in found.items() if key not in others}
        if found:
            self._request_again(connection, found)
        if missing := sorted(keys - found.keys()):
            first = self._first()
            connection.execute(
                sa.insert(TASKS),
                [
                    {**first, "image_id": one, "region": region, "project": self._project(one)}
                    for one, region in missing
                ],
            )
        return len(keys | found.keys())

    def _lock(self, connection: sa.Connection) -> _Found:
        """Read and lock the tasks that exist.

        The lock keeps them until they are updated. If another task appears, the INSERT fails and
        the transaction runs again.
        """
        query = (
            sa.select(
                TASKS.c.image_id, TASKS.c.region, TASKS.c.project, TASKS.c.source_region,
                TASKS.c.copy_id, TASKS.c.status,
            )
            .where(*self._conditions())
            .order_by(TASKS.c.image_id, TASKS.c.region)
            .with_for_update()
        )
        return {(row.image_id, row.region): row for row in connection.execute(query)}

    def _conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        yield TASKS.c.image_id.in_(sorted(self.image_ids))
        if self.kind is not RequestKind.EVERYWHERE:
            yield TASKS.c.region.in_(sorted(self.regions))

    def _take_over(
        self,
        connection: sa.Connection,
        found: _Found,
        keys: Set[tuple[str, str]],
    ) -> Set[tuple[str, str]]:
        """Take over the tasks of other sources that it may take over; return the rest of them."""
        others = set()
        for key, row in found.items():
            if row.source_region == self.request.source_region:
                continue
            if key in keys and self._may_take_over(row.copy_id, row.status):
                connection.execute(_taken_over(*key))
            else:
                others.add(key)
        return others

    def _may_take_over(self, copy_id: str | None, status: str) -> bool:
        """Return whether a task with another source becomes a task of this one.

        A task with a copy, or that may be making one, must stay with the source of that copy.
        """
        is_free = copy_id is None and status != rows.PROCESSING
        deletes = self.request.may_delete or self.request.may_delete_unwanted
        return is_free and self.request.source_region is None and not deletes

    def _project(self, image_id: str) -> str:
        return texts.project_text(self.projects.get(images.ImageId(image_id), ""))

    def _request_again(
        self, connection: sa.Connection, found: _Found
    ) -> None:
        conditions = [*self._conditions()]
        if self.of_source_only:
            source_region = TASKS.c.source_region
            conditions.append(source_region.is_not_distinct_from(self.request.source_region))
        connection.execute(self._again().where(*conditions))
        moved: dict[str, set[str]] = {}
        for (image_id, _region), row in found.items():
            project = self._project(image_id)
            if project and project != row.project:
                moved.setdefault(project, set()).add(image_id)
        for project, image_ids in sorted(moved.items()):
            is_moved = TASKS.c.image_id.in_(sorted(image_ids))
            change = sa.update(TASKS).where(*conditions, is_moved)
            connection.execute(change.values(project=project))

    def _always(self) -> dict[str, object]:
        return {"request_id": self.request.request_id, "updated_at": self.request.now}

    def _first(self) -> dict[str, object]:
        """Return the values of a new task, except its key and its project."""
        return {
            **self._always(),
            "status": rows.PENDING,
            "attempts": 0,
            "generation": 1,
            "may_delete": self.request.may_delete,
            "may_delete_unwanted": self.request.may_delete_unwanted,
            "not_before": self.request.not_before,
            **rows.REQUESTED,
            "source_region": self.request.source_region,
            "bytes_done": 0,
            "created_at": self.request.now,
            "asked_at": self.request.now,
        }

    def _again(self) -> sa.Update:
        """Return the change of existing tasks.

        The status comes last, because the other assignments read it. MariaDB runs them from left
        to right and shows the later ones the new values.
        """
        is_processing = rows.IS_PROCESSING
        sooner = rows.IS_PENDING & (TASKS.c.not_before < self.request.not_before)
        # A literal with the column's type is sent as the column has it, without a zone.
        requested = sa.literal(self.request.not_before, TASKS.c.not_before.type)
        may_delete = sa.literal(self.request.may_delete)
        status = sa.case((is_processing, rows.PROCESSING), else_=rows.PENDING)
        # The agent found this copy and did not make it. The size must not count as data to copy.
        is_found = (TASKS.c.status == rows.SUCCESS) & TASKS.c.copied_from.is_(None)
        total = sa.case((is_found, sa.null()), else_=TASKS.c.bytes_total)
        return sa.update(TASKS).ordered_values(
            (TASKS.c.generation, TASKS.c.generation + 1),
            (TASKS.c.may_delete, sa.or_(TASKS.c.may_delete, may_delete)),
            (TASKS.c.not_before, sa.case((sooner, TASKS.c.not_before), else_=requested)),
            *((TASKS.c[name], sa.case((is_processing, TASKS.c[name]), else_=value))
              for name, value in rows.REQUESTED.items()),
            (TASKS.c.bytes_done, sa.case((is_processing, TASKS.c.bytes_done), else_=0)),
            (TASKS.c.bytes_total, total),
            *((TASKS.c[name], value) for name, value in self._always().items()),
            *self._failures(),
            (TASKS.c.asked_at, self._asked_at()),
            *([(TASKS.c.cancelled_by, None)] if self.request.by_person else []),
            *self._may_delete_unwanted(),
            (TASKS.c.status, status),
        )

    def _may_delete_unwanted(self) -> Iterator[tuple[sa.Column[Any], Any]]:
        if self.request.may_delete_unwanted:
            yield TASKS.c.may_delete_unwanted, True

    def _asked_at(self) -> sa.ColumnElement[Any]:
        """Return since when the copy is not as requested."""
        states = [rows.PENDING, rows.PROCESSING]
        if self.kind is RequestKind.SCAN:
            states.append(rows.FAILURE)  # nobody asked for anything new
        now = sa.literal(self.request.now, TASKS.c.asked_at.type)
        known = sa.func.coalesce(TASKS.c.asked_at, now)
        return sa.case((TASKS.c.status.in_(states), known), else_=now)

    def _failures(self) -> Iterator[tuple[sa.Column[Any], Any]]:
        """Yield the new values about failed attempts and vanished copies."""
        attempts, since = TASKS.c.attempts, TASKS.c.failing_since
        if self.kind is RequestKind.SCAN:
            has_given_up = _HAS_FAILED & since.is_not(None)
            yield attempts, sa.case((has_given_up, attempts), else_=0)
            yield since, sa.case((_HAS_FAILED, since), else_=sa.null())
            return
        yield attempts, 0
        yield since, sa.null()
        if self.kind is RequestKind.IN_REGIONS:
            yield TASKS.c.vanished, 0
            yield TASKS.c.vanished_at, None


def of_task(key: tasks.TaskKey, request: ports.Request) -> RequestedTasks:
    """Return the request of one task."""
    return RequestedTasks(
        request=request,
        image_ids={key.image_id},
        regions={key.region},
        kind=RequestKind.IN_REGIONS,
    )


def moved(
    is_task: sa.ColumnElement[bool], source_region: images.RegionId | None
) -> sa.Update:
    """Return the change that gives a task a source in another region, if it has one there."""
    is_other = TASKS.c.source_region.is_distinct_from(source_region)
    return sa.update(TASKS).where(is_task, is_other).values(**_of_source(source_region))


def _taken_over(image_id: str, region: str) -> sa.Update:
    return (
        sa.update(TASKS)
        .where(TASKS.c.image_id == image_id, TASKS.c.region == region)
        .values(copied_from=None, **rows.NO_COPY, **_of_source(None))
    )


def _of_source(source_region: images.RegionId | None) -> dict[str, Any]:
    # What the row says about the former source is wrong for the new one.
    return {
        "source_region": source_region,
        "missing_since": None,
        "may_delete": False,
        "may_delete_unwanted": False,
    }
