# SPDX-License-Identifier: Apache-2.0
"""``glance-sync status`` and ``show``: images and their copies."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from glance_sync_agent.cmd.cli import known_tasks
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.cmd.cli import task_view
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import Configuration

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
    """List the tasks of all images: the state of each copy, and the reason.

    A table shows the most important columns, and all of them with --long; other formats always
    have all columns. A task is pending (it waits for a slot or its next retry), processing,
    success, or failure (it waits for an operator or a change of the image). If a region is
    unavailable, its pending tasks show until when, and why.
    """

    examples = _STATUS_EXAMPLES

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--image", metavar="IMAGE", type=named.image, help="show only the image with "
            "this id, or the images with this name"
        )
        named.add_region(parser)
        parser.add_argument(
            "--status",
            choices=[one.value for one in tasks.TaskStatus],
            help="show only tasks in this state",
        )
        parser.add_argument("--long", action="store_true", help="show all columns in a table")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterator[list[Any]]]:
        """Return the columns and the rows."""
        configuration = self.app.configure()
        image_ids = None
        with Cloud(configuration) as cloud:
            region = named.known_region(parsed_args, cloud)
            if (text := parsed_args.image) is not None:
                image_id = named.parsed_id(text)
                image_ids = cloud.store.named(text) if image_id is None else [image_id]
                image_ids = image_ids or named.image_ids(text, cloud, self.app.say)
                known_tasks.require(cloud.store, image_ids)
        wide = parsed_args.long or parsed_args.columns or parsed_args.formatter != "table"
        if not wide:
            # Left out only when it is printed, because the rows may be sorted by any column.
            parsed_args.columns = task_view.SHORT_COLUMNS
        status = parsed_args.status and tasks.TaskStatus(parsed_args.status)
        return task_view.COLUMNS, _rows(configuration, image_ids, region, status)


def _rows(
    configuration: Configuration,
    image_ids: Sequence[images.ImageId] | None,
    region: images.RegionId | None,
    status: tasks.TaskStatus | None,
) -> Iterator[list[Any]]:
    with Cloud(configuration) as cloud:
        known = cloud.store.breakers().all()
        for image_id in [None] if image_ids is None else image_ids:
            for task in cloud.store.list(image_id=image_id, region=region, status=status):
                yield task_view.row(task, known)


class Show(tables.ShowOne):
    """Show one image, and its copy in each region."""

    examples = _SHOW_EXAMPLES

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and the region."""
        parser = super().get_parser(prog_name)
        named.add_image(parser)
        named.add_region(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Return the fields and their values."""
        with Cloud(self.app.configure()) as cloud:
            region = named.known_region(parsed_args, cloud)
            image_id = named.image_id(parsed_args.image, cloud, self.app.say)
            found = known_tasks.of_image(cloud.store, image_id, region)
            known = cloud.store.breakers().all()
        sizes = [task.bytes_total for task in found if task.bytes_total is not None]
        names = [task.image_name for task in found if task.image_name is not None]
        values = {
            "image_id": image_id,
            "image_name": tables.OptionalValue(names[0] if names else None),
            "bytes_total": tables.OptionalValue(sizes[0] if sizes else None),
            "known_since": task_view.time(min(task.created_at for task in found)),
            "regions": task_view.TaskLines([task_view.fields(task, known) for task in found]),
        }
        return tuple(values), tuple(values.values())
