# SPDX-License-Identifier: Apache-2.0
"""``openstack image sync list``, ``show`` and ``explain``."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from cliff import columns
from osc_lib.command import command

from glancesyncclient.osc.v1 import named

_COLUMNS = ("ID", "Name", "Region", "Status", "Code", "Reason")
_STATES = ("pending", "processing", "success", "failure")


class RegionLines(columns.FormattableColumn[Any]):
    """The regions of an image: a line each in a table, objects in other formats."""

    def human_readable(self) -> str:
        """Return the text for a table."""
        return "\n".join(map(line, self._value))


def line(task: dict[str, Any]) -> str:
    """Return a sentence about a copy."""
    text = f"{task['region']}: {task['status']}; {task['reason']}"
    if task["status"] == "processing":
        text += f" {task['bytes_done']} of {task['bytes_total'] or '?'} bytes"
        if task["eta_seconds"] is not None:
            text += f", {task['eta_seconds']} s left"
    return text


class ListImages(command.Lister):
    """List images with their state in each region."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument("--region", metavar="<region>", help="show only this region")
        parser.add_argument("--status", choices=_STATES, help="show only this state")
        parser.add_argument("--code", metavar="<code>", help="show only this reason")
        parser.add_argument("--name", metavar="<name>", help="show only images with this name")
        parser.add_argument(
            "--since", metavar="<time>", help="show only what changed since, in ISO 8601"
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns and the rows."""
        names = ("region", "status", "code", "name", "since")
        query = {
            name: value for name in names
            if (value := getattr(parsed_args, name)) is not None
        }
        found = named.sync(self.app).images(**query)
        return _COLUMNS, (
            (
                image.id, image.name or "", task["region"], task["status"], task["code"],
                task["reason"],
            )
            for image in found
            for task in image.regions
            if _matches(task, query)
        )


def _matches(task: dict[str, Any], query: dict[str, str]) -> bool:
    # The code that is shown may be newer than the one that the API filters by.
    return all(task[name] == query[name] for name in ("region", "status") if name in query)


class ShowImage(command.ShowOne):
    """Show an image and its copy in each region."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image>", help="name or ID of the image")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Return the fields and their values."""
        image = named.sync(self.app).get_image(named.image_id(self.app, parsed_args.image))
        return ("id", "name", "regions"), (image.id, image.name, RegionLines(image.regions))


class ExplainImage(command.Lister):
    """Show where an image belongs, and what said so."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image."""
        parser = super().get_parser(prog_name)
        parser.add_argument("image", metavar="<image>", help="name or ID of the image")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns and the rows."""
        found = named.sync(self.app).placement(named.image_id(self.app, parsed_args.image))
        for warning in found["warnings"]:
            self.app.stderr.write(f"{warning}\n")
        rows = (
            (one["region"], one["wanted"], one["decided_by"], one["why"])
            for one in found["placement"]
        )
        return ("Region", "Wanted", "Decided By", "Why"), rows
