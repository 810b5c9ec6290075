# SPDX-License-Identifier: Apache-2.0
"""Those who publish images, and look what became of them in every region."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import hashlib
import io
import time
from typing import Any
import uuid

from glanceclient import exc as glance_exc

from tests import marks
from tools import cloud as clouds
from tools import raw_data

MIB = 1024 * 1024
_ANSWER_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Published:
    """An image of the cascading region."""

    image_id: str
    name: str
    size: int
    sha512: str


class People:
    """Users of a cloud. What they published goes with :meth:`clean`."""

    def __init__(self, cloud: clouds.Cloud, prefix: str | None = None) -> None:
        """Publish nothing yet.

        :param prefix: of the names; None: one that nobody else has.
        """
        self.cloud = cloud
        described = cloud.describe()
        self.cascading = described.cascading_region
        self.cascaded = [region.name for region in described.cascaded]
        self._prefix = prefix or f"functional-{uuid.uuid4().hex[:8]}-"
        self._count = 0
        self._clients: dict[tuple[str, str], Any] = {}

    def client(self, region: str | None = None, user: str = "alice") -> Any:
        """Return an image client, by default for the publisher."""
        key = (region or self.cascading, user)
        if key not in self._clients:
            client = self.cloud.glance(*key)
            client.http_client.timeout = _ANSWER_SECONDS
            self._clients[key] = client
        return self._clients[key]

    def project(self, user: str) -> str:
        """Return the id of a user's project."""
        return self.cloud.describe().user(user).project_id

    def name(self, name: str) -> str:
        """Return a name by which :meth:`clean` finds what is published here."""
        self._count += 1
        return f"{self._prefix}{self._count:04}-{name}"

    @property
    def count(self) -> int:
        """How many images were published; for :meth:`clean`."""
        return self._count

    def publish(
        self,
        name: str = "image",
        *,
        size: int = 64 * 1024,
        region: str | None = None,
        user: str = "alice",
        **fields: Any,
    ) -> Published:
        """Publish random bytes; by default in the cascading region."""
        record = self.create(name, region=region, user=user, **fields)
        sha512 = self.upload(record.id, size, region=region, user=user)
        return Published(image_id=record.id, name=record.name, size=size, sha512=sha512)

    def create(
        self, name: str, *, region: str | None = None, user: str = "alice", **fields: Any
    ) -> Any:
        """Make a record that has no data yet; return it."""
        return self.client(region, user).images.create(
            name=self.name(name),
            disk_format="raw",
            container_format="bare",
            **fields,
        )

    def upload(
        self, image_id: str, size: int, *, region: str | None = None, user: str = "alice"
    ) -> str:
        """Give a record random bytes; return their hash."""
        data = raw_data.random_data(size)
        self.client(region, user).images.upload(image_id, io.BytesIO(data), image_size=size)
        return hashlib.sha512(data).hexdigest()

    def refer(
        self, image_id: str, region: str, *, url: str | None = None, **fields: Any
    ) -> str:
        """Publish an image of which only an image of another region has the data; return its id.

        :param url: in the place of what leads there.
        """
        glance = self.cloud.describe().region(region).glance_url.rstrip("/")
        record = self.client().images.create(
            name=self.name("elsewhere"),
            disk_format="raw",
            container_format="bare",
            **fields,
        )
        told = {"image_from": "snapshot", "image_id": image_id}
        self.client().images.add_location(
            record.id, url or f"{glance}/v2/images/{image_id}", told
        )
        return str(record.id)

    def record(self, region: str, image_id: str, user: str = "admin") -> dict[str, Any] | None:
        """Return an image as a user sees it; None: there is none."""
        try:
            return dict(self.client(region, user).images.get(image_id))
        except glance_exc.HTTPNotFound:
            return None

    def sha512(self, region: str, image_id: str) -> str:
        """Read the data of an image back and hash it."""
        digest = hashlib.sha512()
        for chunk in self.client(region, "admin").images.data(image_id, do_checksum=False):
            digest.update(chunk)
        return digest.hexdigest()

    def members(self, region: str, image_id: str) -> dict[str, str]:
        """Return the status of each member of an image."""
        found = self.client(region, "admin").image_members.list(image_id)
        return {member.member_id: member.status for member in found}

    def copies(self, region: str, image_id: str) -> list[dict[str, Any]]:
        """Return the images of a region whose marks name themselves as copies of another.

        Snapshots and the like have the same source in their properties, and are no copies.
        """
        filters = {marks.SOURCE_ID: image_id, "visibility": "all"}
        return [
            dict(one)
            for hidden in ("true", "false")
            for one in self.client(region, "admin").images.list(
                filters=filters | {"os_hidden": hidden}
            )
            if marks.source_of(one, region) is not None
        ]

    def delete_copies(self, region: str, image_id: str) -> None:
        """Delete the copies of an image in a region by hand."""
        for copy in self.copies(region, image_id):
            self.delete(copy["id"], region, user="admin")

    def active(self, region: str, *, everybody: bool = False) -> list[Mapping[str, Any]]:
        """Return the active images of a region that this object published, or all."""
        found = self.listed(region) if everybody else self._made(region, 0)
        return [image for image in found if image["status"] == "active"]

    def queued(self, region: str) -> list[str]:
        """Return the images of a region that wait for data, and were published here."""
        return [image["id"] for image in self._made(region, 0) if image["status"] != "active"]

    def delete(self, image_id: str, region: str | None = None, user: str = "alice") -> None:
        """Delete an image; no error if there is none, or an agent is at it in this moment."""
        try:
            self.client(region, user).images.delete(image_id)
        except glance_exc.HTTPNotFound:
            return
        except glance_exc.HTTPBadRequest as exc:
            if "transition from deleted to deleted" not in str(exc):
                raise

    def in_step(self, image: Published, regions: Sequence[str] | None = None) -> bool:
        """Tell whether all regions show an active copy; its bytes are not looked at."""
        return all(
            (copy := self.record(region, image.image_id)) is not None
            and copy["status"] == "active"
            for region in (self.cascaded if regions is None else regions)
        )

    def check_bytes(self, image: Published, regions: Sequence[str] | None = None) -> None:
        """Read every copy back and compare it with what was published."""
        for region in self.cascaded if regions is None else regions:
            copy = self.record(region, image.image_id)
            assert copy is not None
            assert copy["size"] == image.size
            assert self.sha512(region, image.image_id) == image.sha512, region

    def clean(self, since: int = 0) -> None:
        """Remove from all regions what was published after the first ``since``, and its copies."""
        for region in (self.cascading, *self.cascaded):
            for image in self._made(region, since):
                if image.get("protected"):
                    self.client(region, "admin").images.update(image["id"], protected=False)
                self.delete(image["id"], region, "admin")

    def _made(self, region: str, since: int) -> list[Mapping[str, Any]]:
        return [
            image
            for image in self.listed(region)
            if (name := image.get("name") or "").startswith(self._prefix)
            and int(name.removeprefix(self._prefix)[:4]) > since
        ]

    def listed(self, region: str) -> list[Mapping[str, Any]]:
        """Return every image of a region, whoever made it."""
        return [
            image
            for hidden in ("true", "false")
            for image in self.client(region, "admin").images.list(
                filters={"visibility": "all", "os_hidden": hidden}, page_size=200
            )
        ]


def eventually(
    condition: Callable[[], bool], what: str, timeout_seconds: float = 120.0
) -> None:
    """Wait for a condition of the outside world."""
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        assert time.monotonic() < deadline, f"{timeout_seconds:g} s without {what}"
        time.sleep(0.05)
