# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-manage``: the database, its regions, and the check of an installation."""

import argparse
from collections.abc import Iterable, Sequence
import dataclasses
import json
import logging
import os
import sys

from cliff import command

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import checks
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.manage import region
from glance_sync_agent.domain import images
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import Configuration

_DESCRIPTION = (
    "Prepares the agent's database, follows renamed and removed regions, and checks what the "
    "agent needs."
)
_EXAMPLES = """\
examples:
  glance-sync-manage db upgrade       after an installation or an update
  glance-sync-manage check            before the first start, and to find the cause of errors
  glance-sync-manage check -f json
  glance-sync-manage region rename OLD NEW    after a region got a new name

Run it as the agent's user, because that user must own the files that it makes.
exit status: 0, 1 for a failure, 2 for a usage error
"""


class DbUpgrade(command.Command):
    """Create the database, or upgrade it to the version of this agent.

    It is safe to repeat the command. The agent does the same when it starts.
    """

    app: console.Console

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Upgrade."""
        configuration = self.app.configure()
        _make_directory(configuration)
        with Cloud(configuration) as cloud:
            before = cloud.store.revision()
            cloud.store.upgrade()
            after = cloud.store.revision()
        if before == after:
            self.app.write(f"The database is at revision {after} already")
        else:
            self.app.write(f"Upgraded the database from {before or 'nothing'} to revision {after}")


class Check(command.Command):
    """Check every link between the agent and the copies, and show how to repair it.

    Checks the files, the database, the message bus, Keystone and its catalogue, each region's
    Glance, and each host of glance_store.yaml: its host key, the login, and whether it reaches
    its Glance. Leaves nothing behind: it rolls back a write to the database; to test uploads, it
    makes a private image without data in each region that gets copies, and removes it. The last
    line counts what a start would copy.

    FAIL: the agent cannot work. WARN: it works, and something should be improved. SKIP: not
    checked. The exit status is 1 if a link fails.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the options."""
        parser = console.with_examples(super().get_parser(prog_name))
        parser.add_argument(
            "-f",
            "--format",
            choices=("text", "json"),
            default="text",
            help="text (default): a line for each link, at once; json: a list at the end",
        )
        parser.add_argument(
            "--quick",
            action="store_true",
            help="make no image, and do not compare images; for monitoring and large clouds",
        )
        parser.add_argument(
            "--region", metavar="REGION", help="check only this region, beside what all need"
        )
        parser.add_argument(
            "--problems", action="store_true", help="show only links that fail or could be better"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Check all links; return the exit status."""
        # The report has what our modules and paramiko would log.
        self.app.log_from(logging.CRITICAL)
        found: list[findings.Finding] = []
        is_text, only_problems = parsed_args.format == "text", parsed_args.problems
        for finding in self._findings(parsed_args):
            found.append(finding)
            if is_text and (finding.is_problem or not only_problems):
                self.app.write(findings.text(finding))
        if is_text:
            self._conclude(found, is_repeated=not only_problems)
        else:
            shown = [one for one in found if one.is_problem or not only_problems]
            self.app.write(json.dumps([dataclasses.asdict(one) for one in shown], indent=2))
        return int(any(one.verdict is findings.Level.FAIL for one in found))

    def _conclude(self, found: Sequence[findings.Finding], *, is_repeated: bool) -> None:
        """Repeat the problems in the order of their importance, and count the failures."""
        problems = [one for one in found if one.is_problem]
        if problems and is_repeated:
            self.app.write("\nProblems, the most important first:")
            for finding in sorted(problems, key=lambda one: one.verdict is findings.Level.WARN):
                self.app.write(findings.text(finding))
        failed = sum(one.verdict is findings.Level.FAIL for one in found)
        if failed:
            self.app.write(f"\n{failed} of {len(found)} links fail")

    def _findings(self, parsed_args: argparse.Namespace) -> Iterable[findings.Finding]:
        region = parsed_args.region
        try:
            configuration = self.app.configure()
            self.app.log_from(logging.CRITICAL)
            links = checks.Checks(
                configuration,
                is_quick=parsed_args.quick,
                only=None if region is None else images.RegionId(region),
            )
        except errors.ConfigurationError as exc:
            return [
                findings.failure("sync.conf", exc, "edit it, or use another with --config-file"),
                findings.skipped("everything else", "needs sync.conf"),
            ]
        return links.run()


def _make_directory(configuration: Configuration) -> None:
    path = configuration.settings.state_path
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as exc:
        raise errors.ConfigurationError(
            f"state_path = {path}: user id {os.geteuid()} cannot make it: {exc.strerror}"
        ) from exc


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``glance-sync-manage``; return its exit status."""
    tool = console.Console(
        name="glance-sync-manage",
        description=_DESCRIPTION,
        examples=_EXAMPLES,
        commands={
            "db upgrade": DbUpgrade,
            "check": Check,
            "region rename": region.Rename,
            "region forget": region.Forget,
        },
    )
    return console.run(tool, argv)


if __name__ == "__main__":
    sys.exit(main())
