# SPDX-License-Identifier: Apache-2.0
"""The application behind the middleware of OpenStack; nothing here asks a Keystone."""

import json
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
    stage = test_application.Stage()
    application = pipeline.build(stage.application, conf, _SECTION)

    def call(environ, start_response):  # the client looks at the signature
        return application(environ, start_response)

    return falcon.testing.TestClient(call)


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


def test_what_answers_a_request_knows_its_ids(conf):
    seen: list[Any] = []

    def application(environ, start_response):
        seen.append(request_ids.current())
        start_response("204 No Content", [])
        return []

    built = pipeline.build(application, conf, _SECTION)

    def call(environ, start_response):  # the client looks at the signature
        return built(environ, start_response)

    client = falcon.testing.TestClient(call)
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

    def call(environ, start_response):  # the client looks at the signature
        return application(environ, start_response)

    answer = falcon.testing.TestClient(call).simulate_get("/v1/images", headers=headers)
    assert answer.status_code == 401
    assert seen == [("https", "sync.example", "192.0.2.9")]


def test_a_large_body_is_refused_as_json(client):
    answer = client.simulate_post("/v1/tasks/retry", body="x" * 200_000)
    assert answer.status_code == 413
    assert "max_request_body_size" in answer.json["error"]["message"]
