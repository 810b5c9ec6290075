# SPDX-License-Identifier: Apache-2.0
"""``glance-sync status``: the copies of all images."""

import argparse
from collections.abc import Iterator, Sequence
import dataclasses
import datetime
import math
from typing import Any

from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import following
from glance_sync_agent.cmd.cli import known_tasks
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.cmd.cli import task_view
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.reports import task_reports
from glance_sync_agent.wiring import reading
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import Configuration

_EXAMPLES = """\
examples:
  glance-sync status --status failure
  glance-sync status --image cirros -f json
  glance-sync status --status processing --watch
  glance-sync status --image cirros --wait --timeout 600
  glance-sync status --limit 100 --marker 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e
  glance-sync status --region RegionTwo -f csv -c image_id -c bytes_done -c bytes_total
"""

_WATCH_SECONDS = 2.0
_WAIT_SECONDS = 1.0
_CLEARED = "\x1b[H\x1b[2J"  # a terminal, with the cursor in its first line


class Status(tables.Lister):
    """List the tasks of all images: the state of each copy, and the reason.

    A table shows the most important columns, and all of them with --long; other formats always
    have all columns. In a large cloud use --limit, or -f json or csv, which print tasks as they
    come. A task is pending (it waits for a slot or its next retry), processing, success, or
    failure (it waits for an operator or a change of the image). If a region is unavailable, its
    pending tasks show until when, and why.

    With --wait or --watch the exit status is 0 if all tasks of the named images and regions
    succeeded, 1 if one failed, and 2 if --timeout ended it.
    """

    examples = _EXAMPLES

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with the best outcome."""
        super().__init__(*args, **kwargs)
        self._outcome = following.Outcome.IN_STEP
        self._last: images.ImageId | None = None  # of a page that others follow

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
        parser.add_argument(
            "--limit", type=named.limit, metavar="N", help="show the tasks of at most N images"
        )
        parser.add_argument(
            "--marker", type=named.marker, metavar="ID",
            help="with --limit: show the images after the one with this id, by id"
        )
        parser.add_argument(
            "--watch", metavar="SECONDS", nargs="?", type=_seconds, const=_WATCH_SECONDS,
            help="show it again every SECONDS (2 by default) until all tasks are settled; if the "
            "output is no terminal, only what changes"
        )
        parser.add_argument(
            "--wait", action="store_true", help="show it when all tasks are settled"
        )
        parser.add_argument(
            "--timeout", metavar="SECONDS", type=_seconds,
            help="with --wait or --watch: end after this time"
        )
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; return its exit status."""
        status = super().run(parsed_args) or int(self._outcome)
        if self._last is not None:
            self.app.say(f"There are more images. Show the next with --marker {self._last}")
        return status

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterator[list[Any]]]:
        """Return the columns and the rows, after waiting if that is wanted."""
        is_followed = parsed_args.wait or parsed_args.watch is not None
        _require_sense(parsed_args, is_followed=is_followed)
        configuration = self.app.configure()
        with Cloud(configuration) as cloud:
            selection = self._selection(parsed_args, cloud)
            if parsed_args.limit is not None:
                selection = self._page(parsed_args, cloud, selection)
        wide = parsed_args.long or parsed_args.columns or parsed_args.formatter != "table"
        if not wide:
            # Left out only when it is printed, because the rows may be sorted by any column.
            parsed_args.columns = task_view.SHORT_COLUMNS
        if is_followed:
            self._follow(parsed_args, configuration, selection)
        return task_reports.FIELDS, _rows(configuration, selection)

    def _selection(
        self, parsed_args: argparse.Namespace, cloud: Cloud
    ) -> following.Selection:
        image_ids = None
        region = named.known_region(parsed_args, cloud)
        if (text := parsed_args.image) is not None:
            image_id = named.parsed_id(text)
            image_ids = cloud.store.named(text) if image_id is None else [image_id]
            image_ids = image_ids or named.image_ids(text, cloud, self.app.say)
            known_tasks.require(cloud.store, image_ids)
        status = parsed_args.status and tasks.TaskStatus(parsed_args.status)
        return following.Selection(image_ids=image_ids, region=region, status=status)

    def _page(
        self, parsed_args: argparse.Namespace, cloud: Cloud, selection: following.Selection
    ) -> following.Selection:
        """Name the images of a page, and remember the last one if there are more."""
        limit = parsed_args.limit
        found = cloud.store.page(
            ports.TaskFilter(region=selection.region, status=selection.status),
            ports.Page(limit=limit + 1, after=parsed_args.marker),
        )
        if len(found) > limit:
            self._last = found[limit - 1]
        return dataclasses.replace(selection, image_ids=found[:limit])

    def _follow(
        self,
        parsed_args: argparse.Namespace,
        configuration: Configuration,
        selection: following.Selection,
    ) -> None:
        """Wait until the tasks are settled."""
        changes = following.Changes(self.app.write)
        is_drawn = parsed_args.watch is not None and self.app.stdout.isatty()

        def show() -> None:
            if is_drawn:
                self.app.stdout.write(_CLEARED)
                rows = _rows(configuration, selection)
                self.produce_output(parsed_args, task_reports.FIELDS, rows)
            elif parsed_args.watch is not None:
                changes.show(*_fields(configuration, selection))

        with Cloud(configuration) as cloud:
            self._outcome = following.follow(
                lambda: selection.outcome(cloud.store),
                show,
                following.Patience(
                    interval=parsed_args.watch or _WAIT_SECONDS, timeout=parsed_args.timeout
                ),
            )
        if self._outcome is following.Outcome.TIMED_OUT:
            self.app.say(f"Not all tasks are settled after {parsed_args.timeout:g} s")
        if is_drawn:
            self.app.stdout.write(_CLEARED)


def _require_sense(parsed_args: argparse.Namespace, *, is_followed: bool) -> None:
    """Refuse options that do not go together.

    :raises UsageError: there are some.
    """
    if parsed_args.timeout is not None and not is_followed:
        raise console.UsageError("--timeout is for --wait and --watch")
    if parsed_args.watch is not None and parsed_args.formatter != "table":
        raise console.UsageError("--watch is for people; use --wait with -f")
    if parsed_args.limit is None and parsed_args.marker is not None:
        raise console.UsageError("--marker needs --limit")
    if parsed_args.limit is not None and (is_followed or parsed_args.image is not None):
        raise console.UsageError("--limit is not for --image, --wait and --watch")


def _rows(configuration: Configuration, selection: following.Selection) -> Iterator[list[Any]]:
    with Cloud(configuration) as cloud:
        states, now = reading.region_states(cloud), cloud.clock.now()
        for task in selection.shown(cloud.store):
            yield task_view.row(task, states, now)


def _fields(
    configuration: Configuration, selection: following.Selection
) -> tuple[list[dict[str, Any]], datetime.datetime]:
    with Cloud(configuration) as cloud:
        states, now = reading.region_states(cloud), cloud.clock.now()
        found = [task_reports.fields(one, states, now) for one in selection.shown(cloud.store)]
    return found, now


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return value
