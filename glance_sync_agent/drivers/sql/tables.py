# SPDX-License-Identifier: Apache-2.0
"""The tables, and how a row becomes a task."""

from collections.abc import Callable
import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code

_REASON_CHARACTERS = 2000
_NAME_CHARACTERS = 255  # Glance's own limit
_DAMAGE_CHARACTERS = 255  # a multihash takes 150
_PROJECT_CHARACTERS = 64  # Keystone's own limit


class UtcDateTime(sa.types.TypeDecorator[datetime.datetime]):
    """Aware UTC times with microseconds, which an operator can read in the database.

    The column has no zone, because MariaDB and SQLite have none.
    """

    impl = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(
        self, value: datetime.datetime | None, dialect: sa.Dialect
    ) -> datetime.datetime | None:
        """Make a time naive; refuse a naive one, which Python takes for local time."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(datetime.UTC).replace(tzinfo=None)

    def result_processor(
        self, dialect: sa.Dialect, coltype: object
    ) -> Callable[[Any], datetime.datetime | None]:
        """Return what makes times aware.

        A scan reads ten times a row, for which ``process_result_value`` takes twice as long.
        """
        parsed: Callable[[Any], Any] = super().result_processor(dialect, coltype) or _unchanged

        def aware(value: Any) -> datetime.datetime | None:
            return None if value is None else parsed(value).replace(tzinfo=datetime.UTC)

        return aware


def _unchanged(value: Any) -> Any:
    return value


METADATA = sa.MetaData()
#: Columns that no task shows.
_NOT_OF_TASKS = ("lease_token", "lease_owner", "lease_expires_at", "verified_at")
_MYSQL = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}
_OPTIONS: dict[str, Any] = {
    f"{kind}_{name}": value for kind in ("mysql", "mariadb") for name, value in _MYSQL.items()
}
_REGION = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
_PROJECT = sa.String(_PROJECT_CHARACTERS).with_variant(
    sa.String(_PROJECT_CHARACTERS, collation="C"), "postgresql"
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
    sa.Column("image_name", sa.String(_NAME_CHARACTERS)),
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
    sa.Column("damage", sa.String(_DAMAGE_CHARACTERS)),  # what was read instead of its data
    sa.Column("verified_at", UtcDateTime),  # when the copy was read back
    sa.Column("proven_id", sa.String(36)),  # a copy that was read back because no hash proves it
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
    # Finds the earliest task of each kind and region in one step, and lists the tasks of a region
    # without sorting. At 4 bytes a character it is 1.3 KB wide; InnoDB allows 3 KB.
    sa.Index("tasks_by_due_time", "status", "has_data", "region", "not_before", "image_id"),
    # Finds each project that has tasks in one step.
    sa.Index(
        "tasks_by_project",
        "status", "has_data", "region", "project", "not_before", "image_id",
    ),
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
    sa.Column("value", sa.Text, nullable=False),
    **_OPTIONS,
)

#: Regions that the catalogue had when an agent started, and when that was last.
REGIONS = sa.Table(
    "regions",
    METADATA,
    sa.Column("name", _REGION, primary_key=True),
    sa.Column("seen_at", UtcDateTime, nullable=False),
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
    return tasks.Task(
        key=key,
        damage=damaged_id and verification.Damage(copy_id=damaged_id, found=damage),
        vanished=vanished_at and backoff.Vanishings(times=times, last_at=vanished_at),
        **found,
    )


def damage_text(text: str) -> str:
    """Return the part of a damage that the table can hold."""
    return _storable(text, _DAMAGE_CHARACTERS)


def reason_text(text: str) -> str:
    """Return the part of a reason that the table can hold."""
    return _storable(text, _REASON_CHARACTERS)


def name_text(text: str | None) -> str | None:
    """Return the part of an image's name that the table can hold."""
    return None if text is None else _storable(text, _NAME_CHARACTERS)


def project_text(text: str) -> str:
    """Return the part of a project's id that the table can hold."""
    return _storable(text, _PROJECT_CHARACTERS)


def _storable(text: str, characters: int) -> str:
    # PostgreSQL refuses NUL, and no database takes half a surrogate pair, which JSON can hold.
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
    return text[:characters]
