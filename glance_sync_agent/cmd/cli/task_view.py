# SPDX-License-Identifier: Apache-2.0
"""Tasks as table rows and as objects."""

from collections.abc import Collection, Mapping
import datetime
from typing import Any

from cliff import columns

from glance_sync_agent.cmd.cli import printable
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine.reports import task_reports
from glance_sync_agent.engine.reports.region_states import RegionStates

#: The columns of a table without --long; more would not fit a terminal.
SHORT_COLUMNS = ("image_id", "image_name", "region", "status", "reason")


class TaskLines(columns.FormattableColumn[Any]):
    """The tasks of one image: a line each in a table, objects in other formats."""

    def human_readable(self) -> str:
        """Return the text for a table."""
        # The region of the source has no task for it.
        copied = {one["region"] for one in self._value}
        return "\n".join(printable.escaped(sentence(one, copied)) for one in self._value)


def row(task: tasks.Task, states: RegionStates, now: datetime.datetime) -> list[Any]:
    """Return the cells of a table, in the order of :data:`task_reports.FIELDS`."""
    values = task_reports.fields(task, states, now)
    return [tables.OptionalValue(values[name]) for name in task_reports.FIELDS]


def sentence(values: Mapping[str, Any], copied: Collection[str] = ()) -> str:
    """Return a task in a line.

    :param copied: the regions whose copies may have been the source.
    """
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
