# SPDX-License-Identifier: Apache-2.0
"""``openstack image sync region list``, ``pause`` and ``unpause``."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from osc_lib.command import command

from glancesyncclient.osc.v1 import named

_FIELDS = ("state", "success", "processing", "pending", "failure", "late", "lag_seconds", "why")


class ListRegions(command.Lister):
    """List the regions with their tasks and their state."""

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        """Return the columns and the rows."""
        del parsed_args
        found = named.sync(self.app).regions()
        titles = [name.replace("_", " ").title() for name in _FIELDS]
        rows = (
            (one.name, *(getattr(one, name) for name in _FIELDS)) for one in found
        )
        return ("Region", *titles), rows


class PauseRegion(command.Command):
    """Pause a region: no agent changes anything in it."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the region and the reason."""
        parser = super().get_parser(prog_name)
        parser.add_argument("region", metavar="<region>", help="region of the copies")
        parser.add_argument("--reason", metavar="<text>", required=True, help="why")
        parser.add_argument(
            "--finish", action="store_true", help="let running transfers run to their end"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Pause it."""
        named.sync(self.app).pause_region(
            parsed_args.region, parsed_args.reason, finish=parsed_args.finish
        )


class UnpauseRegion(command.Command):
    """End the pause of a region."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the region."""
        parser = super().get_parser(prog_name)
        parser.add_argument("region", metavar="<region>", help="region of the copies")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Resume it."""
        region = named.sync(self.app).unpause_region(parsed_args.region)
        if region.state == "paused":
            self.app.stderr.write(
                f"Region {parsed_args.region} stays paused until {region.paused_until}, when its "
                "pause window ends\n"
            )
