# SPDX-License-Identifier: Apache-2.0
"""The application behind the middleware of OpenStack; nothing here asks a Keystone."""

from concurrent import futures
import json
import socket
import threading
from typing import Any

import falcon.testing
from keystoneauth1 import loading
from oslo_config import cfg
import pytest

from glance_sync_agent import request_ids
from glance_sync_agent.api import pipeline
from glance_sync_agent.drivers.keystone import credentials
from tests.unit.api import test_application

_SECTION = "service_credentials"


@pytest.fixture
def conf(tmp_path):
    path = tmp_path / "sync.conf"
    path.write_text(
        "[service_credentials]\nauth_type = password\nauth_url = http://127.0.0.1:9/v3\n"
        "username = glance-sync\npassword = secret\n"
    )
    found = cfg.ConfigOpts()
    found(["--config-file", str(path)], default_config_dirs=[])
    found.register_opts(credentials.options(), group=_SECTION)
    found.register_opts(loading.get_auth_plugin_conf_options("password"), group=_SECTION)
    return found


@pytest.fixture
def client(conf):
    application = pipeline.build(test_application.Stage().application, conf, _SECTION)
    return falcon.testing.TestClient(callable_of(application))


def callable_of(application):
    """Return it as a function, of which the client looks at the signature."""

    def call(environ, start_response):
        return application(environ, start_response)

    return call


def ask(application, path, **details):
    return falcon.testing.TestClient(callable_of(application)).simulate_get(path, **details)


@pytest.mark.parametrize("path", ["/healthcheck", "/healthcheck/"])
def test_the_health_check_answers_for_its_own_path_only(client, path):
    assert client.simulate_get(path).status_code == 200
    assert client.simulate_get("/v1/images").status_code == 401


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/openapi.json", "/metrics"])
def test_some_answers_are_for_everybody(client, path):
    answer = client.simulate_get(path)
    assert answer.status_code == 200
    assert answer.headers["x-openstack-request-id"].startswith("req-")


@pytest.mark.parametrize(
    "path",
    [
        "/v1/images", "/v1/images/", "//v1/images", "/v1//images", "/v1/../v1/images",
        "/v1/openapi.json/..", "/healthcheck/../v1/images", "/metrics/x",
    ],
)
def test_everything_else_needs_a_token_and_says_so_as_json(client, path):
    spoofed = {
        "X-Identity-Status": "Confirmed", "X-Roles": "admin", "OpenStack-System-Scope": "all",
    }
    for headers in ({}, spoofed):
        answer = client.simulate_get(path, headers=headers)
        assert answer.status_code == 401
        assert answer.json["error"]["request_id"] == answer.headers["x-openstack-request-id"]
        assert "Keystone uri" in answer.headers["www-authenticate"]


def test_a_keystone_that_does_not_answer_is_no_fault_of_the_token(client):
    answer = client.simulate_get("/v1/images", headers={"X-Auth-Token": "x" * 32})
    assert answer.status_code == 503
    assert "does not answer" in json.loads(answer.text)["error"]["message"]


@pytest.fixture
def hanging():
    """A Keystone that takes connections and does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_keystone_that_hangs_is_given_up(conf, tmp_path, hanging, monkeypatch):
    monkeypatch.setattr(pipeline, "_KEYSTONE_SECONDS", 1)
    with (tmp_path / "sync.conf").open("a") as file:
        file.write("[keystone_authtoken]\nhttp_request_max_retries = 0\n")
    conf.reload_config_files()
    conf.set_override("auth_url", f"http://127.0.0.1:{hanging}/v3", group=_SECTION)
    application = pipeline.build(test_application.Stage().application, conf, _SECTION)
    answer = ask(application, "/v1/images", headers={"X-Auth-Token": "x" * 32})
    assert answer.status_code == 503


def test_requests_with_a_token_leave_threads_for_the_health_check(conf, monkeypatch, caplog):
    monkeypatch.setattr(pipeline, "_CONFIRMED_AT_ONCE", 1)
    monkeypatch.setattr(pipeline, "_SLOT_SECONDS", 0.05)
    standing, gate = threading.Event(), threading.Event()

    def hang(_application, _conf, _credentials):
        def application(_environ, start_response):
            standing.set()
            assert gate.wait(10)
            start_response("204 No Content", [])
            return []

        return application

    monkeypatch.setattr(pipeline, "_confirming", hang)
    application = pipeline.build(test_application.Stage().application, conf, _SECTION)
    with futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, application, "/v1/images")
        assert standing.wait(10)
        refused = ask(application, "/v1/images")
        assert (refused.status_code, refused.json["error"]["code"]) == (503, 503)
        assert "1 requests already wait" in caplog.text
        assert [ask(application, one).status_code for one in ("/healthcheck", "/metrics")] == [
            200, 200
        ]
        gate.set()
        assert first.result(10).status_code == 204
    assert ask(application, "/v1/images").status_code == 204


def test_what_answers_a_request_knows_its_ids(conf):
    seen: list[Any] = []

    def application(environ, start_response):
        seen.append(request_ids.current())
        start_response("204 No Content", [])
        return []

    built = pipeline.build(application, conf, _SECTION)

    client = falcon.testing.TestClient(callable_of(built))
    first = "req-11111111-2222-4333-8444-555555555555"
    for headers in ({}, {"X-OpenStack-Request-ID": first}, {"X-OpenStack-Request-ID": "evil"}):
        answer = client.simulate_get("/", headers=headers)
        assert seen[-1].request_id == answer.headers["x-openstack-request-id"]
    assert [one.global_id == one.request_id for one in seen] == [True, False, True]
    assert seen[1].global_id == first
    assert request_ids.current() is None


def test_a_page_stands_before_the_api_and_behind_the_proxy(conf):
    seen = []

    def with_page(api):
        def page(environ, start_response):
            seen.append((environ["wsgi.url_scheme"], environ["HTTP_HOST"], environ["REMOTE_ADDR"]))
            return api(environ, start_response)

        return page

    stage = test_application.Stage()
    application = pipeline.build(stage.application, conf, _SECTION, with_page)
    conf.set_override("enable_proxy_headers_parsing", override=True, group="oslo_middleware")
    headers = {
        "X-Forwarded-Proto": "https", "X-Forwarded-Host": "sync.example",
        "X-Forwarded-For": "192.0.2.9",
    }

    answer = ask(application, "/v1/images", headers=headers)
    assert answer.status_code == 401
    assert seen == [("https", "sync.example", "192.0.2.9")]


def test_a_large_body_is_refused_as_json(client):
    answer = client.simulate_post("/v1/tasks/retry", body="x" * 200_000)
    assert answer.status_code == 413
    assert "max_request_body_size" in answer.json["error"]["message"]
