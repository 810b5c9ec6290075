# SPDX-License-Identifier: Apache-2.0
"""What the contract suites run over: the fakes, and the real services."""

from collections.abc import Iterator, Mapping
import dataclasses
import json
import threading
from typing import Any
import uuid

from keystoneauth1 import session as sessions
import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.drivers.glance.image_service import GlanceImageService
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.engine import ports
from tests.fakes import glance as fake_glance
from tests.unit import builders

REGION = builders.REGION


class RealUsers:
    """Those who use the real Glance beside the agent; as the methods of ``FakeGlance``."""

    def __init__(self, http: Any, service: ports.ImageService) -> None:
        self._http = http  # glanceclient's HTTP client of an administrator
        self._service = service

    def make(self, *, image_id: str | None = None, **metadata: Any) -> images.Image:
        body: dict[str, Any] = {"disk_format": "raw", "container_format": "bare"}
        body |= {"visibility": "private"}
        body |= metadata.pop("properties", {})
        body |= metadata | ({"id": image_id} if image_id else {})
        body["tags"] = list(body.get("tags", ()))
        _response, record = self._http.post("/v2/images", data=body)
        return self.image(record["id"])

    def put_data(self, image_id: images.ImageId, data: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        self._http.put(f"/v2/images/{image_id}/file", headers=headers, data=_Body(data))

    def publish(self, data: bytes = b"data", **metadata: Any) -> images.Image:
        image = self.make(**metadata)
        self.put_data(image.image_id, data)
        return self.image(image.image_id)

    def change(self, image_id: images.ImageId, **fields: Any) -> None:
        patch = [
            {"op": "remove", "path": f"/{name}"}
            if value is None
            else {"op": "add", "path": f"/{name}", "value": value}
            for name, value in fields.items()
        ]
        headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        self._http.patch(f"/v2/images/{image_id}", headers=headers, data=json.dumps(patch))

    def locate(self, image_id: images.ImageId, url: str, metadata: Mapping[str, Any]) -> None:
        patch = [
            {"op": "add", "path": "/locations/-", "value": {"url": url, "metadata": metadata}}
        ]
        headers = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
        self._http.patch(f"/v2/images/{image_id}", headers=headers, data=json.dumps(patch))

    def share(self, image_id: images.ImageId, member: str, status: str = "pending") -> None:
        self._http.post(f"/v2/images/{image_id}/members", data={"member": member})
        if status != "pending":
            path = f"/v2/images/{image_id}/members/{member}"
            self._http.put(path, data={"status": status})

    def delete_as_user(self, image_id: images.ImageId) -> None:
        self.change(image_id, protected=False)
        self._http.delete(f"/v2/images/{image_id}")

    def image(self, image_id: images.ImageId) -> images.Image:
        image = self._service.get(image_id)
        assert image is not None
        return image

    def delete_all_of(self, owner: str) -> None:
        """Remove what a test left; a project of its own owns all that is a test's."""
        for hidden in ("true", "false"):
            query = f"owner={owner}&visibility=all&limit=1000&os_hidden={hidden}"
            _response, body = self._http.get(f"/v2/images?{query}")
            for record in body["images"]:
                self.delete_as_user(record["id"])


class _Body:
    """What glanceclient sends in chunks; it takes plain bytes for text."""

    def __init__(self, data: bytes) -> None:
        self._rest = data

    def read(self, size: int) -> bytes:
        chunk, self._rest = self._rest[:size], self._rest[size:]
        return chunk


@dataclasses.dataclass(frozen=True)
class ImageRegion:
    """One region: the service under test, and those who use the region beside it."""

    service: ports.ImageService
    users: fake_glance.FakeGlance | RealUsers
    owner: str  # a project that nobody else has

    def source(self, **overrides: Any) -> images.Image:
        """Return an image of the source region with an id of its own."""
        fresh = {"image_id": new_id(), "owner": self.owner}
        return builders.source(**(fresh | overrides))

    def publish(self, **metadata: Any) -> images.Image:
        """Let a user publish an image."""
        return self.users.publish(**({"owner": self.owner} | metadata))


def new_id() -> images.ImageId:
    """Return an id that nobody has."""
    return images.ImageId(str(uuid.uuid4()))


@pytest.fixture(params=["memory", pytest.param("glance", marks=pytest.mark.cloud)])
def region(request: pytest.FixtureRequest) -> Iterator[ImageRegion]:
    """Give RegionTwo, in memory and for real."""
    owner = uuid.uuid4().hex
    if request.param == "memory":
        service = fake_glance.FakeGlance(REGION)
        yield ImageRegion(service=service, users=service, owner=owner)
        return
    cloud = request.getfixturevalue("cloud")
    real = GlanceImageService(
        region=REGION,
        session=request.getfixturevalue("agent_session"),
        endpoint=cloud.describe().region(REGION).glance_url,
        stop=threading.Event(),
    )
    users = RealUsers(cloud.glance(REGION, "admin").http_client, real)
    yield ImageRegion(service=real, users=users, owner=owner)
    users.delete_all_of(owner)


@pytest.fixture(scope="session")
def agent_session(request: pytest.FixtureRequest) -> Iterator[sessions.Session]:
    """Give the session that the agent would have."""
    auth = request.getfixturevalue("cloud").session("glance-sync").auth
    assert auth is not None
    session = credentials.make_session(auth)
    yield session
    session.session.close()
