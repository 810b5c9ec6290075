# SPDX-License-Identifier: Apache-2.0
"""``glance-sync cancel``: stops what is on its way."""

import argparse

from cliff import command

from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import known_tasks
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import person
from glance_sync_agent.wiring.cloud import Cloud

_EXAMPLES = """\
examples:
  glance-sync cancel cirros
  glance-sync cancel 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e --region RegionTwo
"""


class Cancel(command.Command):
    """Cancel the tasks of an image that are not done.

    Running transfers stop within seconds and leave no data behind. Messages and scans do not
    start them again; 'retry' and 'sync' do. Whatever takes access to the image away still follows
    to its copies, and so does its deletion.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and the region."""
        parser = console.with_examples(super().get_parser(prog_name), _EXAMPLES)
        named.add_image(parser)
        named.add_region(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Cancel the tasks."""
        with Cloud(self.app.configure()) as cloud:
            region = named.known_region(parsed_args, cloud)
            image_id = named.image_id(parsed_args.image, cloud, self.app.say)
            found = known_tasks.of_image(cloud.store, image_id, region)
            regions = cloud.engine().shared.steering.cancel(
                image_id, None if region is None else [region], person.asks()
            )
        if regions:
            self.app.write(f"Cancelled image {image_id} in {', '.join(regions)}")
        else:
            states = ", ".join(f"{task.key.region}: {task.status.value}" for task in found)
            self.app.say(f"Nothing to cancel: image {image_id} is in {states}")
