# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-manage``: the database, its regions, and all that the agent depends on."""

import argparse
from collections.abc import Iterable, Sequence
import dataclasses
import json
import logging
import os
import sys

from cliff import command

from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.cmd.check import checks
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.manage import region
from glance_sync_agent.drivers.sql import task_store

_DESCRIPTION = (
    "Prepares the agent's database, follows regions that are renamed or gone, and checks what the "
    "agent depends on."
)
_EXAMPLES = """\
examples:
  glance-sync-manage db upgrade       after an installation or an update
  glance-sync-manage check            before the first start, and when something is odd
  glance-sync-manage check -f json
  glance-sync-manage region rename OLD NEW    after a region got a new name

Run it as the user of the agent, who must own the files that it makes.
exit status: 0, 1 for a failure, 2 for a usage error
"""


class DbUpgrade(command.Command):
    """Make the database, or bring it to the version of this agent.

    It may run again, or twice at once, without harm. The agent does the same when it starts.
    """

    app: console.Console

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Upgrade."""
        _, current = self.app.configure()
        _make_directory(current)
        store = task_store.SqlTaskStore(current.settings.connection)
        try:
            before = store.revision()
            store.upgrade()
            after = store.revision()
        finally:
            store.close()
        if before == after:
            self.app.write(f"The database is at revision {after} already")
        else:
            self.app.write(f"Upgraded the database from {before or 'nothing'} to revision {after}")


class Check(command.Command):
    """Try every link between the agent and the copies, and say how to mend those that fail.

    Looked at are the files, the database, the message bus, Keystone with its catalogue, each
    region's Glance, and each host of glance_store.yaml: its host key, the log-in, and whether
    its Glance can be reached from there. Nothing is left behind: a write to the database is
    taken back; in each region that takes copies a private image without data is made, to see
    whether uploads are allowed, and is removed. The last line counts what a start would copy.

    FAIL: the agent cannot do its work. WARN: it can, and something could be better. SKIP: not
    looked at. The exit status is 1 if anything fails.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the format, and how far it goes."""
        parser = console.taught(super().get_parser(prog_name))
        parser.add_argument(
            "-f",
            "--format",
            choices=("text", "json"),
            default="text",
            help="text (default): a line each, as it becomes known; json: a list at the end",
        )
        parser.add_argument(
            "--quick",
            action="store_true",
            help="make no image and do not compare images, which takes time in a large cloud; for "
            "monitoring",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        """Look at all links; return the exit status."""
        # What our own modules and paramiko log is in the report already.
        self.app.log_from(logging.CRITICAL)
        found = []
        for finding in self._findings(is_quick=parsed_args.quick):
            found.append(finding)
            if parsed_args.format == "text":
                self.app.write(findings.text(finding))
        if parsed_args.format == "json":
            self.app.write(json.dumps([dataclasses.asdict(one) for one in found], indent=2))
        failed = sum(one.verdict is findings.Level.FAIL for one in found)
        if failed and parsed_args.format == "text":
            self.app.write(f"\n{failed} of {len(found)} links fail")
        return 1 if failed else 0

    def _findings(self, *, is_quick: bool) -> Iterable[findings.Finding]:
        try:
            conf, current = self.app.configure()
            self.app.log_from(logging.CRITICAL)
            chain = checks.Checks(conf, current, is_quick=is_quick)
        except errors.ConfigurationError as exc:
            return [
                findings.failure("sync.conf", exc, "edit it, or name another with --config-file"),
                findings.skipped("everything else", "needs sync.conf"),
            ]
        return chain.run()


def _make_directory(current: wiring.CurrentSettings) -> None:
    path = current.settings.state_path
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as exc:
        raise errors.ConfigurationError(
            f"state_path = {path}: cannot be made by user id {os.geteuid()}: {exc.strerror}"
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
