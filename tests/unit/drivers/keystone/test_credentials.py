# SPDX-License-Identifier: Apache-2.0
"""The session with which drivers ask services."""

import http.server
import threading

from keystoneauth1 import exceptions
from keystoneauth1 import noauth
from keystoneauth1 import session as sessions
import pytest

from glance_sync_agent import request_ids
from glance_sync_agent.drivers.keystone import credentials
from tools.cloud import planning


@pytest.fixture
def service():
    """Yield the address of a service, and the ids of the requests that it got."""
    seen = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append(self.headers[request_ids.HEADER])
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", seen
        server.shutdown()
        thread.join()


def test_a_service_gets_the_id_of_the_request(service):
    url, seen = service
    session = credentials.make_session(noauth.NoAuth())
    own = "req-0f9a3c52-1d6e-4b7a-8c21-5e4d3f2a1b00"
    first = "req-11111111-2222-4333-8444-555555555555"
    with request_ids.serving(own, first):
        session.get(url)
    session.get(url)
    assert seen == [first, None]


def test_a_failed_connection_shows_its_url_and_its_cause_only():
    url = f"http://127.0.0.1:{planning.free_port('127.0.0.1')}/v3"
    session = sessions.Session()
    with pytest.raises(exceptions.ConnectFailure) as caught:
        session.get(url)

    assert credentials.described(caught.value) == (
        f"Unable to establish connection to {url}: [Errno 111] Connection refused"
    )


def test_other_texts_stay_as_they_are():
    assert credentials.described(ValueError("no: such thing")) == "no: such thing"
