# SPDX-License-Identifier: Apache-2.0
"""Fills PostgreSQL with the tasks and events of a large deployment, in minutes.

Image number n has the id and the name of ``made_up``. Most copies are in step, and the rest
follows from the number of the task: some wait, of which some are late, some run, some failed.
"""

import datetime
from typing import Any, Final

import sqlalchemy as sa

from benchmarks import made_up
from glance_sync_agent.drivers.sql import tables
from glance_sync_agent.drivers.sql import task_store

_IMAGES_AT_ONCE: Final = 10_000
_EVENT_EVERY: Final = 4  # tasks
#: One task in so many. They are prime, so that every region has some.
_EVERY: Final = {"failed": 397, "running": 40_009, "waiting": 101, "rare": 170_003}
#: Of most failures, and of the rarest.
FAILED_CODE: Final = "gave_up"
RARE_CODE: Final = "snapshot_lost"

_TASKS: Final = sa.text(
    """
    INSERT INTO tasks (
        image_id, region, status, generation, request_id, may_delete, attempts, not_before, code,
        reason, image_name, copy_id, copied_from, bytes_done, bytes_total, lease_token,
        lease_owner, lease_expires_at, created_at, updated_at, project, has_data, asked_at,
        done_at, claimed_at
    )
    SELECT
        image_id, region, status, 1, md5(image_id), false,
        CASE code WHEN :failed_code THEN 8 ELSE 0 END, asked_at, code,
        CASE code
            WHEN 'in_sync' THEN 'in sync'
            WHEN 'requested' THEN ''
            ELSE 'cannot connect to 192.0.2.1:22 for 8 attempts: No route to host' END,
        'ubuntu-24.04-server-' || image,
        CASE status WHEN 'success' THEN image_id END,
        CASE status WHEN 'success' THEN 'RegionOne' END,
        CASE status WHEN 'success' THEN size ELSE 0 END, size,
        CASE status WHEN 'processing' THEN md5(image_id || region) END,
        CASE status WHEN 'processing' THEN 'host-1:agent' END,
        CASE status WHEN 'processing' THEN CAST(:now AS timestamp) + interval '1 minute' END,
        CAST(:now AS timestamp) - interval '90 days', updated_at, 'project-' || image % 500,
        CASE status WHEN 'success' THEN 1 ELSE 0 END,
        CASE WHEN status IN ('pending', 'processing') THEN asked_at END,
        CASE status WHEN 'success' THEN updated_at END, updated_at
    FROM (
        SELECT
            image, image_id, region, size, status,
            CASE
                WHEN status = 'success' THEN 'in_sync'
                WHEN status <> 'failure' THEN 'requested'
                WHEN number % :rare = 0 THEN :rare_code
                ELSE :failed_code END AS code,
            -- One waiting task in ten is late.
            CAST(:now AS timestamp) - CASE WHEN number % 10 = 0
                THEN interval '2 hours' ELSE interval '1 minute' END AS asked_at,
            CAST(:now AS timestamp) - interval '1 second' * (:tasks - number) AS updated_at
        FROM (
            SELECT
                image, region, number,
                CAST(1000000 + image AS bigint) * 1000 AS size,
                lpad(to_hex(image), 8, '0') || '-0000-4000-8000-'
                    || lpad(to_hex(image), 12, '0') AS image_id,
                CASE
                    WHEN number % :rare = 0 OR number % :failed = 1 THEN 'failure'
                    WHEN number % :running = 2 THEN 'processing'
                    WHEN number % :waiting = 3 THEN 'pending'
                    ELSE 'success' END AS status
            FROM (
                SELECT
                    image, 'Region' || lpad(CAST(place AS text), 3, '0') AS region,
                    CAST(image AS bigint) * :regions + place + 1 AS number
                FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS image,
                    generate_series(0, CAST(:regions AS int) - 1) AS place
            ) AS numbered
        ) AS stated
    ) AS timed
    ORDER BY image_id, region
    """
)

_EVENTS: Final = sa.text(
    """
    INSERT INTO events (at, kind, by, image_id, region, request_id, code, text, copy_id, size,
        seconds)
    SELECT updated_at, 'copied', 'host-1:agent', image_id, region, request_id, '', '', copy_id,
        bytes_total, 12.5
    FROM (
        SELECT *, row_number() OVER (ORDER BY image_id, region) AS number FROM tasks
        WHERE image_id BETWEEN :first_id AND :last_id
    ) AS numbered
    WHERE number % :every = 0
    ORDER BY image_id, region
    """
)


def fill(url: str, images: int, regions: int) -> None:
    """Make the tables of an empty database, and fill them."""
    store = task_store.SqlTaskStore(url)
    store.upgrade()
    store.close()
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    common: dict[str, Any] = {
        **_EVERY, "failed_code": FAILED_CODE, "rare_code": RARE_CODE, "now": now,
        "regions": regions, "tasks": images * regions,
    }
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        # To make them at once takes a fourth of the time.
        for index in tables.TASKS.indexes:
            index.drop(connection)
    for first in range(0, images, _IMAGES_AT_ONCE):
        last = min(first + _IMAGES_AT_ONCE, images) - 1
        with engine.begin() as connection:
            connection.execute(_TASKS, {**common, "first": first, "last": last})
            ids = {"first_id": made_up.image_id(first), "last_id": made_up.image_id(last)}
            connection.execute(_EVENTS, {**ids, "every": _EVENT_EVERY})
    with engine.begin() as connection:
        for index in tables.TASKS.indexes:
            index.create(connection)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        # As autovacuum does in a database that was not filled a minute ago.
        connection.exec_driver_sql("VACUUM ANALYZE")
    engine.dispose()
