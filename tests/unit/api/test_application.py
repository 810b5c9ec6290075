# SPDX-License-Identifier: Apache-2.0
"""What the API answers, on a cloud in memory."""

import dataclasses
import datetime
import json
from typing import Any

import falcon.testing
import jsonschema
from oslo_config import cfg
import pytest

from glance_sync_agent import errors
from glance_sync_agent.api import application
from glance_sync_agent.api import job_schemas
from glance_sync_agent.api import openapi
from glance_sync_agent.api import operations
from glance_sync_agent.api import policies
from glance_sync_agent.api import schemas
from glance_sync_agent.api.parts import Parts
from glance_sync_agent.api.policies import Policies
from glance_sync_agent.api.shared_counts import SharedCounts
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import meters
from glance_sync_agent.engine import ports
from tests.fakes import world as worlds

TWO, THREE = worlds.CASCADED
UNKNOWN = "99999999-9999-4999-8999-999999999999"
ADMIN = {"X-Roles": "admin,member"}
READER = {"X-Roles": "reader", "OpenStack-System-Scope": "all"}
MEMBER = {"X-Roles": "member,reader"}
SERVICE = {"X-Roles": "service"}


class Stage:
    """The application, its callers, and the cloud behind it."""

    def __init__(
        self, counted: meters.PrometheusMeters | None = None, *, snapshot_origins: Any = ()
    ) -> None:
        self.world = worlds.World(snapshot_origins=snapshot_origins)
        self.visible: set[str] = set()
        self.tokens: list[str] = []
        conf = cfg.ConfigOpts()
        conf([], default_config_files=[], default_config_dirs=[])
        self.parts = Parts(
            outside=self.world.engine.outside,
            engine=self.world.engine,
            settings=self.world.settings,
            may_see=self._may_see,
            counts=SharedCounts(self.world.engine.outside, lambda: 900.0),
            version="1.2.3",
            meters=None if counted is None else counted.registry,
        )
        self.application = application.build(self.parts, Policies(conf))
        self._client = falcon.testing.TestClient(self.application)

    def _may_see(self, token: str, image_id: images.ImageId) -> bool:
        self.tokens.append(token)
        return image_id in self.visible

    def ask(self, method, path, *, who=ADMIN, **details) -> falcon.testing.Result:
        headers = {
            "X-Identity-Status": "Confirmed",
            "X-User-Id": "u1",
            "X-User-Name": "alice",
            "X-Auth-Token": "secret",
            **who,
            **details.pop("headers", {}),
        }
        return self._client.simulate_request(method, path, headers=headers, **details)

    def get(self, path, **details) -> Any:
        answer = self.ask("GET", path, **details)
        assert answer.status_code == 200, answer.text
        return answer.json

    def publish(self, **metadata) -> images.Image:
        image = self.world.source.publish(b"0123456789", **metadata)
        self.world.changed(image.image_id)
        return image


@pytest.fixture
def stage():
    return Stage()


def check(name, answer):
    """Check an answer against its schema."""
    document = {
        "components": {"schemas": schemas.COMPONENTS}, "$ref": f"#/components/schemas/{name}"
    }
    jsonschema.validate(answer, document)


def error(answer, status):
    assert answer.status_code == status, answer.text
    check("Error", answer.json)
    assert answer.json["error"]["code"] == status
    return answer.json["error"]["message"]


def test_the_versions_are_for_everybody(stage):
    answer = stage.ask("GET", "/", headers={"X-Identity-Status": "Invalid"})
    assert answer.json["versions"][0]["status"] == "CURRENT"
    assert stage.ask("GET", "/v1", headers={"X-Identity-Status": ""}).status_code == 200


def test_the_document_names_every_operation(stage):
    document = stage.get("/v1/openapi.json")
    named = {
        (method.upper(), path)
        for path, by_method in document["paths"].items()
        for method in by_method
    }
    assert named == {(one.method, one.path) for one in operations.ALL}
    assert document == json.loads(json.dumps(openapi.document("1.2.3")))
    assert document["paths"]["/v1/images"]["get"]["summary"] == (
        "List images with their state in each region."
    )


def test_an_image_is_shown_with_its_copies(stage):
    image = stage.publish(name="golden")
    stage.world.run()
    found = stage.get(f"/v1/images/{image.image_id}")
    check("Image", found)
    assert (found["id"], found["name"]) == (image.image_id, "golden")
    assert [(one["region"], one["status"], one["code"]) for one in found["regions"]] == [
        (region, "success", "in_sync") for region in sorted([TWO, THREE])
    ]


def test_images_are_listed_in_pages_with_filters(stage):
    found = sorted(stage.publish().image_id for _ in range(5))
    stage.world.run()
    waiting = stage.publish()
    first = stage.get("/v1/images", query_string="limit=2&status=success")
    check("Images", first)
    assert [one["id"] for one in first["images"]] == found[:2]
    second = stage.get(first["next"].partition("?")[0], query_string=first["next"].split("?")[1])
    assert [one["id"] for one in second["images"]] == found[2:4]
    back = stage.get("/v1/images", query_string="sort=id:desc&status=success&limit=1")
    assert [one["id"] for one in back["images"]] == [found[-1]]
    only = stage.get("/v1/images", query_string=f"status=pending&region={TWO}&code=requested")
    assert [one["id"] for one in only["images"]] == [waiting.image_id]
    assert only["next"] is None
    none = stage.get("/v1/images", query_string="name=none&since=2030-01-01T00:00:00Z")
    assert none == {"images": [], "next": None}


def test_a_page_of_images_with_many_copies_is_shorter(stage):
    regions = [images.RegionId(f"Region{number}") for number in range(250)]
    now = stage.world.clock.now()
    request = ports.Request(request_id="r", now=now, not_before=now)
    found = [images.ImageId(f"{number:08x}{UNKNOWN[8:]}") for number in range(25)]
    for image_id in found:
        stage.world.store.request(image_id, regions, request)
    first = stage.get("/v1/images", query_string="limit=1000")
    assert [one["id"] for one in first["images"]] == found[:20]
    rest = stage.get("/v1/images", query_string=first["next"].partition("?")[2])
    assert [one["id"] for one in rest["images"]] == found[20:]
    assert rest["next"] is None


def test_whoever_may_see_an_image_may_see_its_state_and_no_list(stage):
    image, other = stage.publish(), stage.publish()
    stage.visible.add(image.image_id)
    stage.get(f"/v1/images/{image.image_id}", who=MEMBER)
    stage.get(f"/v1/images/{image.image_id}/placement", who=MEMBER)
    assert stage.tokens == ["secret", "secret"]
    path = f"/v1/images/{other.image_id}"
    assert "you may not see it" in error(stage.ask("GET", path, who=MEMBER), 404)
    for path in ("images", "regions", "agents", "events", "summary"):
        assert "does not allow" in error(stage.ask("GET", f"/v1/{path}", who=MEMBER), 403)


@pytest.mark.parametrize("who", [READER, SERVICE, ADMIN])
def test_personas_read_all(stage, who):
    image = stage.publish()
    stage.get(f"/v1/images/{image.image_id}", who=who)
    for path, name in (
        ("images", "Images"), ("regions", "Regions"), ("agents", "Agents"),
        ("events", "Events"), ("summary", "Summary"),
    ):
        check(name, stage.get(f"/v1/{path}", who=who))
    assert stage.tokens == []


@pytest.mark.parametrize("who", [READER, MEMBER])
@pytest.mark.parametrize(
    ("method", "path"),
    [(one.method, one.path) for one in operations.ALL if one.method != "GET"],
)
def test_who_may_only_read_changes_nothing(stage, who, method, path):
    image = stage.publish()
    stage.visible.add(image.image_id)
    before = list(stage.world.store.list())
    path = path.format(image_id=image.image_id, region=TWO, job_id=UNKNOWN)
    body = {"paused": True, "reason": "x"} if method == "PATCH" else {}
    assert "does not allow" in error(stage.ask(method, path, who=who, json=body), 403)
    assert list(stage.world.store.list()) == before
    assert not stage.world.pauses.all()


@pytest.mark.parametrize("status", ["Invalid", ""])
def test_without_a_confirmed_token_nothing_is_answered(stage, status):
    image = stage.publish()
    headers = {"X-Identity-Status": status}
    for operation in operations.ALL:
        path = operation.path.format(image_id=image.image_id, region=TWO, job_id=UNKNOWN)
        answer = stage.ask(operation.method, path, headers=headers)
        assert "X-Auth-Token" in error(answer, 401)
        assert "Keystone" in answer.headers["www-authenticate"]


@pytest.mark.parametrize(
    ("who", "system", "rules"),
    [
        (ADMIN, False, {"read", "change"}),
        (SERVICE, False, {"read", "change"}),
        (READER, True, {"read"}),
        (MEMBER, False, set()),
    ],
)
def test_callers_learn_what_the_policies_allow_to_them(stage, who, system, rules):
    found = stage.get("/v1/caller", who={**who, "X-Project-Id": "p1"})
    check("Caller", found)
    names = [one.name for one in policies.list_rules()]
    assert found == {
        "user_id": "u1",
        "user_name": "alice",
        "project_id": "p1",
        "system": system,
        "roles": sorted(who["X-Roles"].split(",")),
        "rules": [one for one in names if one.rpartition(":")[2] in rules],
    }
    assert "secret" not in str(found)


def test_placement_says_where_an_image_belongs_and_why(stage):
    image = stage.publish()
    found = stage.get(f"/v1/images/{image.image_id}/placement")
    check("Placement", found)
    assert [(one["region"], one["wanted"]) for one in found["placement"]] == [
        (region, True) for region in sorted([TWO, THREE])
    ]
    assert "there is no image" not in str(found)
    error(stage.ask("GET", f"/v1/images/{UNKNOWN}/placement"), 404)


def test_a_user_is_not_told_whose_image_has_the_data_of_his(stage):
    there = stage.world.two.publish(b"1", owner="somebody", visibility="private")
    stage.world.source.shows_locations = True
    image = stage.world.refer(there, owner="me")
    stage.visible.add(image.image_id)
    path = f"/v1/images/{image.image_id}/placement"
    assert "somebody" in str(stage.get(path)["placement"])
    mine = stage.get(path, who=MEMBER)
    check("Placement", mine)
    assert {(one["wanted"], one["why"]) for one in mine["placement"]} == {(False, "")}


@pytest.fixture
def snapshot():
    """Return a stage, and a private snapshot in RegionTwo that the agent copies."""
    stage = Stage(snapshot_origins=[TWO])
    stage.world.policy = dataclasses.replace(
        stage.world.policy, snapshot_regions=frozenset({THREE, worlds.CASCADING})
    )
    there = stage.world.two.publish(
        b"1", properties={"image_type": "snapshot"}, owner="beta", name="payroll"
    )
    return stage, there


def test_an_image_with_the_id_of_a_snapshot_elsewhere_tells_nothing_of_it(snapshot):
    """Glance lets users choose the ids of their images."""
    stage, there = snapshot
    mark = {"glance_sync_source_id": there.image_id, "glance_sync_source_region": TWO}
    names_itself = {
        "glance_sync_copy_id": there.image_id, "glance_sync_copy_region": worlds.CASCADING
    }
    stage.world.source.publish(
        b"2", image_id=there.image_id, owner="alpha", properties={**mark, **names_itself}
    )
    stage.world.engine.shared.requests.request_source(there.image_id, TWO)
    stage.world.run()
    stage.visible.add(there.image_id)
    path = f"/v1/images/{there.image_id}"
    assert stage.get(path)["name"] == "payroll"
    for one in (path, f"{path}/placement"):
        error(stage.ask("GET", one, who=MEMBER), 404)


def test_a_copy_in_the_cascading_region_tells_of_its_snapshot(snapshot):
    stage, there = snapshot
    stage.world.engine.shared.requests.request_source(there.image_id, TWO)
    stage.world.settle()
    assert there.image_id in stage.world.source.ids()
    stage.visible.add(there.image_id)
    path = f"/v1/images/{there.image_id}"
    assert [one["region"] for one in stage.get(path, who=MEMBER)["regions"]] == [
        worlds.CASCADING, THREE
    ]
    placed = stage.get(f"{path}/placement", who=MEMBER)["placement"]
    assert [one["region"] for one in placed] == [worlds.CASCADING, THREE]


def test_a_region_that_does_not_answer_is_a_warning_of_placement(stage):
    def fail(_name, _image_id):
        raise errors.ServiceUnavailable("down")

    there = stage.world.two.publish(b"1", image_type="snapshot")
    stage.world.three.before = fail
    found = stage.get(f"/v1/images/{there.image_id}/placement")
    assert found["warnings"] == ["region RegionThree was not searched: down"]
    assert [one["region"] for one in found["placement"]] == [THREE]
    answer = stage.ask("GET", f"/v1/images/{UNKNOWN}/placement")
    assert error(answer, 503)


def test_an_image_is_requested_retried_and_cancelled(stage):
    image = stage.publish()
    path = f"/v1/images/{image.image_id}"
    answer = stage.ask("POST", f"{path}/sync", json={"regions": [TWO]})
    assert (answer.status_code, answer.json) == (
        202, {"image_id": image.image_id, "regions": [TWO]}
    )
    answer = stage.ask("POST", f"{path}/cancel")
    check("Requested", answer.json)
    assert answer.json["regions"] == sorted([TWO, THREE])
    assert stage.world.task(image).cancelled_by == "alice (u1)"
    answer = stage.ask("POST", f"{path}/retry", json={"regions": [THREE]})
    assert answer.json["regions"] == [THREE]
    assert stage.world.task(image).cancelled_by == "alice (u1)"
    kinds = [one["kind"] for one in stage.get("/v1/events")["events"]]
    assert kinds == ["retried", "cancelled", "cancelled", "requested"]


def test_a_request_with_the_same_id_does_nothing_again(stage):
    image = stage.publish()
    extras = {"openstack.global_request_id": "req-1"}
    path = f"/v1/images/{image.image_id}/cancel"
    for _ in range(2):
        assert stage.ask("POST", path, extras=extras).json["regions"] == sorted([TWO, THREE])
    assert len(stage.get("/v1/events")["events"]) == 2
    events = stage.get("/v1/events", query_string=f"image_id={image.image_id}&limit=1")
    check("Events", events)
    assert events["events"][0]["request_id"] == "req-1"
    following = stage.get("/v1/events", query_string=events["next"].partition("?")[2])
    assert len(following["events"]) == 1


def test_many_failures_are_retried_at_once(stage):
    found = [stage.publish() for _ in range(3)]
    for image in found:
        stage.ask("POST", f"/v1/images/{image.image_id}/cancel", json={"regions": [TWO]})
    answer = stage.ask("POST", "/v1/tasks/retry", json={"code": "cancelled", "region": TWO})
    assert (answer.status_code, answer.json) == (202, {"tasks": 3})
    assert stage.ask("POST", "/v1/tasks/retry").json == {"tasks": 0}


@pytest.mark.parametrize("verb", ["retry", "cancel"])
def test_an_image_without_a_task_is_not_found(stage, verb):
    error(stage.ask("POST", f"/v1/images/{UNKNOWN}/{verb}"), 404)
    error(stage.ask("GET", f"/v1/images/{UNKNOWN}"), 404)


def test_a_region_that_does_not_exist_is_named_with_those_that_do(stage):
    image = stage.publish()
    answer = stage.ask(
        "POST", f"/v1/images/{image.image_id}/sync", json={"regions": ["Typo", TWO]}
    )
    assert error(answer, 400) == (
        "no region to copy to: Typo; the regions are RegionThree, RegionTwo"
    )


def test_a_region_is_paused_and_resumed(stage):
    answer = stage.ask(
        "PATCH", f"/v1/regions/{TWO}",
        json={"paused": True, "reason": "new disks", "finish": True},
    )
    check("Region", answer.json)
    assert (answer.status_code, answer.json["state"]) == (200, "paused")
    assert stage.world.pauses.all()[TWO].finishes
    assert "by alice (u1): new disks" in stage.get(f"/v1/regions/{TWO}")["why"]
    answer = stage.ask("PATCH", f"/v1/regions/{TWO}", json={"paused": False})
    assert answer.json["state"] == "available"
    assert "needs a reason" in error(
        stage.ask("PATCH", f"/v1/regions/{TWO}", json={"paused": True}), 400
    )
    error(stage.ask("PATCH", "/v1/regions/Typo", json={"paused": False}), 404)
    error(stage.ask("GET", f"/v1/regions/{worlds.CASCADING}"), 404)


def test_nobody_resumes_a_region_that_a_window_pauses(stage):
    stage.world.open_window()
    stage.ask("PATCH", f"/v1/regions/{TWO}", json={"paused": True, "reason": "new disks"})
    assert stage.get(f"/v1/regions/{TWO}")["paused_until"] is None
    answer = stage.ask("PATCH", f"/v1/regions/{TWO}", json={"paused": False})
    check("Region", answer.json)
    assert (answer.json["state"], answer.json["paused_until"], answer.json["why"]) == (
        "paused",
        "2026-11-22T16:00:00Z",
        (
            "since 2026-11-22T08:00:00Z until 2026-11-22T16:00:00Z by pause_windows: "
            "0 8 * * * 8h UTC"
        ),
    )
    assert stage.get(f"/v1/regions/{THREE}")["state"] == "available"


def test_every_region_of_the_catalogue_is_listed(stage):
    later = stage.world.clock.now() + datetime.timedelta(seconds=9)
    stage.world.breakers.change(
        TWO, lambda _: breakers.Breaker(failures=3, retry_at=later, reason="refused")
    )
    found = stage.get("/v1/regions")["regions"]
    assert [(one["region"], one["state"]) for one in found] == [
        ("RegionThree", "available"), ("RegionTwo", "unavailable")
    ]


def test_agents_are_listed(stage):
    stage.world.upkeep.run()
    (agent,) = stage.get("/v1/agents")["agents"]
    assert (agent["agent_id"], agent["state"]) == ("agent", "running")


def test_who_has_an_answer_already_gets_no_body(stage):
    stage.publish()
    first = stage.ask("GET", "/v1/images")
    etag = first.headers["etag"]
    again = stage.ask("GET", "/v1/images", headers={"If-None-Match": etag})
    assert (again.status_code, again.text, again.headers["etag"]) == (304, "", etag)
    assert stage.ask("GET", "/v1/images", headers={"If-None-Match": "*"}).status_code == 304
    stage.publish()
    changed = stage.ask("GET", "/v1/images", headers={"If-None-Match": etag})
    assert changed.status_code == 200


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=" + "9" * 5000, "limit"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit is given 2 times"),
        ("marker=..%2F..", "marker"),
        ("status=lost", "status"),
        ("code=lost", "code"),
        ("sort=size", "sort"),
        ("since=yesterday", "since"),
        ("since=0001-01-01T00:00:00%2B23:59", "since"),
        ("region=%00", "region"),
        ("region=", "region"),
        ("name=" + "x" * 300, "name"),
        ("owner=alpha", "owner"),
        ("lim%1bit=1", r"lim\x1bit"),
    ],
)
def test_a_bad_query_is_a_sentence(stage, query, said):
    assert said in error(stage.ask("GET", "/v1/images", query_string=query), 400)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("[" * 100_000, 400),
        ("[]", 400),
        ("1", 400),
        ('{"regions": "RegionTwo"}', 400),
        ('{"regions": []}', 400),
        ('{"regions": ["RegionTwo", "RegionTwo"]}', 400),
        ('{"regions": [1]}', 400),
        ('{"regions": ["\\ud800"]}', 400),
        ('{"regoins": ["RegionTwo"]}', 400),
        (b"\xff\xfe", 400),
    ],
)
def test_a_bad_body_is_a_sentence(stage, body, status):
    image = stage.publish()
    answer = stage.ask(
        "POST", f"/v1/images/{image.image_id}/sync", body=body,
        headers={"Content-Type": "application/json"},
    )
    assert error(answer, status)


def test_a_body_of_another_type_is_refused(stage):
    image = stage.publish()
    answer = stage.ask(
        "POST", f"/v1/images/{image.image_id}/sync", body="<a/>",
        headers={"Content-Type": "text/xml"},
    )
    error(answer, 415)


@pytest.mark.parametrize("image_id", ["1", "..", "x" * 400, "%00", UNKNOWN + "0", UNKNOWN + "%0A"])
def test_what_is_no_id_is_a_sentence(stage, image_id):
    answer = stage.ask("GET", f"/v1/images/{image_id}")
    assert "image_id" in error(answer, 400)


def test_an_id_may_be_written_in_capitals(stage):
    image = stage.publish()
    assert stage.get(f"/v1/images/{image.image_id.upper()}")["id"] == image.image_id


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2", 404), ("GET", "/v1/nothing", 404), ("DELETE", "/v1/images", 405)],
)
def test_what_does_not_exist_is_answered_as_json(stage, method, path, status):
    error(stage.ask(method, path), status)


def test_a_service_that_does_not_answer_is_no_failure_of_the_caller(stage, caplog):
    stage.world.store.is_down = True
    answer = stage.ask("GET", "/v1/images")
    assert "does not answer" in error(answer, 503)
    assert answer.headers["retry-after"] == "10"
    assert "the task store" not in answer.text
    assert "cannot use the task store: it is down" in caplog.text


def test_a_code_that_no_row_has_is_refused_as_a_filter(stage):
    answer = stage.ask("GET", "/v1/images", query_string="code=region_paused")
    assert "filter by the region" in error(answer, 400)


def test_a_bug_is_logged_and_shows_nothing_of_itself(stage, monkeypatch, caplog):
    def crash(*_args):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(stage.world.store, "page", crash)
    answer = stage.ask("GET", "/v1/images")
    assert "secret detail" not in error(answer, 500)
    assert "ZeroDivisionError: secret detail" in caplog.text


def test_who_is_no_operator_reads_no_hosts_and_no_names(stage):
    image = stage.publish()
    stage.visible.add(image.image_id)
    stage.ask("PATCH", f"/v1/regions/{TWO}", json={"paused": True, "reason": "INC-4711"})
    shown = stage.ask("GET", f"/v1/images/{image.image_id}", who=MEMBER)
    assert "INC-4711" not in shown.text
    assert {one["code"] for one in shown.json["regions"]} == {"region_paused", "requested"}
    assert "INC-4711" in stage.ask("GET", f"/v1/images/{image.image_id}").text


def test_breakers_and_pauses_are_read_once_for_a_page(stage, monkeypatch):
    read = []
    everything = stage.world.pauses.all

    def count():
        read.append(1)
        return everything()

    monkeypatch.setattr(stage.world.pauses, "all", count)
    for _ in range(5):
        stage.publish()
    assert len(stage.get("/v1/images")["images"]) == 5
    assert len(read) == 1


def test_only_a_few_requests_at_once_ask_glances(stage, monkeypatch):
    monkeypatch.setattr(application, "_SLOT_SECONDS", 0.01)
    monkeypatch.setattr(application, "_SLOW_AT_ONCE", 1)
    busy = Stage()
    image = busy.publish()
    seen = []

    def look(_name, _image_id):
        busy.world.source.before = lambda _name, _image_id: None
        seen.append(busy.ask("GET", f"/v1/images/{image.image_id}/placement").status_code)
        seen.append(busy.ask("GET", "/v1/regions").status_code)

    busy.world.source.before = look
    assert busy.ask("GET", f"/v1/images/{image.image_id}/placement").status_code == 200
    assert seen == [503, 200]
    assert busy.ask("GET", f"/v1/images/{image.image_id}/placement").status_code == 200


def test_a_refusal_of_a_service_is_no_state_of_the_caller(stage, caplog):
    def refuse(_name, _image_id):
        raise errors.Refused("HTTP 403 at glance.example")

    image = stage.publish()
    stage.world.source.before = refuse
    answer = stage.ask("GET", f"/v1/images/{image.image_id}/placement")
    assert "glance.example" not in error(answer, 502)
    assert "glance.example" in caplog.text


def test_a_slash_at_the_end_changes_nothing(stage):
    stage.get("/v1/regions/")
    assert stage.ask("GET", "/v1/").status_code == 200


def test_a_token_is_in_no_text(stage):
    image = stage.publish()
    stage.visible.add(image.image_id)
    answer = stage.ask("GET", f"/v1/images/{image.image_id}", who=MEMBER)
    assert "secret" not in answer.text


@pytest.fixture
def doubtful(stage):
    """An image of RegionTwo that no task knows, and that may be our copy."""
    image = stage.publish()
    stage.world.run()
    stage.world.store.__init__()
    stage.world.two.change(image.image_id, owner="somebody else")
    return image


def test_a_doubtful_image_is_listed_adopted_and_disowned(stage, doubtful):
    found = stage.get("/v1/orphans", query_string=f"region={TWO}")
    check("Orphans", found)
    assert [one["image_id"] for one in found["orphans"]] == [doubtful.image_id]
    path = f"/v1/images/{doubtful.image_id}"
    answer = stage.ask("POST", f"{path}/adopt", json={"region": TWO})
    check("Settled", answer.json)
    assert answer.json == {
        "image_id": doubtful.image_id,
        "region": TWO,
        "source_id": doubtful.image_id,
        "source_region": worlds.CASCADING,
    }
    stage.world.run()
    answer = stage.ask("POST", f"{path}/disown", json={"region": TWO})
    assert answer.status_code == 200
    assert stage.get("/v1/events")["events"][0]["kind"] == "disowned"


def test_an_orphan_is_deleted_by_name_and_nothing_else_is(stage):
    image = stage.publish()
    stage.world.run()
    path = f"/v1/orphans/{TWO}/{image.image_id}"
    assert "is no orphan" in error(stage.ask("DELETE", path), 409)
    stage.world.store.__init__()
    stage.world.source.delete(image)
    (orphan,) = stage.get("/v1/orphans", query_string=f"region={TWO}")["orphans"]
    assert (orphan["image_id"], orphan["kind"]) == (image.image_id, "orphan")
    answer = stage.ask("DELETE", path)
    check("Orphan", answer.json)
    assert image.image_id not in stage.world.two.ids()


def test_a_region_that_was_not_searched_is_named(stage):
    def fail(_name, _image_id):
        raise errors.ServiceUnavailable("down")

    stage.world.two.before = fail
    found = stage.get("/v1/orphans")
    assert found["warnings"] == ["region RegionTwo was not searched: down"]


def test_a_held_copy_is_released(stage):
    image = stage.publish()
    path = f"/v1/images/{image.image_id}/release"
    error(stage.ask("POST", path, json={"region": TWO}), 404)
    stage.world.run()
    answer = stage.ask("POST", path, json={"region": TWO})
    assert (answer.status_code, answer.json["regions"]) == (202, [TWO])
    assert "no region with this name" in error(
        stage.ask("POST", path, json={"region": "Typo"}), 400
    )


def test_every_field_of_an_operation_is_documented():
    for operation in operations.ALL:
        assert operation.summary.endswith("."), operation.name
        assert operation.answer in {**schemas.COMPONENTS, **job_schemas.COMPONENTS}
    names = [one.name for one in operations.ALL]
    assert len(set(names)) == len(names)
    assert dataclasses.is_dataclass(operations.ALL[0])
