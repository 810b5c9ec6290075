# SPDX-License-Identifier: Apache-2.0
"""``glance-sync retry`` and ``sync``: requests for one image."""

import argparse

from cliff import command

from glance_sync_agent import errors
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import known_tasks
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import person
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import Configuration

_RETRY_EXAMPLES = """\
examples:
  glance-sync retry 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e --region RegionTwo
  glance-sync retry cirros
  glance-sync retry --all --region RegionTwo --code gave_up
"""

_SYNC_EXAMPLES = """\
examples:
  glance-sync sync cirros
  glance-sync sync 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e --region RegionTwo
  glance-sync sync --delete-copies 6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e
  glance-sync sync --release cirros --region RegionTwo
"""

#: The codes that rows have.
_CODES = sorted(one.value for one in set(Code) - {Code.UNKNOWN, Code.REGION_PAUSED})


class Retry(command.Command):
    """Retry the failed and the waiting tasks of an image now, or all failed tasks.

    Use it when the cause of a failure is removed. The count of attempts starts again at 0, and
    the agent takes the tasks within a second. Tasks that run or succeeded do not change. An
    unavailable region gets a probe at once.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and the region."""
        parser = console.with_examples(super().get_parser(prog_name), _RETRY_EXAMPLES)
        named.add_image(parser, nargs="?")
        named.add_region(parser, is_positional_too=True)
        parser.add_argument(
            "--all", action="store_true", dest="is_all", help="retry the failed tasks of all "
            "images; --region and --code limit that. Cancelled tasks need --code cancelled"
        )
        parser.add_argument(
            "--code", choices=_CODES, metavar="CODE",
            help="with --all: retry only failures with this code, as 'status' shows it"
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Request the tasks."""
        if parsed_args.is_all is (parsed_args.image is not None):
            raise console.UsageError("name an image, or say --all")
        if parsed_args.code is not None and not parsed_args.is_all:
            raise console.UsageError("--code is for --all")
        configuration = self.app.configure()
        with Cloud(configuration) as cloud:
            region = named.known_region(parsed_args, cloud)
            if parsed_args.is_all:
                self._retry_all(cloud, region, parsed_args.code)
            else:
                self._retry(cloud, region, parsed_args.image)
        _mention_pause(self.app, configuration)

    def _retry_all(
        self, cloud: Cloud, region: images.RegionId | None, code: str | None
    ) -> None:
        failed = ports.TaskFilter(
            region=region,
            # A code may be that of tasks that wait.
            status=tasks.TaskStatus.FAILURE if code is None else None,
            code=None if code is None else Code(code),
        )
        count = cloud.engine().shared.steering.retry_all(failed, person.asks())
        if count:
            self.app.write(f"Due now: {count} tasks")
        else:
            self.app.say("Nothing to retry: no task matches that has failed")

    def _retry(self, cloud: Cloud, region: images.RegionId | None, image: str) -> None:
        image_id = named.image_id(image, cloud, self.app.say)
        found = known_tasks.of_image(cloud.store, image_id, region)
        regions = cloud.engine().shared.steering.retry(
            image_id, None if region is None else [region], person.asks()
        )
        if regions:
            self.app.write(f"Due now: image {image_id} in {', '.join(regions)}")
        else:
            states = ", ".join(f"{task.key.region}: {task.status.value}" for task in found)
            self.app.say(f"Nothing to retry: image {image_id} is in {states}")


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
            regions = cloud.engine().shared.steering.sync(
                image_id,
                None if region is None else [region],
                person.asks(),
                may_delete=parsed_args.delete_copies,
            )
        where = region or f"{len(regions)} regions"
        self.app.write(
            f"Requested image {image_id} in {where}; see 'glance-sync show {image_id}'"
        )
        _mention_pause(self.app, configuration)


def _release(cloud: Cloud, key: tasks.TaskKey) -> None:
    """Let the agent activate a copy that another user deactivated."""
    if not cloud.engine().shared.steering.release(key, person.asks()):
        raise errors.SyncError(
            f"no copy of {key} is known, so there is nothing to activate; 'glance-sync show "
            f"{key.image_id}' shows its tasks"
        )


def _mention_pause(app: console.Console, configuration: Configuration) -> None:
    if not configuration.settings.sync_enabled:
        app.say("sync_enabled is false: the agent continues when it is true again")
