# SPDX-License-Identifier: Apache-2.0
"""Sources that are here by name only, because their data is an image of another region.

So are the snapshots of a cascading Nova: Glance of the cascading region knows where the data
is, and of the data itself nothing that is true, neither size nor hash nor whether it is there.
"""

import dataclasses

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain.images import Image
from glance_sync_agent.domain.images import ImageStatus

_WITH_DATA = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})
_GONE = frozenset({None, ImageStatus.DELETED, ImageStatus.PENDING_DELETE})
_FOR_EVERYBODY = frozenset({"public", "community"})
_SHOWN_CHARACTERS = 80


def is_elsewhere(source: Image) -> bool:
    """Tell whether the data of an image has to be looked for in another region."""
    return source.remote is not None and not identity.names_itself(source)


def joined(source: Image, region: images.RegionId | None, there: Image | None) -> Image:
    """Return a source with what the image that holds its data tells of it.

    :param region: where the URL of its data leads; None: to none of the catalogue.
    :param there: the image that holds the data; None: there is none any more.
    """
    if source.remote is None:
        return source
    remote = dataclasses.replace(
        source.remote,
        region=region,
        status=None if there is None else there.status,
        fault=_fault(source, source.remote, region, there),
    )
    if region is None:
        return dataclasses.replace(source, remote=remote)
    return dataclasses.replace(
        source,
        status=_status(source, there),
        size=None if there is None else there.size,
        multihash=None if there is None else there.multihash,
        remote=remote,
    )


def fault(source: Image) -> str | None:
    """Return why somebody has to act before the data of a source is read; None: nobody has."""
    if source.remote is None or identity.names_itself(source):
        return None
    return source.remote.fault


def loss(source: Image) -> str | None:
    """Return what became of data that will not be there any more; None: it is, or may be yet."""
    if source.remote is None or source.remote.region is None:
        return None
    if source.remote.status in _GONE:
        return f"snapshot was deleted in region {source.remote.region}"
    if source.remote.status is ImageStatus.KILLED:
        return f"snapshot was killed in region {source.remote.region}"
    return None


def home(source: Image) -> Image:
    """Return a source under the id and in the region where its data is."""
    remote = source.remote
    if remote is None or remote.region is None:
        return source
    return dataclasses.replace(
        source, region=remote.region, image_id=remote.image_id, remote=None
    )


def _status(source: Image, there: Image | None) -> ImageStatus:
    if source.status not in _WITH_DATA:
        return source.status
    if there is None or there.status in _GONE:
        return ImageStatus.KILLED
    return source.status if there.status is ImageStatus.ACTIVE else there.status


def _fault(
    source: Image,
    remote: images.RemoteData,
    region: images.RegionId | None,
    there: Image | None,
) -> str | None:
    if region is None:
        return (
            f"the data of the image is at {_host(remote.url)}, which is the image endpoint of no "
            "region of Keystone's catalogue, or of several; correct the location of the image, "
            "or the endpoint"
        )
    if there is None or there.metadata.visibility in _FOR_EVERYBODY:
        return None
    if there.metadata.owner == source.metadata.owner:
        return None
    # We may read whatever there is. Who names an image of a stranger as the place of his data
    # must not get it from us.
    return (
        f"the data of the image is image {remote.image_id} of region {region}, which belongs to "
        f"project {there.metadata.owner}, and the image itself to {source.metadata.owner}; give "
        "both to the same project"
    )


def _host(url: str) -> str:
    """Return host and port, without the user and the password that may stand before them."""
    return repr(url.split("/")[2].rpartition("@")[2])[:_SHOWN_CHARACTERS]
