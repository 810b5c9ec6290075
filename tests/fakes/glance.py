# SPDX-License-Identifier: Apache-2.0
"""One region's Glance in memory: its records, and the way to its bytes."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import datetime
import hashlib
import re
import threading
import types
from typing import Any
import uuid

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import image_records
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import narrowing
from glance_sync_agent.domain import snapshots
from tests.unit import builders

CHUNK_BYTES = 1024 * 1024
VISIBILITIES = ("public", "community", "shared", "private")
_LISTED = frozenset(images.ImageStatus) - {images.ImageStatus.KILLED}
_PROJECT_ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
_ALL_FIELDS = {*images.ATTRIBUTES, "tags"}
_COMPUTED = {"id", "status", "size", "locations", "updated_at", "os_hash_algo", "os_hash_value"}
#: ``image_property_quota``; those of ``os_glance_*`` count as well here.
PROPERTY_QUOTA = 128
#: The first bytes of the only format that this Glance checks (``require_image_format_match``).
_QCOW2 = b"QFI\xfb"


def endpoint(region: str) -> str:
    """Return the endpoint of a region's Glance."""
    return f"http://{region.lower()}.example:9292"


def _copied(value: Any) -> Any:
    """Copy what JSON can express; ``copy.deepcopy`` takes ten times as long."""
    if isinstance(value, dict):
        return {name: _copied(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_copied(one) for one in value]
    return value


class FakeGlance:
    """``engine.ports.ImageService``; held to ``tests/contract/test_image_service.py``.

    Records are kept as the API shows them and parsed at each read, so a mark is a property here
    too. Each operation first calls ``before`` with its name and its image id or None, and raises
    what that raises. The methods of users, below ``As a user``, do not call it.
    """

    def __init__(
        self,
        region: str,
        *,
        before: Callable[[str, images.ImageId | None], None] = lambda _name, _image_id: None,
        hash_algo: str = "sha512",
    ) -> None:
        self.region = images.RegionId(region)
        self.before = before
        self.hash_algo = hash_algo
        self.shows_locations = False  # show_multiple_locations
        self.has_http_store = True
        self.tells_size = False  # to a HEAD without a token, as a proxy may do
        self.now: Callable[[], datetime.datetime] = lambda: builders.NOW
        self.new_id = lambda: str(uuid.uuid4())  # of images that users make without an id
        self.lock = threading.RLock()
        self._records: dict[images.ImageId, dict[str, Any]] = {}
        self._members: dict[images.ImageId, dict[str, images.MemberStatus]] = {}
        self._data: dict[images.ImageId, bytes] = {}
        self._used: set[images.ImageId] = set()  # Glance never reuses an id
        self.deleted_keys: list[str] = []  # of Barbican

    # The port.

    def get(self, image_id: images.ImageId) -> images.Image | None:
        self.before("get", image_id)
        return self._read(image_id, with_members=True)

    def require_all_rights(self) -> None:
        self.before("require_all_rights", None)

    def get_record(self, image_id: images.ImageId) -> images.Image | None:
        self.before("get_record", image_id)
        return self._read(image_id)

    def find(self, image_ids: Sequence[images.ImageId]) -> Mapping[images.ImageId, images.Image]:
        self.before("find", None)
        if len(image_ids) > 100:
            raise ValueError(f"{len(image_ids)} ids")
        return {one.image_id: one for one in self._listed() if one.image_id in image_ids}

    def members(self, image: images.Image) -> Mapping[str, images.MemberStatus]:
        self.before("members", image.image_id)
        if image.metadata.visibility != "shared":
            return {}
        now = self._read(image.image_id, with_members=True)
        return now.members if now else {}

    def copies_of(self, key: images.SourceKey) -> Sequence[images.Image]:
        self.before("copies_of", images.ImageId(key.image_id))
        return [
            image
            for image in self._listed()
            if image.mark is not None
            and image.mark.source == key
            and (image.mark.copy_id, image.mark.copy_region) == (image.image_id, self.region)
        ]

    def referring_to(self, image_id: images.ImageId) -> Sequence[images.Image]:
        self.before("referring_to", image_id)
        return [
            image
            for image in self._listed()
            if image_id in map(image.metadata.properties.get, metadata_policy.REFERENCES)
        ]

    def pages(
        self,
        page_size: int,
        *,
        snapshots_only: bool = False,
        changed_since: datetime.datetime | None = None,
        marked_from: images.RegionId | None = None,
        marked_in: images.RegionId | None = None,
    ) -> Iterator[Sequence[images.Image]]:
        since = (changed_since or builders.LONG_AGO).replace(microsecond=0)
        for hidden in (False, True):
            last = ""
            while True:
                self.before("pages", None)
                rest = [
                    image
                    for image in self._listed()
                    if image.metadata.os_hidden is hidden
                    and image.image_id > last
                    and (_is_typed_snapshot(image) or not snapshots_only)
                    and (image.updated_at or since) >= since
                    and marked_from in {None, self._property(image, mark_properties.SOURCE_REGION)}
                    and marked_in in {None, self._property(image, mark_properties.COPY_REGION)}
                ]
                if not rest:
                    break
                yield rest[:page_size]
                last = rest[:page_size][-1].image_id

    def _property(self, image: images.Image, name: str) -> Any:
        return self._records[image.image_id].get(name)

    def create(self, image_id: images.ImageId, source: images.Image) -> images.Image:
        self.before("create", image_id)
        fields = {name: getattr(source.metadata, name) for name in _ALL_FIELDS}
        fields["visibility"] = narrowing.first_visibility(source.metadata.visibility)
        marks = mark_properties.of_copy(source, image_id, self.region)
        properties = {**mark_properties.replicated(source), **marks}
        return self._add(image_id, fields, properties)

    def update(self, changes: actions.UpdateMetadata) -> images.Image | None:
        image_id = changes.copy.image_id
        self.before("update", image_id)
        with self.lock:
            if changes.copy.metadata.visibility == "shared":
                self._change_members(image_id, changes.members)
                self._change(image_id, changes)
            else:
                self._change(image_id, changes)
                self._change_members(image_id, changes.members)
            is_told = changes.attributes or changes.tags is not None or changes.properties
            now = self._read(image_id)
            is_whole = now is not None and now.metadata.visibility != narrowing.SHARED
            return now if is_told and is_whole else None

    def set_active(self, image_id: images.ImageId, *, active: bool) -> None:
        self.before("set_active", image_id)
        with self.lock:
            record = self._existing(image_id)
            if record["status"] not in {"active", "deactivated"}:
                raise errors.Refused(f"image {image_id} is {record['status']}")
            record["status"] = "active" if active else "deactivated"
            self._touch(record)

    def delete(self, image: images.Image) -> None:
        self.before("delete", image.image_id)
        with self.lock:
            record = self._records.get(image.image_id, {})
            if mark_properties.KEY_POLICIES & image.metadata.properties.keys():
                for name in mark_properties.KEY_POLICIES:
                    record.pop(name, None)
            if key := self._deleted_key(record):
                self.deleted_keys.append(key)
            for kept in (self._records, self._members, self._data):
                kept.pop(image.image_id, None)

    def _deleted_key(self, record: Mapping[str, Any]) -> str | None:
        """Return the key that goes with an image (glance/api/v2/images.py)."""
        for prefix in ("cinder_encryption_key", "os_encrypt_key"):
            if record.get(f"{prefix}_deletion_policy") == "on_image_deletion":
                return record.get(f"{prefix}_id")
        return None

    def image_url(self, image_id: images.ImageId) -> str:
        return f"{endpoint(self.region)}/v2/images/{image_id}"

    def require_public_size(self, image_id: images.ImageId) -> None:
        self.before("require_public_size", image_id)
        if not self.tells_size:
            raise errors.Refused(f"HEAD of image {image_id} of {self.region}: HTTP 401")

    def add_location(self, image_id: images.ImageId, location: images.Location) -> None:
        self.before("add_location", image_id)
        self.locate(image_id, location.url, location.metadata)

    def remove_location(self, image_id: images.ImageId, location: images.Location) -> None:
        self.before("remove_location", image_id)
        one = {"url": location.url, "metadata": dict(location.metadata)}
        with self.lock:
            record = self._records.get(image_id, {"status": "deleted"})
            if record["status"] != "active" or not self.shows_locations:
                return
            if one in record["locations"] and len(record["locations"]) == 1:
                raise errors.Refused(f"the only location of image {image_id}")
            record["locations"] = [other for other in record["locations"] if other != one]

    # As a user.

    def locate(self, image_id: images.ImageId, url: str, metadata: Mapping[str, Any]) -> None:
        """Put a location on an image, which makes a queued one active; http and https only."""
        with self.lock:
            record = self._records.get(image_id, {"status": "deleted"})
            if not self.shows_locations:
                raise errors.Refused("locations are invisible")
            if record["status"] not in {"active", "queued"}:
                return
            if not self.has_http_store or not url.startswith(("http://", "https://")):
                raise errors.Refused("Invalid location")
            one = {"url": url, "metadata": dict(metadata)}
            if one not in record["locations"]:
                record["locations"] = [*record["locations"], one]
                record["status"] = "active"
                record["size"] = record["size"] or 1
                self._touch(record)

    def make(self, *, image_id: str | None = None, **metadata: Any) -> images.Image:
        """Make a queued record; ``metadata`` as in ``images.Metadata``."""
        fields = {"disk_format": "raw", "container_format": "bare", "visibility": "private"}
        properties = metadata.pop("properties", {})
        parsed = images.image_id(image_id) if image_id else None
        return self._add(parsed, fields | metadata, properties)

    def put_data(self, image_id: images.ImageId, data: bytes) -> None:
        """Upload data into a queued record."""
        with self.lock:
            record = self._existing(image_id)
            if record["status"] != "queued":
                raise errors.Refused(f"image {image_id} is {record['status']}")
            if not record["disk_format"] or not record["container_format"]:
                raise errors.Refused(f"image {image_id} has no formats")
            self._data[image_id] = data
            record |= {
                "status": "active",
                "size": len(data),
                "os_hash_algo": self.hash_algo,
                "os_hash_value": hashlib.new(self.hash_algo, data).hexdigest(),
                "locations": [{"url": f"file:///images/{image_id}", "metadata": {}}],
            }
            self._touch(record)

    def publish(self, data: bytes = b"data", **metadata: Any) -> images.Image:
        """Make a record and upload its data."""
        image = self.make(**metadata)
        self.put_data(image.image_id, data)
        return self.image(image.image_id)

    def change(self, image_id: images.ImageId, **fields: Any) -> None:
        """Change any field of the record as the API shows it; None removes a property."""
        with self.lock:
            record = self._existing(image_id)
            for name, value in fields.items():
                if value is None and name not in _ALL_FIELDS:
                    record.pop(name, None)
                else:
                    record[name] = value
            self._touch(record)

    def share(
        self, image_id: images.ImageId, member: str, status: str | None = "pending"
    ) -> None:
        """Add a member, or change its status; None removes it."""
        parsed = images.MemberStatus(status) if status else None
        self._change_members(image_id, {member: parsed})

    def delete_as_user(self, image_id: images.ImageId) -> None:
        """Delete the image, protected or not."""
        self.delete(self.image(image_id))

    def image(self, image_id: images.ImageId) -> images.Image:
        """Return an image that must exist."""
        image = self._read(image_id, with_members=True)
        assert image is not None, f"no image {image_id} in {self.region}"
        return image

    def data(self, image_id: images.ImageId) -> bytes:
        """Return the bytes of an image; KeyError if there are none."""
        return self._data[image_id]

    def damage(self, image_id: images.ImageId, data: bytes | None) -> None:
        """Change the bytes of an image at rest, as no user can; None: they vanish."""
        if data is None:
            del self._data[image_id]
        else:
            self._data[image_id] = data

    def record(self, image_id: images.ImageId) -> dict[str, Any]:
        """Return the record of an image as the API shows it."""
        with self.lock:
            return _copied(self._existing(image_id))

    def look(self, image_id: images.ImageId) -> Mapping[str, Any]:
        """Return the record of an image to be read only, and now."""
        return types.MappingProxyType(self._existing(image_id))

    def whole(self, image_id: images.ImageId) -> tuple[Any, Any, Any]:
        """Return record, members and data of an image, each of them None if there is none."""
        with self.lock:
            kept = (self._records, self._members, self._data)
            record, members, data = (one.get(image_id) for one in kept)
            return _copied(record), _copied(members), data

    def ids(self) -> frozenset[images.ImageId]:
        """Return the ids of all images."""
        return frozenset(self._records)

    def _add(
        self,
        image_id: images.ImageId | None,
        fields: Mapping[str, Any],
        properties: Mapping[str, Any],
    ) -> images.Image:
        new = image_id or images.ImageId(self.new_id())
        with self.lock:
            if new in self._used:
                raise errors.ImageIdTaken(f"image id {new} already exists in {self.region}")
            for name, value in properties.items():
                _check_property(name, value)
            _check_quota(properties, is_new=True)
            if fields.get("visibility") not in VISIBILITIES:
                raise errors.Refused(f"visibility {fields.get('visibility')}")
            defaults = {name: getattr(images.Metadata(), name) for name in images.ATTRIBUTES}
            record = {"tags": [], **defaults, **fields, **properties}
            empty: dict[str, Any] = {"status": "queued", "size": None, "locations": []}
            empty["created_at"] = f"{self.now():%Y-%m-%dT%H:%M:%SZ}"
            self._records[new] = record | {"id": new} | empty
            self._touch(self._records[new])
            self._used.add(new)
            return self.image(new)

    def _touch(self, record: dict[str, Any]) -> None:
        record["updated_at"] = f"{self.now():%Y-%m-%dT%H:%M:%SZ}"

    def _existing(self, image_id: images.ImageId) -> dict[str, Any]:
        if image_id not in self._records:
            raise errors.TransientError(f"no image {image_id} in {self.region}")
        return self._records[image_id]

    def _read(
        self, image_id: images.ImageId, *, with_members: bool = False
    ) -> images.Image | None:
        with self.lock:
            record = self._records.get(image_id)
            if record is None:
                return None
            if not self.shows_locations:
                record = {name: record[name] for name in record.keys() - {"locations"}}
            try:
                image = image_records.parse(record, self.region)
            except errors.NotificationError as exc:
                raise errors.ServiceUnavailable(f"record of image {image_id}: {exc}") from exc
            if not with_members or record["visibility"] != "shared":
                return image
            members = self._members.get(image_id, {})
            known = {one: status for one, status in members.items() if _PROJECT_ID.fullmatch(one)}
            return dataclasses.replace(image, members=known)

    def _listed(self) -> list[images.Image]:
        found = []
        with self.lock:
            for image_id in sorted(self._records):
                with contextlib.suppress(errors.ServiceUnavailable):  # the driver logs it
                    found.append(self._read(image_id))
        return [image for image in found if image and image.status in _LISTED]

    def _change(self, image_id: images.ImageId, changes: actions.UpdateMetadata) -> None:
        record = self._existing(image_id)
        for name, value in changes.properties.items():
            _check_property(name, value or "")
        formats = {"disk_format", "container_format"} & set(changes.attributes)
        if formats and record["status"] != "queued":
            raise errors.Refused(f"{formats} of an image that is {record['status']}")
        if not changes.properties.keys() <= record.keys():  # only then does Glance count
            _check_quota({**record, **changes.properties})
        record |= changes.attributes
        if changes.tags is not None:
            record["tags"] = list(changes.tags)
        for name, value in changes.properties.items():
            if value is None:
                record.pop(name, None)
            else:
                record[name] = value
        self._touch(record)

    def _change_members(
        self, image_id: images.ImageId, members: Mapping[str, images.MemberStatus | None]
    ) -> None:
        with self.lock:
            if not members:
                return
            if self._existing(image_id)["visibility"] != "shared":
                raise errors.Refused("only shared images have members")
            kept = self._members.setdefault(image_id, {})
            for member, status in members.items():
                if status is None:
                    kept.pop(member, None)
                else:
                    kept[member] = status


class FakeImageStore:
    """``engine.ports.ImageStore`` over a :class:`FakeGlance`, whose ``before`` it calls too."""

    way = "memory"

    def __init__(self, glance: FakeGlance, *, chunk_bytes: int = CHUNK_BYTES) -> None:
        self._glance = glance
        self._chunk_bytes = chunk_bytes

    @contextlib.contextmanager
    def read(self, image: images.Image, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        self._glance.before("read", image.image_id)
        try:
            data = self._glance.data(image.image_id)
        except KeyError:
            raise errors.NoData(f"no data of image {image.image_id}") from None
        step = self._chunk_bytes
        yield (data[start : start + step] for start in range(offset, len(data), step))

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        self._glance.before("write", image_id)
        with self._glance.lock:
            image = self._glance._read(image_id)
            if image is None:
                raise errors.TransferInterrupted(f"no image {image_id}")
            if image.status is not images.ImageStatus.QUEUED:
                raise errors.TransferInterrupted(f"image {image_id} is {image.status}")
            self._glance.change(image_id, status="saving")
        received = bytearray()
        try:
            for chunk in chunks:
                received += chunk
        except BaseException:
            self._finish(image_id, None)
            raise
        if len(received) != size:
            self._finish(image_id, None)
            raise errors.TransferInterrupted(f"announced {size} bytes, had {len(received)}")
        if image.metadata.disk_format == "qcow2" and not received.startswith(_QCOW2):
            self._finish(image_id, None)
            raise errors.FormatRefused(f"image {image_id} is no qcow2")
        if not self._finish(image_id, bytes(received)):
            raise errors.TransferInterrupted(f"image {image_id} was deleted during the upload")

    def _finish(self, image_id: images.ImageId, data: bytes | None) -> bool:
        with self._glance.lock:
            if image_id not in self._glance.ids():
                return False
            self._glance.change(image_id, status="queued")
            if data is not None:
                self._glance.put_data(image_id, data)
            return True


def _is_typed_snapshot(image: images.Image) -> bool:
    return image.metadata.properties.get(snapshots.IMAGE_TYPE) in snapshots.TYPES


def _check_quota(record: Mapping[str, Any], *, is_new: bool = False) -> None:
    named = {name for name, value in record.items() if value is not None}
    if len(named - _ALL_FIELDS - _COMPUTED) > PROPERTY_QUOTA:
        refused = errors.UploadRefused if is_new else errors.Refused
        raise refused("too many properties: raise image_property_quota of that Glance")


def _check_property(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise errors.Refused(f"property {name}: {value!r} is not of type 'string'")
    if name.startswith("os_glance_"):
        raise errors.Refused(f"attribute {name} is reserved")
