# SPDX-License-Identifier: Apache-2.0
"""The API within the agent: whatever fails, only the API does."""

import threading
import types
from typing import Any

import pytest

from glance_sync_agent.api import server as servers
from glance_sync_agent.cmd.daemon import api_service
from glance_sync_agent.cmd.daemon import threads

SECONDS = 20.0


def hello(_environ, start_response):
    start_response("200 OK", [])
    return []


@pytest.fixture
def signals():
    return threads.Signals()


@pytest.fixture
def api(signals):
    settings = types.SimpleNamespace(
        api=types.SimpleNamespace(host="127.0.0.1", port=0), database_url="sqlite:///none"
    )
    configuration: Any = types.SimpleNamespace(settings=settings)
    return api_service.Api(configuration, signals)


def test_what_fails_is_tried_again_and_raises_nothing(api, signals, monkeypatch, caplog):
    tried = []

    def build(_cloud, _meters):
        tried.append(1)
        if len(tried) == 3:
            signals.stopping.set()
        raise ZeroDivisionError("a broken policy file")

    monkeypatch.setattr("glance_sync_agent.wiring.api.build", build)
    monkeypatch.setattr(signals.stopping, "wait", lambda timeout=None: signals.stopping.is_set())
    api.serve()
    assert len(tried) == 3
    assert "The API cannot start yet, and copying goes on without it" in caplog.text
    assert "a broken policy file" in caplog.text


def test_it_serves_until_it_is_stopped(api, signals, monkeypatch):
    serving = threading.Event()

    class Server(servers.Server):
        def serve(self):
            serving.set()
            super().serve()

    monkeypatch.setattr("glance_sync_agent.api.server.Server", Server)
    monkeypatch.setattr("glance_sync_agent.wiring.api.build", lambda _cloud, _meters: hello)
    thread = threading.Thread(target=api.serve)
    thread.start()
    assert serving.wait(SECONDS)
    signals.stopping.set()
    api.stop()
    api.stop()
    thread.join(SECONDS)
    assert not thread.is_alive()
