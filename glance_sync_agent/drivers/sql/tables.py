# SPDX-License-Identifier: Apache-2.0
"""The tables, and how a row becomes a task."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers.sql import texts
from glance_sync_agent.drivers.sql.utc_times import UtcDateTime

METADATA = sa.MetaData()
#: Columns that no task shows.
_NOT_OF_TASKS = ("lease_token", "lease_owner", "lease_expires_at", "verified_at")
_MYSQL = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}
_OPTIONS: dict[str, Any] = {
    f"{kind}_{name}": value for kind in ("mysql", "mariadb") for name, value in _MYSQL.items()
}
_REGION = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
_PROJECT = sa.String(texts.PROJECT_CHARACTERS).with_variant(
    sa.String(texts.PROJECT_CHARACTERS, collation="C"), "postgresql"
)

#: All databases compare texts byte by byte (``C``, ``utf8mb4_bin``, SQLite's default), so that
#: two regions may differ in case only.
TASKS = sa.Table(
    "tasks",
    METADATA,
    sa.Column("image_id", sa.String(36), primary_key=True),
    sa.Column("region", _REGION, primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("request_id", sa.String(255), nullable=False),
    sa.Column("may_delete", sa.Boolean, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("not_before", UtcDateTime, nullable=False),
    # See domain.codes; rows of older versions have none.
    sa.Column("code", sa.String(32), nullable=False, server_default=sa.text("''")),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("image_name", sa.String(texts.NAME_CHARACTERS)),
    sa.Column("copy_id", sa.String(36)),
    sa.Column("source_region", _REGION),  # None: the cascading one
    sa.Column("copied_from", _REGION),
    sa.Column("waiting_since", UtcDateTime),  # set while the task waits for its snapshot
    sa.Column("bytes_done", sa.BigInteger, nullable=False),
    sa.Column("bytes_total", sa.BigInteger),
    sa.Column("lease_token", sa.String(32)),  # this and the next two: set while processing
    sa.Column("lease_owner", sa.String(255)),
    sa.Column("lease_expires_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("damaged_id", sa.String(36)),  # the damaged copy
    sa.Column("damage", sa.String(texts.DAMAGE_CHARACTERS)),  # what was read instead of its data
    sa.Column("verified_at", UtcDateTime),  # when the copy was read back
    sa.Column("proven_id", sa.String(36)),  # a copy that was read back because no hash proves it
    sa.Column("proven_hash", sa.String(255)),  # what its bytes were compared with
    sa.Column("may_delete_unwanted", sa.Boolean),  # None: false
    sa.Column("copy_created_at", UtcDateTime),  # by its Glance; None: copy_id is only chosen
    sa.Column("on_probation", sa.Boolean),  # None: false
    sa.Column("missing_since", UtcDateTime),  # since when scans do not find the source
    sa.Column("failing_since", UtcDateTime),  # the first of the failures that may pass
    sa.Column("vanished", sa.Integer, nullable=False, server_default="0"),  # times
    sa.Column("vanished_at", UtcDateTime),  # when the copy was made again after the last time
    # The owner of the source; empty: not known.
    sa.Column("project", _PROJECT, nullable=False, server_default=sa.text("''")),
    sa.Column("deactivated_id", sa.String(36)),  # the copy that the agent deactivated
    sa.Column("held_id", sa.String(36)),  # the copy that somebody else deactivated
    # 1: the copy has its data. The databases spell the default of a boolean differently.
    sa.Column("has_data", sa.SmallInteger, nullable=False, server_default="0"),
    sa.Column("cancelled_by", sa.String(texts.PERSON_CHARACTERS)),  # None: it is not cancelled
    sa.Column("asked_at", UtcDateTime),  # when the first request came that is not done yet
    sa.Column("done_at", UtcDateTime),
    sa.Column("claimed_at", UtcDateTime),  # when the last attempt began
    # Finds the earliest task of each kind and region in one step, and lists the tasks of a region
    # without sorting. At 4 bytes a character it is 1.3 KB wide; InnoDB allows 3 KB.
    sa.Index("tasks_by_due_time", "status", "has_data", "region", "not_before", "image_id"),
    # Finds each project that has tasks in one step.
    sa.Index(
        "tasks_by_project", "status", "has_data", "region", "project", "not_before", "image_id"
    ),
    # Find the images of a page without reading all tasks. The second one also counts them.
    sa.Index("tasks_by_name", "image_name", "image_id"),
    sa.Index("tasks_by_code", "code", "region", "image_id", "status"),
    sa.Index("tasks_by_change", "updated_at", "image_id"),
    sqlite_with_rowid=False,
    **_OPTIONS,
)

#: Leader leases: which agent does a job that only one may do at a time.
TURNS = sa.Table(
    "turns",
    METADATA,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(255), nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    **_OPTIONS,
)

#: Circuit breakers of the regions that failed last.
BREAKERS = sa.Table(
    "breakers",
    METADATA,
    sa.Column("region", _REGION, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("since", UtcDateTime),  # this and the next: set while it is not closed
    sa.Column("retry_at", UtcDateTime),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("image_ids", sa.Text),  # that failed last, separated by spaces
    sa.Column("answers", sa.Boolean),  # None: false
    sa.Column("of_data", sa.Boolean),  # None: false
    **_OPTIONS,
)

#: Texts that all agents of a database share.
FACTS = sa.Table(
    "facts",
    METADATA,
    sa.Column("name", sa.String(300), primary_key=True),
    sa.Column(
        "value", sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb"), nullable=False
    ),
    **_OPTIONS,
)

#: Regions that the catalogue had when an agent started, when that was last, and their pauses.
REGIONS = sa.Table(
    "regions",
    METADATA,
    sa.Column("name", _REGION, primary_key=True),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    sa.Column("paused_at", UtcDateTime),  # this and the next three: set while it is paused
    sa.Column("paused_by", sa.String(texts.PERSON_CHARACTERS)),
    sa.Column("pause_reason", sa.Text),
    sa.Column("pause_finishes", sa.Boolean),
    **_OPTIONS,
)

#: The agents, and what each reported last.
AGENTS = sa.Table(
    "agents",
    METADATA,
    sa.Column("agent_id", sa.String(texts.PERSON_CHARACTERS), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("version", sa.String(64), nullable=False),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    sa.Column("stopped_at", UtcDateTime),  # None: it runs, or it ended without a word
    sa.Column("heard_at", UtcDateTime),
    sa.Column("scanned_at", UtcDateTime),
    sa.Column("scanned_changes_at", UtcDateTime),
    sa.Column("running", sa.Integer, nullable=False),
    sa.Column("waits_for", sa.Text, nullable=False),
    **_OPTIONS,
)

#: What happened: append-only, for ``[history] days``.
EVENTS = sa.Table(
    "events",
    METADATA,
    sa.Column(
        "number",
        sa.BigInteger().with_variant(sa.Integer, "sqlite"),
        primary_key=True,
        autoincrement=True,
    ),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("by", sa.String(texts.PERSON_CHARACTERS), nullable=False),
    sa.Column("image_id", sa.String(36)),
    sa.Column("region", _REGION),
    sa.Column("request_id", sa.String(255)),
    sa.Column("code", sa.String(32), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("copy_id", sa.String(36)),
    sa.Column("size", sa.BigInteger),
    sa.Column("seconds", sa.Float),
    sa.Column("owner", sa.String(texts.PERSON_CHARACTERS)),
    sa.Column("multihash", sa.String(texts.DAMAGE_CHARACTERS)),
    sa.Column("proof", sa.Text),
    sa.Index("events_by_image", "image_id", "number"),
    sa.Index("events_by_time", "at"),
    sa.Index("events_by_request", "request_id"),
    sa.Index("events_by_kind", "kind", "number"),
    sa.Index("events_by_region", "region", "number"),
    # A number that was removed is never given again, so a reader who goes on misses nothing.
    sqlite_autoincrement=True,
    **_OPTIONS,
)

#: Scans and verifications that people ask for.
JOBS = sa.Table(
    "jobs",
    METADATA,
    sa.Column("job_id", sa.String(36), primary_key=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("options", sa.Text, nullable=False),  # JSON, as the report
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("asked_by", sa.String(texts.PERSON_CHARACTERS), nullable=False),
    sa.Column("request_id", sa.String(255)),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("runs", sa.Integer, nullable=False),
    sa.Column("agent_id", sa.String(texts.PERSON_CHARACTERS)),
    sa.Column("lease_expires_at", UtcDateTime),  # set while it runs
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("report", sa.Text, nullable=False),
    sa.Index("jobs_by_state", "state", "asked_at"),
    sa.Index("jobs_by_kind", "kind", "asked_at", "job_id"),
    **_OPTIONS,
)

#: What the jobs found, by their numbers.
JOB_FINDINGS = sa.Table(
    "job_findings",
    METADATA,
    sa.Column("job_id", sa.String(36), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("image_id", sa.String(36), nullable=False),
    sa.Column("region", _REGION, nullable=False),
    sa.Column("image_name", sa.String(texts.NAME_CHARACTERS)),
    sa.Column("what", sa.String(32), nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("size", sa.BigInteger),
    **_OPTIONS,
)

_TASK_COLUMNS = tuple(column.name for column in TASKS.columns)


def task(row: sa.Row[Any]) -> tasks.Task:
    """Return a row of ``select(TASKS)`` as a task."""
    # A scan reads every row, and a row's own mapping takes four times as long.
    found = dict(zip(_TASK_COLUMNS, row, strict=True))
    key = tasks.TaskKey(image_id=found.pop("image_id"), region=found.pop("region"))
    damaged_id, damage = found.pop("damaged_id"), found.pop("damage")
    times, vanished_at = found.pop("vanished"), found.pop("vanished_at")
    for name in _NOT_OF_TASKS:
        del found[name]
    found["status"] = tasks.TaskStatus(found["status"])
    found["code"] = Code(found["code"])
    found["on_probation"] = bool(found["on_probation"])
    found["has_data"] = bool(found["has_data"])
    found["may_delete_unwanted"] = bool(found["may_delete_unwanted"])
    return tasks.Task(
        key=key,
        damage=damaged_id and verification.Damage(copy_id=damaged_id, found=damage),
        vanished=vanished_at and backoff.Vanishings(times=times, last_at=vanished_at),
        **found,
    )
