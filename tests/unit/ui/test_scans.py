# SPDX-License-Identifier: Apache-2.0
"""Scans on the page."""

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
    """Ask for a scan and let an agent run it; return it as the list shows it."""
    answer = stage.post("/ui/scans/start", form)
    assert answer.headers["location"] == "/ui/scans?done=scanned"
    stage.world.scan_runner.run()
    return stage.get("/ui/data/scans").json["jobs"][0]


def test_a_plan_is_shown_and_changes_nothing(stage):
    image = stage.world.source.publish(b"12345", name="golden")
    scan = start(stage, dry_run="yes", region=TWO)
    assert (scan["word"], scan["kind"], scan["where"]) == ("done", "plan only", TWO)
    assert "1 findings" in scan["counts"]
    found = stage.get(f"/ui/data/{scan['href']}").json
    assert [(one["name"], one["region"], one["what"]) for one in found["findings"]] == [
        ("golden", TWO, "copy")
    ]
    assert found["findings"][0]["href"] == f"images/{image.image_id}"
    assert list(stage.world.store.list()) == []
    text = stage.get(f"/ui/{scan['href']}").text
    assert "golden" in text
    assert f'name="region" value="{TWO}"' in text
    assert "An agent will run the scan." in stage.get("/ui/scans?done=scanned").text


def test_a_scan_requests_the_differences(stage):
    stage.world.source.publish(b"12345", name="golden")
    scan = start(stage)
    assert (scan["kind"], scan["where"]) == ("requests the differences", "all regions")
    assert {one.key.region for one in stage.world.store.list()} == {TWO, THREE}
    assert not stage.get(f"/ui/data/{scan['href']}").json["may_run"]


def test_a_scan_may_name_several_regions(stage):
    answer = stage.post("/ui/scans/start", {"region": f"{TWO}\n{THREE}", "dry_run": "yes"})
    assert answer.status_code == 303
    assert stage.get("/ui/data/scans").json["jobs"][0]["where"] == f"{THREE}, {TWO}"
    text = stage.get(f"/ui/{stage.get('/ui/data/scans').json['jobs'][0]['href']}").text
    assert "waiting" in text
    twice = f"csrf={stage.session().csrf}&region={TWO}&region={THREE}"
    headers = {"Origin": stages.ORIGIN, "Content-Type": "application/x-www-form-urlencoded"}
    assert stage.ask("POST", "/ui/scans/start", body=twice, headers=headers).status_code == 303


def test_a_long_plan_has_pages(stage):
    for number in range(101):
        stage.world.source.publish(b"1", name=f"n{number}")
    scan = start(stage, dry_run="yes")
    first = stage.get(f"/ui/data/{scan['href']}").json
    assert len(first["findings"]) == 200
    path, _, query = first["next"].partition("?")
    second = stage.get(f"/ui/data/{path}", query_string=query).json
    assert (len(second["findings"]), second["next"]) == (2, None)


@pytest.mark.parametrize("region", ["Nowhere", f"{TWO}\n{TWO}", "<b>"])
def test_a_scan_of_an_unknown_region_is_refused(stage, region):
    answer = stage.post("/ui/scans/start", {"region": region})
    assert answer.status_code == 400
    assert "<b>" not in answer.text


def test_a_scan_is_cancelled(stage):
    stage.post("/ui/scans/start", {})
    [scan] = stage.get("/ui/data/scans").json["jobs"]
    assert stage.get(f"/ui/data/{scan['href']}").json["may_cancel"]
    answer = stage.post(f"/ui/{scan['href']}/cancel", {})
    assert answer.headers["location"] == f"/ui/{scan['href']}?done=scan_cancelled"
    assert "The scan is cancelled." in stage.get(f"/ui/{scan['href']}?done=scan_cancelled").text
    [scan] = stage.get("/ui/data/scans").json["jobs"]
    assert (scan["state"], scan["word"]) == ("cancelled", "cancelled")
    assert not stage.get(f"/ui/data/{scan['href']}").json["may_cancel"]


def test_a_scan_that_is_not_there_is_a_page(stage):
    assert stage.get(f"/ui/scans/{UNKNOWN}").status_code == 404
    assert stage.get("/ui/scans/x").status_code == 404
    answer = stage.get(f"/ui/scans/{start(stage)['key']}", query_string="marker=x")
    assert answer.status_code == 400
