# SPDX-License-Identifier: Apache-2.0
"""The driver of Glance with every answer that a Glance, or a proxy, may give."""

from collections.abc import Callable, Iterator
import json
import logging
import threading
import time
from typing import Any
import uuid

from keystoneauth1 import token_endpoint
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.drivers import stores
from glance_sync_agent.drivers.glance.calls import Retries
from glance_sync_agent.drivers.glance.image_service import GlanceImageService
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.ssh import hosts
from glance_sync_agent.drivers.stores import api
from tests.fakes import scripted_http
from tests.fakes.scripted_http import Reply
from tests.unit import builders

IMAGE_ID = builders.IMAGE_ID
REGION = builders.REGION
CUT = Reply(0)
FAST = Retries(first_wait_seconds=0.001, longest_wait_seconds=0.002)
NOT_FOUND = Reply.html(404, "No image found")


@pytest.fixture
def server() -> Iterator[scripted_http.Server]:
    with scripted_http.serving() as server:
        yield server


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def make(stop: threading.Event) -> Iterator[Callable[..., GlanceImageService]]:
    sessions = []

    def make(endpoint: str, retries: Retries = FAST) -> GlanceImageService:
        auth = token_endpoint.Token(endpoint, "secret-token")
        session = credentials.make_session(auth, timeout_seconds=0.3)
        sessions.append(session)
        return GlanceImageService(
            region=REGION, session=session, endpoint=endpoint, stop=stop, retries=retries
        )

    yield make
    for session in sessions:
        session.session.close()


@pytest.fixture
def service(
    server: scripted_http.Server, make: Callable[..., GlanceImageService]
) -> GlanceImageService:
    return make(server.url)


def record(**fields: Any) -> dict[str, Any]:
    """Build a record as the API shows it."""
    return {"id": IMAGE_ID, "status": "active", "visibility": "private", "tags": []} | fields


def listing(*records: object, further: bool = False) -> Reply:
    """Build a page of a list."""
    return Reply.of({"images": records} | ({"next": "/v2/images?marker=x"} if further else {}))


def new_ids(count: int) -> list[str]:
    return sorted(str(uuid.uuid4()) for _ in range(count))


def update(copy: images.Image, **fields: Any) -> actions.UpdateMetadata:
    nothing: dict[str, Any] = {"attributes": {}, "tags": None, "properties": {}, "members": {}}
    return actions.UpdateMetadata(copy=copy, **(nothing | fields))


def sent(server: scripted_http.Server) -> list[str]:
    return [f"{request.method} {request.path}" for request in server.requests]


# Retries


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(CUT, id="cut"),
        pytest.param(Reply(500), id="500 empty"),
        pytest.param(Reply.html(503, "busy"), id="503"),
        pytest.param(Reply(502, b"<h1>bad", {"Content-Type": "text/html"}), id="502 broken html"),
        pytest.param(Reply(401), id="401"),
        pytest.param(Reply(408), id="408"),
        pytest.param(Reply.html(429, "slower"), id="429 without a time"),
    ],
)
def test_a_short_failure_is_tried_again(
    server: scripted_http.Server, service: GlanceImageService, failure: Reply
) -> None:
    server.script = [failure, failure, Reply.of(record())]
    assert service.get_record(IMAGE_ID) is not None
    assert sent(server) == [f"GET /v2/images/{IMAGE_ID}"] * 3


@pytest.mark.parametrize(
    ("failure", "region", "fault"),
    [
        (CUT, REGION, errors.Fault.REQUEST),
        (Reply(500), REGION, errors.Fault.ANSWER),
        (Reply.html(503, "busy"), REGION, errors.Fault.ANSWER),
        (Reply(401), None, errors.Fault.ANSWER),
        (Reply(429), None, errors.Fault.ANSWER),
        (Reply(200, b"no JSON"), None, errors.Fault.CONNECTION),
    ],
)
def test_an_answer_that_any_image_may_get_names_the_region(
    server: scripted_http.Server,
    service: GlanceImageService,
    failure: Reply,
    region: str | None,
    fault: errors.Fault,
) -> None:
    server.script = [failure] * 3
    with pytest.raises(errors.ServiceUnavailable) as caught:
        service.get_record(IMAGE_ID)
    assert caught.value.region == region
    assert caught.value.fault is fault


@pytest.mark.parametrize("failure", [CUT, Reply(500), Reply.html(503, "so busy")])
def test_a_long_failure_is_tried_three_times(
    server: scripted_http.Server, service: GlanceImageService, failure: Reply
) -> None:
    server.script = [failure]
    with pytest.raises(errors.ServiceUnavailable, match=f"GET /v2/images/{IMAGE_ID} of region"):
        service.get_record(IMAGE_ID)
    assert len(server.requests) == 3


@pytest.mark.parametrize("failure", [CUT, Reply(500), Reply(401), Reply.html(503, "busy")])
def test_an_image_is_asked_for_once_because_it_may_have_been_made(
    server: scripted_http.Server, service: GlanceImageService, failure: Reply
) -> None:
    server.script = [failure]
    with pytest.raises(errors.ServiceUnavailable):
        service.create(IMAGE_ID, builders.source())
    assert sent(server) == ["POST /v2/images"]


def test_a_service_that_names_a_time_is_not_asked_earlier(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply.html(429, "slower", Retry_After="7")]
    with pytest.raises(errors.ServiceUnavailable) as caught:
        service.get_record(IMAGE_ID)
    assert caught.value.retry_after == 7
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "9" * 400}, 3600),
        # A date: one that is over, and one that is too far away.
        ({"Retry-After": "Sun, 22 Nov 2020 08:00:30 GMT"}, 0),
        ({"Retry-After": "Sun, 22 Nov 2120 08:00:30 GMT"}, 3600),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_the_time_is_read_in_both_forms(
    server: scripted_http.Server,
    service: GlanceImageService,
    headers: dict[str, str],
    seconds: float | None,
) -> None:
    server.script = [Reply(503, b"", headers)]
    with pytest.raises(errors.ServiceUnavailable) as caught:
        service.get_record(IMAGE_ID)
    assert caught.value.retry_after == seconds


def test_nothing_is_tried_again_once_the_agent_stops(
    server: scripted_http.Server, service: GlanceImageService, stop: threading.Event
) -> None:
    stop.set()
    server.script = [CUT]
    with pytest.raises(errors.ServiceUnavailable):
        service.get_record(IMAGE_ID)
    assert len(server.requests) == 1


def test_a_stop_ends_the_wait_between_two_tries(
    server: scripted_http.Server, make: Callable[..., GlanceImageService], stop: threading.Event
) -> None:
    patient = make(server.url, Retries(first_wait_seconds=60))
    server.script = [CUT]
    timer = threading.Timer(0.05, stop.set)
    timer.start()
    started = time.monotonic()
    with pytest.raises(errors.ServiceUnavailable):
        patient.get_record(IMAGE_ID)
    timer.join()
    assert time.monotonic() - started < 30


def test_a_slow_failure_is_not_repeated(
    server: scripted_http.Server, make: Callable[..., GlanceImageService]
) -> None:
    hasty = make(server.url, Retries(give_up_seconds=0))
    server.script = [CUT]
    with pytest.raises(errors.ServiceUnavailable):
        hasty.get_record(IMAGE_ID)
    assert len(server.requests) == 1


def test_a_refused_connection_is_no_answer(make: Callable[..., GlanceImageService]) -> None:
    with pytest.raises(errors.ServiceUnavailable, match="no answer") as caught:
        make("http://127.0.0.1:1").get_record(IMAGE_ID)
    assert caught.value.region == REGION
    assert caught.value.fault is errors.Fault.CONNECTION


def test_silence_is_no_answer(make: Callable[..., GlanceImageService]) -> None:
    with scripted_http.silent() as url:
        once = make(url, Retries(attempts=1))
        with pytest.raises(errors.ServiceUnavailable, match="no answer") as caught:
            once.get_record(IMAGE_ID)
    assert caught.value.region == REGION
    assert caught.value.fault is errors.Fault.REQUEST


# Refusals


@pytest.mark.parametrize("status", [300, 400, 403, 405, 409, 413, 415, 418])
def test_any_other_error_is_a_refusal_in_the_service_s_words(
    server: scripted_http.Server, service: GlanceImageService, status: int
) -> None:
    server.script = [Reply.html(status, "It&#x27;s &lt;b&gt; <i>not</i> allowed")]
    with pytest.raises(errors.Refused) as caught:
        service.get_record(IMAGE_ID)
    assert str(caught.value).endswith(f"of region {REGION}: HTTP {status}: It's <b> not allowed")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"message": "too <br/> big", "code": "413"}', "too big"),
        (b'{"error": {"message": "no", "code": 403}}', "no"),
        (b'{"badRequest": {"explanation": "bad"}}', "bad"),
        (b'{"a": null, "b": [1]}', '{"a": null, "b": [1]}'),
        (b'{"message": null}', '{"message": null}'),
        (b"[]", "[]"),
        (b"null", "null"),
        (b'"text"', "text"),
        (b"no json", "no json"),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}"),
        pytest.param(b"[" * 100_000, "[[", id="deep"),
        (b"", "no explanation"),
    ],
)
@pytest.mark.parametrize("kind", ["application/json", "text/plain", "text/html", None])
def test_an_error_body_never_hides_the_status(
    server: scripted_http.Server,
    service: GlanceImageService,
    body: bytes,
    words: str,
    kind: str | None,
) -> None:
    server.script = [Reply(403, body, {"Content-Type": kind} if kind else {})]
    with pytest.raises(errors.Refused) as caught:
        service.get_record(IMAGE_ID)
    assert "HTTP 403: " in str(caught.value)
    if kind == "application/json" and not body.startswith(b"\xff"):
        assert words in str(caught.value)


# The texts of Glance, cursive and oslo.limit; Glance puts two sentences before the last one.
PROPERTIES = (
    "The limit has been exceeded on the number of allowed image properties. Attempted: 131, "
    "Maximum: 128"
)
LIMIT = (
    "The request returned a 413 Request Entity Too Large. This generally means that rate limiting "
    "or a quota threshold was breached.\n\nThe response body:\nProject agents is over a limit "
    "for [Resource image_count_total is over limit of 10 due to current usage 10 and delta 1]"
)
SIGNATURE = (
    "Signature verification failed for image 1: Signature verification for the image failed: "
    "Certificate not found with ID: 2."
)
RESERVED = "Attribute 'cinder_encryption_key_id' is reserved."


@pytest.mark.parametrize(
    ("status", "said", "remedies"),
    [
        (413, PROPERTIES, ["raise image_property_quota", "glance_sync_*", "exclude_properties"]),
        (413, PROPERTIES.replace("properties", "tags"), ["raise image_tag_quota"]),
        (413, PROPERTIES.replace("properties", "members"), ["raise image_member_quota"]),
        (413, LIMIT, ["the limit of the agent's project"]),
        (400, SIGNATURE, ["img_signature_certificate_uuid", "exclude_properties"]),
        (403, RESERVED, ["all rights on cinder_encryption_key_id", "exclude_properties"]),
        (
            413,
            "The size of the data 5 will exceed the limit. 3 bytes remaining.",
            ["raise user_storage_quota"],
        ),
    ],
)
def test_a_refusal_names_its_remedy(
    server: scripted_http.Server,
    service: GlanceImageService,
    status: int,
    said: str,
    remedies: list[str],
) -> None:
    server.script = [Reply.html(status, said)]
    refusals = errors.Refused, errors.UploadRefused
    with pytest.raises(refusals) as created:
        service.create(IMAGE_ID, builders.source())
    store = api.ApiStore(
        stores.StoreContext(
            region=REGION,
            endpoint=server.url,
            token=lambda: "secret",
            ssh=hosts.SshHosts(),
            known_hosts="/nowhere",
        )
    )
    with pytest.raises(refusals) as written:
        store.write(IMAGE_ID, 4, [b"data"])
    for caught in (created, written):
        assert " ".join(said.split()) in str(caught.value)
        assert all(one in str(caught.value) for one in remedies)


def test_an_explanation_has_an_end(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply.html(400, "word " * 1000)]
    with pytest.raises(errors.Refused) as caught:
        service.get_record(IMAGE_ID)
    assert 300 <= len(str(caught.value)) < 400


def test_no_message_holds_the_token(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    for reply in (CUT, Reply.html(403, "no"), Reply(500), Reply.of([])):
        server.script = [reply]
        with pytest.raises(errors.SyncError) as caught:
            service.get_record(IMAGE_ID)
        assert "secret-token" not in str(caught.value)
    assert server.requests[0].headers["X-Auth-Token"] == "secret-token"


def test_a_conflict_is_a_taken_id(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply.html(409, "already exists")]
    with pytest.raises(errors.ImageIdTaken, match="already exists"):
        service.create(IMAGE_ID, builders.source())


def test_a_copy_loses_the_properties_that_delete_the_key_of_its_source_first(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    policies = dict.fromkeys(mark_properties.KEY_POLICIES, "on_image_deletion")
    copy = builders.copy(properties=policies)
    server.script = [Reply.of(record()), Reply(204)]
    service.delete(copy)
    patch, deletion = server.requests
    assert (patch.method, deletion.method) == ("PATCH", "DELETE")
    removed = json.loads(patch.body)
    assert {one["path"][1:] for one in removed} == mark_properties.KEY_POLICIES
    assert {one["op"] for one in removed} == {"remove"}


def test_a_copy_stays_while_its_deletion_would_delete_the_key_of_its_source(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    policies = dict.fromkeys(mark_properties.KEY_POLICIES, "on_image_deletion")
    copy = builders.copy(properties=policies)
    server.script = [Reply.html(403, "property protected")]
    with pytest.raises(errors.Refused, match="property protected"):
        service.delete(copy)
    assert [one.method for one in server.requests] == ["PATCH"]


def test_a_quota_that_keeps_a_record_from_being_made_may_be_raised(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply.html(413, "image_count_total")]
    with pytest.raises(errors.UploadRefused, match="HTTP 413: image_count_total"):
        service.create(IMAGE_ID, builders.source())


# Answers that make no sense


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(Reply.of([]), id="list"),
        pytest.param(Reply.of(None), id="null"),
        pytest.param(Reply.of("text"), id="text"),
        pytest.param(Reply.of({}), id="empty"),
        pytest.param(Reply.of(record(id="../etc")), id="id"),
        pytest.param(Reply.of(record(id=str(uuid.uuid4()))), id="another id"),
        pytest.param(Reply.of(record(status="strange")), id="status"),
        pytest.param(Reply.of(record(status=["active"])), id="status list"),
        pytest.param(Reply.of(record(os_hash_algo="md5", os_hash_value=5)), id="hash"),
        pytest.param(Reply.of(record(tags=[[]])), id="tags"),
        pytest.param(Reply.of(record(tags=5)), id="tags number"),
        pytest.param(Reply(200, b"{", {"Content-Type": "application/json"}), id="broken"),
        pytest.param(Reply(200, b"<html>", {"Content-Type": "text/html"}), id="html"),
        pytest.param(Reply(200, b"\x00", {"Content-Type": "application/octet-stream"}), id="data"),
        pytest.param(Reply(204), id="no content"),
    ],
)
def test_an_answer_that_is_no_image_is_unavailable(
    server: scripted_http.Server, service: GlanceImageService, reply: Reply
) -> None:
    server.script = [reply]
    with pytest.raises(errors.ServiceUnavailable, match=REGION):
        service.get_record(IMAGE_ID)
    server.script = [reply]
    if b"../etc" in reply.body or IMAGE_ID.encode() in reply.body:
        with pytest.raises(errors.ServiceUnavailable, match=REGION):
            service.create(IMAGE_ID, builders.source())


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"members": None},
        {"members": [5]},
        {"members": [{}]},
        {"members": [{"member_id": 5, "status": "accepted"}]},
        {"members": [{"member_id": "alpha", "status": "strange"}]},
        {"members": [{"member_id": "alpha"}]},
    ],
)
def test_an_answer_that_lists_no_members_is_unavailable(
    server: scripted_http.Server, service: GlanceImageService, body: object
) -> None:
    server.script = [Reply.of(body)]
    with pytest.raises(errors.ServiceUnavailable, match="members"):
        service.members(builders.copy(visibility="shared"))


def test_hidden_members_of_a_shared_image_are_a_refusal(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply.html(403, "not you"), Reply.of(record(visibility="shared"))]
    with pytest.raises(errors.Refused, match="not you"):
        service.members(builders.copy(visibility="shared"))


# Walks


def test_a_page_that_fails_ends_the_walk_with_an_error(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [listing(record(), further=True), Reply(500)]
    walk = service.pages(1)
    assert [image.image_id for image in next(walk)] == [IMAGE_ID]
    with pytest.raises(errors.ServiceUnavailable):
        next(walk)


@pytest.mark.parametrize("body", [[], {}, {"images": None}, {"images": [1]}, {"images": {}}])
def test_an_answer_that_is_no_page_ends_the_walk_with_an_error(
    server: scripted_http.Server, service: GlanceImageService, body: object
) -> None:
    server.script = [Reply.of(body)]
    with pytest.raises(errors.ServiceUnavailable, match="images"):
        list(service.pages(1))


def test_a_walk_that_goes_in_circles_ends_with_an_error(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [listing(record(), further=True)]
    with pytest.raises(errors.ServiceUnavailable, match="circles"):
        list(service.pages(1))


def test_a_walk_asks_for_every_project_s_images_in_a_stable_order(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    first, second, third = new_ids(3)
    server.script = [
        listing(record(id=first), record(id=second), further=True),
        listing(record(id=third)),
        listing(),
    ]
    pages = [[image.image_id for image in page] for page in service.pages(2)]
    assert pages == [[first, second], [third]]
    common = "visibility=all&member_status=all&sort_key=id&sort_dir=asc&limit=2&os_hidden="
    assert sent(server) == [
        f"GET /v2/images?{common}false",
        f"GET /v2/images?{common}false&marker={second}",
        f"GET /v2/images?{common}true",
    ]


def test_a_walk_goes_back_to_an_image_that_is_still_there(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    ids = new_ids(3)
    unknown = Reply.html(400, "No image found")
    server.script = [
        listing(*(record(id=one) for one in ids), further=True),
        unknown,
        unknown,
        listing(),
    ]
    list(service.pages(3))
    markers = [request.path.rpartition("marker=")[2] for request in server.requests[1:4]]
    assert markers == ids[::-1]


def test_a_walk_whose_page_was_all_deleted_ends_with_an_error(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    page = listing(*(record(id=one) for one in new_ids(30)), further=True)
    server.script = [page, Reply.html(400, "No image found")]
    with pytest.raises(errors.Refused, match="No image found"):
        list(service.pages(30))
    assert len(server.requests) == 11


def test_an_unreadable_record_is_skipped_and_logged_once(
    server: scripted_http.Server, service: GlanceImageService, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = [listing(record(id="odd", status="strange"), record())]
    with caplog.at_level(logging.WARNING, "glance_sync_agent"):
        for _ in range(2):
            pages = list(service.pages(10))
            assert [[one.image_id for one in page] for page in pages] == [[IMAGE_ID]] * 2
    assert len(caplog.messages) == 1
    assert "odd" in caplog.text


def test_at_most_a_thousand_unreadable_records_are_logged_and_remembered(
    server: scripted_http.Server, service: GlanceImageService, caplog: pytest.LogCaptureFixture
) -> None:
    odd = [record(id=f"odd {number}", status="strange") for number in range(1001)]
    server.script = [listing(*odd, record())]
    with caplog.at_level(logging.WARNING, "glance_sync_agent"):
        for _ in range(2):
            list(service.pages(2000))
    assert len(caplog.messages) == 1000


def test_find_asks_for_hidden_images_only_if_some_are_missing(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [listing(record())]
    assert set(service.find([IMAGE_ID])) == {IMAGE_ID}
    assert len(server.requests) == 1
    assert f"id=in%3A{IMAGE_ID}&" in server.requests[0].path + "&"
    # After a page that is full comes another one.
    assert "&limit=2&" in server.requests[0].path + "&"


# Changes


def test_members_come_first_while_shared_and_last_otherwise(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply.of(record())]
    fields = {"attributes": {"name": "x"}, "members": {"alpha": images.MemberStatus.PENDING}}
    service.update(update(builders.copy(visibility="shared"), **fields))
    service.update(update(builders.copy(visibility="private"), **fields))
    methods = [request.method for request in server.requests]
    assert methods == ["POST", "PATCH", "PATCH", "POST"]


def test_a_member_that_goes_does_not_wait_for_a_place_for_another_one(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply(204), Reply(204), Reply.html(413, "the limit on the number of members")]
    members = {"alpha": images.MemberStatus.PENDING, "beta": None, "gamma": None}
    with pytest.raises(errors.Refused, match="number of members"):
        service.update(update(builders.copy(visibility="shared"), members=members))
    path = f"/v2/images/{IMAGE_ID}/members"
    assert sent(server) == [f"DELETE {path}/beta", f"DELETE {path}/gamma", f"POST {path}"]


@pytest.mark.parametrize(
    "failures",
    [
        pytest.param([Reply(500)] * 3, id="500"),
        pytest.param([Reply.html(403, "no")], id="403"),
    ],
)
def test_a_member_that_cannot_be_removed_keeps_no_access_of_others(
    server: scripted_http.Server, service: GlanceImageService, failures: list[Reply]
) -> None:
    server.script = [*failures, Reply(204), Reply.of(record())]
    members = {"alpha": None, "beta": None}
    private = {"visibility": "private"}
    with pytest.raises(errors.SyncError, match=f"HTTP {failures[0].status}"):
        service.update(
            update(builders.copy(visibility="shared"), attributes=private, members=members)
        )
    path = f"/v2/images/{IMAGE_ID}"
    assert sent(server)[len(failures) :] == [f"DELETE {path}/members/beta", f"PATCH {path}"]


def test_a_glance_that_does_not_answer_is_not_asked_to_remove_each_member(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [CUT]
    members = {"alpha": None, "beta": None}
    with pytest.raises(errors.ServiceUnavailable):
        service.update(update(builders.copy(visibility="shared"), members=members))
    assert sent(server) == [f"DELETE /v2/images/{IMAGE_ID}/members/alpha"] * 3


def test_an_update_is_one_patch(server: scripted_http.Server, service: GlanceImageService) -> None:
    server.script = [Reply.of(record())]
    service.update(
        update(
            builders.copy(),
            attributes={"name": None, "min_disk": 0},
            tags=frozenset({"b", "a"}),
            properties={"x/y~z": "", "old": None},
        )
    )
    (request,) = server.requests
    assert request.headers["Content-Type"] == "application/openstack-images-v2.1-json-patch"
    assert json.loads(request.body) == [
        {"op": "replace", "path": "/name", "value": None},
        {"op": "replace", "path": "/min_disk", "value": 0},
        {"op": "replace", "path": "/tags", "value": ["a", "b"]},
        {"op": "add", "path": "/x~1y~0z", "value": ""},
        {"op": "remove", "path": "/old"},
    ]


def test_a_removal_of_what_is_gone_does_not_stop_the_rest(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply.html(409, "gone"), Reply.of(record(there="1")), Reply.of(record())]
    service.update(update(builders.copy(), properties={"gone": None, "there": None, "new": "1"}))
    assert json.loads(server.requests[2].body) == [
        {"op": "remove", "path": "/there"},
        {"op": "add", "path": "/new", "value": "1"},
    ]


def test_a_conflict_that_stays_is_a_refusal(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply.html(409, "no"), Reply.of(record()), Reply.html(409, "never")]
    with pytest.raises(errors.Refused, match="never"):
        service.update(update(builders.copy(), properties={"new": "1"}))


@pytest.mark.parametrize("script", [[NOT_FOUND], [Reply.html(409, "no"), NOT_FOUND]])
def test_a_record_that_vanishes_during_an_update_is_tried_again(
    server: scripted_http.Server, service: GlanceImageService, script: list[Reply]
) -> None:
    server.script = script
    with pytest.raises(errors.TransientError, match="changed while"):
        service.update(update(builders.copy(), properties={"new": "1"}))


def test_a_member_that_vanishes_during_an_update_is_tried_again(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply.of({}), NOT_FOUND]
    members = {"alpha": images.MemberStatus.ACCEPTED}
    with pytest.raises(errors.TransientError, match="changed while"):
        service.update(update(builders.copy(visibility="shared"), members=members))


@pytest.mark.parametrize("member", ["..", ".", "a/b", "", "a?b", "a#b", "%2e"])
@pytest.mark.parametrize("status", [None, images.MemberStatus.ACCEPTED])
def test_no_member_leads_a_request_elsewhere(
    server: scripted_http.Server,
    service: GlanceImageService,
    member: str,
    status: images.MemberStatus | None,
) -> None:
    server.script = [Reply.of({})]
    with pytest.raises(errors.Refused, match="project id"):
        service.update(update(builders.copy(visibility="shared"), members={member: status}))
    assert server.requests == []


def test_an_image_that_vanishes_before_it_is_unprotected_is_deleted(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply.html(403, "protected"), NOT_FOUND]
    service.delete(builders.copy())
    assert [request.method for request in server.requests] == ["DELETE", "PATCH", "DELETE"]


IN_DELETION = Reply.html(400, "Image status transition from deleted to deleted is not allowed")


def test_an_image_that_another_client_deletes_at_the_same_time_is_deleted(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [IN_DELETION, NOT_FOUND]
    service.delete(builders.copy())
    assert [request.method for request in server.requests] == ["DELETE", "GET"]


def test_a_deletion_that_failed_and_left_the_image_is_tried_again_later(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [IN_DELETION, Reply.of(record())]
    with pytest.raises(errors.ServiceUnavailable, match="from deleted to deleted"):
        service.delete(builders.copy())


def test_data_in_use_is_a_refusal(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    server.script = [Reply.html(409, "in use")]
    with pytest.raises(errors.Refused, match="in use"):
        service.delete(builders.copy())


@pytest.mark.parametrize("suffix", ["", "/", "/v2", "/v2/", "/v2.1", "/image", "/image/v2/"])
def test_an_endpoint_with_a_version_is_the_one_without(
    server: scripted_http.Server, make: Callable[..., GlanceImageService], suffix: str
) -> None:
    server.script = [NOT_FOUND]
    make(server.url + suffix).get_record(IMAGE_ID)
    prefix = "/image" if "image" in suffix else ""
    assert sent(server) == [f"GET {prefix}/v2/images/{IMAGE_ID}"]


# Names


def test_images_are_found_by_exactly_their_name_among_hidden_ones_too(
    server: scripted_http.Server, service: GlanceImageService
) -> None:
    first, second, third = new_ids(3)
    server.script = [
        listing(record(id=third, name="golden:1"), record(id=first, name="Golden:1")),
        listing(record(id=second, name="golden:1")),
    ]

    assert service.named("golden:1") == [second, third]
    assert all("name=eq%3Agolden%3A1" in line for line in sent(server))
    assert ["os_hidden=true" in line for line in sent(server)] == [False, True]
