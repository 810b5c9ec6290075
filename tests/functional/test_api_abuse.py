# SPDX-License-Identifier: Apache-2.0
"""The API of a real agent, asked by those who mean no good; tokens are of a real Keystone."""

import collections
from concurrent import futures
import contextlib
import os
import re
import socket
import time
from typing import Any

import pytest
import requests

from tests.functional import hostile
from tests.functional import people as users
from tests.functional import running

#: GLANCE_SYNC_TEST_HOSTILE=100000 sends more, and GLANCE_SYNC_TEST_SEED others.
COUNT = int(os.environ.get("GLANCE_SYNC_TEST_HOSTILE", "2000"))
SEED = int(os.environ.get("GLANCE_SYNC_TEST_SEED", "1"))
CLIENTS = 4
MIB = 1024 * 1024
IDLE, SLOW = 200, 40  # connections; the API takes 250
ANSWER_SECONDS = 5.0
WITH_API = {**running.FAST, "api": {"enabled": "true"}}


@pytest.fixture
def agent(make_agent):
    made = make_agent(options=WITH_API)
    made.begin()
    return made


def token(people: users.People, user: str) -> str:
    """Return a new token of a user."""
    session = people.cloud.session(user)
    session.invalidate()
    return str(session.get_token())


def revoked(people: users.People) -> str:
    """Return a token that is over."""
    found = token(people, "alice")
    url = f"{people.cloud.describe().auth_url}/auth/tokens"
    people.cloud.session("admin").delete(url, headers={"X-Subject-Token": found})
    return found


@pytest.mark.timeout(60 + COUNT / 20)
def test_no_request_makes_the_api_fail(agent, people):
    port = agent.api_port
    tokens = {
        "admin": token(people, "admin"),
        "foreign": token(people, "bob"),
        "expired": revoked(people),
    }
    print(f"{COUNT} requests with the seed {SEED}")  # noqa: T201
    seen: dict[str, collections.Counter[int]] = collections.defaultdict(collections.Counter)

    def send(request: hostile.Request) -> tuple[hostile.Request, bytes]:
        return request, hostile.sent(port, request)

    drawn = hostile.Requests(SEED, tokens).draw(COUNT)
    with futures.ThreadPoolExecutor(CLIENTS) as pool:
        for request, answer in pool.map(send, drawn):
            statuses = hostile.statuses(answer)
            seen[request.kind].update(statuses)
            about = (request.kind, request.data[:500], answer[:1000])
            assert all(status < 500 for status in statuses), about
            assert b"Traceback" not in answer, about
            assert statuses or not request.is_whole, about
            if request.kind == "smuggled":
                assert len([one for one in statuses if one >= 200]) == 1, about
            if request.kind == "wrong token":
                assert min(statuses) >= 400, about
    for kind, counts in seen.items():
        print(kind, dict(sorted(counts.items())))  # noqa: T201 - shown by -s
    refused = {status for counts in seen.values() for status in counts}
    assert refused >= {400, 401, 403, 404, 405, 413, 415, 431}

    said = agent.said()
    assert "Traceback" not in said
    assert not re.search(r"Request \S+ failed", said)
    assert not [one for one in tokens.values() if one in said]
    _answers(port, tokens["admin"])


def _answers(port: int, with_token: str) -> float:
    """Send a request that is in order; return the seconds until its answer."""
    started = time.monotonic()
    answer = requests.get(
        f"http://127.0.0.1:{port}/v1/summary",
        headers={"X-Auth-Token": with_token}, timeout=ANSWER_SECONDS,
    )
    assert answer.status_code == 200, answer.text
    return time.monotonic() - started


def test_idle_and_slow_clients_stop_neither_answers_nor_a_transfer(
    make_agent, people, valve, through
):
    agent = make_agent(options=WITH_API)
    through(agent, valve, {"api": {"enabled": "true"}})
    agent.begin()
    port, admin = agent.api_port, token(people, "admin")
    valve.slow_down(4 * MIB)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(_connected(port)) for _ in range(IDLE + SLOW)]
        image_id = people.publish("large", size=16 * MIB, visibility="community").image_id
        agent.wait_until(lambda: _bytes_in_two(agent, image_id) > 0, "a transfer")
        waits = []
        for letter in b"GET /v1/images HTTP/1.1\r\nHost: x\r\n":
            if _is_done(agent, image_id):
                break
            for client in clients[IDLE:]:
                client.sendall(bytes([letter]))
            waits.append(_answers(port, admin))
            time.sleep(1.0)  # a byte a second
        else:
            pytest.fail(f"not copied beside slow clients:\n{agent.tail()}")
    assert len(waits) >= 2
    print(f"{len(waits)} answers in at most {max(waits):.2f} s")  # noqa: T201 - shown by -s


def _connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)


def _bytes_in_two(agent: running.Agent, image_id: str) -> Any:
    task = agent.tasks_of(image_id).get("RegionTwo")
    return 0 if task is None else task.bytes_done


def _is_done(agent: running.Agent, image_id: str) -> bool:
    found = agent.tasks_of(image_id).values()
    return len(found) == 3 and all(one.status == "success" for one in found)
