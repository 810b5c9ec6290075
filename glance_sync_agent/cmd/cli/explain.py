# SPDX-License-Identifier: Apache-2.0
"""``glance-sync explain``: where an image belongs, and who says so."""

import argparse
from collections.abc import Iterator, Sequence
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import printable
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import readiness
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import snapshots
from glance_sync_agent.domain import strategy
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.drivers.regions import RegionServices

_COLUMNS = ("region", "wanted", "decided_by", "why")
_EXAMPLES = """\
examples:
  glance-sync explain cirros
  glance-sync explain 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e --region RegionTwo
  glance-sync explain 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e -f json
"""


class Explain(tables.Lister):
    """Show for each region whether an image belongs there, and what decided that.

    Glance and Keystone are asked now, as the agent would ask them; sync.conf and
    sync_strategy.yaml are read as they are now, whether the agent has read them or not. The
    first that says something decides: sync_strategy None, the image's property sync_regions =
    none, snapshot_region_names, sync_strategy ALL, the image's property sync_regions, a rule,
    Keystone's endpoint filter. An image that is not in the cascading region is looked for among
    the snapshots of the others.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and the region."""
        parser = console.taught(super().get_parser(prog_name), _EXAMPLES)
        named.add_image(parser)
        named.add_region(parser)
        parser.set_defaults(fit_width=True)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return the columns and the rows."""
        conf, current = self.app.configure()
        region = named.region(parsed_args)
        with wiring.Cloud(conf, current) as cloud:
            catalogue = cloud.catalogue
            if region is not None:
                named.require_region(region, catalogue.regions(), where=named.IN_CATALOGUE)
            image_id = named.image_id(
                parsed_args.image, app=self.app, conf=conf, current=current, store=cloud.store
            )
            # Placement needs no database, so a database that is away does not matter.
            engine = cloud.engine(clock=wiring.SystemClock())
            source = engine.remote_sources.join(self._find(cloud.regions, catalogue, image_id))
            self._mention(source, catalogue, current)
            verdicts = engine.targets.placements(source)
        if region is not None:
            verdicts = {one: why for one, why in verdicts.items() if one == region}
        return _COLUMNS, _rows(source, verdicts)

    def _mention(
        self,
        source: images.Image,
        catalogue: KeystoneCatalogue,
        current: wiring.CurrentSettings,
    ) -> None:
        """Name what of an image the agent cannot follow."""
        if unknown := strategy.names_unknown(source, catalogue.regions()):
            names = printable.escaped(", ".join(sorted(unknown)))
            self.app.say(f"{strategy.SYNC_REGIONS} of the image names no region with: {names}")
        if source.region not in {catalogue.cascading, *current.settings.region_buses}:
            self.app.say(
                f"the image is a snapshot in region {source.region}; the agent does not hear of "
                "it, because [notifications] region_transport_urls has no bus of that region"
            )

    def _find(
        self,
        services: RegionServices,
        catalogue: KeystoneCatalogue,
        image_id: images.ImageId,
    ) -> images.Image:
        """Return a source: an image of the cascading region, or a snapshot of another one.

        :raises UsageError: there is neither.
        :raises SyncError: there is neither as far as is known, or the cascading region does not
            answer.
        """
        cascading = catalogue.cascading
        is_certain = True
        copy = services.image_service(cascading).get_record(image_id)
        if copy is not None and not identity.names_itself(copy):
            return copy
        for region in sorted(catalogue.regions() - {cascading}):
            try:
                found = services.image_service(region).get_record(image_id)
            except errors.SyncError as exc:
                self.app.say(f"region {region} was not looked at: {exc}")
                is_certain = False
                continue
            if found is None or identity.names_itself(found):
                continue
            if snapshots.is_snapshot(found):
                return found
        if copy is None:
            error = console.UsageError if is_certain else errors.SyncError
            raise error(
                f"there is no image {image_id} in region {cascading}, and no snapshot with that "
                "id in another one"
            )
        return copy


def _rows(source: images.Image, verdicts: strategy.Placements) -> Iterator[Sequence[Any]]:
    obstacle = remotes.fault(source) or readiness.obstacle(source)
    for region in sorted(verdicts):
        verdict = verdicts[region]
        if obstacle is not None:
            yield region, "no", "image", obstacle
        else:
            yield region, "yes" if verdict.wanted else "no", verdict.step.value, verdict.why
