# SPDX-License-Identifier: Apache-2.0
"""``glance-sync show``: one image and its copies."""

import argparse
from collections.abc import Sequence
from typing import Any

from glance_sync_agent.cmd.cli import known_tasks
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.cmd.cli import task_view
from glance_sync_agent.engine.reports import task_reports
from glance_sync_agent.engine.reports import times
from glance_sync_agent.wiring import reading
from glance_sync_agent.wiring.cloud import Cloud

_EXAMPLES = """\
examples:
  glance-sync show cirros
  glance-sync show 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e --region RegionTwo

The other formats (-f json, -f yaml) have one object for each region.
"""


class Show(tables.ShowOne):
    """Show one image, and its copy in each region."""

    examples = _EXAMPLES

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and the region."""
        parser = super().get_parser(prog_name)
        named.add_image(parser)
        named.add_region(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> tuple[Sequence[str], Sequence[Any]]:
        """Return the fields and their values."""
        with Cloud(self.app.configure()) as cloud:
            region = named.known_region(parsed_args, cloud)
            image_id = named.image_id(parsed_args.image, cloud, self.app.say)
            found = known_tasks.of_image(cloud.store, image_id, region)
            states, now = reading.region_states(cloud), cloud.clock.now()
        sizes = [task.bytes_total for task in found if task.bytes_total is not None]
        names = [task.image_name for task in found if task.image_name is not None]
        values = {
            "image_id": image_id,
            "image_name": tables.OptionalValue(names[0] if names else None),
            "bytes_total": tables.OptionalValue(sizes[0] if sizes else None),
            "known_since": times.text(min(task.created_at for task in found)),
            "regions": task_view.TaskLines(
                [task_reports.fields(task, states, now) for task in found]
            ),
        }
        return tuple(values), tuple(values.values())
