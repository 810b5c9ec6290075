# SPDX-License-Identifier: Apache-2.0
"""``glance-sync status`` and ``show``: what the agent knows of images and their copies."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from glance_sync_agent.cmd import console
from glance_sync_agent.cmd import known_tasks
from glance_sync_agent.cmd import tables
from glance_sync_agent.cmd import task_view
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks

_STATUS_EXAMPLES = """\
examples:
  glance-sync status --status failure
  glance-sync status --image cirros -f json
  glance-sync status --region RegionTwo -f csv -c image_id -c bytes_done -c bytes_total
"""

_SHOW_EXAMPLES = "The other formats (-f json, -f yaml) have one object for each region."


class Status(tables.Lister):
    """List images by region: where each copy is, and why it is not there if it is not.

    A table shows the most important columns, --long shows all; the other formats always have
    all. A task is pending (waiting, or waiting to be tried again), processing, success, or
    failure (it waits for an operator or a change of the image). Where a region answers nobody,
    its pending tasks say until when it is left alone, and why.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = console.taught(super().get_parser(prog_name), _STATUS_EXAMPLES)
        parser.add_argument("--image", metavar="IMAGE", help="only this image: its id or its name")
        parser.add_argument("--region", metavar="REGION", help="only this region")
        parser.add_argument(
            "--status",
            choices=[one.value for one in tasks.TaskStatus],
            help="only tasks in this state",
        )
        parser.add_argument("--long", action="store_true", help="all columns in a table, too")
        parser.set_defaults(fit_width=True)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterator[list[Any]]]:
        """Return the columns and the rows."""
        wide = parsed_args.long or parsed_args.columns or parsed_args.formatter != "table"
        if not wide:
            # Left out only when it is printed, because it may be sorted by any of them.
            parsed_args.columns = task_view.SHORT_COLUMNS
        return task_view.COLUMNS, self._rows(parsed_args)

    def _rows(self, parsed_args: argparse.Namespace) -> Iterator[list[Any]]:
        image_id, name = known_tasks.id_or_name(parsed_args.image)
        _, current = self.app.configure()
        with known_tasks.opened(current) as store:
            known = store.breakers().all()
            for task in store.list(
                image_id=image_id,
                region=parsed_args.region and images.RegionId(parsed_args.region),
                status=parsed_args.status and tasks.TaskStatus(parsed_args.status),
            ):
                if name is None or task.image_name == name:
                    yield task_view.row(task, known)


class Show(tables.ShowOne):
    """Show what is known of one image, and of its copy in each region."""

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image."""
        parser = console.taught(super().get_parser(prog_name), _SHOW_EXAMPLES)
        known_tasks.add_image(parser)
        parser.set_defaults(fit_width=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Return the fields and their values."""
        _, current = self.app.configure()
        with known_tasks.opened(current) as store:
            found = known_tasks.of_image(store, parsed_args.image)
            known = store.breakers().all()
        sizes = [task.bytes_total for task in found if task.bytes_total is not None]
        names = [task.image_name for task in found if task.image_name is not None]
        values = {
            "image_id": parsed_args.image,
            "image_name": tables.Optional(names[0] if names else None),
            "bytes_total": tables.Optional(sizes[0] if sizes else None),
            "known_since": task_view.time(min(task.created_at for task in found)),
            "regions": task_view.Regions([task_view.fields(task, known) for task in found]),
        }
        return tuple(values), tuple(values.values())
