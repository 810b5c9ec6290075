# SPDX-License-Identifier: Apache-2.0
"""Images as the Images API v2 tells them, reduced to what replication needs."""

from collections.abc import Iterable, Mapping
import dataclasses
import datetime
import enum
import json
import re
import types
from typing import Any, NewType
import uuid

from glance_sync_agent import errors

ImageId = NewType("ImageId", str)  # a UUID, lower case, with dashes
RegionId = NewType("RegionId", str)  # Keystone's region id

#: The properties of a mark: by them a copy names its source and itself. Nova, Cinder and
#: scripts hand them on, so that they alone make no image ours: see :mod:`domain.identity`.
SOURCE_ID = "glance_sync_source_id"
SOURCE_REGION = "glance_sync_source_region"
COPY_ID = "glance_sync_copy_id"
COPY_REGION = "glance_sync_copy_region"
#: JSON list of the custom properties that the agent put on the copy. What is not listed was
#: put there by somebody else, and stays.
SYNCED_PROPERTIES = "glance_sync_properties"

#: Properties that no copy carries: with one of them, Glance deletes the key of the source when
#: the copy is deleted (glance/api/v2/images.py: _delete_encryption_key).
KEY_POLICIES = frozenset(
    {"cinder_encryption_key_deletion_policy", "os_encrypt_key_deletion_policy"}
)

#: The property by which Nova and Cinder tell what they made of a server or a volume.
IMAGE_TYPE = "image_type"
SNAPSHOT = "snapshot"
BACKUP = "backup"  # a snapshot, of a series of which Nova deletes the oldest ones
SNAPSHOT_TYPES = (SNAPSHOT, BACKUP)

_OUR_PREFIX = "glance_sync_"
_GLANCE_PREFIX = "os_glance_"
_IMAGE_URL = re.compile(r"https?://[^/?#]+(?:/[^?#]*)?/v2/images/([^/?#]+)")
#: What ``image_from`` of a location says that it was made of.
_MADE_OF = ("snapshot", "volume")
_REGION_CHARACTERS = 255  # Keystone's own limit
_BLOCK_DEVICES = "block_device_mapping"
_INSTANCE = "instance_uuid"
_SHELVED = "-shelved"


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


class MemberStatus(enum.StrEnum):
    """What a member made of the offer to see an image."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


def image_id(text: object) -> ImageId:
    """Parse an image id that came from outside.

    Glance takes and gives dashed UUIDs only, so nothing else is one.

    :raises NotificationError: ``text`` is not a dashed UUID.
    """
    try:
        parsed = str(uuid.UUID(text)) if isinstance(text, str) else None
    except ValueError:
        parsed = None
    if parsed is None or parsed != str(text).lower():
        shown = repr(text)
        raise errors.NotificationError(f"{shown[:80]} is not an image id")
    return ImageId(parsed)


def new_id() -> ImageId:
    """Return an id that no image has, and nobody can guess."""
    return ImageId(str(uuid.uuid4()))


# Python 3.11 takes a mapping proxy, which has no hash there, for a mutable default.
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
    """What the agent writes on a copy: its source and itself. As read, it proves nothing."""

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
    """One of the places where, as Glance says, the data is. It may hold credentials."""

    url: str = dataclasses.field(repr=False)
    metadata: Mapping[str, Any] = dataclasses.field(default_factory=_none)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RemoteData:
    """An image of another region's Glance that holds the data of this one: a snapshot's."""

    url: str = dataclasses.field(repr=False)  # of that image; it tells the region
    image_id: ImageId
    image_from: str  # what it was made of: "snapshot" or "volume"
    region: RegionId | None = None  # None: nobody has looked, or knows where the URL leads
    status: ImageStatus | None = None  # of that image, when it was looked at; None: there is none
    #: Why nobody may read the data for this image; None: it is free to be read.
    fault: str | None = "nobody has looked at the image that holds the data"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    """One image record of one region."""

    image_id: ImageId
    region: RegionId
    status: ImageStatus
    size: int | None  # bytes; None until data is stored
    multihash: Multihash | None  # None until data is stored, or stored by a Glance before Rocky
    metadata: Metadata
    members: Mapping[str, MemberStatus] = dataclasses.field(default_factory=_none)  # by project id
    mark: Mark | None = None  # as it is written there; see :mod:`domain.identity`
    synced_properties: frozenset[str] = frozenset()  # on a copy: put there by the agent
    #: None: this Glance does not show them (``show_multiple_locations``).
    locations: tuple[Location, ...] | None = dataclasses.field(default=None, repr=False)
    remote: RemoteData | None = None  # None: the data is here, or nothing shows that it is not
    #: By the clock of its Glance, to the second; None: it says nothing that makes sense.
    created_at: datetime.datetime | None = None
    updated_at: datetime.datetime | None = dataclasses.field(default=None, compare=False)


#: The keys of :class:`Metadata` that are attributes of the image itself.
ATTRIBUTES = tuple(
    field.name
    for field in dataclasses.fields(Metadata)
    if field.name not in {"tags", "properties"}
)
# Base attributes that Glance computes; they are no custom properties
# (glance/api/v2/images.py: get_base_properties).
_COMPUTED = frozenset(
    "id status size virtual_size checksum os_hash_algo os_hash_value created_at updated_at tags"
    " self file schema locations direct_url stores deleted deleted_at".split()
)


def parse(record: Mapping[str, Any], region: RegionId) -> Image:
    """Read an image of the Images API v2 (``GET /v2/images/ID``).

    ``members`` are not part of that answer and are left empty.

    :raises NotificationError: the id is not a UUID or the status is unknown.
    """
    try:
        status = ImageStatus(record["status"])
    except (KeyError, ValueError) as exc:
        raise errors.NotificationError(f"image of region {region}: bad status: {exc}") from exc
    algo, value = record.get("os_hash_algo"), record.get("os_hash_value")
    locations = _locations(record.get("locations"))
    return Image(
        image_id=image_id(record.get("id")),
        region=region,
        status=status,
        size=record.get("size"),
        multihash=Multihash(algo=algo, value=value.lower()) if algo and value else None,
        metadata=_metadata(record),
        mark=mark(record),
        synced_properties=_synced_properties(record.get(SYNCED_PROPERTIES)),
        locations=locations,
        remote=_remote(locations or ()),
        created_at=time_of(record.get("created_at")),
        updated_at=time_of(record.get("updated_at")),
    )


def time_of(text: object) -> datetime.datetime | None:
    """Return a time that Glance gives; None: it is none."""
    try:
        found = datetime.datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    # Glance's times are UTC, and end in Z.
    return found if found is None or found.tzinfo else found.replace(tzinfo=datetime.UTC)


def _metadata(record: Mapping[str, Any]) -> Metadata:
    attributes = {key: record[key] for key in ATTRIBUTES if record.get(key) is not None}
    properties = {
        key: value
        for key, value in record.items()
        if key not in _COMPUTED
        and key not in ATTRIBUTES
        and not key.startswith((_OUR_PREFIX, _GLANCE_PREFIX))
        and value is not None
    }
    return Metadata(
        **attributes,
        tags=frozenset(record.get("tags") or ()),
        properties=types.MappingProxyType(properties),
    )


def mark(properties: Mapping[str, Any]) -> Mark | None:
    """Read the mark among the properties of an image; None unless it is a whole one.

    Anybody may write these properties. What is no id, or no name of a region, makes no mark: it
    would become part of questions to other Glances, of reasons and of log lines.
    """
    ids = [properties.get(name) for name in (SOURCE_ID, COPY_ID)]
    names = [properties.get(name) for name in (SOURCE_REGION, COPY_REGION)]
    if not all(map(_is_canonical_id, ids)) or not all(map(_is_region_name, names)):
        return None
    source = SourceKey(image_id=str(ids[0]), region=str(names[0]))
    return Mark(source=source, copy_id=str(ids[1]), copy_region=str(names[1]))


def _is_canonical_id(value: object) -> bool:
    try:
        return image_id(value) == value
    except errors.NotificationError:
        return False


def _is_region_name(value: object) -> bool:
    is_text = isinstance(value, str) and 0 < len(value) <= _REGION_CHARACTERS
    return is_text and str(value).isprintable()


def _synced_properties(text: object) -> frozenset[str]:
    """Read our list back; a list that somebody edited protects nothing and claims nothing."""
    try:
        names = json.loads(text) if isinstance(text, str) else ()
    except (ValueError, RecursionError):
        return frozenset()
    if not isinstance(names, list):
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str))


def is_snapshot(image: Image) -> bool:
    """Tell whether an image was made by Nova or Cinder of a server or a volume."""
    return is_typed_snapshot(image) or any(
        _remote_data(one) is not None for one in image.locations or ()
    )


def is_typed_snapshot(image: Image) -> bool:
    """Tell whether an image says that it is a snapshot, as it is listed by."""
    return image.metadata.properties.get(IMAGE_TYPE) in SNAPSHOT_TYPES


def is_volume_backed(image: Image) -> bool:
    """Tell whether an image is Nova's record of a server whose disks are volumes.

    It has no bytes; the snapshots of the volumes are named in a property
    (nova/compute/api.py: snapshot_volume_backed).
    """
    return image.size == 0 and _BLOCK_DEVICES in image.metadata.properties


def is_shelved(image: Image) -> bool:
    """Tell whether an image is what Nova keeps of a server that was shelved.

    Nova makes it as it makes a snapshot, and only its name tells that from one
    (nova/compute/api.py: shelve). So whoever renames one, or names a snapshot so, decides.
    """
    name, properties = image.metadata.name, image.metadata.properties
    return (
        properties.get(IMAGE_TYPE) == SNAPSHOT
        and _INSTANCE in properties
        and name is not None
        and name.endswith(_SHELVED)
    )


def _locations(listed: object) -> tuple[Location, ...] | None:
    """Read the locations that are shown; what makes no sense is left out."""
    if not isinstance(listed, list):
        return None
    return tuple(
        Location(url=one["url"], metadata=types.MappingProxyType(one["metadata"]))
        for one in listed
        if isinstance(one, dict)
        and isinstance(one.get("url"), str)
        and isinstance(one.get("metadata"), dict)
    )


def _remote(locations: Iterable[Location]) -> RemoteData | None:
    """Return where the data is if it is not here as well, for then Glance serves that."""
    if any(url_image_id(one.url) is None for one in locations):
        return None
    return next(filter(None, map(_remote_data, locations)), None)


def _remote_data(location: Location) -> RemoteData | None:
    """Return what a location says of a snapshot in another region; None: it says nothing."""
    made_of = location.metadata.get("image_from")
    in_url = url_image_id(location.url)
    if made_of not in _MADE_OF or in_url is None:
        return None
    try:
        return RemoteData(
            url=location.url,
            image_id=image_id(location.metadata.get("image_id", in_url)),
            image_from=made_of,
        )
    except errors.NotificationError:
        return None


def url_image_id(url: str) -> ImageId | None:
    """Return the id of the image whose record is at ``url``; None: that of no image is."""
    found = _IMAGE_URL.fullmatch(url)
    try:
        return image_id(found[1]) if found else None
    except errors.NotificationError:
        return None


def key_of(source: Image) -> SourceKey:
    """Return what a copy of ``source`` names as its source."""
    return SourceKey(image_id=source.image_id, region=source.region)


def handed_on(source: Image) -> Mapping[str, str]:
    """Return the custom properties that a copy has from its source."""
    properties = source.metadata.properties
    return {name: value for name, value in properties.items() if name not in KEY_POLICIES}


def marks(source: Image, copy_id: ImageId, copy_region: RegionId) -> dict[str, str]:
    """Return the properties by which a new record says that it is a copy of ``source``."""
    return {
        SOURCE_ID: source.image_id,
        SOURCE_REGION: source.region,
        COPY_ID: copy_id,
        COPY_REGION: copy_region,
        SYNCED_PROPERTIES: synced_properties(source),
    }


def synced_properties(source: Image) -> str:
    """Return what a copy of ``source`` says of the properties that the agent put on it."""
    return json.dumps(sorted(handed_on(source)))
