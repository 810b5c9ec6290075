# SPDX-License-Identifier: Apache-2.0
"""``glance-sync retry`` and ``sync``: requests for one image."""

import argparse
from collections.abc import Mapping
import datetime
import uuid

from cliff import command

from glance_sync_agent import errors
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import known_tasks
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import Configuration

_RETRY_EXAMPLES = """\
examples:
  glance-sync retry 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e --region RegionTwo
  glance-sync retry cirros
"""

_SYNC_EXAMPLES = """\
examples:
  glance-sync sync cirros
  glance-sync sync 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e --region RegionTwo
  glance-sync sync --delete-copies 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e
  glance-sync sync --release cirros --region RegionTwo
"""


class Retry(command.Command):
    """Retry the failed and the waiting tasks of an image now.

    Use it when the cause of a failure is removed. The count of attempts starts again at 0, and
    the agent takes the tasks within a second. Tasks that run or succeeded do not change. An
    unavailable region gets a probe at once.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and the region."""
        parser = console.with_examples(super().get_parser(prog_name), _RETRY_EXAMPLES)
        named.add_image(parser)
        named.add_region(parser, is_positional_too=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Request the tasks."""
        configuration = self.app.configure()
        with Cloud(configuration) as cloud:
            store = cloud.store
            region = named.known_region(parsed_args, cloud)
            image_id = named.image_id(parsed_args.image, cloud, self.app.say)
            found = known_tasks.of_image(store, image_id, region)
            now = cloud.clock.now()
            known = store.breakers().all()
            stuck = [task for task in found if _is_stuck(task, now, known)]
            requests = cloud.engine().shared.requests
            for task in stuck:
                requests.request(task.key.image_id, task.key.region)
                store.breakers().change(task.key.region, lambda one: one.with_probe_due(now))
        if stuck:
            regions = ", ".join(task.key.region for task in stuck)
            self.app.write(f"Due now: image {image_id} in {regions}")
        else:
            states = ", ".join(f"{task.key.region}: {task.status.value}" for task in found)
            self.app.say(f"Nothing to retry: image {image_id} is in {states}")
        _mention_pause(self.app, configuration)


class Sync(command.Command):
    """Check an image again now, whatever its status.

    The agent copies what is missing and updates what differs. Without --region, it checks every
    region that sync_strategy names, and every region where the image has a task.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image, the region and the permission to delete."""
        parser = console.with_examples(super().get_parser(prog_name), _SYNC_EXAMPLES)
        named.add_image(parser)
        named.add_region(parser, is_positional_too=True)
        console.add_flag(
            parser,
            "--delete-copies",
            old_name="--force",
            help_text="if the image is gone from the cascading region, delete the copies that the "
            "agent made of it",
        )
        parser.add_argument(
            "--release",
            action="store_true",
            help="activate the copy that another user deactivated in the region, as soon as its "
            "source is active; needs --region",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Request the tasks."""
        region = named.region(parsed_args)
        if parsed_args.release and region is None:
            raise console.UsageError(
                "--release needs the region of the copy: add --region"
            )
        configuration = self.app.configure()
        with Cloud(configuration) as cloud:
            catalogue = cloud.catalogue
            if region is not None:
                targets = catalogue.regions() - {catalogue.cascading}
                named.require_region(region, targets, where=" to copy to")
            image_id = named.image_id(parsed_args.image, cloud, self.app.say)
            if parsed_args.release and region is not None:
                _release(cloud, tasks.TaskKey(image_id=image_id, region=region))
            requests = cloud.engine().shared.requests
            count = requests.request(image_id, region, may_delete=parsed_args.delete_copies)
        if not count:
            raise errors.UnknownRegion(
                f"sync_strategy names no region for image {image_id}, and it has no task; name a "
                "region with --region"
            )
        where = region or f"{count} regions"
        self.app.write(
            f"Requested image {image_id} in {where}; see 'glance-sync show {image_id}'"
        )
        _mention_pause(self.app, configuration)


def _release(cloud: Cloud, key: tasks.TaskKey) -> None:
    """Let the agent activate a copy that another user deactivated."""
    now = cloud.clock.now()
    if not cloud.store.permit_activation(key, now=now, request_id=uuid.uuid4().hex):
        raise errors.SyncError(
            f"no copy of {key} is known, so there is nothing to activate; 'glance-sync show "
            f"{key.image_id}' shows its tasks"
        )


def _is_stuck(
    task: tasks.Task,
    now: datetime.datetime,
    known: Mapping[images.RegionId, breakers.Breaker],
) -> bool:
    if task.status is tasks.TaskStatus.PENDING:
        breaker = known.get(task.key.region, breakers.CLOSED)
        return task.not_before > now or breaker.is_open(now)
    return task.status is tasks.TaskStatus.FAILURE


def _mention_pause(app: console.Console, configuration: Configuration) -> None:
    if not configuration.settings.sync_enabled:
        app.say("sync_enabled is false: the agent continues when it is true again")
