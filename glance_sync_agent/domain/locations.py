# SPDX-License-Identifier: Apache-2.0
"""The map on the source: its locations that name our copies, one for each region."""

from collections.abc import Sequence
import dataclasses

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain.codes import Code

#: ``action`` in the metadata of a location that names a copy, as in 2014.
_UPLOAD = "upload"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What brings the entry of one region in step."""

    wrong: Sequence[images.Location] = ()  # entries of ours that are to go
    missing: images.Location | None = None

    def __bool__(self) -> bool:
        return bool(self.wrong or self.missing)


def entry(url: str, copy: images.Image) -> images.Location:
    """Return the location by which the source names a copy.

    :param url: of the copy's record.
    """
    metadata = {"image_id": copy.image_id, "action": _UPLOAD, "region": copy.region}
    return images.Location(url=url, metadata=metadata)


def may_change(source: images.Image) -> bool:
    """Tell whether entries may be put on an image, and taken off it.

    Glance takes locations only of an image that is active. To one without bytes it gives the
    size of what is added (glance/location.py: _set_image_size), and the source would change.
    """
    is_active = source.status is images.ImageStatus.ACTIVE
    return is_active and bool(source.size) and not identity.names_itself(source)


def has_entry(action: actions.Action) -> bool | None:
    """Tell whether a copy of which this is to be done has an entry; None: as it was before.

    One that is about to get its bytes, or to go, has none, and neither has one that nobody
    keeps in step any more.
    """
    match action:
        case actions.Settled(code=Code.IN_SYNC):
            return True
        case actions.UpdateMetadata() | actions.SetActive() | actions.ReadBack():
            return None
        case actions.Wait() | actions.AwaitSource():
            return None
        case _:
            return False


def changes(
    known: Sequence[images.Location], region: images.RegionId, wanted: images.Location | None
) -> Changes:
    """Return what makes ``wanted`` the entry of a region; None: it has none.

    An entry that the manager of 2014 left for the same copy will do; it stays as it is.
    """
    return Changes(
        wrong=[one for one in known if _is_ours(one, region) and not _agree(one, wanted)],
        missing=None if any(_agree(one, wanted) for one in known) else wanted,
    )


def _is_ours(location: images.Location, region: images.RegionId) -> bool:
    # By its URL, too: of a location that leads to a store Glance would remove the data with it.
    told = location.metadata
    return (
        told.get("action") == _UPLOAD
        and told.get("region") == region
        and images.url_image_id(location.url) is not None
    )


def _agree(location: images.Location, wanted: images.Location | None) -> bool:
    # Glance adds the name of the store to the metadata.
    return (
        wanted is not None
        and location.url == wanted.url
        and all(
            location.metadata.get(key) == wanted.metadata[key] for key in ("image_id", "action")
        )
    )
