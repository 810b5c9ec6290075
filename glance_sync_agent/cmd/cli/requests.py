# SPDX-License-Identifier: Apache-2.0
"""``glance-sync retry`` and ``sync``: have the agent look at an image."""

import argparse
from collections.abc import Mapping
import datetime
import uuid

from cliff import command

from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import known_tasks
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks

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
    """Make tasks that failed, or wait to be tried again, due now.

    Their count of attempts starts again at 0. The agent sees them within a second; what runs or
    is in step is not touched. A region that is left alone is tried at once.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and the region."""
        parser = console.taught(super().get_parser(prog_name), _RETRY_EXAMPLES)
        named.add_image(parser)
        named.add_region(parser, is_positional_too=True)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Request the tasks."""
        conf, current = self.app.configure()
        region = named.region(parsed_args)
        with wiring.Cloud(conf, current) as cloud:
            store = cloud.store
            named.require_known_region(region, store, lambda: cloud.catalogue)
            image_id = named.image_id(
                parsed_args.image, app=self.app, conf=conf, current=current, store=store
            )
            found = known_tasks.of_image(store, image_id, region)
            now = cloud.clock.now()
            known = store.breakers().all()
            stuck = [task for task in found if _is_stuck(task, now, known)]
            requests = cloud.engine().requests
            for task in stuck:
                requests.request(task.key.image_id, task.key.region)
                store.breakers().change(task.key.region, lambda one: one.with_probe_due(now))
        if stuck:
            regions = ", ".join(task.key.region for task in stuck)
            self.app.write(f"Due now: image {image_id} in {regions}")
        else:
            states = ", ".join(f"{task.key.region}: {task.status.value}" for task in found)
            self.app.say(f"Nothing to retry: image {image_id} is in {states}")
        _mention_pause(self.app, current)


class Sync(command.Command):
    """Have the agent look at an image now, whatever it thinks of it.

    Without --region: in every region that sync_strategy names, and wherever the image has a task
    already. A look copies what is missing, updates what differs, and does nothing where the
    copy is in step.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image, the region and the permission to delete."""
        parser = console.taught(super().get_parser(prog_name), _SYNC_EXAMPLES)
        named.add_image(parser)
        named.add_region(parser, is_positional_too=True)
        console.add_flag(
            parser,
            "--delete-copies",
            old_name="--force",
            help_text="if the image is gone from the cascading region, delete its copies for "
            "good; only those that the agent made",
        )
        parser.add_argument(
            "--release",
            action="store_true",
            help="activate the copy that somebody else deactivated in the region, as soon as its "
            "source is active; needs --region",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Request the tasks."""
        region = named.region(parsed_args)
        if parsed_args.release and region is None:
            raise console.UsageError(
                "--release is of one copy: name its region, too, with --region"
            )
        conf, current = self.app.configure()
        with wiring.Cloud(conf, current) as cloud:
            store, catalogue = cloud.store, cloud.catalogue
            if region is not None:
                targets = catalogue.regions() - {catalogue.cascading}
                named.require_region(region, targets, where=" to copy to")
            image_id = named.image_id(
                parsed_args.image, app=self.app, conf=conf, current=current, store=store
            )
            if parsed_args.release and region is not None:
                _release(cloud, tasks.TaskKey(image_id=image_id, region=region))
            requests = cloud.engine().requests
            count = requests.request(image_id, region, may_delete=parsed_args.delete_copies)
        if not count:
            raise errors.UnknownRegion(
                f"sync_strategy = {current.settings.policy.strategy.value} names no region for "
                f"image {image_id}, and it has no task; name a region with --region"
            )
        where = region or f"{count} regions"
        self.app.write(
            f"Requested image {image_id} in {where}; see 'glance-sync show {image_id}'"
        )
        _mention_pause(self.app, current)


def _release(cloud: wiring.Cloud, key: tasks.TaskKey) -> None:
    """Have the agent activate a copy that somebody else deactivated."""
    now = cloud.clock.now()
    if not cloud.store.permit_activation(key, now=now, request_id=uuid.uuid4().hex):
        raise errors.SyncError(
            f"no copy of {key} is known, so there is nothing to activate; 'glance-sync show "
            f"{key.image_id}' tells of the image"
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


def _mention_pause(app: console.Console, current: wiring.CurrentSettings) -> None:
    if not current.settings.sync_enabled:
        app.say("sync_enabled is false: the agent takes it up when that is true again")
