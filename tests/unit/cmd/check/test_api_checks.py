# SPDX-License-Identifier: Apache-2.0
"""What ``check`` says of the port of the API."""

import socket
import threading
from wsgiref import simple_server

import pytest

from glance_sync_agent.cmd.check import api_checks
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.conf.api import ApiSettings
from glance_sync_agent.conf.api import AuditSettings
from tests.unit.api import test_application
from tools.cloud import planning

OK, WARN, _, _ = findings.Level
HOST = "127.0.0.1"


def settings(port):
    return ApiSettings(
        is_enabled=True, host=HOST, port=port, has_page=True, session_key=None,
        audit=AuditSettings(is_enabled=False, map_file="", ignored_methods=()),
    )


def test_a_free_port_is_ok():
    found = api_checks.port(settings(planning.free_port(HOST)))

    assert found.verdict is OK
    assert "is free" in found.detail


def test_the_port_of_another_program_is_warned_about(monkeypatch):
    monkeypatch.setattr(api_checks, "_SECONDS", 0.1)
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        found = api_checks.port(settings(port))

    assert found.verdict is WARN
    assert "another program" in found.detail
    assert f"ss -tlnp sport = :{port}" in found.remedy


class _Quiet(simple_server.WSGIRequestHandler):
    def log_message(self, *_arguments):
        pass


@pytest.fixture
def api():
    server = simple_server.make_server(
        HOST, 0, test_application.Stage().application, handler_class=_Quiet
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_our_own_api_is_recognised(api):
    found = api_checks.port(settings(api))

    assert found.verdict is OK
    assert found.detail == f"answers on {HOST}:{api}"
