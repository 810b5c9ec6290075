# SPDX-License-Identifier: Apache-2.0
"""Audit events of a real agent's API on the real bus."""

import json
import pathlib
import time
from typing import Any

import pytest

from tests.functional import conftest
from tests.functional import test_api
from tools import agents

TOPIC = "audit_of_a_test"
QUEUE = f"{TOPIC}.info"
MAP = pathlib.Path(__file__).parents[2] / "etc/glance/api_audit_map.conf"
ANSWER_SECONDS = 5.0  # twice an attempt at a bus that is away


def _options(map_file: pathlib.Path = MAP, **notifications: str) -> agents.Options:
    return {
        **test_api.WITH_API,
        "audit": {"enabled": "true", "audit_map_file": str(map_file)},
        "audit_middleware_notifications": {"topics": TOPIC, **notifications},
    }


@pytest.fixture
def no_events(people):
    """Remove the events before and after."""

    def remove():
        with conftest.bus(people.cloud) as channel:
            channel.queue_delete(QUEUE)

    remove()
    yield
    remove()


def _events(people) -> list[dict[str, Any]]:
    found = []
    with conftest.bus(people.cloud) as channel:
        while (message := channel.basic_get(QUEUE, no_ack=True)) is not None:
            found.append(json.loads(json.loads(message.body)["oslo.message"]))
    return found


@pytest.mark.usefixtures("no_events")
def test_the_bus_gets_who_asked_for_what(make_agent, people):
    agent = make_agent(options=_options(driver="messagingv2"))
    agent.begin()
    api = test_api.Api(agent, people)
    image_id = people.publish("golden", size=1000).image_id
    agent.wait_until(lambda: "success" in agent.statuses(image_id).values(), "a copy")
    assert api.get("/v1/images")
    answer = api.ask("POST", f"/v1/images/{image_id}/sync")
    refused = api.ask("POST", f"/v1/images/{image_id}/cancel", user="alice")
    assert (answer.status_code, refused.status_code) == (202, 403)
    found = _events(people)
    assert [(one["event_type"], one["payload"]["action"]) for one in found] == [
        ("audit.http.request", "start/sync"),
        ("audit.http.response", "start/sync"),
        ("audit.http.request", "stop"),
        ("audit.http.response", "stop"),
    ]
    done, forbidden = found[1]["payload"], found[3]["payload"]
    assert done["initiator"]["name"] == "admin"
    assert done["initiator"]["request_id"] == answer.headers["x-openstack-request-id"]
    assert (done["outcome"], forbidden["outcome"]) == ("success", "failure")
    assert forbidden["initiator"]["name"] == "alice"
    assert api.token("admin") not in json.dumps(found)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            {"driver": "messagingv2", "transport_url": "rabbit://u:p@127.0.0.1:9/v"}, id="away"
        ),
        pytest.param({}, id="no driver"),
    ],
)
def test_a_bus_that_is_away_holds_no_answer_up(make_agent, people, options):
    agent = make_agent(options=_options(**options))
    agent.begin()
    api = test_api.Api(agent, people)
    image_id = people.publish("golden", size=1000).image_id
    agent.wait_until(lambda: len(agent.tasks_of(image_id)) == 3, "its tasks")
    begun = time.monotonic()
    assert api.ask("POST", f"/v1/images/{image_id}/sync").status_code == 202
    assert time.monotonic() - begun < ANSWER_SECONDS
    if not options:
        agent.wait_for_log("no audit event is sent: set driver = messagingv2")
    else:
        agent.wait_for_log(f"Could not send notification to {TOPIC}")
    assert "Traceback" not in agent.said()


def test_a_map_that_is_missing_stops_the_api_only_and_is_named(make_agent, people):
    agent = make_agent(options=_options(pathlib.Path("/nowhere/map.conf"), driver="messagingv2"))
    agent.begin()
    agent.wait_for_log("[audit] audit_map_file /nowhere/map.conf cannot be read")
    image = people.publish("golden", size=1000)
    agent.wait_until(lambda: people.in_step(image), "the copies")
    assert "Traceback" not in agent.said()
