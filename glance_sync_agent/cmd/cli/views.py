# SPDX-License-Identifier: Apache-2.0
"""``glance-sync status`` and ``show``: what the agent knows of images and their copies."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from glance_sync_agent import wiring
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import known_tasks
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.cmd.cli import task_view
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks

_STATUS_EXAMPLES = """\
examples:
  glance-sync status --status failure
  glance-sync status --image cirros -f json
  glance-sync status --region RegionTwo -f csv -c image_id -c bytes_done -c bytes_total
"""

_SHOW_EXAMPLES = """\
examples:
  glance-sync show cirros
  glance-sync show 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e --region RegionTwo

The other formats (-f json, -f yaml) have one object for each region.
"""


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
        parser.add_argument(
            "--image", metavar="IMAGE", type=named.image, help="only the image with this id, or "
            "all with this name"
        )
        named.add_region(parser)
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
        conf, current = self.app.configure()
        region = named.region(parsed_args)
        wanted = None
        with known_tasks.opened(current) as store:
            named.require_known_region(
                region, store, lambda: wiring.Cloud(conf, current).catalogue
            )
            if (text := parsed_args.image) is not None:
                image_id = named.parsed_id(text)
                wanted = store.named(text) if image_id is None else [image_id]
                wanted = wanted or named.image_ids(
                    text, app=self.app, conf=conf, current=current, store=store
                )
                known_tasks.require(store, wanted)
        wide = parsed_args.long or parsed_args.columns or parsed_args.formatter != "table"
        if not wide:
            # Left out only when it is printed, because it may be sorted by any of them.
            parsed_args.columns = task_view.SHORT_COLUMNS
        status = parsed_args.status and tasks.TaskStatus(parsed_args.status)
        return task_view.COLUMNS, _rows(current, wanted, region, status)


def _rows(
    current: wiring.CurrentSettings,
    wanted: Sequence[images.ImageId] | None,
    region: images.RegionId | None,
    status: tasks.TaskStatus | None,
) -> Iterator[list[Any]]:
    with known_tasks.opened(current) as store:
        known = store.breakers().all()
        for image_id in [None] if wanted is None else wanted:
            for task in store.list(image_id=image_id, region=region, status=status):
                yield task_view.row(task, known)


class Show(tables.ShowOne):
    """Show what is known of one image, and of its copy in each region."""

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and the region."""
        parser = console.taught(super().get_parser(prog_name), _SHOW_EXAMPLES)
        named.add_image(parser)
        named.add_region(parser)
        parser.set_defaults(fit_width=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Return the fields and their values."""
        conf, current = self.app.configure()
        region = named.region(parsed_args)
        with known_tasks.opened(current) as store:
            named.require_known_region(
                region, store, lambda: wiring.Cloud(conf, current).catalogue
            )
            image_id = named.image_id(
                parsed_args.image, app=self.app, conf=conf, current=current, store=store
            )
            found = known_tasks.of_image(store, image_id, region)
            known = store.breakers().all()
        sizes = [task.bytes_total for task in found if task.bytes_total is not None]
        names = [task.image_name for task in found if task.image_name is not None]
        values = {
            "image_id": image_id,
            "image_name": tables.Optional(names[0] if names else None),
            "bytes_total": tables.Optional(sizes[0] if sizes else None),
            "known_since": task_view.time(min(task.created_at for task in found)),
            "regions": task_view.Regions([task_view.fields(task, known) for task in found]),
        }
        return tuple(values), tuple(values.values())
