# SPDX-License-Identifier: Apache-2.0
"""Tasks as table rows and as objects."""

from collections.abc import Collection, Mapping
import datetime
from typing import Any

from cliff import columns

from glance_sync_agent.cmd.cli import printable
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks

COLUMNS = (
    "image_id",
    "image_name",
    "region",
    "status",
    "reason",
    "copy_id",
    "copied_from",
    "bytes_done",
    "bytes_total",
    "attempts",
    "not_before",
    "updated_at",
)
#: The columns of a table without --long; more would not fit a terminal.
SHORT_COLUMNS = ("image_id", "image_name", "region", "status", "reason")

Breakers = Mapping[images.RegionId, breakers.Breaker]


class TaskLines(columns.FormattableColumn[Any]):
    """The tasks of one image: a line each in a table, objects in other formats."""

    def human_readable(self) -> str:
        """Return the text for a table."""
        # The region of the source has no task for it.
        copied = {one["region"] for one in self._value}
        return "\n".join(printable.escaped(_sentence(one, copied)) for one in self._value)


def row(task: tasks.Task, known: Breakers) -> list[Any]:
    """Return the cells of a table, in the order of :data:`COLUMNS`."""
    values = fields(task, known)
    return [tables.OptionalValue(values[name]) for name in COLUMNS]


def fields(task: tasks.Task, known: Breakers) -> dict[str, Any]:
    """Return the fields of a task; times are ISO 8601, UTC.

    :param known: the circuit breakers of regions.
    """
    return {
        "image_id": task.key.image_id,
        "image_name": task.image_name,
        "region": task.key.region,
        "status": task.status.value,
        "reason": _reason(task, known.get(task.key.region, breakers.CLOSED)),
        "copy_id": task.copy_id,
        "copied_from": task.copied_from,
        "bytes_done": task.bytes_done,
        "bytes_total": task.bytes_total,
        "attempts": task.attempts,
        "not_before": time(task.not_before),
        "updated_at": time(task.updated_at),
    }


def _reason(task: tasks.Task, breaker: breakers.Breaker) -> str:
    if task.status is not tasks.TaskStatus.PENDING or breaker.retry_at is None or breaker.answers:
        return task.reason
    return (
        f"region {task.key.region} is unavailable until {time(breaker.retry_at)}, after "
        f"{breaker.failures} failures in a row: {breaker.reason}"
    )


def time(moment: datetime.datetime) -> str:
    """Return a time in ISO 8601, UTC, to the second."""
    utc = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    return f"{utc.isoformat(timespec='seconds')}Z"


def _sentence(values: dict[str, Any], copied: Collection[str]) -> str:
    parts = [f"{values['region']}: {values['status']}"]
    if values["reason"]:
        parts.append(values["reason"])
    if values["status"] == tasks.TaskStatus.PROCESSING.value:
        parts.append(f"{values['bytes_done']} of {values['bytes_total'] or '?'} bytes")
    if values["status"] == tasks.TaskStatus.PENDING.value:
        parts.append(f"due {values['not_before']}")
    if values["attempts"]:
        parts.append(f"{values['attempts']} failed attempts")
    if values["copy_id"] not in {None, values["image_id"]}:
        parts.append(f"copy {values['copy_id']}")
    parts.append(f"since {values['updated_at']}")
    if values["copied_from"] in copied:
        parts[-1] += f", copied from {values['copied_from']}"
    return "; ".join(parts)
