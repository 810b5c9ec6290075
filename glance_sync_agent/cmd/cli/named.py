# SPDX-License-Identifier: Apache-2.0
"""The image and the region that an operator names on the command line."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from glance_sync_agent import errors
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import printable
from glance_sync_agent.domain import images
from glance_sync_agent.wiring.cloud import Cloud

_MOST_IDS = 100  # in one request to Glance
_MOST_LISTED = 10_000  # in one page
_SHOWN_IDS = 10  # in one message

Say = Callable[[str], None]  # prints a warning


class NamedImages(Protocol):
    """Knows images by their names."""

    def named(self, image_name: str) -> Sequence[images.ImageId]:
        """Return the ids of the images with a name."""


class ExistingImages(NamedImages, Protocol):
    """Knows which images exist."""

    def find(self, image_ids: Sequence[images.ImageId]) -> Iterable[images.ImageId]:
        """Return those that exist."""


def add_image(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """Add the argument IMAGE; see :func:`image_id`."""
    parser.add_argument(
        "image",
        nargs=nargs,
        metavar="IMAGE",
        type=image,
        help="id or name of the image in the cascading region",
    )


def add_region(parser: argparse.ArgumentParser, *, is_positional_too: bool = False) -> None:
    """Add the option ``--region``; see :func:`region`.

    :param is_positional_too: the command also accepts REGION after IMAGE, as it once did.
    """
    parser.add_argument(
        "--region", metavar="REGION", type=region_name, help="limit the command to this region"
    )
    parser.set_defaults(region_argument=None)
    if is_positional_too:
        parser.add_argument(
            "region_argument", nargs="?", metavar="REGION", type=region_name,
            help="the same as --region REGION",
        )


def image(text: str) -> str:
    """Return the id or name of an image; an argparse type."""
    if not text:
        raise argparse.ArgumentTypeError("'' is neither the id nor the name of an image")
    return _storable(text, "an image")


def region_name(text: str) -> str:
    """Return the name of a region; an argparse type."""
    return _storable(text, "a region")


def marker(text: str) -> images.ImageId:
    """Return the id of an image; an argparse type."""
    if (found := parsed_id(text)) is None:
        raise argparse.ArgumentTypeError(f"{printable.escaped(text)!r} is not the id of an image")
    return found


def limit(text: str) -> int:
    """Return the most rows or images of a page; an argparse type."""
    return number(text, _MOST_LISTED)


def number(text: str, most: int) -> int:
    """Return a number from 1 to ``most``.

    :raises ArgumentTypeError: it is none.
    """
    try:
        found = int(text)
    except ValueError:
        found = 0
    if not 1 <= found <= most:
        raise argparse.ArgumentTypeError(f"a number from 1 to {most}")
    return found


def _storable(text: str, what: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(
            f"{printable.escaped(text)} is not valid UTF-8, so it is not the name of {what}"
        ) from None
    return text


def region(parsed_args: argparse.Namespace) -> images.RegionId | None:
    """Return the named region; None: no region was named.

    :raises UsageError: two regions were named.
    """
    option, argument = parsed_args.region, parsed_args.region_argument
    if None not in {option, argument} and option != argument:
        raise console.UsageError(
            f"--region {printable.escaped(option)} and {printable.escaped(argument)}: name one "
            "region"
        )
    name = option if option is not None else argument
    return None if name is None else images.RegionId(name)


def require_region(
    name: images.RegionId, known: Iterable[images.RegionId], *, where: str = ""
) -> None:
    """Check that a named region exists.

    :param where: what the known regions are, for the message.
    :raises UsageError: it does not exist.
    """
    regions = sorted(known)
    if name not in regions:
        raise console.UsageError(
            f"there is no region {printable.escaped(name)}{where}; the regions are "
            f"{', '.join(regions) or 'none'}"
        )


def region_of_catalogue(
    parsed_args: argparse.Namespace, cloud: Cloud
) -> images.RegionId | None:
    """Return the named region, which must be in Keystone's catalogue; None: none was named.

    :raises UsageError: it is not, or two regions were named.
    :raises SyncError: Keystone is unreachable.
    """
    name = region(parsed_args)
    if name is not None:
        require_in_catalogue(name, cloud)
    return name


def require_in_catalogue(name: images.RegionId, cloud: Cloud) -> None:
    """Check that a named region is in Keystone's catalogue.

    :raises UsageError: it is not.
    :raises SyncError: Keystone is unreachable.
    """
    require_region(name, cloud.catalogue.regions(), where=" in Keystone's catalogue")


def known_region(parsed_args: argparse.Namespace, cloud: Cloud) -> images.RegionId | None:
    """Return the named region, which must have tasks or be in the catalogue; None: none was named.

    :raises UsageError: neither is true, or two regions were named.
    :raises SyncError: Keystone is unreachable.
    """
    name = region(parsed_args)
    if name is not None:
        require_known(name, cloud)
    return name


def require_known(name: images.RegionId, cloud: Cloud) -> None:
    """Check that a named region has tasks or is in the catalogue.

    Sends no request to Keystone if the database knows the region.

    :raises UsageError: neither is true.
    :raises SyncError: Keystone is unreachable.
    """
    if name in (known := cloud.store.regions()):
        return
    try:
        in_catalogue = cloud.catalogue.regions()
    except errors.SyncError as exc:
        shown = printable.escaped(name)
        raise errors.SyncError(
            f"region {shown} has no task, and Keystone cannot tell whether it exists: {exc}"
        ) from exc
    require_region(name, {*known, *in_catalogue})


def parsed_id(text: str) -> images.ImageId | None:
    """Return an id; None: the text is a name."""
    try:
        return images.image_id(text)
    except errors.NotificationError:
        return None


def image_id(text: str, cloud: Cloud, say: Say) -> images.ImageId:
    """Return the image with this id or name; an id needs no request.

    :raises UsageError: there is no image with that name, or more than one.
    :raises SyncError: none was found, and a service was unreachable.
    """
    if (found := parsed_id(text)) is not None:
        return found
    return only(text, image_ids(text, cloud, say))


def image_ids(name: str, cloud: Cloud, say: Say) -> Sequence[images.ImageId]:
    """Return the images with a name in the cascading Glance and the database.

    :raises SyncError: as :func:`find`.
    """
    return find(
        name, cloud.store, lambda: cloud.regions.image_service(cloud.catalogue.cascading), say
    )


def find(
    name: str, table: NamedImages, open_glance: Callable[[], ExistingImages], say: Say
) -> Sequence[images.ImageId]:
    """Return the images with a name, sorted by id.

    The table also has deleted images, snapshots of other regions, and old names. A name of the
    table does not count if Glance has the image with another name.

    :raises UsageError: there is none.
    :raises SyncError: none was found, and a service was unreachable.
    """
    shown = printable.escaped(name)
    failures: list[errors.SyncError] = []
    noted: set[images.ImageId] = set()
    found: set[images.ImageId] = set()
    try:
        noted = set(table.named(name))
    except errors.SyncError as exc:
        failures.append(exc)
    try:
        glance = open_glance()
        found = set(glance.named(name))
        others = sorted(noted - found)[:_MOST_IDS]
        noted -= set(glance.find(others)) if others else set()
    except errors.SyncError as exc:
        failures.append(exc)
    if found | noted:
        for failure in failures:
            say(f"the search for the name {shown} is incomplete: {failure}")
        return sorted(found | noted)
    if failures:
        reasons = "; ".join(map(str, failures))
        raise errors.SyncError(
            f"found no image with the name {shown}, but the search is incomplete: {reasons}"
        )
    raise console.UsageError(
        f"there is no image with the name {shown} in the cascading region or among the tasks; "
        "give the id of the image"
    )


def only(name: str, found: Sequence[images.ImageId]) -> images.ImageId:
    """Return the only image with a name.

    :raises UsageError: there are several; the message lists them.
    """
    if len(found) == 1:
        return found[0]
    ids = ", ".join(found[:_SHOWN_IDS])
    more = f" and {len(found) - _SHOWN_IDS} more" if len(found) > _SHOWN_IDS else ""
    raise console.UsageError(
        f"{len(found)} images have the name {printable.escaped(name)}: {ids}{more}; give one id"
    )
