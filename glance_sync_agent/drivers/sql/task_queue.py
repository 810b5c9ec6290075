# SPDX-License-Identifier: Apache-2.0
"""Requests and leases of tasks in SQL."""

from collections.abc import Collection, Iterable, Mapping, Sequence
import datetime
import functools

import sqlalchemy as sa

from glance_sync_agent.domain import history
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers.sql import claims
from glance_sync_agent.drivers.sql import event_rows
from glance_sync_agent.drivers.sql import outcomes
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql.cancellations import Cancellation
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import TASKS
from glance_sync_agent.drivers.sql.task_requests import RequestedTasks
from glance_sync_agent.drivers.sql.task_requests import RequestKind
from glance_sync_agent.engine import ports


class SqlTaskQueue:
    """``engine.ports.TaskQueue``.

    One conditional UPDATE changes the owner or the state of a task, and its row count says who
    won. No statement needs ``RETURNING``, because MariaDB has none for UPDATE.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(
        self,
        image_id: images.ImageId,
        regions: Iterable[images.RegionId],
        request: ports.Request,
        *,
        elsewhere: bool = True,
        of_source_only: bool = False,
        project: str | None = None,
    ) -> int:
        requested = RequestedTasks(
            request=request,
            image_ids={image_id},
            regions=frozenset(regions),
            kind=RequestKind.EVERYWHERE if elsewhere else RequestKind.IN_REGIONS,
            projects={} if project is None else {image_id: project},
            of_source_only=of_source_only,
        )
        # Durable, because the caller acknowledges the notification afterwards.
        return self._database.write(
            f"request tasks for image {image_id}", requested.write, durable=True
        )

    def request_in(
        self,
        region: images.RegionId,
        image_ids: Iterable[images.ImageId],
        request: ports.Request,
        *,
        projects: Mapping[images.ImageId, str] | None = None,
    ) -> int:
        requested = RequestedTasks(
            request=request,
            image_ids=frozenset(image_ids),
            regions={region},
            projects=projects or {},
            kind=RequestKind.IN_REGIONS if request.by_person else RequestKind.SCAN,
            of_source_only=not request.by_person,
        )
        # After a power failure there is another scan, but the person does not ask again.
        return self._database.write(
            f"request tasks in region {region}", requested.write, durable=request.by_person
        )

    def due_regions(
        self, now: datetime.datetime, *, with_data: bool | None = None
    ) -> Sequence[images.RegionId]:
        earliest = self._database.read(
            "read the due tasks", functools.partial(claims.earliest, with_data=with_data)
        )
        return sorted(region for region, time in earliest.items() if time <= now)

    def next_due(self) -> datetime.datetime | None:
        earliest = self._database.read("read the next due task", claims.earliest)
        return min(earliest.values(), default=None)

    def due_projects(
        self,
        region: images.RegionId,
        now: datetime.datetime,
        *,
        after: str | None,
        most: int,
        with_data: bool | None = None,
    ) -> tuple[Sequence[str], str | None]:
        work = functools.partial(
            claims.due_projects,
            region=region,
            now=now,
            after=after,
            most=most,
            with_data=with_data,
        )
        return self._database.read(f"read the projects with due tasks in region {region}", work)

    def claim(
        self,
        region: images.RegionId,
        limit: int,
        *,
        owner: str,
        now: datetime.datetime,
        until: datetime.datetime,
        claim_filter: ports.ClaimFilter = ports.ANY_TASK,
    ) -> Sequence[tasks.Lease]:
        claim = claims.Claim(
            region=region,
            limit=limit,
            owner=owner,
            now=now,
            until=until,
            claim_filter=claim_filter,
        )
        return self._database.write(f"claim tasks of region {region}", claim.write)

    def renew(
        self,
        lease: tasks.Lease,
        *,
        now: datetime.datetime,
        until: datetime.datetime,
        bytes_done: int,
        bytes_total: int | None,
    ) -> None:
        rows.update_held(
            self._database,
            lease,
            lease_expires_at=until,
            bytes_done=bytes_done,
            bytes_total=bytes_total,
            updated_at=now,
        )

    def finish(
        self,
        lease: tasks.Lease,
        outcome: tasks.Outcome,
        now: datetime.datetime,
        *,
        events: Sequence[history.Event] = (),
    ) -> bool:
        def work(connection: sa.Connection) -> bool:
            is_last = outcomes.finish(connection, lease, outcome, now)
            event_rows.insert(connection, events)
            return is_last

        return self._database.write(f"finish the task of {lease.task.key}", work)

    def release(self, lease: tasks.Lease, now: datetime.datetime) -> None:
        rows.update_held(
            self._database, lease, **rows.UNTOUCHED, not_before=now, updated_at=now
        )

    def cancel(
        self,
        image_id: images.ImageId,
        regions: Collection[images.RegionId] | None,
        *,
        by: str,
        now: datetime.datetime,
    ) -> Sequence[images.RegionId]:
        cancellation = Cancellation(image_id=image_id, regions=regions, by=by, now=now)
        return self._database.write(
            f"cancel the tasks of image {image_id}", cancellation.write, durable=True
        )

    def call_off(
        self,
        regions: Collection[images.RegionId] | None,
        now: datetime.datetime,
        *,
        only_abandoned: bool = False,
    ) -> int:
        condition: sa.ColumnElement[bool] = sa.true()
        if regions is not None:
            condition = TASKS.c.region.in_(sorted(regions))
        if only_abandoned:
            expires_at = TASKS.c.lease_expires_at
            condition &= expires_at <= sa.literal(now, expires_at.type)
        return self._release("call off the tasks of paused regions", condition, now)

    def release_owned(self, owner: str, now: datetime.datetime) -> int:
        return self._release(f"release the tasks of {owner}", TASKS.c.lease_owner == owner, now)

    def _release(
        self, attempt: str, condition: sa.ColumnElement[bool], now: datetime.datetime
    ) -> int:
        change = (
            sa.update(TASKS)
            .where(rows.IS_PROCESSING, condition)
            .values(**rows.UNTOUCHED, not_before=now, updated_at=now)
        )
        return self._database.write(
            attempt, lambda connection: connection.execute(change).rowcount
        )
