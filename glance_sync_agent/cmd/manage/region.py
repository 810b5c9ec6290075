# SPDX-License-Identifier: Apache-2.0
"""``glance-sync-manage region``: renames or removes a region."""

import argparse
from collections.abc import Iterator
import contextlib

from cliff import command

from glance_sync_agent import errors
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.daemon import state_lock
from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.drivers.sql import known_regions
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import Configuration

_RENAME_EXAMPLES = """\
examples:
  glance-sync-manage region rename RegionTwo Region2          show what would change
  glance-sync-manage region rename RegionTwo Region2 --yes    change it
"""
_FORGET_EXAMPLES = """\
examples:
  glance-sync-manage region forget RegionTwo          show what would be removed
  glance-sync-manage region forget RegionTwo --yes    remove it
"""


class Rename(command.Command):
    """Follow a region that has a new name in Keystone's catalogue.

    Changes the name in the database and in the marks of the copies in all regions. Run it when
    the catalogue has the new name, while no agent runs. Change the name in sync.conf and the
    other files yourself. If it fails halfway, repeat it. It changes no image that is not the
    copy of a task.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the names."""
        parser = console.with_examples(super().get_parser(prog_name), _RENAME_EXAMPLES)
        parser.add_argument("old", metavar="OLD", help="the name that the database knows")
        parser.add_argument("new", metavar="NEW", help="the name in Keystone's catalogue")
        return _with_consent(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Show what would change, or change it."""
        configuration = self.app.configure()
        names = region_names.Renaming(
            old=images.RegionId(parsed_args.old), new=images.RegionId(parsed_args.new)
        )
        with _at_rest(configuration) as cloud:
            known = cloud.store.known_regions()
            _check_known(known, names.old)
            _check_catalogue(cloud.catalogue, names)
            changes = cloud.store.region_changes()
            changes.require_one_region(names.old, names.new)
            changes.require_reach(names.old, cloud.catalogue.regions())
            usage = known.usage(names.old)
            marks = cloud.renaming(names)
            if not parsed_args.yes:
                self._show(names, usage, sum(marks.count().values()))
                return
            now = cloud.clock.now()
            changes.require_rest(now)
            # The database comes last: until then the command can be repeated.
            changed = marks.change()
            usage = changes.rename(names.old, names.new, now)
        self.app.write(
            f"Renamed region {names.old} to {names.new}: {_described(usage)}, {changed} copies "
            "have a new mark"
        )

    def _show(
        self, names: region_names.Renaming, usage: region_names.Usage, copies: int
    ) -> None:
        self.app.write(
            f"Region {names.old} would become {names.new}: {_described(usage)}, {copies} copies "
            "would get a new mark. Nothing was changed; add --yes to do it"
        )


class Forget(command.Command):
    """Remove a region from the database.

    Removes its tasks and the tasks of images whose source is there. Changes no image in any
    Glance. If it is the cascading region, the next start stores the region that
    cascading_endpoint_url leads to. If it is still in the catalogue, the next scan makes its
    tasks again. Run it while no agent runs.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the name."""
        parser = console.with_examples(super().get_parser(prog_name), _FORGET_EXAMPLES)
        parser.add_argument("region", metavar="REGION", help="a name that the database knows")
        return _with_consent(parser)

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Show what would be removed, or remove it."""
        configuration = self.app.configure()
        region = images.RegionId(parsed_args.region)
        with _at_rest(configuration) as cloud:
            known = cloud.store.known_regions()
            _check_known(known, region)
            if parsed_args.yes:
                usage = cloud.store.region_changes().forget(region, cloud.clock.now())
                self.app.write(f"Forgot region {region}: {_described(usage)}")
                return
            usage = known.usage(region)
        self.app.write(
            f"Region {region} would be forgotten: {_described(usage)}. Nothing was changed; add "
            "--yes to do it"
        )


def _with_consent(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument(
        "--yes", action="store_true", help="do it; without it, only show what would be done"
    )
    return parser


@contextlib.contextmanager
def _at_rest(configuration: Configuration) -> Iterator[Cloud]:
    """Open the cloud while no agent of this machine runs.

    :raises ConfigurationError: an agent runs.
    """
    with (
        state_lock.held(configuration.settings.state_path, patience_seconds=0),
        Cloud(configuration) as cloud,
    ):
        yield cloud


def _check_known(known: known_regions.KnownRegions, region: images.RegionId) -> None:
    names = known.all()
    if region not in names:
        raise errors.UnknownRegion(
            f"the database has no region {region}; it has {', '.join(sorted(names)) or 'none yet'}"
        )


def _check_catalogue(catalogue: KeystoneCatalogue, names: region_names.Renaming) -> None:
    regions = catalogue.regions()
    if names.old in regions:
        raise errors.ConfigurationError(
            f"region {names.old} is still in Keystone's catalogue, so it has no new name"
        )
    if names.new not in regions:
        raise errors.UnknownRegion(
            f"there is no region {names.new} in Keystone's catalogue; the regions are "
            f"{', '.join(sorted(regions))}"
        )


def _described(usage: region_names.Usage) -> str:
    role = "it is the cascading region, " if usage.is_cascading else ""
    return f"{role}{usage.tasks} tasks in it, {usage.sourced} tasks of its images"
