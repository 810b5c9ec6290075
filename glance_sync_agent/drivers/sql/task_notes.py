# SPDX-License-Identifier: Apache-2.0
"""Notes about the copies and sources of tasks in SQL."""

from collections.abc import Iterable
import datetime

import sqlalchemy as sa

from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.drivers.sql import rows
from glance_sync_agent.drivers.sql import task_requests
from glance_sync_agent.drivers.sql import texts
from glance_sync_agent.drivers.sql.database import Database
from glance_sync_agent.drivers.sql.tables import TASKS
from glance_sync_agent.engine import ports


class SqlTaskNotes:
    """``engine.ports.TaskNotes``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note_copy(
        self, lease: tasks.Lease, copy: identity.KnownCopy | None, image_name: str | None
    ) -> None:
        copy_id = None if copy is None else copy.copy_id
        # MariaDB assigns from left to right, so the second case sees what the first one wrote.
        is_proven = sa.and_(TASKS.c.proven_id == copy_id, TASKS.c.proven_id.is_not(None))
        rows.update_held(
            self._database,
            lease,
            copy_id=copy_id,
            copy_created_at=None if copy is None else copy.created_at,
            on_probation=copy is not None and copy.on_probation,
            image_name=texts.name_text(image_name),
            copied_from=None,
            has_data=0,
            # The proof stays true as long as it is about the same copy.
            proven_id=sa.case((is_proven, TASKS.c.proven_id), else_=sa.null()),
            proven_hash=sa.case((is_proven, TASKS.c.proven_hash), else_=sa.null()),
            **rows.SOUND,
        )

    def note_without_data(self, lease: tasks.Lease) -> None:
        rows.update_held(self._database, lease, has_data=0)

    def note_copied(self, lease: tasks.Lease, copied_from: images.RegionId) -> None:
        rows.update_held(self._database, lease, copied_from=copied_from)

    def note_proven(
        self, lease: tasks.Lease, copy_id: images.ImageId, multihash: images.Multihash
    ) -> None:
        rows.update_held(
            self._database, lease, proven_id=copy_id, proven_hash=str(multihash)
        )

    def note_vanished(self, lease: tasks.Lease, vanished: backoff.Vanishings) -> None:
        rows.update_held(
            self._database, lease, vanished=vanished.times, vanished_at=vanished.last_at
        )

    def note_deactivated(self, lease: tasks.Lease, copy_id: images.ImageId) -> None:
        rows.update_held(self._database, lease, deactivated_id=copy_id)

    def note_active(self, lease: tasks.Lease, copy_id: images.ImageId) -> None:
        # Another copy that is held, and gone, stays held.
        is_over = TASKS.c.held_id == copy_id
        held_id = sa.case((is_over, sa.null()), else_=TASKS.c.held_id)
        rows.update_held(self._database, lease, deactivated_id=None, held_id=held_id)

    def distrust(
        self,
        key: tasks.TaskKey,
        damage: verification.Damage,
        *,
        now: datetime.datetime,
        request_id: str,
    ) -> bool:
        noted = (
            sa.update(TASKS)
            .where(rows.is_task(key), TASKS.c.copy_id == damage.copy_id)
            .values(damaged_id=damage.copy_id, damage=texts.damage_text(damage.found))
        )
        request = ports.Request(request_id=request_id, now=now, not_before=now)
        return self._note_and_request(f"request the repair of {key}", noted, key, request)

    def permit_activation(
        self, key: tasks.TaskKey, *, now: datetime.datetime, request_id: str
    ) -> bool:
        is_held = TASKS.c.held_id.is_not(None)
        noted = (
            sa.update(TASKS)
            .where(rows.is_task(key), sa.or_(TASKS.c.copy_id.is_not(None), is_held))
            .values(deactivated_id=TASKS.c.copy_id, held_id=None)
        )
        request = ports.Request(
            request_id=request_id, now=now, not_before=now, by_person=True
        )
        return self._note_and_request(f"permit the activation of {key}", noted, key, request)

    def _note_and_request(
        self, attempt: str, noted: sa.Update, key: tasks.TaskKey, request: ports.Request
    ) -> bool:
        requested = task_requests.of_task(key, request)

        def work(connection: sa.Connection) -> bool:
            is_noted = connection.execute(noted).rowcount == 1
            return is_noted and requested.write(connection) == 1

        return self._database.write(attempt, work, durable=True)

    def adopt(
        self,
        key: tasks.TaskKey,
        copy: identity.KnownCopy,
        *,
        now: datetime.datetime,
        request_id: str,
        source_region: images.RegionId | None,
        unless_known: bool = False,
    ) -> bool:
        requested = task_requests.of_task(
            key,
            ports.Request(
                request_id=request_id, now=now, not_before=now, source_region=source_region,
                by_person=True,
            ),
        )
        moved = task_requests.moved(rows.is_task(key), source_region)
        noted = (
            sa.update(TASKS)
            .where(rows.is_task(key))
            .values(
                copy_id=copy.copy_id,
                copy_created_at=copy.created_at,
                on_probation=False,
                copied_from=None,
                has_data=1,  # most adopted copies have their data
                proven_id=None,
                proven_hash=None,
                held_id=None,
                **rows.SOUND,
            )
        )
        known = sa.select(TASKS.c.copy_id).where(rows.is_task(key), TASKS.c.copy_id.is_not(None))

        def work(connection: sa.Connection) -> bool:
            if _is_processing(connection, key):
                return False
            if unless_known and connection.execute(known).first() is not None:
                return True
            connection.execute(moved)
            requested.write(connection)
            connection.execute(noted)
            return True

        return self._database.write(f"adopt a copy of {key}", work, durable=True)

    def disown(self, key: tasks.TaskKey, copy_id: images.ImageId) -> bool:
        forgotten = (
            sa.update(TASKS)
            .where(rows.is_task(key), TASKS.c.copy_id == copy_id)
            .values(copied_from=None, **rows.NO_COPY)
        )

        def work(connection: sa.Connection) -> bool:
            if _is_processing(connection, key):
                return False
            connection.execute(forgotten)
            return True

        return self._database.write(f"disown a copy of {key}", work, durable=True)

    def note_verified(self, key: tasks.TaskKey, now: datetime.datetime) -> None:
        change = sa.update(TASKS).where(rows.is_task(key)).values(verified_at=now)
        self._database.write(
            f"note that {key} was read back", lambda connection: connection.execute(change)
        )

    def note_missing(
        self,
        image_id: images.ImageId,
        regions: Iterable[images.RegionId],
        since: datetime.datetime | None,
    ) -> None:
        change = (
            sa.update(TASKS)
            .where(TASKS.c.image_id == image_id, TASKS.c.region.in_(sorted(regions)))
            .values(missing_since=since)
        )
        self._database.write(
            f"note whether image {image_id} is missing",
            lambda connection: connection.execute(change),
        )


def _is_processing(connection: sa.Connection, key: tasks.TaskKey) -> bool:
    query = sa.select(TASKS.c.status).where(rows.is_task(key)).with_for_update()
    return connection.execute(query).scalar_one_or_none() == rows.PROCESSING
