# SPDX-License-Identifier: Apache-2.0
"""What an operator names on a command line: an image by id or name, and a region."""

import argparse
from collections.abc import Callable, Iterable, Sequence
import contextlib
from typing import Protocol

from oslo_config import cfg

from glance_sync_agent import errors
from glance_sync_agent import wiring
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import printable
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.drivers.sql import task_store

IN_CATALOGUE = " in Keystone's catalogue"
_MOST_IDS = 100  # of one question to Glance
_SHOWN_IDS = 10  # of one sentence


class NamedImages(Protocol):
    """Knows images by their names."""

    def named(self, image_name: str) -> Sequence[images.ImageId]:
        """Return the ids of the images with a name."""


class Glance(NamedImages, Protocol):
    """Knows which images there are."""

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

    :param is_positional_too: the command took a REGION after its IMAGE before there was one.
    """
    parser.add_argument("--region", metavar="REGION", help="only in this region")
    parser.set_defaults(region_argument=None)
    if is_positional_too:
        parser.add_argument(
            "region_argument", nargs="?", metavar="REGION", help="the same as --region REGION"
        )


def image(text: str) -> str:
    """Return an image as it was named; a type of argparse's."""
    if not text:
        raise argparse.ArgumentTypeError("'' is neither the id nor the name of an image")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(
            f"{printable.escaped(text)} is no text in UTF-8, which the name of an image is"
        ) from None
    return text


def region(parsed_args: argparse.Namespace) -> images.RegionId | None:
    """Return the region that was named; None: none was.

    :raises UsageError: two were.
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
    name: images.RegionId | None, known: Iterable[images.RegionId], *, where: str = ""
) -> None:
    """Make sure that a region that was named is one of those that there are.

    :param where: is said of them in the sentence.
    :raises UsageError: it is none.
    """
    regions = sorted(known)
    if name is not None and name not in regions:
        raise console.UsageError(
            f"there is no region {printable.escaped(name)}{where}; there are "
            f"{', '.join(regions) or 'none'}"
        )


def require_known_region(
    name: images.RegionId | None,
    store: task_store.SqlTaskStore,
    open_catalogue: Callable[[], KeystoneCatalogue],
) -> None:
    """Make sure that a region that was named has tasks, or is in Keystone's catalogue.

    Keystone is asked only if the database does not know the region.

    :raises UsageError: neither.
    :raises SyncError: Keystone does not answer.
    """
    if name is None:
        return
    known = store.regions()
    if name in known:
        return
    try:
        in_catalogue = open_catalogue().regions()
    except errors.SyncError as exc:
        shown = printable.escaped(name)
        raise errors.SyncError(
            f"no task is in region {shown}, and Keystone does not say if it exists: {exc}"
        ) from exc
    require_region(name, {*known, *in_catalogue})


def parsed_id(text: str) -> images.ImageId | None:
    """Return an id; None: it is a name."""
    try:
        return images.image_id(text)
    except errors.NotificationError:
        return None


def image_id(
    text: str,
    *,
    app: console.Console,
    conf: cfg.ConfigOpts,
    current: wiring.CurrentSettings,
    store: task_store.SqlTaskStore,
) -> images.ImageId:
    """Return the image that a text names; nobody is asked if it is an id.

    :raises UsageError: there is no image with that name, or more than one.
    :raises SyncError: there is none as far as is known, and not everybody answered.
    """
    if (found := parsed_id(text)) is not None:
        return found
    return only(text, image_ids(text, app=app, conf=conf, current=current, store=store))


def image_ids(
    name: str,
    *,
    app: console.Console,
    conf: cfg.ConfigOpts,
    current: wiring.CurrentSettings,
    store: task_store.SqlTaskStore,
) -> Sequence[images.ImageId]:
    """Return the images with a name, by the cascading Glance and the database.

    :raises SyncError: as :func:`find`.
    """
    with contextlib.ExitStack() as stack:

        def glance() -> Glance:
            cloud = stack.enter_context(wiring.Cloud(conf, current))
            return cloud.regions.image_service(cloud.catalogue.cascading)

        return find(name, store, glance, app.say)


def find(
    name: str,
    table: NamedImages,
    open_glance: Callable[[], Glance],
    say: Callable[[str], None],
) -> Sequence[images.ImageId]:
    """Return the images with a name, by id.

    The table has names of images that are gone, and of snapshots in other regions; it has old
    names, too, which do not count if Glance knows the image.

    :param say: is given what the operator must know beside the ids.
    :raises UsageError: there is none.
    :raises SyncError: there is none as far as is known, and not everybody answered.
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
            say(f"the name {shown} was not looked up everywhere: {failure}")
        return sorted(found | noted)
    if failures:
        reasons = "; ".join(map(str, failures))
        raise errors.SyncError(f"no image with the name {shown} is known: {reasons}")
    raise console.UsageError(
        f"there is no image with the name {shown} in the cascading region, and no task of one; "
        "of an image that is in neither its id may be given"
    )


def only(name: str, found: Sequence[images.ImageId]) -> images.ImageId:
    """Return the only image with a name.

    :raises UsageError: there are more; all of them are listed.
    """
    if len(found) == 1:
        return found[0]
    ids = ", ".join(found[:_SHOWN_IDS])
    more = f" and {len(found) - _SHOWN_IDS} more" if len(found) > _SHOWN_IDS else ""
    raise console.UsageError(
        f"{len(found)} images have the name {printable.escaped(name)}: {ids}{more}; name one by "
        "its id"
    )
