# SPDX-License-Identifier: Apache-2.0
"""The location map: locations of a source that name its copies, one for each region."""

from collections.abc import Sequence
import dataclasses

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain.codes import Code

#: ``action`` in the metadata of a location that names a copy, as in 2014.
_UPLOAD = "upload"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What corrects the entry of one region."""

    wrong: Sequence[images.Location] = ()  # the agent's entries to remove
    missing: images.Location | None = None  # the entry to add

    def __bool__(self) -> bool:
        return bool(self.wrong or self.missing)


def entry(url: str, copy: images.Image) -> images.Location:
    """Return the location by which the source names a copy.

    :param url: of the copy's record.
    """
    metadata = {"image_id": copy.image_id, "action": _UPLOAD, "region": copy.region}
    return images.Location(url=url, metadata=metadata)


def may_change(source: images.Image) -> bool:
    """Tell whether the agent may add and remove entries of an image.

    Glance accepts locations only for active images. It gives an image without bytes the size of
    the added location (glance/location.py: _set_image_size), which would change the source.
    """
    is_active = source.status is images.ImageStatus.ACTIVE
    return is_active and bool(source.size) and not identity.names_itself(source)


def has_entry(action: actions.Action) -> bool | None:
    """Tell whether a copy should have an entry before ``action``; None: no change.

    A copy has none before it gets its bytes, before it is deleted, and after the agent stops
    updating it.
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
    """Return what makes ``wanted`` the only entry of a region; None: the region gets no entry.

    An entry that the manager of 2014 wrote for the same copy stays.
    """
    return Changes(
        wrong=[one for one in known if _is_ours(one, region) and not _agree(one, wanted)],
        missing=None if any(_agree(one, wanted) for one in known) else wanted,
    )


def _is_ours(location: images.Location, region: images.RegionId) -> bool:
    # Glance would delete the data of a location whose URL leads to a store.
    metadata = location.metadata
    return (
        metadata.get("action") == _UPLOAD
        and metadata.get("region") == region
        and remotes.url_image_id(location.url) is not None
    )


def _agree(location: images.Location, wanted: images.Location | None) -> bool:
    # Glance adds the name of the store to the metadata, so only these keys count.
    return (
        wanted is not None
        and location.url == wanted.url
        and all(
            location.metadata.get(key) == wanted.metadata[key] for key in ("image_id", "action")
        )
    )
