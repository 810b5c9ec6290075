# SPDX-License-Identifier: Apache-2.0
"""Sources whose data is an image in another region.

A cascading Nova makes such snapshots. The cascading Glance knows only the location of their
data; its size, hash and status describe nothing.
"""

from collections.abc import Sequence
import dataclasses
import re

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain.images import Image
from glance_sync_agent.domain.images import ImageStatus

#: Values of ``image_from`` in a location that names remote data.
_MADE_OF = ("snapshot", "volume")
_IMAGE_URL = re.compile(r"https?://[^/?#]+(?:/[^?#]*)?/v2/images/([^/?#]+)")
_GONE = images.GONE | {None}
_FOR_ALL_PROJECTS = frozenset({"public", "community"})
_SHOWN_CHARACTERS = 80


def url_image_id(url: str) -> images.ImageId | None:
    """Return the id of the image whose record is at ``url``; None if no record is there."""
    found = _IMAGE_URL.fullmatch(url)
    try:
        return images.image_id(found[1]) if found else None
    except errors.NotificationError:
        return None


def remote_data(location: images.Location) -> images.RemoteData | None:
    """Return the remote data that a location names; None if it names none."""
    made_of = location.metadata.get("image_from")
    in_url = url_image_id(location.url)
    if made_of not in _MADE_OF or in_url is None:
        return None
    try:
        return images.RemoteData(
            url=location.url,
            image_id=images.image_id(location.metadata.get("image_id", in_url)),
            image_from=made_of,
        )
    except errors.NotificationError:
        return None


def only_remote_data(locations: Sequence[images.Location]) -> images.RemoteData | None:
    """Return the first remote data, unless a local location exists, which Glance would serve."""
    if any(url_image_id(one.url) is None for one in locations):
        return None
    return next(filter(None, map(remote_data, locations)), None)


def is_elsewhere(source: Image) -> bool:
    """Tell whether another region has the data of an image."""
    return source.remote is not None and not identity.names_itself(source)


def with_remote_data(
    source: Image, region: images.RegionId | None, holder: Image | None
) -> Image:
    """Return a source with status, size and hash of the image that holds its data.

    :param region: the region to which the URL of its data leads; None: no single one.
    :param holder: the image that holds the data; None: it is gone.
    """
    if source.remote is None:
        return source
    remote = dataclasses.replace(
        source.remote,
        region=region,
        status=None if holder is None else holder.status,
        fault=_fault(source, source.remote, region, holder),
    )
    if region is None:
        return dataclasses.replace(source, remote=remote)
    return dataclasses.replace(
        source,
        status=_status(source, holder),
        size=None if holder is None else holder.size,
        multihash=None if holder is None else holder.multihash,
        remote=remote,
    )


def fault(source: Image) -> str | None:
    """Return why an operator must act before the agent can read the data; None: it can."""
    if source.remote is None or identity.names_itself(source):
        return None
    return source.remote.fault


def loss(source: Image) -> str | None:
    """Return how the data of a source was lost; None: it exists, or may yet come."""
    if source.remote is None or source.remote.region is None:
        return None
    if source.remote.status in _GONE:
        return f"snapshot was deleted in region {source.remote.region}"
    if source.remote.status is ImageStatus.KILLED:
        return f"snapshot was killed in region {source.remote.region}"
    return None


def home(source: Image) -> Image:
    """Return a source with the id and the region of its data."""
    remote = source.remote
    if remote is None or remote.region is None:
        return source
    return dataclasses.replace(
        source, region=remote.region, image_id=remote.image_id, remote=None
    )


def _status(source: Image, holder: Image | None) -> ImageStatus:
    # What is deactivated must not be used, wherever its data is, or was.
    if source.status not in images.WITH_DATA or source.status is ImageStatus.DEACTIVATED:
        return source.status
    if holder is None or holder.status in _GONE:
        return ImageStatus.KILLED
    return holder.status


def _fault(
    source: Image,
    remote: images.RemoteData,
    region: images.RegionId | None,
    holder: Image | None,
) -> str | None:
    if region is None:
        return (
            f"the image's data is at {_host(remote.url)}, which is not the image endpoint of "
            "exactly one region in Keystone's catalogue; correct the location of the image or "
            "the endpoint"
        )
    if holder is None or holder.metadata.visibility in _FOR_ALL_PROJECTS:
        return None
    if holder.metadata.owner == source.metadata.owner:
        return None
    # The agent can read every image. A user must not get another project's data through it.
    return (
        f"the image's data is image {remote.image_id} of region {region}, which belongs to "
        f"project {holder.metadata.owner}, but the image belongs to {source.metadata.owner}; "
        "give both to the same project"
    )


def _host(url: str) -> str:
    """Return host and port, without user and password."""
    return repr(url.split("/")[2].rpartition("@")[2])[:_SHOWN_CHARACTERS]
