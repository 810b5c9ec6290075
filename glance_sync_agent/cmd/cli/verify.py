# SPDX-License-Identifier: Apache-2.0
"""``glance-sync verify``: read copies back, and have those replaced that are damaged.

This process reads, as that of ``reconcile`` looks, so that it tells what it finds even while no
agent runs and no worker is kept from copying. It deletes nothing: it notes in the task what it
found, and the agent replaces the copy under the task's lease, like any other.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from glance_sync_agent import wiring
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import known_tasks
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import reading_bar
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine.verify import read_back
from glance_sync_agent.engine.verify import repairs

_COLUMNS = ("image_id", "region", "verdict", "bytes", "seconds", "detail")
_TOLERATED = frozenset({verification.Condition.OK, verification.Condition.SKIPPED})
_EXAMPLES = """\
examples:
  glance-sync verify cirros
  glance-sync verify --region RegionTwo           every copy in one region
  glance-sync verify --dry-run -f json            only tell; nothing is written
"""


class Verify(tables.Lister):
    """Read copies back from their regions, and compare them with the hashes of their sources.

    Glance does not notice when the bytes of an image are damaged, or gone, in its store. A copy
    is ok, damaged, missing (a record without data), unreachable (it could not be read), or
    skipped (there is nothing to read or to compare with). What is damaged or missing is deleted
    and copied again by the agent, in a region with more than [verify] max_repairs of them only
    with --replace-all. Read are at most [verify] max_bytes_per_second. The exit status is 1 if
    something is damaged or missing, or could not be read.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image, the region, and what is to be done."""
        parser = console.taught(super().get_parser(prog_name), _EXAMPLES)
        named.add_image(parser, nargs="?")
        named.add_region(parser)
        parser.add_argument(
            "--dry-run", action="store_true", help="only tell what is there; write nothing"
        )
        console.add_flag(
            parser,
            "--replace-all",
            old_name="--force",
            help_text="delete and replace every bad copy, even if a region has more than [verify] "
            "max_repairs of them",
        )
        parser.set_defaults(fit_width=True)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return the columns and the rows."""
        conf, current = self.app.configure()
        region = named.region(parsed_args)
        findings: list[read_back.ReadBackResult] = []
        with wiring.Cloud(conf, current) as cloud:
            if region is not None:
                known = cloud.catalogue.regions()
                named.require_region(region, known, where=named.IN_CATALOGUE)
            store = cloud.store
            image_id = parsed_args.image and named.image_id(
                parsed_args.image, app=self.app, conf=conf, current=current, store=store
            )
            engine = cloud.engine()
            reader = engine.read_back
            # A dry run has nothing that could write.
            done = (
                None
                if parsed_args.dry_run
                else engine.make_repairs(has_limit=not parsed_args.replace_all)
            )
            with reading_bar.shown(self.app.stderr) as show:
                for task in _named(store, image_id, region):
                    finding = reader.verify(task, show)
                    findings.append(finding)
                    if done is not None:
                        done.take(finding)
            report = None if done is None else done.request()
        self._tell(findings, report)
        return _COLUMNS, map(_row, findings)

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; 1 if a copy is not as it should be, or nobody knows."""
        self._is_well = True
        return super().run(parsed_args) or int(not self._is_well)

    def _tell(
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
        self._is_well = verdicts.keys() <= _TOLERATED


def _named(
    store: task_store.SqlTaskStore,
    image_id: images.ImageId | None,
    region: images.RegionId | None,
) -> Iterator[tasks.Task]:
    """Return the tasks whose copies are to be read.

    :raises UsageError: an image was named that has none.
    """
    if image_id is not None:
        return iter(known_tasks.of_image(store, image_id, region))
    return store.list(region=region)


def _row(one: read_back.ReadBackResult) -> Sequence[Any]:
    seconds = round(one.seconds, 1)
    key = one.key
    return key.image_id, key.region, one.verdict.value, one.size, seconds, one.detail
