# SPDX-License-Identifier: Apache-2.0
"""The API and the page, as ``sync.conf`` asks for them; nothing here asks a Keystone."""

import datetime
import threading
import types
from typing import Any

import falcon.testing
from oslo_log import log
import pytest

from glance_sync_agent import errors
from glance_sync_agent.wiring import api
from glance_sync_agent.wiring import cloud as clouds
from glance_sync_agent.wiring import configuration as configurations
from tests.unit.api import test_audit
from tests.unit.wiring import test_wiring


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Return a function that opens the API of a ``sync.conf`` with one more section."""
    monkeypatch.setattr(log, "setup", lambda *_arguments: None)

    (tmp_path / "state").mkdir()

    def make(section=""):
        file = tmp_path / "sync.conf"
        text = test_wiring.CONF.format(directory=tmp_path, line="")
        file.write_text(f"{text}\n{section}\n")
        configuration = configurations.configure(
            [f"--config-file={file}"], prog="test", description=""
        )
        cloud = clouds.Cloud(configuration)
        vars(cloud)["catalogue"] = test_wiring.Catalogue()
        opened.append(cloud)
        cloud.store.upgrade()
        built = api.build(cloud)

        def call(environ, start_response):  # the client looks at the signature
            return built(environ, start_response)

        return falcon.testing.TestClient(call)

    opened: list[clouds.Cloud] = []
    yield make
    for one in opened:
        one.close()


def test_the_page_is_beside_the_api(client):
    found = client()
    assert found.simulate_get("/ui/").headers["location"].endswith("/ui/log-in")
    assert found.simulate_get("/v1").status_code == 200
    assert found.simulate_get("/v1/images").status_code == 401


def test_the_page_can_be_turned_off(client):
    found = client("[api]\npage = false")
    assert found.simulate_get("/ui/").status_code == 401
    assert found.simulate_get("/v1").status_code == 200


def test_processes_with_one_key_share_their_sessions(client):
    section = f"[api]\nsession_key = {'k' * 32}"
    first, second, other = client(section), client(section), client()
    answer = first.simulate_get("/ui/log-in")
    cookie = f"glance_sync_session={answer.cookies['glance_sync_session'].value}"
    csrf = answer.text.partition('name="csrf" value="')[2].partition('"')[0]
    headers = {
        "Cookie": cookie,
        "Origin": "http://falconframework.org",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    body = f"csrf={csrf}&user=u&password=p"
    statuses = [
        one.simulate_post("/ui/log-in", headers=headers, body=body).status_code
        for one in (second, other)
    ]
    assert statuses == [503, 403]  # the first takes the form, and finds no Keystone


def test_the_clock_follows_that_of_the_database_until_the_api_ends():
    ahead = datetime.timedelta(hours=1)
    answers = iter([errors.ServiceUnavailable("away"), ahead, ahead])
    followed, asked = threading.Event(), []

    def clock_ahead():
        asked.append(threading.current_thread())
        answer = next(answers, ahead)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def follow(found):
        assert found == ahead
        followed.set()

    cloud: Any = types.SimpleNamespace(
        store=types.SimpleNamespace(clock_ahead=clock_ahead),
        clock=types.SimpleNamespace(follow=follow),
    )
    with api.followed_clock(cloud, 0.001):
        assert followed.wait(20)
    asked[0].join(20)
    assert not asked[0].is_alive()


AUDITED = f"[audit]\nenabled = true\naudit_map_file = {test_audit.MAP}\n"


def test_an_audit_without_a_driver_is_pointed_out(client, caplog):
    warning = "no audit event is sent: set driver = messagingv2 in [audit_middleware_"
    section = "[audit_middleware_notifications]\ntransport_url = fake://\n"
    assert client(AUDITED + section).simulate_get("/v1").status_code == 200
    assert warning in caplog.text
    for more in ("driver = test\n", "use_oslo_messaging = false\n"):
        caplog.clear()
        assert client(AUDITED + section + more).simulate_get("/v1").status_code == 200
        assert warning not in caplog.text


def test_a_wrong_bus_for_audit_events_is_named_without_its_password(client):
    section = "[audit_middleware_notifications]\ntransport_url = pigeon://u:secret@coop/\n"
    with pytest.raises(errors.ConfigurationError, match="transport_url is not a URL") as caught:
        client(AUDITED + section)
    assert str(caught.value).startswith("[audit_middleware_notifications] ")
    assert "secret" not in str(caught.value)
