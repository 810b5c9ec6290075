# SPDX-License-Identifier: Apache-2.0
"""Verifications on the page."""

import pytest

from tests.fakes import world as worlds
from tests.unit.api.test_application import UNKNOWN
from tests.unit.ui import stages

TWO, THREE = worlds.CASCADED


@pytest.fixture
def stage():
    made = stages.Stage()
    assert made.log_in().status_code == 303
    return made


def start(stage, **form):
    """Ask for a verification; return it as the list shows it."""
    answer = stage.post("/ui/verifications/start", form)
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/ui/verifications?done=verified"
    return stage.get("/ui/data/verifications").json["jobs"][0]


def test_an_image_is_verified_in_a_region_and_its_verdict_is_shown(stage):
    image, _other = stage.api.publish(), stage.api.publish()
    stage.world.settle()
    found = start(stage, image_id=f" {image.image_id.upper()} ", region=TWO, dry_run="yes")
    assert (found["word"], found["kind"]) == ("waiting", "report only")
    assert found["where"] == f"image {image.image_id} in {TWO}"
    stage.world.verification_runner.run()
    one = stage.get(f"/ui/data/{found['href']}").json
    assert [(each["region"], each["what"]) for each in one["findings"]] == [(TWO, "ok")]
    assert one["may_run"]
    text = stage.get(f"/ui/{found['href']}").text
    assert f'name="region" value="{TWO}"' in text
    assert f'name="image_id" value="{image.image_id}"' in text
    assert "An agent will run the verification." in (
        stage.get("/ui/verifications", query_string="done=verified").text
    )


def test_all_copies_are_verified_and_replaced(stage):
    stage.api.publish()
    stage.world.settle()
    found = start(stage, image_id="", region="")
    assert (found["kind"], found["where"]) == ("replaces bad copies", "all regions")
    stage.world.verification_runner.run()
    one = stage.get(f"/ui/data/{found['href']}").json
    assert len(one["findings"]) == 2
    assert not one["may_run"]


def test_a_verification_that_replaces_all_says_so(stage):
    body = {"replace_all": True}
    stage.api.ask("POST", "/v1/verifications", json=body)
    [found] = stage.get("/ui/data/verifications").json["jobs"]
    assert found["kind"] == "replaces bad copies, however many"


def test_a_verification_is_cancelled(stage):
    found = start(stage)
    answer = stage.post(f"/ui/{found['href']}/cancel", {})
    assert answer.headers["location"] == f"/ui/{found['href']}?done=verification_cancelled"
    assert "The verification is cancelled." in stage.get(answer.headers["location"]).text
    one = stage.get(f"/ui/data/{found['href']}").json
    assert (one["word"], one["may_cancel"]) == ("cancelled", False)


@pytest.mark.parametrize("image_id", ["x", "../scans", "<b>", "{}", "1" * 33])
def test_an_id_that_is_none_is_refused(stage, image_id):
    answer = stage.post("/ui/verifications/start", {"image_id": image_id})
    assert answer.status_code == 400
    assert "An id of an image looks like" in answer.text
    assert "<b>" not in answer.text
    assert not stage.get("/ui/data/verifications").json["jobs"]


def test_a_verification_that_is_not_there_is_a_page(stage):
    assert stage.get(f"/ui/verifications/{UNKNOWN}").status_code == 404
    assert stage.post(f"/ui/verifications/{UNKNOWN}/cancel", {}).status_code == 404
    scan = stage.api.ask("POST", "/v1/scans", json={}).json["id"]
    assert stage.get(f"/ui/verifications/{scan}").status_code == 404


def test_a_reader_sees_verifications_and_starts_none(stage):
    found = start(stage)
    stage.cookie = None
    assert stage.log_in("reader").status_code == 303
    assert "/start" not in stage.get("/ui/verifications").text
    assert stage.post("/ui/verifications/start", {}).status_code == 403
    assert stage.post(f"/ui/{found['href']}/cancel", {}).status_code == 403
