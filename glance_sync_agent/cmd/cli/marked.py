# SPDX-License-Identifier: Apache-2.0
"""``glance-sync adopt``, ``disown`` and ``orphan``: images that the agent leaves alone."""

import argparse
from collections.abc import Iterator, Sequence
import contextlib
from typing import Any

from cliff import command

from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import named
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.engine.marks import census
from glance_sync_agent.engine.marks import settling

_COLUMNS = ("image_id", "image_name", "region", "kind", "project", "size", "source", "why")
_IMAGE = "6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e"
_SETTLED_BY_HAND = frozenset({census.MarkKind.DOUBTFUL, census.MarkKind.ORPHAN})


class _OneImage(command.Command):
    """A command about one image of one region."""

    app: console.Console
    example = ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the image and its region."""
        parser = console.taught(super().get_parser(prog_name), f"example: {self.example}")
        parser.add_argument(
            "image",
            metavar="IMAGE",
            type=_image_id,
            help="id of the image in that region, which need not be that of its source",
        )
        parser.add_argument(
            "--region", metavar="REGION", required=True, help="where the image is"
        )
        return parser

    @contextlib.contextmanager
    def _settling(
        self, parsed_args: argparse.Namespace
    ) -> Iterator[tuple[settling.Settling, images.RegionId]]:
        region = images.RegionId(parsed_args.region)
        with wiring.Cloud(*self.app.configure()) as cloud:
            named.require_region(region, cloud.catalogue.regions(), where=named.IN_CATALOGUE)
            yield cloud.engine().settling, region


class Adopt(_OneImage):
    """Take an image for the copy that its mark says it is.

    Use it for a doubtful image that is a copy of the agent. The agent keeps it in step with its
    source from then on. If it holds other data than its source, the agent deletes it and copies
    the source again.
    """

    example = f"glance-sync adopt {_IMAGE} --region RegionTwo"

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Adopt it."""
        with self._settling(parsed_args) as (settle, region):
            source = settle.adopt(region, parsed_args.image)
        self.app.write(
            f"Image {parsed_args.image} of region {region} is the copy of {source} now; see "
            f"'glance-sync show {source.image_id}'"
        )


class Disown(_OneImage):
    """Take the agent's mark off an image, so that it is a copy no more.

    Use it for a doubtful image that belongs to a user. Nothing but the mark is changed, and the
    agent never touches the image again.
    """

    example = f"glance-sync disown {_IMAGE} --region RegionTwo"

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Disown it."""
        with self._settling(parsed_args) as (settle, region):
            source = settle.disown(region, parsed_args.image)
        self.app.write(
            f"Image {parsed_args.image} of region {region} is no copy of {source} any more"
        )


class OrphanDelete(_OneImage):
    """Delete a copy that no task knows and whose source is gone.

    Any other image is refused. Only the agent makes such copies, but a user can make an image
    look like one: compare project and size with what you expect.
    """

    example = f"glance-sync orphan delete {_IMAGE} --region RegionTwo"

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        """Delete it."""
        with self._settling(parsed_args) as (settle, region):
            image = settle.delete_orphan(region, parsed_args.image)
        self.app.write(
            f"Deleted image {image.image_id} of region {region}: project {image.metadata.owner}, "
            f"{image.size} bytes, hash {image.multihash}"
        )


class OrphanList(tables.Lister):
    """List the images that the agent leaves alone until an operator settles them.

    An orphan is a copy that no task knows and whose source is gone: 'glance-sync orphan delete'
    deletes it. A doubtful image says that it is a copy, and nothing proves it: 'glance-sync
    adopt' or 'glance-sync disown' settles it. Snapshots that inherited a mark are not listed,
    because they are images like any other.
    """

    app: console.Console

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the region."""
        parser = console.taught(
            super().get_parser(prog_name), "example: glance-sync orphan list --region RegionTwo"
        )
        named.add_region(parser)
        parser.set_defaults(fit_width=True)
        return parser

    def take_action(
        self, parsed_args: argparse.Namespace
    ) -> tuple[Sequence[str], Sequence[Sequence[Any]]]:
        """Return the columns and the rows."""
        found: list[census.MarkedImage] = []
        with wiring.Cloud(*self.app.configure()) as cloud:
            marked, known = cloud.engine().census, cloud.catalogue.regions()
            region = named.region(parsed_args)
            named.require_region(region, known, where=named.IN_CATALOGUE)
            for one in sorted(known) if region is None else [region]:
                try:
                    found += [each for each in marked.find(one) if each.kind in _SETTLED_BY_HAND]
                except errors.SyncError as exc:
                    self.app.say(f"region {one} was not looked at: {exc}")
                    self._is_partial = True
        return _COLUMNS, [_row(one) for one in found]

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; 1 if a region was left out."""
        self._is_partial = False
        return super().run(parsed_args) or int(self._is_partial)


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
        tables.Optional(image.size),
        str(identity.source_of(image) or ""),
        one.reason,
    )
