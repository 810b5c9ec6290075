# SPDX-License-Identifier: Apache-2.0
"""``glance-sync reconcile``: compare all images with their copies, now."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.domain import jobs
from glance_sync_agent.engine.jobs import asked_scans
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import scan_state
from glance_sync_agent.wiring.cloud import Cloud

_COLUMNS = ("image_id", "image_name", "region", "what", "why")
_EXAMPLES = """\
examples:
  glance-sync reconcile --dry-run               show what a scan would request
  glance-sync reconcile --region RegionTwo      request the differences of one region
  glance-sync reconcile --dry-run -f json
  glance-sync reconcile --allow-deletes 12      delete the copies of 12 sources that are gone
"""


class Reconcile(tables.Lister):
    """Run a full scan: compare every image with its copies, and request the differences.

    The agent does this at start, after a reload and every [reconcile] interval. Each line shows
    an image, a region, the action and the reason. The agent then compares the image again and
    executes the action that is right at that moment. The command compares the members of all
    shared images; the agent spreads that over [reconcile] members_interval.

    The copies of sources that are gone are deleted. If there are more such sources than
    [reconcile] max_deletes, none of their copies is deleted. Check them with --dry-run, then run
    the command with --allow-deletes and their number.

    The exit status is 1 if deletions were held back or a region was unreachable.
    """

    examples = _EXAMPLES

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the region, and how much is to be done."""
        parser = super().get_parser(prog_name)
        named.add_region(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="show the differences; write nothing"
        )
        parser.add_argument(
            "--allow-deletes",
            type=_count,
            metavar="N",
            help="replace [reconcile] max_deletes this once: delete the copies of at most N "
            "sources that are gone or out of strategy; if there are more, delete none",
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return the columns and the rows."""
        configuration = self.app.configure()
        found: list[differences.Difference] = []
        with Cloud(configuration) as cloud:
            region = named.region_of_catalogue(parsed_args, cloud)
            order = jobs.Order(
                kind=jobs.JobKind.SCAN,
                regions=() if region is None else (region,),
                is_dry=parsed_args.dry_run,
                allow_deletes=parsed_args.allow_deletes,
            )
            scans = cloud.engine().jobs.scans
            report = scans.run(order, found.extend)
            self._report(report, len(found), order, scans.limit(order))
        return _COLUMNS, map(_row, found)

    def _report(
        self, report: scan_state.ScanReport, count: int, order: jobs.Order, limit: int
    ) -> None:
        did = "would be requested; nothing was written" if order.is_dry else "requested"
        self.app.say(f"Compared {report.sources} images with their copies: {count} {did}")
        for text in asked_scans.sentences(report, limit, order.regions):
            self.app.say(text)
        self.is_partial = asked_scans.is_partial(report)
        if not order.is_dry and count and not report.failed_regions:
            self.app.say("Follow them with 'glance-sync status'")


def _count(text: str) -> int:
    """Return a number of sources; an argparse type."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def _row(one: differences.Difference) -> Sequence[Any]:
    return one.image_id, one.image_name or "", one.region, one.step.what.value, one.step.why
