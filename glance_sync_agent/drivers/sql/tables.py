# SPDX-License-Identifier: Apache-2.0
"""The task table, and a row of it as a task."""

import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.domain.codes import Code

_REASON_CHARACTERS = 2000
_NAME_CHARACTERS = 255  # Glance's own limit
_DAMAGE_CHARACTERS = 255  # a multihash takes 150
_PROJECT_CHARACTERS = 64  # Keystone's own limit


class UtcDateTime(sa.types.TypeDecorator[datetime.datetime]):
    """Aware UTC times with microseconds, in a column type that an operator can read.

    MariaDB and SQLite have no time zones and MariaDB drops microseconds unless told, so the
    column is naive and UTC by agreement.
    """

    impl = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
    cache_ok = True

    def process_bind_param(
        self, value: datetime.datetime | None, dialect: sa.Dialect
    ) -> datetime.datetime | None:
        """Make it naive UTC; a naive time is the local one to Python and thus refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(datetime.UTC).replace(tzinfo=None)

    def process_result_value(
        self, value: datetime.datetime | None, dialect: sa.Dialect
    ) -> datetime.datetime | None:
        """Make it aware again."""
        return None if value is None else value.replace(tzinfo=datetime.UTC)


METADATA = sa.MetaData()
_MYSQL = {"engine": "InnoDB", "charset": "utf8mb4", "collate": "utf8mb4_bin"}
_OPTIONS: dict[str, Any] = {
    f"{kind}_{name}": value for kind in ("mysql", "mariadb") for name, value in _MYSQL.items()
}
_REGION = sa.String(255).with_variant(sa.String(255, collation="C"), "postgresql")
_PROJECT = sa.String(_PROJECT_CHARACTERS).with_variant(
    sa.String(_PROJECT_CHARACTERS, collation="C"), "postgresql"
)

#: Texts are compared byte by byte in all three databases (collations ``C`` and ``utf8mb4_bin``;
#: SQLite's default is such a one), so that regions differing in case are two.
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
    # Why it is where it is, see domain.codes; a database of before has rows without.
    sa.Column("code", sa.String(32), nullable=False, server_default=sa.text("''")),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("image_name", sa.String(_NAME_CHARACTERS)),
    sa.Column("copy_id", sa.String(36)),
    sa.Column("source_region", _REGION),  # None: the cascading one
    sa.Column("copied_from", _REGION),
    sa.Column("waiting_since", UtcDateTime),  # set while its snapshot is waited for
    sa.Column("bytes_done", sa.BigInteger, nullable=False),
    sa.Column("bytes_total", sa.BigInteger),
    sa.Column("lease_token", sa.String(32)),  # these three are set while it is processing
    sa.Column("lease_owner", sa.String(255)),
    sa.Column("lease_expires_at", UtcDateTime),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("damaged_id", sa.String(36)),  # the copy that is damaged; None: none is
    sa.Column("damage", sa.String(_DAMAGE_CHARACTERS)),  # what was found instead of its bytes
    sa.Column("verified_at", UtcDateTime),  # when the copy was read back; None: never
    sa.Column("proven_id", sa.String(36)),  # the copy whose bytes only reading it could prove
    sa.Column("copy_created_at", UtcDateTime),  # by its Glance; None: copy_id was only chosen
    sa.Column("on_probation", sa.Boolean),  # the copy was adopted without a row; None: no
    sa.Column("missing_since", UtcDateTime),  # since when scans miss the source; None: they do not
    sa.Column("failing_since", UtcDateTime),  # the first of the failures that may pass
    sa.Column("vanished", sa.Integer, nullable=False, server_default="0"),  # times, lately
    sa.Column("vanished_at", UtcDateTime),  # when the copy was made anew after the last time
    # That owns the source; empty: not known.
    sa.Column("project", _PROJECT, nullable=False, server_default=sa.text("''")),
    sa.Column("deactivated_id", sa.String(36)),  # the copy that the agent deactivated itself
    # 1: the copy has its bytes. A number, because the databases spell the default of a boolean
    # in different ways.
    sa.Column("has_data", sa.SmallInteger, nullable=False, server_default="0"),
    # In this order it finds the earliest task of each kind and region with one probe a region,
    # and hands out tasks of one region without sorting however many share a time. At 4 bytes a
    # character it is 1.3 KB wide; InnoDB allows 3 KB.
    sa.Index("tasks_by_due_time", "status", "has_data", "region", "not_before", "image_id"),
    # In this order it finds the projects that have tasks with one probe a project.
    sa.Index(
        "tasks_by_project",
        "status", "has_data", "region", "project", "not_before", "image_id",
    ),
    sqlite_with_rowid=False,
    **_OPTIONS,
)

#: What one of several agents does at a time, and which one that is.
TURNS = sa.Table(
    "turns",
    METADATA,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("owner", sa.String(255), nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    **_OPTIONS,
)

#: Regions that failed last, and until when they are left alone.
BREAKERS = sa.Table(
    "breakers",
    METADATA,
    sa.Column("region", _REGION, primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("since", UtcDateTime),  # these two are set while it is not closed
    sa.Column("retry_at", UtcDateTime),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("image_ids", sa.Text),  # that failed last, with spaces between
    sa.Column("answers", sa.Boolean),  # None: false
    sa.Column("of_data", sa.Boolean),  # None: false
    **_OPTIONS,
)

#: What all agents of a database have to remember besides their tasks.
FACTS = sa.Table(
    "facts",
    METADATA,
    sa.Column("name", sa.String(300), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    **_OPTIONS,
)

#: Regions that the catalogue had when an agent started, and when one did so last.
REGIONS = sa.Table(
    "regions",
    METADATA,
    sa.Column("name", _REGION, primary_key=True),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    **_OPTIONS,
)


def task(row: sa.Row[Any]) -> tasks.Task:
    """Read a row of the table."""
    return tasks.Task(
        key=tasks.TaskKey(
            image_id=images.ImageId(row.image_id), region=images.RegionId(row.region)
        ),
        status=tasks.TaskStatus(row.status),
        generation=row.generation,
        request_id=row.request_id,
        may_delete=row.may_delete,
        attempts=row.attempts,
        not_before=row.not_before,
        code=Code(row.code),
        reason=row.reason,
        image_name=row.image_name,
        copy_id=None if row.copy_id is None else images.ImageId(row.copy_id),
        source_region=_region(row.source_region),
        copied_from=_region(row.copied_from),
        waiting_since=row.waiting_since,
        bytes_done=row.bytes_done,
        bytes_total=row.bytes_total,
        created_at=row.created_at,
        updated_at=row.updated_at,
        damage=_damage(row),
        proven_id=None if row.proven_id is None else images.ImageId(row.proven_id),
        copy_created_at=row.copy_created_at,
        on_probation=bool(row.on_probation),
        missing_since=row.missing_since,
        failing_since=row.failing_since,
        vanished=_vanished(row),
        project=row.project,
        deactivated_id=None if row.deactivated_id is None else images.ImageId(row.deactivated_id),
        has_data=bool(row.has_data),
    )


def _vanished(row: sa.Row[Any]) -> backoff.Vanishings | None:
    if row.vanished_at is None:
        return None
    return backoff.Vanishings(times=row.vanished, last_at=row.vanished_at)


def _damage(row: sa.Row[Any]) -> verification.Damage | None:
    if row.damaged_id is None:
        return None
    return verification.Damage(copy_id=images.ImageId(row.damaged_id), found=row.damage)


def damage_text(text: str) -> str:
    """Return what of a damage the table can hold."""
    return _storable(text)[:_DAMAGE_CHARACTERS]


def _region(text: str | None) -> images.RegionId | None:
    return None if text is None else images.RegionId(text)


def reason_text(text: str) -> str:
    """Return what of a reason the table can hold."""
    return _storable(text)[:_REASON_CHARACTERS]


def name_text(text: str | None) -> str | None:
    """Return what of an image's name the table can hold."""
    return None if text is None else _storable(text)[:_NAME_CHARACTERS]


def project_text(text: str) -> str:
    """Return what of a project's id the table can hold."""
    return _storable(text)[:_PROJECT_CHARACTERS]


def _storable(text: str) -> str:
    # PostgreSQL refuses NUL; no database takes half a surrogate pair, which JSON can spell.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()
