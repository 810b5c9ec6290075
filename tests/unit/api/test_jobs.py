# SPDX-License-Identifier: Apache-2.0
"""Scans and verifications through the API."""

import jsonschema
import pytest

from glance_sync_agent.api import job_schemas
from glance_sync_agent.api import schemas
from tests.fakes import world as worlds
from tests.unit.api import test_application as application
from tests.unit.api.test_application import MEMBER
from tests.unit.api.test_application import READER
from tests.unit.api.test_application import UNKNOWN

TWO, THREE = worlds.CASCADED


@pytest.fixture
def stage():
    return application.Stage()


def check(name, answer):
    components = {**schemas.COMPONENTS, **job_schemas.COMPONENTS}
    document = {"components": {"schemas": components}, "$ref": f"#/components/schemas/{name}"}
    jsonschema.validate(answer, document)


def ask(stage, what, **body):
    answer = stage.ask("POST", f"/v1/{what}", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json


def follow(stage, answer, name):
    """Return everything that a list has, page after page."""
    found, pages = list(answer[name]), 1
    while answer["next"]:
        path, _, query = answer["next"].partition("?")
        answer = stage.get(path, query_string=query)
        found += answer[name]
        pages += 1
    return found, pages


def test_a_scan_is_asked_for_run_and_shown_with_its_plan(stage):
    image = stage.world.source.publish(b"12345", name="golden")
    waiting = ask(stage, "scans", dry_run=True, regions=[TWO])
    check("Scan", waiting)
    assert (waiting["state"], waiting["asked_by"]) == ("waiting", "alice (u1)")
    stage.world.scan_runner.run()
    done = stage.get(f"/v1/scans/{waiting['id']}")
    check("Scan", done)
    assert (done["state"], done["counts"]["findings"]) == ("done", 1)
    plan = stage.get(f"/v1/scans/{waiting['id']}/findings")
    check("Findings", plan)
    assert plan == {
        "findings": [
            {
                "number": 1, "image_id": image.image_id, "image_name": "golden",
                "region": TWO, "what": "copy", "why": "there is no copy", "bytes": None,
            }
        ],
        "next": None,
    }


def test_a_scan_may_delete_more_if_that_is_said(stage):
    assert ask(stage, "scans", allow_deletes=12)["allow_deletes"] == 12
    assert ask(stage, "scans")["allow_deletes"] is None


def test_a_verification_is_asked_for_run_and_shown_with_its_verdicts(stage):
    image = stage.publish()
    stage.world.settle()
    waiting = ask(stage, "verifications", image_id=image.image_id.upper(), dry_run=True)
    check("Verification", waiting)
    assert (waiting["image_id"], waiting["replace_all"]) == (image.image_id, False)
    stage.world.verification_runner.run()
    path = f"/v1/verifications/{waiting['id']}"
    assert stage.get(path)["counts"]["ok"] == 2
    found, pages = follow(
        stage, stage.get(f"{path}/findings", query_string="limit=1"), "findings"
    )
    assert [(one["what"], one["bytes"]) for one in found] == [("ok", 10)] * 2
    assert pages == 3


def test_jobs_are_listed_in_pages(stage):
    asked = [ask(stage, "scans")["id"]]
    for _ in range(2):
        stage.world.clock.advance(1.0)
        asked.append(ask(stage, "scans")["id"])
    ask(stage, "verifications")
    first = stage.get("/v1/scans", query_string="limit=2")
    check("Scans", first)
    found, pages = follow(stage, first, "scans")
    assert ([one["id"] for one in found], pages) == (asked[::-1], 2)
    all_of_them = stage.get("/v1/verifications")
    check("Verifications", all_of_them)
    assert len(all_of_them["verifications"]) == 1


def test_a_repeated_request_is_one_job(stage):
    headers = {"X-Openstack-Request-Id": "req-7"}
    one = stage.ask("POST", "/v1/scans", headers=headers, extras=REQUEST)
    two = stage.ask("POST", "/v1/scans", headers=headers, extras=REQUEST)
    assert one.json == two.json


REQUEST = {"openstack.global_request_id": "req-7"}


@pytest.mark.parametrize("what", ["scans", "verifications"])
def test_who_may_not_is_told_so(stage, what):
    job = ask(stage, what)
    assert stage.ask("POST", f"/v1/{what}", who=READER).status_code == 403
    assert stage.ask("GET", f"/v1/{what}", who=MEMBER).status_code == 403
    assert stage.ask("GET", f"/v1/{what}/{job['id']}", who=READER).status_code == 200
    for path in ("", f"/{job['id']}", f"/{job['id']}/findings"):
        assert stage.ask("GET", f"/v1/{what}{path}", who=MEMBER).status_code == 403


def test_what_is_not_there_is_not_found(stage):
    scan = ask(stage, "scans")
    for path in (f"scans/{UNKNOWN}", f"verifications/{scan['id']}", f"scans/{UNKNOWN}/findings"):
        message = application.error(stage.ask("GET", f"/v1/{path}"), 404)
        assert message == f"there is no {path.split('/')[0][:-1]} with this id"
    application.error(stage.ask("GET", "/v1/scans/x"), 400)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"regions": [TWO, "Atlantis"]}, "RegionThree, RegionTwo"),
        ({"regions": [worlds.CASCADING]}, "RegionThree, RegionTwo"),
        ({"allow_deletes": 0}, "minimum"),
        ({"delete": True}, "unexpected"),
    ],
)
def test_a_wrong_order_is_refused(stage, body, words):
    assert words in application.error(stage.ask("POST", "/v1/scans", json=body), 400)


@pytest.mark.parametrize("what", ["scans", "verifications"])
def test_a_job_is_cancelled(stage, what):
    job = ask(stage, what)
    path = f"/v1/{what}/{job['id']}/cancel"
    assert stage.ask("POST", path, who=READER).status_code == 403
    answer = stage.ask("POST", path)
    assert (answer.status_code, answer.json["state"]) == (202, "cancelled")
    assert answer.json["notes"] == ["Cancelled by alice (u1)"]
    assert stage.get(f"/v1/{what}/{job['id']}") == answer.json


def test_a_marker_must_be_a_job(stage):
    answer = stage.ask("GET", "/v1/scans", query_string=f"marker={UNKNOWN}")
    assert "no job" in application.error(answer, 400)
