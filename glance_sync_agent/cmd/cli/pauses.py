# SPDX-License-Identifier: Apache-2.0
"""``glance-sync pause`` and ``resume``: work on a region stops, and goes on."""

import argparse

from cliff import command

from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import person
from glance_sync_agent.cmd.cli import printable
from glance_sync_agent.domain import images
from glance_sync_agent.engine.reports.region_states import pause_text
from glance_sync_agent.wiring import reading
from glance_sync_agent.wiring.cloud import Cloud

_PAUSE_EXAMPLES = """\
examples:
  glance-sync pause RegionTwo --reason "new disks until 14:00"
  glance-sync pause RegionTwo --reason "upgrade of Glance" --finish
"""

_RESUME_EXAMPLES = """\
examples:
  glance-sync resume RegionTwo
"""


def _add_region(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "region", metavar="REGION", type=named.region_name, help="region of the copies"
    )


class Pause(command.Command):
    """Pause a region: no agent changes anything in it until it is resumed.

    Running transfers stop within seconds and begin anew afterwards; with --finish they run to
    their end. Requests are kept. While a region is paused, its copies do not follow their
    sources, so an image that is made private or deleted stays as it is there. Scans go on.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the region and the reason."""
        parser = console.with_examples(super().get_parser(prog_name), _PAUSE_EXAMPLES)
        _add_region(parser)
        parser.add_argument(
            "--reason", metavar="TEXT", required=True, help="why, for everybody who asks later"
        )
        parser.add_argument(
            "--finish", action="store_true", help="let running transfers run to their end"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Write the pause."""
        with Cloud(self.app.configure()) as cloud:
            region = images.RegionId(parsed_args.region)
            named.require_known(region, cloud)
            if region == cloud.store.known_regions().cascading():
                raise console.UsageError(
                    f"region {printable.escaped(region)} is the cascading one, from which images "
                    "are copied; pause the regions that get copies, or set sync_enabled = false"
                )
            pause = cloud.engine().shared.steering.pause(
                region, person.asks(), reason=parsed_args.reason, finishes=parsed_args.finish
            )
        how = "running transfers finish" if pause.finishes else "running transfers stop"
        self.app.write(f"Paused region {region}: {how}, no other starts")


class Resume(command.Command):
    """End the pause of a region that a person began. Its tasks start within a second.

    An open window of [transfer] pause_windows still pauses the region until its end.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the region."""
        parser = console.with_examples(super().get_parser(prog_name), _RESUME_EXAMPLES)
        _add_region(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Remove the pause."""
        with Cloud(self.app.configure()) as cloud:
            region = images.RegionId(parsed_args.region)
            # A paused region may have left the catalogue.
            was_paused = cloud.engine().shared.steering.resume(region, person.asks())
            if not was_paused:
                named.require_known(region, cloud)
            rest = reading.region_states(cloud).pauses.of(region)
        shown = printable.escaped(region)
        if was_paused:
            self.app.write(f"Resumed region {shown}")
        else:
            self.app.say(f"Region {shown} was not paused by a person")
        if rest is not None:
            self.app.say(
                f"Region {shown} is still paused {pause_text(rest)}. Change [transfer] "
                "pause_windows in sync.conf and reload the agents to end that sooner"
            )

