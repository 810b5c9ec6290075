# SPDX-License-Identifier: Apache-2.0
"""Operators, who ask the agents through their API, or by a command if no API answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import itertools
import re
import subprocess
import time
from typing import Any

from keystoneauth1 import exceptions as keystone_exc
import requests
import sqlalchemy as sa

from glance_sync_agent import errors as sync_errors
from glance_sync_agent.domain import tasks
from tools.soak import plans
from tools.soak import stage as stages
from tools.soak import weights
from tools.soak import wishes

_ANSWER_SECONDS = 8.0
_ROUNDS = 20
_AGAIN_SECONDS = 1.0
#: Errors if the tasks cannot be read.
_AWAY = (sa.exc.DBAPIError, sync_errors.SyncError)
_PORT = re.compile(r"The API listens on [^:\s]+:(\d+)")
#: The answers that mean: the request was understood, and repeating it changes nothing.
_REFUSALS = frozenset({400, 404, 409})
_DONE = ("done", "elsewhere", "command")


class _UnansweredError(Exception):
    """No answer, or one that leaves open whether something was done."""


class _UnheardError(_UnansweredError):
    """No agent got the request, so it has no effect."""


class Operator:
    """One operator, who executes a plan. For one thread."""

    def __init__(self, stage: stages.Stage, lane: str) -> None:
        self.name = lane
        self._stage = stage
        self._orders = stage.orders
        self._session = stage.cloud.session("admin")
        self._was_unanswered = False  # a try of the current wish
        self._doing: Mapping[str, Callable[[plans.Request], str]] = {
            "region paused": self._pause,
            "region paused to finish": self._pause_to_finish,
            "region resumed": self._resume,
            "image cancelled": self._cancel,
            "image retried": lambda one: self._ask_again(one, "retry"),
            "image synced": lambda one: self._ask_again(one, "sync"),
            "scan cancelled": self._cancel_scan,
        }

    def work(self, seed: int) -> None:
        """Execute the plan until the time is over."""
        for one in plans.requests(seed, self.name):
            self._stage.wait(one.pause)
            if self._stage.over.is_set():
                return
            outcome = self.do(one)
            self._stage.events.count(self.name, one.kind, outcome, f"{one.region} {one.pick:.3f}")

    def do(self, one: plans.Request) -> str:
        """Execute one request; return the outcome."""
        try:
            return self._doing[one.kind](one)
        except _AWAY as exc:
            return f"skipped ({type(exc).__name__})"

    def finish(self) -> None:
        """Resume all regions, and ask again for everything that was cancelled."""
        numbers = itertools.count()
        for _ in range(_ROUNDS):
            # The database may recover from a crash.
            with contextlib.suppress(*_AWAY):
                if self._has_finished(numbers):
                    return
            time.sleep(_AGAIN_SECONDS)
        self._stage.events.violation("an operator cannot resume all regions and tasks")

    def _has_finished(self, numbers: Iterator[int]) -> bool:
        """Resume and ask again for everything; return whether there was nothing left to ask."""
        wanted = self._tasks(lambda task: task.cancelled_by is not None)
        outcomes = [self._resume(_request(next(numbers), region)) for region in weights.REGIONS]
        for task in wanted:
            one = _request(next(numbers), str(task.key.region))
            outcomes.append(self._release(one, task, "retry"))
        self._stage.events.note(
            self.name, f"resumes all, and asks again for {len(wanted)} tasks: {outcomes}"
        )
        return not wanted and all(outcome.startswith(_DONE) for outcome in outcomes)

    # Regions.

    def _pause(self, one: plans.Request) -> str:
        outcome, _ = self._ask(one, wishes.pause(one.region, is_finishing=False))
        if outcome.startswith(_DONE):
            self._orders.hold((one.region, ""))
        return outcome

    def _pause_to_finish(self, one: plans.Request) -> str:
        self._orders.release((one.region, ""))
        outcome, _ = self._ask(one, wishes.pause(one.region, is_finishing=True))
        return outcome

    def _resume(self, one: plans.Request) -> str:
        key = one.region, ""
        self._orders.release(key)
        outcome, _ = self._ask(one, wishes.resume(one.region))
        if self._was_unanswered:
            self._orders.doubt(key)
        return outcome

    # Tasks.

    def _cancel(self, one: plans.Request) -> str:
        open_ = self._tasks(_can_be_cancelled)
        running = [task for task in open_ if task.status is tasks.TaskStatus.PROCESSING]
        task = _picked(running or open_, one)
        if task is None:
            return "skipped (no task)"
        region, image_id = str(task.key.region), str(task.key.image_id)
        outcome, answer = self._ask(one, wishes.task("cancel", region, image_id))
        if outcome.startswith(_DONE):
            if region not in str(answer):
                return "skipped (it was done)"
            self._orders.hold((region, image_id), is_uncopied=self._is_uncopied(task.key))
        return f"{outcome} {image_id} in {region}, which was {task.status}"

    def _is_uncopied(self, key: tasks.TaskKey) -> bool:
        """Return whether no transfer of a cancelled task has ended; no earlier attempt can."""
        with contextlib.suppress(*_AWAY):
            return any(
                task.copied_from is None for task in self._tasks(lambda task: task.key == key)
            )
        return False

    def _ask_again(self, one: plans.Request, verb: str) -> str:
        """Prefer a task that was cancelled."""
        known = self._tasks(lambda task: True)
        cancelled = [task for task in known if task.cancelled_by is not None]
        task = _picked(cancelled or known, one)
        return "skipped (no task)" if task is None else self._release(one, task, verb)

    def _release(self, one: plans.Request, task: tasks.Task, verb: str) -> str:
        region, image_id = str(task.key.region), str(task.key.image_id)
        self._orders.release((region, image_id))
        outcome, _ = self._ask(one, wishes.task(verb, region, image_id))
        if self._was_unanswered:
            self._orders.doubt((region, image_id))
        return f"{outcome} {image_id} in {region}"

    def _tasks(self, is_wanted: Callable[[tasks.Task], bool]) -> list[tasks.Task]:
        found = filter(is_wanted, self._stage.agents[0].tasks())
        return sorted(found, key=lambda task: (task.key.image_id, task.key.region))

    # Scans.

    def _cancel_scan(self, one: plans.Request) -> str:
        begun, scan = self._ask(one, wishes.plan_scan(one.region))
        if not begun.startswith(_DONE):
            return begun
        self._stage.wait(one.pick)
        outcome, _ = self._ask(one, wishes.cancel_scan(scan["id"]))
        return f"{outcome} {scan['id']}"

    # Requests.

    def _ask(self, one: plans.Request, wish: wishes.Wish) -> tuple[str, Any]:
        """Ask one agent, then another one, then use the command; return outcome and answer."""
        self._was_unanswered = False
        for attempt in range(2):
            agent = self._stage.agents[(one.agent + attempt) % weights.AGENTS]
            try:
                answer = self._send(agent, wish, one.request_id)
            except _UnansweredError as exc:
                self._was_unanswered |= not isinstance(exc, _UnheardError)
                self._stage.events.note(self.name, f"{agent.name} did not answer: {exc}")
                continue
            if answer.status_code in _REFUSALS:
                return f"refused ({answer.status_code} {answer.text[:100]!r})", None
            return f"elsewhere ({agent.name})" if attempt else "done", answer.json()
        if not wish.words:
            return "unanswered", None
        try:
            done = self._stage.command(*wish.words)
        except subprocess.TimeoutExpired:
            self._was_unanswered = True
            return "unanswered (the command did not end)", None
        if done.returncode:
            self._was_unanswered = True
            return f"unanswered ({done.stderr.strip()[-100:]!r})", None
        return "command", done.stdout

    def _send(self, agent: stages.Agent, wish: wishes.Wish, request_id: str) -> requests.Response:
        found = _PORT.findall(agent.log.read_text(errors="replace"))
        if not found:
            raise _UnheardError("it has not started its API")
        try:
            token = str(self._session.get_token())
        except keystone_exc.ClientException as exc:
            raise _UnheardError(_sentence(exc)) from exc
        try:
            answer = requests.request(
                wish.method, f"http://127.0.0.1:{found[-1]}{wish.path}", json=wish.body,
                headers={"X-Auth-Token": token, "X-OpenStack-Request-ID": request_id},
                timeout=_ANSWER_SECONDS,
            )
        except requests.RequestException as exc:
            is_unheard = "Connection refused" in str(exc)
            raise (_UnheardError if is_unheard else _UnansweredError)(_sentence(exc)) from exc
        if answer.ok or answer.status_code in _REFUSALS:
            return answer
        self._session.invalidate()  # Keystone may have a new database
        raise _UnansweredError(f"{answer.status_code} {answer.text[:100]!r}")


def _can_be_cancelled(task: tasks.Task) -> bool:
    return task.status is not tasks.TaskStatus.SUCCESS and task.cancelled_by is None


def _sentence(exc: Exception) -> str:
    return f"{type(exc).__name__}: {str(exc)[-100:]!r}"


def _request(number: int, region: str) -> plans.Request:
    """Return a request of the end, which is in no plan."""
    return plans.Request(
        pause=0, kind="", region=region, agent=number % weights.AGENTS, pick=0,
        request_id=plans.request_id(number),
    )


def _picked(found: Sequence[tasks.Task], one: plans.Request) -> tasks.Task | None:
    return found[int(one.pick * len(found))] if found else None
