# SPDX-License-Identifier: Apache-2.0
"""Where an image belongs, and what said so."""

from collections.abc import Callable, Iterator
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import readiness
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import snapshots
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine import ports

#: The names of the fields, in the order in which they are shown.
FIELDS = ("region", "wanted", "decided_by", "why")


class NoSource(errors.SyncError):
    """There is no image with an id."""


def find(
    regions: ports.Regions,
    catalogue: ports.Catalogue,
    image_id: images.ImageId,
    say: Callable[[str], None],
) -> images.Image:
    """Return a source: an image of the cascading region, or a snapshot of another one.

    :param say: gets a sentence for each region that was not searched.
    :raises NoSource: there is neither.
    :raises SyncError: none was found, and a region was unreachable.
    """
    cascading = catalogue.cascading
    is_certain = True
    copy = regions.image_service(cascading).get_record(image_id)
    if copy is not None and not identity.names_itself(copy):
        return copy
    for region in sorted(catalogue.regions() - {cascading}):
        try:
            found = regions.image_service(region).get_record(image_id)
        except errors.SyncError as exc:
            say(f"region {region} was not searched: {exc}")
            is_certain = False
            continue
        if found is not None and _is_source(found):
            return found
    if copy is not None:
        return copy
    error = NoSource if is_certain else errors.SyncError
    raise error(
        f"there is no image {image_id} in region {cascading}, and no snapshot with that id in "
        "another region"
    )


def _is_source(found: images.Image) -> bool:
    return snapshots.is_snapshot(found) and not identity.names_itself(found)


def rows(source: images.Image, placements: strategy.Placements) -> Iterator[dict[str, Any]]:
    """Return the fields of each region, in order of their names."""
    obstacle = remotes.fault(source) or readiness.obstacle(source)
    for region in sorted(placements):
        placement = placements[region]
        if obstacle is not None:
            values = ("no", "image", obstacle)
        else:
            wanted = "yes" if placement.wanted else "no"
            values = (wanted, placement.step.value, placement.why)
        yield dict(zip(FIELDS, (region, *values), strict=True))
