# SPDX-License-Identifier: Apache-2.0
"""Images of the Images API v2, reduced to what replication needs."""

from collections.abc import Mapping
import dataclasses
import datetime
import enum
import re
import types
from typing import Any, Final, NewType
import uuid

from glance_sync_agent import errors

ImageId = NewType("ImageId", str)  # a UUID, lower case, with dashes
RegionId = NewType("RegionId", str)  # Keystone's region id

_SHOWN_CHARACTERS = 80
_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class ImageStatus(enum.StrEnum):
    """Image states of the Images API v2."""

    QUEUED = "queued"
    SAVING = "saving"
    UPLOADING = "uploading"
    IMPORTING = "importing"
    ACTIVE = "active"
    DEACTIVATED = "deactivated"
    KILLED = "killed"
    DELETED = "deleted"
    PENDING_DELETE = "pending_delete"


#: The states of an image that has its data.
WITH_DATA = frozenset({ImageStatus.ACTIVE, ImageStatus.DEACTIVATED})
#: A Glance that was killed while it deleted an image shows it in one of these states.
GONE = frozenset({ImageStatus.DELETED, ImageStatus.PENDING_DELETE})


class MemberStatus(enum.StrEnum):
    """A member's answer to the offer of an image."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


def image_id(text: object) -> ImageId:
    """Parse an image id that came from outside.

    Glance uses dashed UUIDs only.

    :raises NotificationError: ``text`` is not a dashed UUID.
    """
    # Any text that is no id does as well.
    parsed = text.lower() if isinstance(text, str) else ""  # pragma: no mutate
    # A scan parses the ids of every image, for which uuid.UUID is ten times slower.
    if not _UUID.fullmatch(parsed):
        shown = repr(text)
        raise errors.NotificationError(f"{shown[:_SHOWN_CHARACTERS]} is not an image id")
    return ImageId(parsed)


def is_image_id(value: object) -> bool:
    """Tell whether a value is an image id as :func:`image_id` returns it."""
    return isinstance(value, str) and _UUID.fullmatch(value) is not None


def new_id() -> ImageId:
    """Return a random id that no image has."""
    return ImageId(str(uuid.uuid4()))


# Python 3.11 takes a mapping proxy for a mutable default, because it has no hash there.
def _none() -> Mapping[str, Any]:
    return types.MappingProxyType({})


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Multihash:
    """Glance's ``os_hash_algo`` and ``os_hash_value``."""

    algo: str  # a hashlib name
    value: str  # lower-case hex

    def __str__(self) -> str:
        return f"{self.algo}:{self.value}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SourceKey:
    """The identity of a source."""

    image_id: str
    region: str

    def __str__(self) -> str:
        return f"image {self.image_id} of region {self.region}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """The source and the copy that a record names. It alone proves nothing."""

    source: SourceKey
    copy_id: str
    copy_region: str


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Metadata:
    """What a copy shares with its source besides the bytes."""

    name: str | None = None
    disk_format: str | None = None
    container_format: str | None = None
    min_disk: int = 0  # GiB
    min_ram: int = 0  # MiB
    visibility: str = "shared"
    protected: bool = False
    os_hidden: bool = False
    owner: str | None = None  # project id
    tags: frozenset[str] = frozenset()
    properties: Mapping[str, str] = dataclasses.field(default_factory=_none)  # custom ones only


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Location:
    """A location of an image's data, as Glance shows it. Its URL may contain credentials."""

    url: str = dataclasses.field(repr=False)
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=_none)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RemoteData:
    """The image in another region's Glance that holds the data of a snapshot."""

    url: str = dataclasses.field(repr=False)  # of that image; its host determines the region
    image_id: ImageId
    image_from: str  # what it was made of: "snapshot" or "volume"
    region: RegionId | None = None  # None: not read yet, or no region has this URL
    status: ImageStatus | None = None  # of that image; None: not read yet, or it is gone
    #: Why the agent must not read the data for this image; None: it may.
    fault: str | None = "the agent has not read the image that holds the data"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """One image record of one region."""

    image_id: ImageId
    region: RegionId
    status: ImageStatus
    size: int | None  # bytes; None until data is stored
    multihash: Multihash | None  # None until data is stored, or if Glance before Rocky stored it
    metadata: Metadata
    members: Mapping[str, MemberStatus] = dataclasses.field(default_factory=_none)  # by project id
    mark: Mark | None = None  # as it is written there; see :mod:`domain.identity`
    synced_properties: frozenset[str] = frozenset()  # on a copy: written by the agent
    #: None: this Glance does not show them (``show_multiple_locations``).
    locations: tuple[Location, ...] | None = dataclasses.field(default=None, repr=False)
    remote: RemoteData | None = None  # None: the data is in this region, as far as is known
    #: By the clock of its Glance, to the second; None: missing or invalid.
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = dataclasses.field(default=None, compare=False)


#: The keys of :class:`Metadata` that are attributes of the image itself.
ATTRIBUTES = tuple(
    field.name
    for field in dataclasses.fields(Metadata)
    if field.name not in {"tags", "properties"}
)


def key_of(source: Image) -> SourceKey:
    """Return the key by which a copy names ``source``."""
    return SourceKey(image_id=source.image_id, region=source.region)
