# SPDX-License-Identifier: Apache-2.0
"""``glance-sync reconcile``: compare all images with their copies, now."""

import argparse
from collections.abc import Iterator, Sequence
import sys
from typing import Any

from glance_sync_agent import wiring
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan
from glance_sync_agent.engine.reconcile import scan_state

_COLUMNS = ("image_id", "image_name", "region", "what", "why")
_EXAMPLES = """\
examples:
  glance-sync reconcile --dry-run               what a look would request; nothing is written
  glance-sync reconcile --region RegionTwo      only what differs in one region
  glance-sync reconcile --dry-run -f json
  glance-sync reconcile --allow-deletes 12      delete the copies of the 12 sources that are gone
"""


class Reconcile(tables.Lister):
    """Compare every image with its copies, and request what differs.

    The agent does so itself at start, after a reload and every [reconcile] interval. Each line
    is an image in a region, what is to be done and why; the agent then looks at it again and
    does what is right at that moment. The command compares the members of every shared image;
    the agent takes [reconcile] members_interval for that. Sources that are gone take their
    copies along. If they are more than [reconcile] max_deletes, nothing is deleted and the exit
    status is 1; look at them with --dry-run, then repeat the command with --allow-deletes and
    their number. A region that does not answer is named, and the exit status is 1.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the region, and how much is to be done."""
        parser = console.taught(super().get_parser(prog_name), _EXAMPLES)
        named.add_region(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="show what differs, and request nothing"
        )
        parser.add_argument(
            "--allow-deletes",
            type=_count,
            metavar="N",
            help="this once, instead of [reconcile] max_deletes: delete the copies of at most N "
            "sources that are gone or out of strategy; if there are more than N, delete none",
        )
        parser.set_defaults(fit_width=True)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return the columns and the rows."""
        conf, current = self.app.configure()
        region = named.region(parsed_args)
        scope = scan_state.Scope(only=None if region is None else frozenset({region}))
        allowed = parsed_args.allow_deletes
        limit = current.settings.max_deletes if allowed is None else allowed
        found: list[differences.Difference] = []
        with wiring.Cloud(conf, current) as cloud:
            if region is not None:
                known = cloud.catalogue.regions()
                named.require_region(region, known, where=named.IN_CATALOGUE)
            engine = cloud.engine()
            # A dry run has nothing that could write: no way to request, and scans only read.
            receive = (
                _nothing if parsed_args.dry_run else differences.requesting(engine.requests)
            )

            def keep(some: Sequence[differences.Difference]) -> int:
                found.extend(some)
                return receive(some)

            kind = scan.ScanKind(
                # A dry run shows all that would go, and what keeps it from going.
                max_deletes=lambda: sys.maxsize if parsed_args.dry_run else limit,
                members=member_scans.FixedShare(member_scans.ALL),
                is_dry=parsed_args.dry_run,
                is_accepted=allowed is not None,
            )
            report = engine.make_scan(kind, keep).run(scope)
        if parsed_args.dry_run:
            gone = len({one.image_id for one in found if one.may_delete})
            report.held_back = gone if gone > limit else 0
        self._tell(report, len(found), limit=limit, dry_run=parsed_args.dry_run)
        return _COLUMNS, map(_row, found)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; 1 if a region was left out, or sources are gone that were kept."""
        self._is_partial = False
        return super().run(parsed_args) or int(self._is_partial)

    def _tell(
        self, report: scan_state.ScanReport, count: int, *, limit: int, dry_run: bool
    ) -> None:
        did = "would be requested; nothing was written" if dry_run else "requested"
        self.app.say(f"Compared {report.sources} images with their copies: {count} {did}")
        if report.failed_regions:
            names = ", ".join(sorted(report.failed_regions))
            self.app.say(f"Not compared, because they failed: {names}")
        if report.held_back:
            self.app.say(
                f"{report.held_back} sources are gone or out of strategy, and {limit} is the most "
                "whose copies may be deleted at once: none of their copies is deleted. If that "
                f"many are right, run it with --allow-deletes {report.held_back}"
            )
        if report.missing:
            self.app.say(
                f"{report.missing} sources are missing and no message told of their deletion; "
                "they count as deleted once they have been missing for [reconcile] gone_grace"
            )
        if report.restored:
            names = ", ".join(sorted(report.restored))
            self.app.say(
                f"The newest images of {names} are missing, as if Glance was restored from a "
                "backup. Nothing there counts as deleted until you run 'glance-sync "
                "reconcile --allow-deletes N'"
            )
        self._is_partial = bool(report.failed_regions or report.held_back or report.restored)
        if not dry_run and count and not report.failed_regions:
            self.app.say("See 'glance-sync status' for what becomes of them")


def _count(text: str) -> int:
    """Return a number of sources; a type of argparse's."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"'{text}' is no number above 0")
    return int(text)


def _nothing(found: Sequence[differences.Difference]) -> int:
    return len(found)


def _row(one: differences.Difference) -> Sequence[Any]:
    return one.image_id, one.image_name or "", one.region, one.step.what.value, one.step.why
