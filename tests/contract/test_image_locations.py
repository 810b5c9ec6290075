# SPDX-License-Identifier: Apache-2.0
"""The locations of images: one suite over the fake, and over a real Glance that shows them.

What the driver makes of answers that a Glance seldom gives is below.
"""

from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import dataclasses
import json
import pathlib
import threading
from typing import Any
import uuid

from keystoneauth1 import session as sessions
from keystoneauth1 import token_endpoint
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.drivers.glance import access
from glance_sync_agent.drivers.glance.calls import Retries
from glance_sync_agent.drivers.glance.image_service import GlanceImageService
from glance_sync_agent.drivers.keystone import credentials
from tests.contract.conftest import ImageRegion
from tests.contract.conftest import new_id
from tests.contract.conftest import RealUsers
from tests.fakes import glance as fake_glance
from tests.fakes import scripted_http
from tests.fakes.scripted_http import Reply
from tests.unit import builders
from tools import cloud as clouds

DATA = b"some bytes"
REGION = images.RegionId("RegionFour")
CONFIG = """\
[DEFAULT]
show_multiple_locations = True
enabled_backends = local:file, web:http
[web]
"""
TAKEN = Reply.of({"id": builders.IMAGE_ID, "status": "active"})


@pytest.fixture(scope="module")
def showing(cloud: clouds.Cloud) -> Iterator[str]:
    """Give the URL of a real Glance that shows locations and accepts those of HTTP."""
    region = cloud.describe().region(REGION)
    overrides = pathlib.Path(region.config_dir, "local.conf")
    overrides.write_text(CONFIG)
    try:
        cloud.restart_service(f"glance-{REGION}")
        yield region.glance_url
    finally:
        overrides.unlink()
        cloud.restart_service(f"glance-{REGION}")


@pytest.fixture(params=["memory", pytest.param("glance", marks=pytest.mark.cloud)])
def region(request: pytest.FixtureRequest) -> Iterator[ImageRegion]:
    """Give a region that shows the locations of its images, in memory and for real."""
    owner = uuid.uuid4().hex
    if request.param == "memory":
        service = fake_glance.FakeGlance(REGION)
        service.shows_locations = True
        yield ImageRegion(service=service, users=service, owner=owner)
        return
    real = GlanceImageService(
        region=REGION,
        session=request.getfixturevalue("agent_session"),
        endpoint=request.getfixturevalue("showing"),
        stop=threading.Event(),
    )
    cloud = request.getfixturevalue("cloud")
    users = RealUsers(cloud.glance(REGION, "admin").http_client, real)
    yield ImageRegion(service=real, users=users, owner=owner)
    users.delete_all_of(owner)


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """Give the root of URLs that answer a size."""
    with scripted_http.serving() as server:
        server.script = [Reply(body=b"x")]
        yield server.url


@pytest.fixture
def entry(elsewhere: str) -> images.Location:
    """Give a location that can be added."""
    copy_id = new_id()
    return images.Location(
        url=f"{elsewhere}/v2/images/{copy_id}",
        metadata={"image_id": copy_id, "action": "upload", "region": "RegionTwo"},
    )


def another(entry: images.Location) -> images.Location:
    """Return a location with another URL."""
    copy_id = new_id()
    return images.Location(
        url=f"{entry.url[: -len(copy_id)]}{copy_id}",
        metadata={**entry.metadata, "image_id": copy_id},
    )


def shown(region: ImageRegion, image: images.Image) -> tuple[images.Location, ...]:
    """Return the locations of an image, without what Glance adds to their metadata."""
    record = region.service.get_record(image.image_id)
    assert record is not None
    assert record.locations is not None
    return tuple(
        dataclasses.replace(
            one, metadata={key: text for key, text in one.metadata.items() if key != "store"}
        )
        for one in record.locations
    )


def as_shown(region: ImageRegion, image: images.Image, url: str) -> images.Location:
    """Return a location as the region shows it."""
    record = region.service.get_record(image.image_id)
    assert record is not None
    (found,) = [one for one in record.locations or () if one.url == url]
    return found


def test_an_image_with_data_has_one_location_from_the_start(region: ImageRegion) -> None:
    queued = region.users.make(owner=region.owner)
    assert shown(region, queued) == ()
    image = region.publish()
    (location,) = shown(region, image)
    assert location.url.startswith("file:///")
    assert location.url.endswith(image.image_id)


def test_a_location_is_added_at_the_end_and_changes_nothing_else(
    region: ImageRegion, entry: images.Location
) -> None:
    image = region.publish(data=DATA, properties={"colour": "red"}, tags=["a"])
    before = shown(region, image)
    region.service.add_location(image.image_id, entry)
    assert shown(region, image) == (*before, entry)
    after = region.users.image(image.image_id)
    assert dataclasses.replace(after, locations=image.locations) == image
    listed = region.service.find([image.image_id])[image.image_id]
    assert listed.locations == after.locations


def test_a_location_that_is_there_is_added_in_vain(
    region: ImageRegion, entry: images.Location
) -> None:
    image = region.publish()
    for _ in range(2):
        region.service.add_location(image.image_id, entry)
    assert shown(region, image)[1:] == (entry,)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://host/x", "x"])
def test_a_location_that_glance_cannot_use_is_refused(region: ImageRegion, url: str) -> None:
    image = region.publish()
    with pytest.raises(errors.Refused) as caught:
        region.service.add_location(image.image_id, images.Location(url=url))
    assert url == "x" or url not in str(caught.value)
    assert len(shown(region, image)) == 1


def test_an_image_without_bytes_would_get_a_size(
    region: ImageRegion, entry: images.Location
) -> None:
    image = region.publish(data=b"")
    region.service.add_location(image.image_id, entry)
    assert region.users.image(image.image_id).size == 1  # which no agent may do


def test_an_image_that_has_nothing_but_a_location_is_active_without_a_hash(
    region: ImageRegion, entry: images.Location
) -> None:
    image = region.users.make(owner=region.owner)
    region.users.locate(image.image_id, entry.url, {"image_from": "snapshot"})
    after = region.users.image(image.image_id)
    assert (after.status, after.size, after.multihash) == ("active", 1, None)
    assert after.remote is not None
    listed = region.service.find([image.image_id])[image.image_id]
    assert listed.remote == after.remote


def test_a_location_is_removed_and_no_other(region: ImageRegion, entry: images.Location) -> None:
    image = region.publish(data=DATA)
    data = shown(region, image)
    other = another(entry)
    for one in (entry, other):
        region.users.locate(image.image_id, one.url, dict(one.metadata))
    there = as_shown(region, image, entry.url)
    for _ in range(2):
        region.service.remove_location(image.image_id, there)
        assert shown(region, image) == (*data, other)
    after = region.users.image(image.image_id)
    assert dataclasses.replace(after, locations=image.locations) == image


def test_a_location_whose_metadata_changed_is_another(
    region: ImageRegion, entry: images.Location
) -> None:
    image = region.publish()
    region.users.locate(image.image_id, entry.url, dict(entry.metadata))
    before = shown(region, image)
    changed = dataclasses.replace(entry, metadata={**entry.metadata, "region": "RegionThree"})
    region.service.remove_location(image.image_id, changed)
    assert shown(region, image) == before


def test_the_only_location_stays(region: ImageRegion) -> None:
    image = region.publish()
    assert image.locations is not None
    with pytest.raises(errors.Refused):
        region.service.remove_location(image.image_id, image.locations[0])
    assert region.users.image(image.image_id) == image


def test_of_an_image_that_is_not_active_nothing_changes(
    region: ImageRegion, entry: images.Location
) -> None:
    image = region.publish()
    region.users.locate(image.image_id, entry.url, dict(entry.metadata))
    region.service.set_active(image.image_id, active=False)
    before = shown(region, image)
    region.service.add_location(image.image_id, another(entry))
    region.service.remove_location(image.image_id, as_shown(region, image, entry.url))
    assert shown(region, image) == before


def test_locations_of_a_deleted_image_change_nothing(
    region: ImageRegion, entry: images.Location
) -> None:
    image = region.publish()
    region.users.delete_as_user(image.image_id)
    region.service.add_location(image.image_id, entry)
    region.service.remove_location(image.image_id, entry)
    assert region.service.get(image.image_id) is None


def test_many_removals_at_once_never_remove_the_data(
    region: ImageRegion, entry: images.Location
) -> None:
    image = region.publish(data=DATA)
    data = shown(region, image)
    for one in (entry, another(entry), another(entry)):
        region.users.locate(image.image_id, one.url, dict(one.metadata))
    record = region.users.image(image.image_id)
    assert record.locations is not None

    def remove(location: images.Location) -> None:
        for _rival in range(5):  # each may win once before the driver gives up
            with contextlib.suppress(errors.TransientError):
                region.service.remove_location(image.image_id, location)
                return

    with futures.ThreadPoolExecutor(6) as pool:
        list(pool.map(remove, record.locations[1:] * 2))
    assert shown(region, image)[: len(data)] == data


def test_the_url_of_a_record_is_below_the_endpoint(region: ImageRegion) -> None:
    image_id = new_id()
    url = region.service.image_url(image_id)
    assert remotes.url_image_id(url) == image_id


def test_a_glance_with_nothing_before_it_tells_nobody_a_size(region: ImageRegion) -> None:
    image = region.publish()
    with pytest.raises(errors.Refused, match="HTTP 401"):
        region.service.require_public_size(image.image_id)


def test_a_glance_that_does_not_show_locations_accepts_none(
    agent_session: sessions.Session, cloud: clouds.Cloud, entry: images.Location
) -> None:
    stock = GlanceImageService(
        region=builders.REGION,
        session=agent_session,
        endpoint=cloud.describe().region(builders.REGION).glance_url,
        stop=threading.Event(),
    )
    users = RealUsers(cloud.glance(builders.REGION, "admin").http_client, stock)
    image = users.publish(DATA)
    try:
        assert image.locations is None
        with pytest.raises(errors.Refused, match="locations are invisible"):
            stock.add_location(image.image_id, entry)
        stock.remove_location(image.image_id, entry)
    finally:
        users.delete_as_user(image.image_id)


# What the driver makes of other answers


@pytest.fixture
def server() -> Iterator[scripted_http.Server]:
    with scripted_http.serving() as server:
        yield server


@pytest.fixture
def make(server: scripted_http.Server) -> Iterator[Callable[..., GlanceImageService]]:
    made = []

    def make(endpoint: str | None = None) -> GlanceImageService:
        auth = token_endpoint.Token(server.url, "token")
        session = credentials.make_session(auth, timeout_seconds=2)
        made.append(session)
        return GlanceImageService(
            region=REGION,
            session=session,
            endpoint=endpoint or server.url,
            stop=threading.Event(),
            retries=Retries(attempts=1),
        )

    yield make
    for session in made:
        session.session.close()


IMAGE_ID = builders.IMAGE_ID
FILE = {"url": f"file:///srv/{IMAGE_ID}", "metadata": {"store": "local"}}
COPY = images.Location(url=f"http://two/v2/images/{IMAGE_ID}", metadata={"action": "upload"})
LISTED = {"url": COPY.url, "metadata": dict(COPY.metadata)}


def with_locations(*locations: Any) -> Reply:
    return Reply.of({"id": IMAGE_ID, "status": "active", "locations": list(locations)})


def patches(server: scripted_http.Server) -> list[Any]:
    return [json.loads(one.body) for one in server.requests if one.method == "PATCH"]


def test_a_removal_holds_for_the_list_that_was_seen(
    server: scripted_http.Server, make: Callable[..., GlanceImageService]
) -> None:
    server.script = [with_locations(FILE, LISTED, FILE, LISTED), TAKEN]
    make().remove_location(IMAGE_ID, COPY)
    assert patches(server) == [
        [
            {"op": "replace", "path": "/locations", "value": [FILE, LISTED, FILE, LISTED]},
            {"op": "remove", "path": "/locations/3"},
            {"op": "remove", "path": "/locations/1"},
        ]
    ]


def test_a_list_that_changed_meanwhile_is_read_again(
    server: scripted_http.Server, make: Callable[..., GlanceImageService]
) -> None:
    refused = Reply.html(400, "Original locations is not empty: [...]")
    server.script = [with_locations(FILE, LISTED), refused, with_locations(LISTED, FILE), TAKEN]
    make().remove_location(IMAGE_ID, COPY)
    assert [one[1]["path"] for one in patches(server)] == ["/locations/1", "/locations/0"]


def test_a_list_that_changes_each_time_is_left_for_later(
    server: scripted_http.Server, make: Callable[..., GlanceImageService]
) -> None:
    refused = Reply.html(400, "Original locations is not empty: [...]")
    server.script = [with_locations(FILE, LISTED), refused] * 5
    with pytest.raises(errors.TransientError, match="changed each time"):
        make().remove_location(IMAGE_ID, COPY)
    assert len(patches(server)) == 3


@pytest.mark.parametrize(
    "listed", [None, "x", [], [None], ["x"], [{}], [{"url": COPY.url}], [{**LISTED, "url": 5}]]
)
def test_a_list_without_that_location_is_as_wanted(
    server: scripted_http.Server, make: Callable[..., GlanceImageService], listed: object
) -> None:
    server.script = [Reply.of({"id": IMAGE_ID, "status": "active", "locations": listed})]
    make().remove_location(IMAGE_ID, COPY)
    assert not patches(server)


def test_an_answer_that_is_no_record_has_no_locations(
    server: scripted_http.Server, make: Callable[..., GlanceImageService]
) -> None:
    server.script = [Reply.of(["no", "record"])]
    make().remove_location(IMAGE_ID, COPY)
    assert not patches(server)


@pytest.mark.parametrize("status", [400, 403, 413])
def test_a_refusal_names_no_url(
    server: scripted_http.Server, make: Callable[..., GlanceImageService], status: int
) -> None:
    server.script = [Reply.html(status, "No: swift+https://user:secret@host/c and http://two/x")]
    with pytest.raises(errors.Refused) as caught:
        make().add_location(IMAGE_ID, COPY)
    message = str(caught.value)
    assert f"image {IMAGE_ID}: HTTP {status}: No: (URL) and (URL)" in message
    assert "://" not in message


@pytest.mark.parametrize("status", [403, 413])
def test_a_removal_that_is_refused_is_not_tried_again(
    server: scripted_http.Server, make: Callable[..., GlanceImageService], status: int
) -> None:
    server.script = [with_locations(FILE, LISTED), Reply.html(status, "not you")]
    with pytest.raises(errors.Refused, match="not you"):
        make().remove_location(IMAGE_ID, COPY)
    assert len(patches(server)) == 1


def test_a_glance_that_fails_is_another_matter(
    server: scripted_http.Server, make: Callable[..., GlanceImageService]
) -> None:
    server.script = [Reply(503)]
    for change in (make().add_location, make().remove_location):
        with pytest.raises(errors.ServiceUnavailable):
            change(IMAGE_ID, COPY)


@pytest.mark.parametrize("endpoint", ["", "/", "/v2", "/v2.16/"])
def test_a_url_has_one_version_for_every_endpoint_of_the_catalogue(
    server: scripted_http.Server, make: Callable[..., GlanceImageService], endpoint: str
) -> None:
    url = make(f"{server.url}/image{endpoint}").image_url(IMAGE_ID)
    assert url == f"{server.url}/image/v2/images/{IMAGE_ID}"


@pytest.mark.parametrize("reply", [Reply(body=b"x"), Reply(headers={"Content-Length": "999"})])
def test_a_size_is_asked_for_as_glance_does_it(
    server: scripted_http.Server, make: Callable[..., GlanceImageService], reply: Reply
) -> None:
    server.script = [reply]
    make().require_public_size(IMAGE_ID)
    (request,) = server.requests
    assert (request.method, request.path) == ("HEAD", f"/v2/images/{IMAGE_ID}")
    assert "X-Auth-Token" not in request.headers


@pytest.mark.parametrize(
    ("reply", "seen"),
    [
        (Reply(401, b"x"), "HTTP 401, Content-Length 1"),
        (Reply(405, b"x"), "HTTP 405"),
        (Reply(300, b"x"), "HTTP 300"),
        (Reply(503, b"x"), "HTTP 503"),
        (Reply(), "HTTP 200, Content-Length 0"),
        (Reply(headers={"Content-Length": ""}), "HTTP 200, Content-Length missing"),
        (Reply(headers={"Content-Length": "-1"}), "Content-Length -1"),
    ],
)
def test_an_answer_without_a_size_is_refused_with_the_remedy(
    server: scripted_http.Server, make: Callable[..., GlanceImageService], reply: Reply, seen: str
) -> None:
    server.script = [reply]
    with pytest.raises(errors.Refused, match="200 and a Content-Length above 0") as caught:
        make().require_public_size(IMAGE_ID)
    assert seen in str(caught.value)
    assert server.url not in str(caught.value)


def test_no_answer_is_no_refusal(
    server: scripted_http.Server, make: Callable[..., GlanceImageService]
) -> None:
    server.script = [Reply(0)]
    with pytest.raises(errors.ServiceUnavailable, match=f"HEAD /v2/images/{IMAGE_ID} of") as found:
        make().require_public_size(IMAGE_ID)
    assert "://" not in str(found.value)


# What a probe of a Glance shows


@pytest.mark.parametrize(
    ("listed", "stores", "expected"),
    [
        (
            [{"id": IMAGE_ID, "locations": []}],
            Reply.of({"stores": [{"type": "file"}, {"type": "http"}]}),
            (True, True),
        ),
        ([{"id": IMAGE_ID}], Reply.of({"stores": [{"type": "file"}, {}]}), (False, False)),
        ([], Reply.html(404, "Multi backend is not supported"), (None, None)),
        ([], Reply.html(403, "not you"), (None, None)),
    ],
)
def test_a_probe_shows_what_is_missing(
    server: scripted_http.Server, listed: object, stores: Reply, expected: tuple[object, ...]
) -> None:
    session = credentials.make_session(
        token_endpoint.Token(server.url, "token"), timeout_seconds=2
    )
    server.script = [Reply.of({"images": listed}), stores]
    found = access.probe_locations(region=REGION, session=session, endpoint=server.url)
    assert (found.are_shown, found.has_http_store) == expected
    session.session.close()


@pytest.mark.parametrize("listed", [[], [{"id": IMAGE_ID}]])
def test_a_size_is_asked_for_of_an_image_that_is_there(
    server: scripted_http.Server, listed: list[dict[str, str]]
) -> None:
    session = credentials.make_session(
        token_endpoint.Token(server.url, "token"), timeout_seconds=2
    )
    server.script = [Reply.of({"images": listed}), Reply(body=b"x")]
    access.require_public_size(region=REGION, session=session, endpoint=server.url)
    asked = server.requests[-1]
    assert asked.method == "HEAD"
    assert (asked.path == f"/v2/images/{IMAGE_ID}") is bool(listed)
    session.session.close()
