# SPDX-License-Identifier: Apache-2.0
"""The audit events, as a driver of oslo.messaging gets them; no bus is asked."""

import json
import pathlib

import falcon.testing
from oslo_config import cfg
from oslo_messaging.notify import _impl_test
from pycadf import cadftaxonomy
import pytest

from glance_sync_agent import errors
from glance_sync_agent.api import audit
from glance_sync_agent.api import operations
from glance_sync_agent.drivers.bus import notifiers

MAP = pathlib.Path(__file__).parents[3] / "etc/glance/api_audit_map.conf"
TOKEN = "gAAAAAB" + "t" * 100 + "tail"
PROJECT = "1f6a3b9c7d2e4f508a1b2c3d4e5f6071"
CATALOGUE = [
    {"type": "image-sync", "name": "glance-sync", "endpoints": [{"id": PROJECT, "publicURL": "http://x"}]}
]
CALLER = {
    "X-Auth-Token": TOKEN, "X-User-Id": "8d3f1c20a5e94b7f9c6e2b1d4a7f0e35",
    "X-User-Name": "carol", "X-Project-Id": PROJECT,
    "X-Identity-Status": "Confirmed", "X-Service-Catalog": json.dumps(CATALOGUE),
}
IMAGE = "6c8b1a86-7cf1-4f0e-9d0b-8a4f5b0d3c1e"


@pytest.fixture
def conf():
    found = cfg.ConfigOpts()
    found([], default_config_files=[], default_config_dirs=[])
    audit.register(found)
    notifiers.prepare(found, "fake://", "transport_url")
    found.set_override("transport_url", "fake://", group=audit.SECTION)
    found.set_override("driver", "test", group=audit.SECTION)
    return found


@pytest.fixture(autouse=True)
def sent():
    _impl_test.reset()
    yield _impl_test.NOTIFICATIONS
    _impl_test.reset()


def _client(conf, status="202 Accepted", ignored=("GET", "HEAD")):
    def application(environ, start_response):
        del environ
        start_response(status, [("Content-Type", "application/json")])
        return []

    built = audit.build(application, conf=conf, map_file=str(MAP), ignored_methods=ignored)

    def call(environ, start_response):  # the client looks at the signature
        return built(environ, start_response)

    return falcon.testing.TestClient(call, headers=CALLER)


def _events(sent):
    return [message for _context, message, _priority, _retry in sent]


@pytest.mark.parametrize(
    ("status", "outcome"), [("202 Accepted", "success"), ("403 Forbidden", "failure")]
)
def test_who_asked_for_what_and_what_came_of_it(conf, sent, status, outcome):
    answer = _client(conf, status).simulate_post(f"/v1/images/{IMAGE}/cancel")
    assert answer.status == status
    asked, done = _events(sent)
    assert [asked["event_type"], done["event_type"]] == [
        "audit.http.request", "audit.http.response",
    ]
    event = done["payload"]
    assert event["outcome"] == outcome
    assert event["action"] == "stop"
    assert event["reason"]["reasonCode"] == status[:3]
    assert event["requestPath"] == f"/v1/images/{IMAGE}/cancel"
    assert event["initiator"]["name"] == "carol"
    assert event["initiator"]["project_id"] == PROJECT
    assert event["target"]["name"] == "glance-sync"
    assert event["target"]["typeURI"] == "service/storage/image/sync/images/image"


def test_no_event_has_the_token(conf, sent):
    _client(conf).simulate_post(f"/v1/images/{IMAGE}/sync")
    assert len(sent) == 2
    assert TOKEN not in str(sent)
    assert "t" * 20 not in str(sent)


def test_reads_cause_events_only_where_that_is_wanted(conf, sent):
    _client(conf).simulate_get("/v1/images")
    assert sent == []
    _client(conf, ignored=()).simulate_get("/v1/images")
    assert [one["payload"]["action"] for one in _events(sent)] == ["read/list"] * 2


@pytest.mark.parametrize("operation", operations.ALL, ids=lambda one: f"{one.method} {one.path}")
def test_each_operation_has_an_action_and_a_target(conf, sent, operation):
    names = {"image_id": IMAGE, "region": "RegionTwo", "job_id": IMAGE}
    path = operation.path.format(**names)
    _client(conf, ignored=()).simulate_request(operation.method, path)
    event = _events(sent)[-1]["payload"]
    assert event["action"] != cadftaxonomy.UNKNOWN
    assert cadftaxonomy.is_valid_action(event["action"])
    assert event["target"]["typeURI"].startswith("service/storage/image/sync")
    if operation.method == "POST":
        assert event["action"].split("/")[0] in {"start", "stop", "update"}


@pytest.mark.parametrize(
    "text",
    [
        None, "no section", "[a]\nb = 1\nb = 2\n",
        "[DEFAULT]\ntarget_endpoint_type = %(x)s\n", b"\xff",
    ],
)
def test_a_map_that_cannot_be_read_is_named_with_what_to_do(conf, tmp_path, text):
    path = tmp_path / "map.conf"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(errors.ConfigurationError) as caught:
        audit.build(None, conf=conf, map_file=str(path), ignored_methods=())
    assert f"audit_map_file {path} cannot be read: " in str(caught.value)
    assert "set [audit] enabled = false" in str(caught.value)
