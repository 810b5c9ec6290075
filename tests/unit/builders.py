# SPDX-License-Identifier: Apache-2.0
"""Builders of domain objects: sensible defaults, and overrides by name."""

import dataclasses
import datetime
import hashlib
from typing import Any

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code

SOURCE_REGION = images.RegionId("RegionOne")
REGION = images.RegionId("RegionTwo")
IMAGE_ID = images.ImageId("350715cd-181a-47d0-9587-19f0221ea26b")
COPY_ID = images.ImageId("6a0d2f0b-6f2d-4f6c-8f0e-9d4b7c1c2a11")
DATA = b"the bytes of an image"
NOW = datetime.datetime(2026, 11, 22, 8, 0, tzinfo=datetime.UTC)
LONG_AGO = datetime.datetime(2014, 1, 1, tzinfo=datetime.UTC)
REMOTE = images.RemoteData(
    url=f"http://admin:secret@two.example:9292/v2/images/{COPY_ID}",
    image_id=COPY_ID,
    image_from="snapshot",
)
KEY = images.SourceKey(image_id=IMAGE_ID, region=SOURCE_REGION)
MARK = images.Mark(source=KEY, copy_id=IMAGE_ID, copy_region=REGION)
#: On :func:`source` it says that this is a copy.
ITSELF_A_COPY = images.Mark(
    source=images.SourceKey(image_id="x", region="RegionNine"),
    copy_id=IMAGE_ID,
    copy_region=SOURCE_REGION,
)


def multihash(data: bytes = DATA, algo: str = "sha512") -> images.Multihash:
    """Return the multihash of some bytes."""
    return images.Multihash(algo=algo, value=hashlib.new(algo, data).hexdigest())


def metadata(**overrides: Any) -> images.Metadata:
    """Return the metadata of a small cloud image."""
    values: dict[str, Any] = {
        "name": "cirros",
        "disk_format": "qcow2",
        "container_format": "bare",
        "min_disk": 1,
        "min_ram": 64,
        "owner": "alpha",
        "tags": frozenset({"golden"}),
        "properties": {"hw_disk_bus": "virtio"},
    }
    return images.Metadata(**(values | overrides))


def source(**overrides: Any) -> images.Image:
    """Return an active image of the cascading region; metadata fields may be given directly."""
    return _image(
        {
            "image_id": IMAGE_ID,
            "region": SOURCE_REGION,
            "status": images.ImageStatus.ACTIVE,
            "size": len(DATA),
            "multihash": multihash(),
        },
        overrides,
    )


def elsewhere(**overrides: Any) -> images.Image:
    """Return :func:`source` as Glance shows it when it has nothing but a location."""
    location = images.Location(url=REMOTE.url, metadata={"image_from": REMOTE.image_from})
    nothing: dict[str, Any] = {"size": 1, "multihash": None, "remote": REMOTE}
    return source(**(nothing | {"locations": (location,)} | overrides))


def snapshot(**overrides: Any) -> images.Image:
    """Return the image of RegionTwo that holds the data of :func:`elsewhere`."""
    return source(**({"image_id": COPY_ID, "region": REGION} | overrides))


def copy(**overrides: Any) -> images.Image:
    """Return a copy of :func:`source` that is in step; metadata fields may be given directly."""
    image_id = overrides.get("image_id", IMAGE_ID)
    return _image(
        {
            "image_id": IMAGE_ID,
            "created_at": NOW,
            "region": REGION,
            "status": images.ImageStatus.ACTIVE,
            "size": len(DATA),
            "multihash": multihash(),
            "mark": dataclasses.replace(MARK, copy_id=image_id),
            "synced_properties": frozenset({"hw_disk_bus"}),
        },
        overrides,
    )


def queued(**overrides: Any) -> images.Image:
    """Return a record of ours that waits for its data."""
    empty: dict[str, Any] = {
        "status": images.ImageStatus.QUEUED,
        "size": None,
        "multihash": None,
    }
    return copy(**(empty | overrides))


def stranger(**overrides: Any) -> images.Image:
    """Return an image of the target region that is not ours."""
    return copy(**({"mark": None, "synced_properties": frozenset()} | overrides))


def marks(
    copy_id: str,
    copy_region: str,
    *,
    source_id: str = COPY_ID,
    source_region: str = "RegionNine",
) -> dict[str, str]:
    """Return the properties by which an image says that it is a copy."""
    return {
        mark_properties.SOURCE_ID: source_id,
        mark_properties.SOURCE_REGION: source_region,
        mark_properties.COPY_ID: copy_id,
        mark_properties.COPY_REGION: copy_region,
    }


def known(**overrides: Any) -> identity.KnownCopy:
    """Return what a row knows of :func:`copy`."""
    values: dict[str, Any] = {"copy_id": IMAGE_ID, "created_at": NOW}
    return identity.KnownCopy(**(values | overrides))


def task(**overrides: Any) -> tasks.Task:
    """Return a task that was just requested."""
    values: dict[str, Any] = {
        "key": tasks.TaskKey(image_id=IMAGE_ID, region=REGION),
        "status": tasks.TaskStatus.PENDING,
        "generation": 1,
        "request_id": "r1",
        "may_delete": False,
        "attempts": 0,
        "not_before": NOW,
        "code": Code.REQUESTED,
        "reason": "",
        "image_name": None,
        "copy_id": None,
        "source_region": None,
        "copied_from": None,
        "waiting_since": None,
        "bytes_done": 0,
        "bytes_total": None,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return tasks.Task(**(values | overrides))


def _image(values: dict[str, Any], overrides: dict[str, Any]) -> images.Image:
    names = {field.name for field in dataclasses.fields(images.Metadata)}
    own = {key: value for key, value in overrides.items() if key in names}
    rest = {key: value for key, value in overrides.items() if key not in names}
    return images.Image(**(values | {"metadata": metadata(**own)} | rest))
