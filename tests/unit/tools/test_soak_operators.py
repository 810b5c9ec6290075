# SPDX-License-Identifier: Apache-2.0
"""The operators of the soak ask another agent, then use the command, and know what holds."""

from collections.abc import Callable
import pathlib
import time
from types import SimpleNamespace
from typing import Any

from keystoneauth1 import exceptions as keystone_exc
import pytest
import requests

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from tests.unit import builders
from tools.soak import events
from tools.soak import operators
from tools.soak import orders
from tools.soak import plans

PAUSED = ("RegionTwo", "")
CANCELLED = ("RegionTwo", str(builders.IMAGE_ID))


class Scene:
    """An operator, and agents that answer as a test says."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.answers: list[Any] = []  # a status and a body, or an exception
        self.asked: list[str] = []
        self.ended = 0  # the exit status of the command
        key = tasks.TaskKey(
            image_id=images.ImageId(builders.IMAGE_ID), region=images.RegionId("RegionTwo")
        )
        self.rows = [builders.task(key=key)]
        self.orders = orders.Orders()
        self.token: Callable[[], str] = lambda: "token"
        session = SimpleNamespace(get_token=lambda: self.token(), invalidate=lambda: None)
        stage = SimpleNamespace(
            orders=self.orders,
            events=events.Events(directory / "events.log"),
            cloud=SimpleNamespace(session=lambda _user: session),
            agents=[self._agent(directory, number) for number in range(3)],
            command=self._command,
            wait=lambda _seconds: None,
        )
        self.events = stage.events
        self.operator = operators.Operator(stage, "tasks")  # type: ignore[arg-type]

    def _agent(self, directory: pathlib.Path, number: int) -> SimpleNamespace:
        log = directory / f"agent-{number}.log"
        log.write_text(f"The API listens on 127.0.0.1:1\nThe API listens on 127.0.0.1:{number}\n")
        return SimpleNamespace(name=f"agent-{number}", log=log, tasks=lambda: self.rows)

    def _command(self, *words: str) -> SimpleNamespace:
        self.asked.append(" ".join(words))
        return SimpleNamespace(returncode=self.ended, stdout=f"done {words}", stderr="failed")

    def send(self, method: str, url: str, **_details: Any) -> requests.Response:
        """Answer a request as the test says."""
        self.asked.append(f"{method} {url}")
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        made = requests.Response()
        made.status_code, made._content = answer
        return made

    def do(self, kind: str) -> str:
        """Let the operator do something; return the outcome."""
        return self.operator.do(
            plans.Request(
                pause=0, kind=kind, region="RegionTwo", agent=1, pick=0.5, request_id="req-1"
            )
        )


@pytest.fixture
def scene(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene(tmp_path)
    monkeypatch.setattr(requests, "request", made.send)
    return made


def test_an_operator_asks_an_agent_then_another_one_then_uses_the_command(scene):
    path = "/v1/regions/RegionTwo"
    scene.answers = [(200, b"{}")]
    assert scene.do("region paused") == "done"
    assert scene.asked == [f"PATCH http://127.0.0.1:1{path}"]
    scene.answers = [requests.ConnectionError(), (200, b"{}")]
    assert scene.do("region paused") == "elsewhere (agent-2)"
    scene.answers = [(503, b"{}"), requests.ReadTimeout()]
    assert scene.do("region paused") == "command"
    assert scene.asked[-2:] == [
        f"PATCH http://127.0.0.1:2{path}", "pause RegionTwo --reason the soak"
    ]


def test_without_a_token_an_operator_uses_the_command(scene):
    def fail() -> str:
        raise keystone_exc.ConnectFailure("down")

    scene.token = fail
    assert scene.do("region resumed") == "command"
    assert scene.asked == ["resume RegionTwo"]
    scene.ended = 1
    assert scene.do("region resumed") == "unanswered ('failed')"


def test_a_pause_holds_from_its_answer_to_its_end(scene):
    scene.answers = [(200, b"{}")] * 4
    scene.do("region paused")
    assert scene.orders.since(PAUSED) is not None
    scene.do("region paused to finish")
    assert scene.orders.since(PAUSED) is None
    scene.do("region paused")
    scene.do("region resumed")
    assert scene.orders.since(PAUSED) is None


def test_what_nobody_answered_does_not_hold_and_may_end_later(scene):
    scene.ended = 1
    scene.answers = [(503, b"{}")] * 4
    scene.do("region paused")
    assert scene.orders.since(PAUSED) is None
    scene.do("region resumed")
    scene.answers = [(200, b"{}")]
    scene.do("region paused")
    assert scene.orders.since(PAUSED) is None


def test_a_request_that_no_agent_heard_has_no_effect_later(scene):
    scene.answers = [requests.ConnectionError("Connection refused")] * 2
    assert scene.do("region resumed") == "command"
    scene.answers = [(200, b"{}")]
    scene.do("region paused")
    assert scene.orders.since(PAUSED) is not None


def test_a_task_is_cancelled_until_somebody_asks_for_it(scene):
    scene.answers = [(200, b'{"regions": ["RegionTwo"]}')] * 2
    assert scene.do("image cancelled").startswith("done")
    assert scene.orders.since(CANCELLED) is not None
    assert scene.orders.is_uncopied(CANCELLED)
    assert scene.do("image retried").startswith("done")
    assert scene.orders.since(CANCELLED) is None


def test_what_was_done_already_is_not_cancelled(scene):
    scene.answers = [(200, b'{"regions": []}')]
    assert scene.do("image cancelled") == "skipped (it was done)"
    scene.answers = [(404, b"gone")]
    assert scene.do("image cancelled").startswith("refused (404 'gone')")
    assert scene.orders.since(CANCELLED) is None
    scene.rows = []
    assert scene.do("image cancelled") == "skipped (no task)"


def test_a_scan_is_asked_for_and_cancelled(scene):
    scene.answers = [(202, b'{"id": "7"}'), (200, b"{}")]
    assert scene.do("scan cancelled") == "done 7"
    assert scene.asked[-1] == "POST http://127.0.0.1:1/v1/scans/7/cancel"
    scene.answers = [(503, b"")] * 2
    assert scene.do("scan cancelled") == "unanswered"


def test_in_the_end_everything_is_resumed_and_asked_for_again(scene, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    cancelled = builders.task(key=scene.rows[0].key, cancelled_by="admin")
    seen = iter([[cancelled], []])
    for agent in scene.operator._stage.agents:
        agent.tasks = lambda: next(seen)
    scene.answers = [(200, b"{}")] * 7
    scene.operator.finish()
    assert sum("/regions/" in one for one in scene.asked) == 6
    assert sum(one.endswith(f"{CANCELLED[1]}/retry") for one in scene.asked) == 1
    assert scene.events.violations == []
