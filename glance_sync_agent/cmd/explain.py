# SPDX-License-Identifier: Apache-2.0
"""``glance-sync explain``: where an image belongs, and who says so."""

import argparse
from collections.abc import Iterator, Sequence
import contextlib
from typing import Any

from cliff import lister

from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.cmd import console
from glance_sync_agent.cmd import known_tasks
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import strategy

_COLUMNS = ("region", "wanted", "decided_by", "why")
_EXAMPLES = """\
examples:
  glance-sync explain 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e
  glance-sync explain 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e -f json
"""


class Explain(lister.Lister):
    """Show for each region whether an image belongs there, and what decided that.

    Glance and Keystone are asked now, as the agent would ask them; sync.conf and
    sync_strategy.yaml are read as they are now, whether the agent has read them or not. The
    first that says something decides: sync_strategy None, the image's property sync_regions =
    none, snapshot_region_names, sync_strategy ALL, the image's property sync_regions, a rule,
    Keystone's endpoint filter.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image."""
        parser = console.taught(super().get_parser(prog_name), _EXAMPLES)
        known_tasks.add_image(parser)
        parser.set_defaults(fit_width=True)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Iterator[Sequence[Any]]]:
        """Return the columns and the rows."""
        conf, current = self.app.configure()
        catalogue = wiring.open_catalogue(conf, current)
        with contextlib.closing(wiring.open_regions(conf, current, catalogue)) as services:
            source = services.image_service(catalogue.cascading).get_record(parsed_args.image)
        if source is None:
            raise errors.SyncError(
                f"there is no image {parsed_args.image} in region {catalogue.cascading}"
            )
        if unknown := strategy.names_unknown(source, catalogue.regions()):
            names = ", ".join(sorted(unknown))
            self.app.say(f"{strategy.SYNC_REGIONS} of the image names no region with: {names}")
        verdicts = wiring.make_targets(conf, catalogue, current).verdicts(source)
        return _COLUMNS, _rows(source, verdicts)


def _rows(source: images.Image, verdicts: strategy.Verdicts) -> Iterator[Sequence[Any]]:
    obstacle = plans.obstacle(source)
    for region in sorted(verdicts):
        verdict = verdicts[region]
        if obstacle is not None:
            yield region, "no", "image", obstacle
        else:
            yield region, "yes" if verdict.wanted else "no", verdict.step.value, verdict.why
