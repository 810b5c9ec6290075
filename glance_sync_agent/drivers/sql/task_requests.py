# SPDX-License-Identifier: Apache-2.0
"""What a request does to the rows of the task store."""

from collections.abc import Iterator, Mapping, Set
import dataclasses
import itertools
from typing import Any

import sqlalchemy as sa

from glance_sync_agent.domain import images
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql import tables
from glance_sync_agent.engine import ports

_TASKS = tables.TASKS


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RequestedTasks:
    """The tasks that a request is for; the fields are those of ``engine.ports.TaskQueue``."""

    request: ports.Request
    image_ids: Set[images.ImageId]
    regions: Set[images.RegionId]
    elsewhere: bool = False
    projects: Mapping[images.ImageId, str] = dataclasses.field(default_factory=dict)
    #: A task that gave up keeps its attempts, so that it has one more and not all of them again.
    is_scan: bool = False
    #: Tasks of images of another region are left alone, but for this: an image of the cascading
    #: region takes the place of one with the same id elsewhere, where that has no copy yet.
    of_source_only: bool = False

    def write(self, connection: sa.Connection) -> int:
        """Write it in the transaction of ``connection``; return how many tasks it asks for."""
        mine: sa.ColumnElement[bool] = _TASKS.c.image_id.in_(sorted(self.image_ids))
        if not self.elsewhere:
            mine &= _TASKS.c.region.in_(sorted(self.regions))
        # Locked, so that none of them is forgotten before it is updated. Should another
        # appear, the INSERT fails and all of this is done again.
        found = connection.execute(
            sa.select(
                _TASKS.c.image_id, _TASKS.c.region, _TASKS.c.project, _TASKS.c.source_region,
                _TASKS.c.copy_id, _TASKS.c.status,
            )
            .where(mine)
            .order_by(_TASKS.c.image_id, _TASKS.c.region)
            .with_for_update()
        ).all()
        wanted = set(itertools.product(self.image_ids, self.regions))
        present = {(row.image_id, row.region): row.project for row in found}
        if self.of_source_only:
            others = [row for row in found if row.source_region != self.request.source_region]
            for row in others:
                key = row.image_id, row.region
                if key in wanted and self._takes_over(row.copy_id, row.status):
                    connection.execute(_taken_over(*key))
                else:
                    wanted.discard(key)
                    del present[key]
            mine &= _TASKS.c.source_region.is_not_distinct_from(self.request.source_region)
        if present:
            connection.execute(self._again().where(mine))
            self._hand_over(connection, mine, present)
        if missing := sorted(wanted - present.keys()):
            first = self._first()
            connection.execute(
                sa.insert(_TASKS),
                [
                    {**first, "image_id": one, "region": region, "project": self._project(one)}
                    for one, region in missing
                ],
            )
        return len(wanted | present.keys())

    def _takes_over(self, copy_id: str | None, status: str) -> bool:
        """Tell whether the task of another region's image becomes one of ours.

        Nobody else would look after a copy that is there, or is being made: its source would
        take nothing back from it any more.
        """
        is_free = copy_id is None and status != rows.PROCESSING
        return is_free and self.request.source_region is None and not self.request.may_delete

    def _project(self, image_id: str) -> str:
        return tables.project_text(self.projects.get(images.ImageId(image_id), ""))

    def _hand_over(
        self,
        connection: sa.Connection,
        mine: sa.ColumnElement[bool],
        present: Mapping[tuple[str, str], str],
    ) -> None:
        """Note new owners, which are rare."""
        moved: dict[str, set[str]] = {}
        for (image_id, _region), before in present.items():
            project = self._project(image_id)
            if project and project != before:
                moved.setdefault(project, set()).add(image_id)
        for project, image_ids in sorted(moved.items()):
            change = sa.update(_TASKS).where(mine, _TASKS.c.image_id.in_(sorted(image_ids)))
            connection.execute(change.values(project=project))

    def _asked(self) -> dict[str, object]:
        return {"request_id": self.request.request_id, "updated_at": self.request.now}

    def _first(self) -> dict[str, object]:
        """Return what is written where there is no task, but for its key."""
        return {
            **self._asked(),
            "status": rows.PENDING,
            "attempts": 0,
            "generation": 1,
            "may_delete": self.request.may_delete,
            "not_before": self.request.not_before,
            **rows.REQUESTED,
            "source_region": self.request.source_region,
            "bytes_done": 0,
            "created_at": self.request.now,
        }

    def _again(self) -> sa.Update:
        """Return the change of tasks that exist.

        MariaDB evaluates the assignments from left to right and shows the later ones the new
        values of the earlier ones, so the status, at which the others look, comes last.
        """
        is_processing = rows.IS_PROCESSING
        sooner = rows.IS_PENDING & (_TASKS.c.not_before < self.request.not_before)
        # Alone in a CASE it would be sent as it is, zone and all, and not as the column has it.
        requested = sa.literal(self.request.not_before, _TASKS.c.not_before.type)
        may_delete = sa.literal(self.request.may_delete)
        status = sa.case((is_processing, rows.PROCESSING), else_=rows.PENDING)
        # A copy that was found and not brought. Its size would be taken for that of bytes to
        # come, see task_rows.is_below.
        is_found = rows.IS_DONE & _TASKS.c.copied_from.is_(None)
        total = sa.case((is_found, sa.null()), else_=_TASKS.c.bytes_total)
        return sa.update(_TASKS).ordered_values(
            (_TASKS.c.generation, _TASKS.c.generation + 1),
            (_TASKS.c.may_delete, sa.or_(_TASKS.c.may_delete, may_delete)),
            (_TASKS.c.not_before, sa.case((sooner, _TASKS.c.not_before), else_=requested)),
            *((_TASKS.c[name], sa.case((is_processing, _TASKS.c[name]), else_=value))
              for name, value in rows.REQUESTED.items()),
            (_TASKS.c.bytes_done, sa.case((is_processing, _TASKS.c.bytes_done), else_=0)),
            (_TASKS.c.bytes_total, total),
            *((_TASKS.c[name], value) for name, value in self._asked().items()),
            *self._failures(),
            (_TASKS.c.status, status),
        )

    def _failures(self) -> Iterator[tuple[sa.Column[Any], Any]]:
        """Yield what becomes of failed attempts, and of copies that vanished."""
        attempts, since = _TASKS.c.attempts, _TASKS.c.failing_since
        if self.is_scan:
            has_given_up = rows.HAS_FAILED & since.is_not(None)
            yield attempts, sa.case((has_given_up, attempts), else_=0)
            yield since, sa.case((rows.HAS_FAILED, since), else_=sa.null())
            return
        yield attempts, 0
        yield since, sa.null()
        if not self.elsewhere:  # somebody wants it there, and now
            for name, value in rows.NEVER_VANISHED.items():
                yield _TASKS.c[name], value


def _taken_over(image_id: str, region: str) -> sa.Update:
    """Return what makes a task that of an image of the cascading region, without a copy."""
    return (
        sa.update(_TASKS)
        .where(_TASKS.c.image_id == image_id, _TASKS.c.region == region)
        .values(copied_from=None, **rows.NO_COPY, **_of_source(None))
    )


def moved(
    is_task: sa.ColumnElement[bool], source_region: images.RegionId | None
) -> sa.Update:
    """Return what makes a task that of an image of another region, if it is not yet."""
    is_other = _TASKS.c.source_region.is_distinct_from(source_region)
    return sa.update(_TASKS).where(is_task, is_other).values(**_of_source(source_region))


def _of_source(source_region: images.RegionId | None) -> dict[str, Any]:
    """Return the columns that tell of a source; what was said of another one is forgotten."""
    return {"source_region": source_region, "missing_since": None, "may_delete": False}
