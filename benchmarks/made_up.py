# SPDX-License-Identifier: Apache-2.0
"""A cloud of any size that takes no memory: its images are made up when they are asked for.

Image number n has the same id in all regions, and what its copy in a region looks like follows
from n. Nothing is kept, so what a process needs beyond its start is the engine's.
"""

import collections
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
import contextlib
import datetime
import enum
import hashlib
import itertools
import os
import pathlib
import platform
import time
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import image_records
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import owner_facts

CASCADING = images.RegionId("RegionOne")
DATA = b"the bytes of an image"
_SHA512 = hashlib.sha512(DATA).hexdigest()
_OWNER = "0123456789abcdef0123456789abcdef"
_FIRST_CHANGE = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


class Clock:
    """``engine.ports.Clock``."""

    def __init__(self, *, ago: datetime.timedelta = datetime.timedelta()) -> None:
        self._ago = ago

    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) - self._ago

    def monotonic(self) -> float:
        return time.monotonic()


class Copy(enum.Enum):
    """What a copy is like."""

    IN_SYNC = enum.auto()
    MISSING = enum.auto()
    STALE = enum.auto()  # its metadata is


def image_id(number: int) -> images.ImageId:
    """Return the id of an image; they sort as the numbers do."""
    return images.ImageId(f"{number:08x}-0000-4000-8000-{number:012x}")


def number_of(image_id: images.ImageId) -> int:
    """Return the number of an image."""
    return int(image_id[:8], 16)


def name(number: int) -> str:
    """Return the name of an image."""
    return f"ubuntu-24.04-server-{number}"


def changed_at(number: int) -> datetime.datetime:
    """Return when an image was changed last: one a second."""
    return _FIRST_CHANGE + datetime.timedelta(seconds=number)


def regions(count: int) -> Sequence[images.RegionId]:
    """Return the names of the regions besides the cascading one."""
    return [images.RegionId(f"Region{number:03}") for number in range(count)]


class Glance:
    """``engine.ports.ImageService``: of one region, with images 0 to ``count``.

    Records are made as the API shows them, and parsed as the driver does it. What a pass over
    images in step never asks for is not there.
    """

    def __init__(
        self,
        region: images.RegionId,
        count: int,
        copy: Callable[[int], Copy],
        visibility: str,
    ) -> None:
        self.region = region
        self._count = count
        self._copy = copy
        self._visibility = visibility
        self.seconds = 0.0  # spent in here
        #: That a real Glance would get, by what is asked for.
        self.requests: collections.Counter[str] = collections.Counter()

    def get(self, image_id: images.ImageId) -> images.Image | None:
        return self.get_record(image_id)

    def get_record(self, image_id: images.ImageId) -> images.Image | None:
        self.requests["records"] += 1
        with self._timed():
            return self._image(number_of(image_id))

    def require_all_rights(self) -> None:
        self.requests["rights"] += 1

    def find(self, image_ids: Sequence[images.ImageId]) -> Mapping[images.ImageId, images.Image]:
        with self._timed():
            made = map(self._image, map(number_of, image_ids))
            found = {image.image_id: image for image in made if image is not None}
        # What is missing may be hidden.
        self.requests["ids"] += 1 if len(found) == len(image_ids) else 2
        return found

    def members(self, image: images.Image) -> Mapping[str, images.MemberStatus]:
        if image.metadata.visibility == "shared":
            self.requests["members"] += 1
        return {}

    def copies_of(self, key: images.SourceKey) -> Sequence[images.Image]:
        return ()

    def pages(
        self,
        page_size: int,
        *,
        snapshots_only: bool = False,
        changed_since: datetime.datetime | None = None,
        marked_from: images.RegionId | None = None,
        marked_in: images.RegionId | None = None,
    ) -> Iterator[Sequence[images.Image]]:
        first = 0
        if changed_since is not None:
            first = max(0, int((changed_since - _FIRST_CHANGE).total_seconds()))
        listed = 0 if snapshots_only else self._count - first
        # After the last image that fills a page comes another one, and then the hidden images.
        self.requests["listing"] += listed // page_size + 2
        for start in range(first, 0 if snapshots_only else self._count, page_size):
            with self._timed():
                numbers = range(start, min(start + page_size, self._count))
                page = [image for image in map(self._image, numbers) if image is not None]
            yield page

    def create(self, image_id: images.ImageId, source: images.Image) -> images.Image:
        record = self._record(number_of(image_id or source.image_id))
        without_data = {"status": "queued", "size": None, "os_hash_value": None}
        return image_records.parse(record | without_data, self.region)

    def update(self, changes: actions.UpdateMetadata) -> None:
        raise errors.Refused("nothing here can be changed")

    def set_active(self, image_id: images.ImageId, *, active: bool) -> None:
        raise errors.Refused("nothing here can be changed")

    def delete(self, image: images.Image) -> None:
        raise errors.Refused("nothing here can be deleted")

    def image_url(self, image_id: images.ImageId) -> str:
        return f"http://{self.region}.example:9292/v2/images/{image_id}"

    def require_public_size(self, image_id: images.ImageId) -> None:
        raise errors.Refused("nothing here has a location")

    def add_location(self, image_id: images.ImageId, location: images.Location) -> None:
        raise errors.Refused("nothing here has a location")

    def remove_location(self, image_id: images.ImageId, location: images.Location) -> None:
        raise errors.Refused("nothing here has a location")

    def _image(self, number: int) -> images.Image | None:
        is_there = number < self._count and self._copy(number) is not Copy.MISSING
        return image_records.parse(self._record(number), self.region) if is_there else None

    def _record(self, number: int) -> dict[str, Any]:
        record = {
            "id": image_id(number),
            "name": "old" if self._copy(number) is Copy.STALE else name(number),
            "status": "active",
            "size": len(DATA),
            "os_hash_algo": "sha512",
            "os_hash_value": _SHA512,
            "disk_format": "raw",
            "container_format": "bare",
            "min_disk": 10,
            "min_ram": 512,
            "visibility": self._visibility,
            "protected": False,
            "os_hidden": False,
            "owner": _OWNER,
            "tags": ["golden"],
            "os_distro": "ubuntu",
            "hw_disk_bus": "virtio",
            "hw_vif_model": "virtio",
            "created_at": f"{changed_at(number):%Y-%m-%dT%H:%M:%SZ}",
            "updated_at": f"{changed_at(number):%Y-%m-%dT%H:%M:%SZ}",
        }
        if self.region != CASCADING:
            record[mark_properties.SOURCE_ID] = record["id"]
            record[mark_properties.SOURCE_REGION] = CASCADING
            record[mark_properties.COPY_ID] = record["id"]
            record[mark_properties.COPY_REGION] = self.region
            record[mark_properties.SYNCED] = '["hw_disk_bus", "hw_vif_model", "os_distro"]'
        return record

    @contextlib.contextmanager
    def _timed(self) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started


class Store:
    """``engine.ports.ImageStore``: every image has the same bytes."""

    way = "memory"

    @contextlib.contextmanager
    def read(self, image: images.Image, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        yield iter([DATA[offset:]])

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        if (sent := sum(map(len, chunks))) != size:
            raise errors.TransferInterrupted(f"announced {size} bytes, had {sent}")


class Cloud:
    """``engine.ports.Regions``, ``Catalogue`` and ``Identity``."""

    cascading = CASCADING

    def __init__(
        self,
        count: int,
        targets: int,
        copy: Callable[[images.RegionId, int], Copy],
        *,
        visibility: str = "public",
    ) -> None:
        names = [CASCADING, *regions(targets)]
        self.glances = {
            name: Glance(name, count, _bound(copy, name) if name != CASCADING else _in_sync,
                         visibility)
            for name in names
        }
        self._names = frozenset(self.glances)

    def image_service(self, region: images.RegionId) -> Glance:
        return self.glances[region]

    def store(self, region: images.RegionId, size: int) -> Store:
        return Store()

    def source_store(self, region: images.RegionId) -> Store:
        return Store()

    def regions(self) -> frozenset[images.RegionId]:
        return self._names

    def own_project(self) -> str:
        return _OWNER

    def region_of(self, url: str) -> images.RegionId | None:
        return None

    def project(self, project_id: str) -> owner_facts.Project | None:
        return None

    def roles_on(self, project_id: str) -> frozenset[str]:
        return frozenset()

    def association(self, project_id: str) -> owner_facts.Association:
        return owner_facts.Association(is_filtered=False, regions=frozenset())

    def seconds(self) -> float:
        """Return the time spent in all Glances."""
        return sum(glance.seconds for glance in self.glances.values())


    def requests(self) -> Mapping[str, int]:
        """Return how many requests all Glances got, by what was asked for."""
        counts = (glance.requests for glance in self.glances.values())
        return dict(sum(counts, collections.Counter[str]()))


def _in_sync(_number: int) -> Copy:
    return Copy.IN_SYNC


def _bound(
    copy: Callable[[images.RegionId, int], Copy], region: images.RegionId
) -> Callable[[int], Copy]:
    return lambda number: copy(region, number)


def machine() -> dict[str, Any]:
    """Return what the figures depend on besides us."""
    models = (
        line.partition(":")[2].strip()
        for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpus": os.cpu_count(),
        "cpu": next(itertools.chain(models, ["unknown"])),
        "load_before": round(os.getloadavg()[0], 2),
        "memory_gib": round(memory / 2**30, 1),
        "python": platform.python_version(),
    }
