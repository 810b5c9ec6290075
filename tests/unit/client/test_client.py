# SPDX-License-Identifier: Apache-2.0
"""The client, against the API over HTTP, on a cloud in memory."""

import io
import json
import sys
import threading
import types
from typing import Any

from glancesyncclient import sdk
from glancesyncclient.osc import plugin
from glancesyncclient.osc.v1 import fleet
from glancesyncclient.osc.v1 import images
from glancesyncclient.osc.v1 import regions
from glancesyncclient.osc.v1 import requests
from glancesyncclient.osc.v1 import scans
from keystoneauth1 import session as sessions
from keystoneauth1 import token_endpoint
from openstack import connection
from openstack import exceptions
from osc_lib import exceptions as osc_exceptions
import pytest

from glance_sync_agent import errors
from glance_sync_agent.api import jobs
from glance_sync_agent.api import server as servers
from glance_sync_agent.engine.asked import Asked
from tests.fakes import world as worlds
from tests.unit.api import test_application

# openstacksdk calls itself in ways that it warns of.
pytestmark = pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning")

TWO, THREE = worlds.CASCADED
UNKNOWN = "99999999-9999-4999-8999-999999999999"


def confirmed(application):
    """Return an application whose callers are all administrators."""

    def call(environ, start_response):
        environ |= {
            "HTTP_X_IDENTITY_STATUS": "Confirmed",
            "HTTP_X_ROLES": "admin",
            "HTTP_X_USER_NAME": "alice",
            "HTTP_X_USER_ID": "u1",
        }
        return application(environ, start_response)

    return call


@pytest.fixture
def stage():
    made = test_application.Stage()
    made.world.upkeep.run()
    return made


@pytest.fixture
def cloud(stage):
    server = servers.Server(confirmed(stage.application), servers.listen("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve)
    thread.start()
    auth = token_endpoint.Token(f"http://127.0.0.1:{server.port}", "secret")
    found = connection.Connection(
        session=sessions.Session(auth=auth),
        image_sync_endpoint_override=f"http://127.0.0.1:{server.port}/v1",
    )
    yield found
    found.close()
    server.stop()
    thread.join()


@pytest.fixture
def sync(cloud):
    return sdk.add_to(cloud)


@pytest.fixture
def run(sync, cloud):
    """Return what runs a command of ``openstack`` and returns its output."""
    glance = types.SimpleNamespace(find_image=lambda name, **_: _Found(name))
    manager = types.SimpleNamespace(
        image_sync=sync, sdk_connection=types.SimpleNamespace(image=glance)
    )

    def run(factory, *arguments):
        app: Any = types.SimpleNamespace(
            client_manager=manager, stdout=io.StringIO(), stderr=sys.stderr, options=None
        )
        command = factory(app, None)
        parsed = command.get_parser("openstack").parse_args(arguments)
        command.run(parsed)
        return app.stdout.getvalue()

    return run


class _Found:
    def __init__(self, name):
        self.id = NAMED[name]


NAMED: dict[str, str] = {}


def test_a_plugin_of_openstack_gives_the_same_proxy(cloud, sync):
    manager = types.SimpleNamespace(sdk_connection=cloud)
    assert plugin.make_client(manager) is sync
    assert plugin.API_NAME == "image_sync"


def test_images_are_walked_page_by_page(stage, sync):
    found = sorted(stage.publish().image_id for _ in range(5))
    assert [one.id for one in sync.images(limit=2)] == found
    assert [one.id for one in sync.images(status="success")] == []
    assert [len(one.regions) for one in sync.images()] == [2] * 5


def test_an_image_is_shown_and_explained(stage, sync):
    image = stage.publish(name="golden")
    stage.world.run()
    shown = sync.get_image(image.image_id)
    assert [one["code"] for one in shown.regions] == ["in_sync", "in_sync"]
    placement = sync.placement(image.image_id)["placement"]
    assert [one["wanted"] for one in placement] == [True, True]


def test_what_is_wrong_is_an_exception_with_the_reason(sync):
    with pytest.raises(exceptions.NotFoundException, match="has no task"):
        sync.get_image(UNKNOWN)
    with pytest.raises(exceptions.BadRequestException, match="no region to copy to"):
        sync.sync_image(UNKNOWN, ["Typo"])


def test_images_are_requested_retried_and_cancelled(stage, sync):
    image = stage.publish()
    assert sync.sync_image(image.image_id, [TWO]) == [TWO]
    assert sync.cancel_image(image.image_id) == sorted([TWO, THREE])
    assert sync.retry_image(image.image_id, [TWO]) == [TWO]
    assert sync.retry_tasks(region=THREE, code="cancelled") == 1
    assert [one.kind for one in sync.events(limit=2)] == [
        "retried_all", "retried", "cancelled", "cancelled", "requested"
    ]
    assert [one.by for one in sync.events(image_id=image.image_id, kind="requested")] == [
        "alice (u1)"
    ]


def test_a_scan_is_started_followed_and_read(stage, sync, run, monkeypatch):
    images_found = sorted(stage.world.source.publish().image_id for _ in range(2))
    # The agent works while the command waits.
    monkeypatch.setattr("time.sleep", lambda _: stage.world.scan_runner.run())
    shown = json.loads(
        run(scans.StartScan, "--dry-run", "--region", TWO, "--wait", "-f", "json")
    )
    assert (shown["state"], shown["regions"], shown["counts"]["findings"]) == ("done", TWO, 2)
    listed = json.loads(run(scans.ListFindings, shown["id"], "-f", "json"))
    assert [one["Image Id"] for one in listed] == images_found
    (one,) = json.loads(run(scans.ListScans, "-f", "json"))
    assert (one["Id"], one["Asked By"]) == (shown["id"], "alice (u1)")
    again = json.loads(run(scans.ShowScan, shown["id"], "-f", "json"))
    assert again == shown


def test_what_a_scan_found_is_walked_page_by_page(stage, sync, monkeypatch):
    for _ in range(3):
        stage.world.source.publish()
    monkeypatch.setattr(jobs, "_FINDINGS", 2)
    scan = sync.start_scan(allow_deletes=5)
    stage.world.scan_runner.run()
    assert [one["number"] for one in sync.scan_findings(scan.id)] == [1, 2, 3, 4, 5, 6]
    assert sync.get_scan(scan.id).allow_deletes == 5


def test_a_scan_is_cancelled(sync, run):
    scan = sync.start_scan()
    run(scans.CancelScan, scan.id)
    assert sync.get_scan(scan.id).state == "cancelled"


def test_a_scan_that_somebody_cancels_fails_the_command(sync, run, monkeypatch):
    def cancel(_seconds):
        (scan,) = sync.scans()
        sync.cancel_scan(scan.id)

    monkeypatch.setattr("time.sleep", cancel)
    with pytest.raises(osc_exceptions.CommandError, match="Cancelled by alice"):
        run(scans.StartScan, "--wait")


def test_a_scan_that_fails_fails_the_command(stage, run, monkeypatch):
    def fail(*_call):
        raise errors.ServiceUnavailable("no answer")

    stage.world.source.before = fail
    monkeypatch.setattr("time.sleep", lambda _: stage.world.scan_runner.run())
    with pytest.raises(osc_exceptions.CommandError, match="could not be finished: no answer"):
        run(scans.StartScan, "--wait")


def test_regions_are_paused_and_resumed(stage, sync):
    sync.pause_region(TWO, "new disks", finish=True)
    assert {one.name: one.state for one in sync.regions()} == {
        TWO: "paused", THREE: "available"
    }
    assert stage.world.pauses.all()[TWO].finishes
    assert sync.unpause_region(TWO).state == "available"
    assert not stage.world.pauses.all()


def test_a_region_whose_window_is_open_stays_paused_and_the_command_says_so(stage, run, capsys):
    stage.world.open_window()
    run(regions.UnpauseRegion, TWO)
    assert "RegionTwo stays paused until 2026-11-22T16:00:00Z" in capsys.readouterr().err


def test_images_are_listed_by_a_code_that_is_shown_otherwise_by_now(stage, run):
    image = stage.publish()
    stage.world.engine.shared.steering.pause(
        TWO, Asked(by="alice"), reason="new disks", finishes=False
    )
    rows = json.loads(
        run(images.ListImages, "--code", "requested", "--region", TWO, "-f", "json")
    )
    assert [(row["ID"], row["Code"]) for row in rows] == [(image.image_id, "region_paused")]


def test_agents_and_the_summary_are_read(sync):
    assert [one.state for one in sync.agents()] == ["running"]
    assert sync.summary()["status"] == "ok"


def test_commands_list_and_show_in_all_formats(stage, run):
    image = stage.publish(name="golden")
    stage.world.run()
    rows = json.loads(run(images.ListImages, "-f", "json", "--region", TWO))
    assert [(row["ID"], row["Region"], row["Code"]) for row in rows] == [
        (image.image_id, TWO, "in_sync")
    ]
    NAMED["golden"] = image.image_id
    assert "RegionTwo: success; in sync" in run(images.ShowImage, "golden")
    found = json.loads(run(images.ShowImage, image.image_id, "-f", "json"))
    assert [one["region"] for one in found["regions"]] == sorted([TWO, THREE])
    assert "| RegionTwo   | True" in run(images.ExplainImage, image.image_id)


def test_commands_ask_and_wait(stage, run, monkeypatch):
    image = stage.publish()
    monkeypatch.setattr(requests, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr("time.sleep", lambda _: stage.world.run())
    shown = run(requests.StartImage, image.image_id, "--region", TWO, "--wait")
    assert "RegionTwo: success; in sync" in shown
    assert run(requests.CancelImage, image.image_id, "-f", "value", "-c", "regions") == "\n"


def test_a_wait_for_what_failed_ends_with_the_reason(stage, run, monkeypatch):
    image = stage.publish()
    stage.world.two.make(image_id=image.image_id, name="foreign")
    monkeypatch.setattr("time.sleep", lambda _: stage.world.run())
    with pytest.raises(osc_exceptions.CommandError, match="RegionTwo: failure; image"):
        run(requests.StartImage, image.image_id, "--wait")


def test_commands_about_regions_agents_and_events(stage, run):
    run(regions.PauseRegion, TWO, "--reason", "new disks")
    assert "paused" in run(regions.ListRegions)
    run(regions.UnpauseRegion, TWO)
    assert "paused" not in run(regions.ListRegions)
    assert "running" in run(fleet.ListAgents)
    rows = json.loads(run(fleet.ListEvents, "-f", "json", "--limit", "1"))
    assert [row["Kind"] for row in rows] == ["resumed"]
    assert "| status     | ok" in run(fleet.ShowSummary)
