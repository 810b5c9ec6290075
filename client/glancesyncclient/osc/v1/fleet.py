# SPDX-License-Identifier: Apache-2.0
"""``openstack image sync agent list``, ``event list`` and ``summary``."""

import argparse
from collections.abc import Iterable, Sequence
import itertools
from typing import Any

from cliff import columns
from osc_lib.command import command

from glancesyncclient.osc.v1 import named

_AGENT = ("id", "host", "version", "state", "running", "waits_for", "seen_at", "scanned_at")
_EVENT = ("at", "kind", "by", "image_id", "region", "code", "text")


class _Problems(columns.FormattableColumn[Any]):
    """Problems: a line each in a table, objects in other formats."""

    def human_readable(self) -> str:
        """Return the text for a table."""
        return "\n".join(f"{one['severity']}: {one['text']}" for one in self._value)


def _titles(names: Sequence[str]) -> list[str]:
    return [name.replace("_", " ").title() for name in names]


class ListAgents(command.Lister):
    """List the agents, and what each reported last."""

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns and the rows."""
        del parsed_args
        found = named.sync(self.app).agents()
        return _titles(_AGENT), ([getattr(one, name) for name in _AGENT] for one in found)


class ListEvents(command.Lister):
    """List what was done, what failed, and what people asked for, the newest first."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--image", metavar="<id>", dest="image_id", help="ID of an image")
        parser.add_argument("--region", metavar="<region>", help="show only this region")
        parser.add_argument("--kind", metavar="<kind>", help="show only this kind")
        parser.add_argument(
            "--limit", metavar="<n>", type=int, default=100,
            help="show at most so many (default: %(default)s)",
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns and the rows."""
        query = {
            name: value for name in ("image_id", "region", "kind")
            if (value := getattr(parsed_args, name)) is not None
        }
        found = named.sync(self.app).events(**query)
        shown = itertools.islice(found, parsed_args.limit)
        return _titles(_EVENT), ([getattr(one, name) for name in _EVENT] for one in shown)


class ShowSummary(command.ShowOne):
    """Show the state of all regions and agents, and what is wrong."""

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Return the fields and their values."""
        del parsed_args
        found = named.sync(self.app).summary()
        names = ("status", "problems", "counted_at")
        return names, (found["status"], _Problems(found["problems"]), found["counted_at"])
