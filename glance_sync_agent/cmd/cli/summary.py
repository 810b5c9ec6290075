# SPDX-License-Identifier: Apache-2.0
"""``glance-sync summary``: the state of all on one screen."""

import argparse
from collections.abc import Sequence
from typing import Any

from cliff import columns

from glance_sync_agent import errors
from glance_sync_agent.cmd.cli import printable
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.engine.reports import agent_reports
from glance_sync_agent.engine.reports import summaries
from glance_sync_agent.wiring import reading
from glance_sync_agent.wiring.cloud import Cloud

_EXAMPLES = """\
examples:
  glance-sync summary
  glance-sync summary -f json
"""

_AGENTS_EXAMPLES = """\
examples:
  glance-sync agents
  glance-sync agents --long
"""

_UNKNOWN = 3  # of Nagios

#: The columns of a table without --long; more would not fit a terminal.
_SHORT = ("host", "version", "state", "running", "seen_at", "scanned_at")


class _Lines(columns.FormattableColumn[Any]):
    """A list: a line each in a table, objects in other formats."""

    def human_readable(self) -> str:
        """Return the text for a table."""
        return "\n".join(printable.escaped(_line(one)) for one in self._value)


def _line(value: dict[str, Any]) -> str:
    if "text" in value:
        return f"{value['severity']}: {value['text']}"
    if "code" in value:
        return f"{value['tasks']} {value['code']}"
    if "agent_id" in value:
        return f"{value['host']}: {value['state']}, {value['running']} tasks"
    counts = ", ".join(
        f"{value[name]} {name}" for name in ("success", "processing", "pending", "failure", "late")
    )
    state = value["state"] if value["paused_until"] is None else f"paused {value['why']}"
    line = f"{value['region']}: {state}; {counts}"
    if value["waiting_bytes"]:
        line += f"; {value['waiting_bytes']} bytes wait"
    return line if not value["lag_seconds"] else f"{line}; lag {value['lag_seconds']} s"


class Summary(tables.ShowOne):
    """Show the state of all regions and agents, and what is wrong.

    The exit status is that of a Nagios plug-in: 0 if all is well, 1 for a warning, 2 if something
    is critical, 3 if nobody knows. An agent counts the tasks every ten seconds.
    """

    examples = _EXAMPLES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with the best state."""
        super().__init__(*args, **kwargs)
        self._severity = summaries.Severity.OK

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; return its exit status."""
        try:
            return super().run(parsed_args) or int(self._severity)
        except errors.SyncError as exc:
            self.app.say(f"unknown: {exc}")
            return _UNKNOWN

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Return the fields and their values."""
        del parsed_args
        with Cloud(self.app.configure()) as cloud:
            found = reading.summary(cloud)
        self._severity = found.severity
        values = {
            name: _Lines(value) if isinstance(value, list) else value
            for name, value in found.fields().items()
        }
        return tuple(values), tuple(values.values())


class Agents(tables.Lister):
    """List the agents of this database, and what each reported last.

    An agent that is gone ended without a word. An agent that waits does nothing until what it
    waits for is there.
    """

    examples = _AGENTS_EXAMPLES

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the choice of columns."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--long", action="store_true", help="show all columns in a table")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], list[list[Any]]]:
        """Return the columns and the rows."""
        with Cloud(self.app.configure()) as cloud:
            now = cloud.clock.now()
            found = [agent_reports.fields(one, now) for one in cloud.store.agents().all()]
        if not (parsed_args.long or parsed_args.columns or parsed_args.formatter != "table"):
            parsed_args.columns = _SHORT
        names = agent_reports.FIELDS
        return names, [[tables.OptionalValue(one[name]) for name in names] for one in found]
