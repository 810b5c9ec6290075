# SPDX-License-Identifier: Apache-2.0
"""``glance-sync events``: what was done, what failed, and what people asked for."""

import argparse
from collections.abc import Sequence
from typing import Any

from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.domain import history
from glance_sync_agent.engine.reports import event_reports
from glance_sync_agent.wiring.cloud import Cloud

_EXAMPLES = """\
examples:
  glance-sync events --image cirros
  glance-sync events --kind deleted --limit 1000 -f json
  glance-sync events --region RegionTwo --kind failed
"""

#: The columns of a table without --long; more would not fit a terminal.
_SHORT = ("at", "kind", "by", "image_id", "region", "text")
_HIGHEST = 2**63 - 1


class Events(tables.Lister):
    """List what was done to copies, what failed, and what people asked for, the newest first.

    Each deletion names the owner, size and hash of the copy, and the proof that it was ours. The
    database keeps events for [history] days.
    """

    examples = _EXAMPLES

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the filters."""
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--image", metavar="IMAGE", type=named.image, help="show only the image with this id "
            "or name"
        )
        named.add_region(parser)
        parser.add_argument(
            "--kind", choices=[one.value for one in history.Kind], help="show only this kind"
        )
        parser.add_argument(
            "--limit", type=named.limit, default=100, metavar="N", help="show at most N events "
            "(default: %(default)s)"
        )
        parser.add_argument(
            "--before", type=_number, metavar="NUMBER",
            help="show only events with a lower number, to continue a list"
        )
        parser.add_argument("--long", action="store_true", help="show all columns in a table")
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], list[list[Any]]]:
        """Return the columns and the rows."""
        with Cloud(self.app.configure()) as cloud:
            image_id = None
            if parsed_args.image is not None:
                image_id = named.image_id(parsed_args.image, cloud, self.app.say)
            wanted = history.Filter(
                image_id=image_id,
                region=named.known_region(parsed_args, cloud),
                kind=parsed_args.kind and history.Kind(parsed_args.kind),
                before=parsed_args.before,
            )
            found = cloud.store.history().newest(parsed_args.limit, wanted)
        if not (parsed_args.long or parsed_args.columns or parsed_args.formatter != "table"):
            parsed_args.columns = _SHORT
        shown = [event_reports.fields(one) for one in found]
        return event_reports.FIELDS, [
            [tables.OptionalValue(one[name]) for name in event_reports.FIELDS] for one in shown
        ]


def _number(text: str) -> int:
    return named.number(text, _HIGHEST)
