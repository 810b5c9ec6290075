# SPDX-License-Identifier: Apache-2.0
"""``glance-sync explain``: where an image belongs, and why."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import printable
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.domain import images
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine.reports import placement_reports
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.cloud import SystemClock

_EXAMPLES = """\
examples:
  glance-sync explain cirros
  glance-sync explain 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e --region RegionTwo
  glance-sync explain 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e -f json
"""


class Explain(tables.Lister):
    """Show for each region whether an image belongs there, and what decided that.

    Asks Glance and Keystone as the agent would, and reads the current sync.conf and
    sync_strategy.yaml, which may be newer than what the agent has read. The first of these that
    applies decides: sync_strategy None, the image's property sync_regions = none,
    snapshot_region_names, sync_strategy ALL, the image's property sync_regions, a rule,
    Keystone's endpoint filter. If the image is not in the cascading region, the command searches
    the snapshots of the other regions.
    """

    examples = _EXAMPLES

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and the region."""
        parser = super().get_parser(prog_name)
        named.add_image(parser)
        named.add_region(parser)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return the columns and the rows."""
        with Cloud(self.app.configure()) as cloud:
            region = named.region_of_catalogue(parsed_args, cloud)
            image_id = named.image_id(parsed_args.image, cloud, self.app.say)
            # With the clock of this machine, because the database may be unreachable.
            engine = cloud.engine(clock=SystemClock())
            source = engine.shared.remote_sources.join(self._find(cloud, image_id))
            self._warn(source, cloud)
            verdicts = engine.shared.targets.placements(source)
        if region is not None:
            verdicts = {one: why for one, why in verdicts.items() if one == region}
        found = placement_reports.rows(source, verdicts)
        return placement_reports.FIELDS, ([*row.values()] for row in found)

    def _warn(self, source: images.Image, cloud: Cloud) -> None:
        """Warn of names that match no region, and of a region without a bus."""
        catalogue, buses = cloud.catalogue, cloud.configuration.settings.bus.region_urls
        if unknown := strategy.names_unknown(source, catalogue.regions()):
            names = printable.escaped(", ".join(sorted(unknown)))
            self.app.say(f"{strategy.SYNC_REGIONS} of the image matches no region with: {names}")
        if source.region not in {catalogue.cascading, *buses}:
            self.app.say(
                f"the image is a snapshot in region {source.region}; the agent gets no messages "
                "about it, because [notifications] region_transport_urls lacks that region"
            )

    def _find(self, cloud: Cloud, image_id: images.ImageId) -> images.Image:
        """Return a source: an image of the cascading region, or a snapshot of another one.

        :raises UsageError: there is neither.
        :raises SyncError: none was found, and a region was unreachable.
        """
        try:
            return placement_reports.find(cloud.regions, cloud.catalogue, image_id, self.app.say)
        except placement_reports.NoSource as exc:
            raise console.UsageError(str(exc)) from exc
