# SPDX-License-Identifier: Apache-2.0
"""The HTTP server, on loopback."""

import contextlib
import resource
import socket
import threading

import pytest
import requests

from glance_sync_agent import errors
from glance_sync_agent.api import server as servers

SECONDS = 20.0


def hello(_environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


@contextlib.contextmanager
def serving(application=hello, host="127.0.0.1"):
    server = servers.Server(application, servers.listen(host, 0))
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(SECONDS)
        assert not thread.is_alive()


def test_what_a_proxy_says_reaches_the_middleware():
    def echo(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [environ.get("HTTP_X_FORWARDED_PROTO", "").encode()]

    with serving(echo) as server:
        answer = requests.get(
            f"http://127.0.0.1:{server.port}/",
            headers={"X-Forwarded-Proto": "https"},
            timeout=SECONDS,
        )
    assert answer.text == "https"


def get(server, host="127.0.0.1"):
    return requests.get(f"http://{host}:{server.port}/", timeout=SECONDS).text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_it_answers_and_ends(host):
    with serving(host=host) as server:
        assert get(server, host) == "hello"
    with pytest.raises(requests.ConnectionError):
        get(server, host)


def test_a_port_that_is_taken_is_a_sentence_and_costs_nothing():
    with serving() as server:
        threads = threading.active_count()
        for _ in range(20):
            with pytest.raises(errors.ServiceUnavailable, match=r"cannot listen on 127\.0\.0\.1:"):
                servers.listen("127.0.0.1", server.port)
        assert threading.active_count() == threads


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1"])
def test_an_address_of_another_host_is_a_sentence(host):
    with pytest.raises(errors.ServiceUnavailable, match="sync_server_host"):
        servers.listen(host, 0)


def test_idle_and_slow_clients_hold_no_thread():
    with serving() as server, contextlib.ExitStack() as stack:
        for number in range(200):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            if number % 2:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert get(server) == "hello"


def test_a_transfer_coding_that_it_does_not_know_is_no_failure_of_the_server():
    with serving() as server:
        headers = {"Transfer-Encoding": "gzip, chunked"}
        url = f"http://127.0.0.1:{server.port}/"
        answer = requests.post(url, headers=headers, timeout=SECONDS)
    assert answer.status_code == 400
    assert "Transfer-Encoding" in answer.text


def test_high_file_descriptors_do_not_end_it():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip(f"this process may open only {hard} files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(1100):
                stack.enter_context(open("/dev/null"))  # noqa: PTH123 - only to take descriptors
            with serving() as server:
                assert get(server) == "hello"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
