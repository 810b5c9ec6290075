# SPDX-License-Identifier: Apache-2.0
"""``glance-sync verify``: reads copies back, and requests that damaged ones are replaced.

This process reads, so that it works without an agent and occupies no slot. It deletes nothing: it
records the result in the task, and the agent replaces the copy under the task's lease.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import known_tasks
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import reading_bar
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.domain import jobs
from glance_sync_agent.domain import verification
from glance_sync_agent.engine.verify import read_back
from glance_sync_agent.engine.verify import repairs
from glance_sync_agent.wiring.cloud import Cloud

_COLUMNS = ("image_id", "region", "verdict", "bytes", "seconds", "detail")
_TOLERATED = frozenset({verification.Condition.OK, verification.Condition.SKIPPED})
_EXAMPLES = """\
examples:
  glance-sync verify cirros
  glance-sync verify --region RegionTwo           verify every copy of one region
  glance-sync verify --dry-run -f json            show the results; write nothing
"""


class Verify(tables.Lister):
    """Read copies back from their regions, and compare them with the hashes of their sources.

    Glance does not detect that a store damaged or lost the data of an image. A copy is ok,
    damaged, missing (a record without data), unreachable (it could not be read), or skipped
    (there is nothing to read or to compare with). The agent deletes damaged and missing copies
    and copies them again. If a region has more than [verify] max_repairs of them, it replaces
    them only with --replace-all. [verify] max_bytes_per_second limits the reading.

    The exit status is 1 if a copy is damaged, missing or unreachable.
    """

    examples = _EXAMPLES

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image, the region, and what is to be done."""
        parser = super().get_parser(prog_name)
        named.add_image(parser, nargs="?")
        named.add_region(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="show the results; write nothing"
        )
        console.add_flag(
            parser,
            "--replace-all",
            old_name="--force",
            help_text="delete and replace all bad copies, even if a region has more than [verify] "
            "max_repairs of them",
        )
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return the columns and the rows."""
        findings: list[read_back.ReadBackResult] = []
        with Cloud(self.app.configure()) as cloud:
            region = named.region_of_catalogue(parsed_args, cloud)
            image_id = parsed_args.image and named.image_id(
                parsed_args.image, cloud, self.app.say
            )
            if image_id is not None:
                known_tasks.of_image(cloud.store, image_id, region)
            order = jobs.Order(
                kind=jobs.JobKind.VERIFICATION,
                regions=() if region is None else (region,),
                is_dry=parsed_args.dry_run,
                image_id=image_id,
                replace_all=parsed_args.replace_all,
            )
            verifications = cloud.engine().jobs.verifications
            with reading_bar.shown(self.app.stderr) as show:
                report = verifications.run(order, findings.append, show)
        self._report(findings, None if order.is_dry else report)
        return _COLUMNS, map(_row, findings)

    def _report(
        self, findings: Sequence[read_back.ReadBackResult], report: repairs.RepairReport | None
    ) -> None:
        verdicts = Counter(one.verdict for one in findings)
        counts = ", ".join(f"{count} {verdict.value}" for verdict, count in verdicts.items())
        self.app.say(f"Read {len(findings)} copies: {counts or 'there is none'}")
        if report is None:
            self.app.say("Nothing was written")
        elif report.requested:
            self.app.say(
                f"The agent replaces {report.requested} of them; see 'glance-sync status'"
            )
        self.is_partial = not verdicts.keys() <= _TOLERATED


def _row(one: read_back.ReadBackResult) -> Sequence[Any]:
    seconds = round(one.seconds, 1)
    key = one.key
    return key.image_id, key.region, one.verdict.value, one.size, seconds, one.detail
