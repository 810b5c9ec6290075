# SPDX-License-Identifier: Apache-2.0
"""When Keystone counts as unreachable, with a real one and with scripted answers."""

from collections.abc import Callable, Iterator
import contextlib
import socket

from keystoneauth1.identity import v3
import pytest

from glance_sync_agent.drivers.keystone import absence
from glance_sync_agent.drivers.keystone import credentials
from tests.fakes import scripted_http
from tests.fakes.scripted_http import Reply
from tools import cloud as clouds

TOKEN = Reply.of(
    {
        "token": {
            "methods": ["password"],
            "expires_at": "2999-01-01T00:00:00.000000Z",
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "user": {"id": "u", "name": "agent", "domain": {"id": "d", "name": "D"}},
        }
    },
    status=201,
    X_Subject_Token="secret-token",
)
CATALOGUE = Reply.of({"catalog": []})

Make = Callable[[str], absence.KeystoneAbsence]


@pytest.fixture
def server() -> Iterator[scripted_http.Server]:
    with scripted_http.serving() as server:
        yield server


@pytest.fixture
def now() -> list[float]:
    """Give seconds that a test decides."""
    return [0.0]


@pytest.fixture
def make(now: list[float]) -> Iterator[Make]:
    with contextlib.ExitStack() as stack:

        def make(url: str) -> absence.KeystoneAbsence:
            auth = v3.Password(auth_url=f"{url}/v3", user_id="u", password="p", project_id="x")
            session = credentials.make_session(auth, timeout_seconds=2)
            session._connect_retries = 0  # they wait half a second
            stack.callback(session.session.close)
            return absence.KeystoneAbsence(session, lambda: now[0])

        yield make


@pytest.mark.cloud
def test_a_real_keystone_is_reachable(cloud: clouds.Cloud) -> None:
    session = cloud.session("glance-sync")
    assert not absence.KeystoneAbsence(session)()
    session.session.close()


def test_one_that_answers_is_asked_each_time(make: Make, server: scripted_http.Server) -> None:
    is_away = make(server.url)
    server.script = [TOKEN, CATALOGUE, CATALOGUE, Reply(500)]
    assert [is_away(), is_away(), is_away()] == [False, False, True]


@pytest.mark.parametrize("reply", [Reply(500), Reply(503), Reply(429), Reply(0)])
def test_one_without_an_answer_is_unreachable_and_not_asked_for_seconds(
    make: Make, server: scripted_http.Server, now: list[float], reply: Reply
) -> None:
    is_away = make(server.url)
    server.script = [TOKEN, reply, CATALOGUE]
    assert is_away()
    now[0] = 4.9
    assert is_away()
    now[0] = 5.0
    assert not is_away()


def test_one_that_refuses_us_is_reachable(make: Make, server: scripted_http.Server) -> None:
    server.script = [Reply(401)]
    assert not make(server.url)()


def test_one_that_is_not_running_is_unreachable(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert make(f"http://127.0.0.1:{port}")()
