# SPDX-License-Identifier: Apache-2.0
"""``glance-sync adopt``, ``disown`` and ``orphan``: images that an operator settles."""

import argparse
from collections.abc import Iterator, Sequence
import contextlib
from typing import Any

from cliff import command

from glance_sync_agent import errors
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import person
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.engine.marks import census
from glance_sync_agent.engine.marks import settling
from glance_sync_agent.wiring.cloud import Cloud

_COLUMNS = ("image_id", "image_name", "region", "kind", "project", "size", "source", "why")
_IMAGE = "6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e"
_SETTLED_BY_HAND = frozenset({census.MarkKind.DOUBTFUL, census.MarkKind.ORPHAN})


class _OneImage(command.Command):
    """A command about one image of one region."""

    app: console.Console
    example = ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and its region."""
        parser = console.with_examples(super().get_parser(prog_name), f"example: {self.example}")
        parser.add_argument(
            "image",
            metavar="IMAGE",
            type=_image_id,
            help="id of the image in that region; it may differ from the id of its source",
        )
        parser.add_argument(
            "--region", metavar="REGION", required=True, help="region of the image"
        )
        return parser

    @contextlib.contextmanager
    def _settling(
        self, parsed_args: argparse.Namespace
    ) -> Iterator[tuple[settling.Settling, images.RegionId]]:
        region = images.RegionId(parsed_args.region)
        with Cloud(self.app.configure()) as cloud:
            named.require_in_catalogue(region, cloud)
            yield cloud.engine().scans.settling, region


class Adopt(_OneImage):
    """Accept a doubtful image as the copy that its mark names.

    Use it if the agent made the image. From then on the agent keeps it in step with its source.
    If its data differs from the source, the agent deletes it and copies the source again.
    """

    example = f"glance-sync adopt {_IMAGE} --region RegionTwo"

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Adopt it."""
        with self._settling(parsed_args) as (settle, region):
            source = settle.adopt(region, parsed_args.image, person.asks())
        self.app.write(
            f"Image {parsed_args.image} of region {region} is now the copy of {source}; see "
            f"'glance-sync show {source.image_id}'"
        )


class Disown(_OneImage):
    """Remove the agent's mark from an image, so that it is no copy.

    Use it for a doubtful image that belongs to a user. Only the mark changes. The agent never
    changes the image again.
    """

    example = f"glance-sync disown {_IMAGE} --region RegionTwo"

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Disown it."""
        with self._settling(parsed_args) as (settle, region):
            source = settle.disown(region, parsed_args.image, person.asks())
        self.app.write(
            f"Image {parsed_args.image} of region {region} is no longer a copy of {source}"
        )


class OrphanDelete(_OneImage):
    """Delete an orphan: a copy without a task whose source is gone.

    The command refuses any other image. A user can give an image the mark of a copy, so compare
    its project and size with what you expect.
    """

    example = f"glance-sync orphan delete {_IMAGE} --region RegionTwo"

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete it."""
        with self._settling(parsed_args) as (settle, region):
            image = settle.delete_orphan(region, parsed_args.image, person.asks())
        self.app.write(
            f"Deleted image {image.image_id} of region {region}: project {image.metadata.owner}, "
            f"{image.size} bytes, hash {image.multihash}"
        )


class OrphanList(tables.Lister):
    """List the images that the agent does not change until an operator settles them.

    An orphan is a copy without a task whose source is gone; 'glance-sync orphan delete' deletes
    it. A doubtful image has the mark of a copy without a proof; 'glance-sync adopt' or
    'glance-sync disown' settles it. Snapshots that inherited a mark are ordinary images and are
    not listed.
    """

    examples = "example: glance-sync orphan list --region RegionTwo"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the region."""
        parser = super().get_parser(prog_name)
        named.add_region(parser)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return the columns and the rows."""
        found: list[census.MarkedImage] = []
        with Cloud(self.app.configure()) as cloud:
            marked = cloud.engine().scans.census
            region = named.region_of_catalogue(parsed_args, cloud)
            for one in sorted(cloud.catalogue.regions()) if region is None else [region]:
                try:
                    found += [each for each in marked.find(one) if each.kind in _SETTLED_BY_HAND]
                except errors.SyncError as exc:
                    self.app.say(f"region {one} was not searched: {exc}")
                    self.is_partial = True
        return _COLUMNS, [_row(one) for one in found]


def _image_id(text: str) -> images.ImageId:
    try:
        return images.image_id(text)
    except errors.NotificationError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _row(one: census.MarkedImage) -> Sequence[Any]:
    image = one.image
    return (
        image.image_id,
        image.metadata.name or "",
        image.region,
        one.kind.value,
        image.metadata.owner or "",
        tables.OptionalValue(image.size),
        str(identity.source_of(image) or ""),
        one.reason,
    )
