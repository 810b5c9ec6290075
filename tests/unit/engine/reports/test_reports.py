# SPDX-License-Identifier: Apache-2.0
"""Tasks and events as they are shown."""

import dataclasses
import datetime

import pytest

from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import history
from glance_sync_agent.domain import pauses
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine.reports import event_reports
from glance_sync_agent.engine.reports import task_reports
from glance_sync_agent.engine.reports import times
from glance_sync_agent.engine.reports.region_states import RegionStates
from tests.fakes import world as worlds
from tests.unit import builders

TWO = worlds.CASCADED[0]
RETRY_AT = builders.NOW + datetime.timedelta(seconds=20)
OPEN = breakers.Breaker(failures=3, reason="refused", retry_at=RETRY_AT)
PAUSE = pauses.Pause(since=builders.NOW, by="alice", reason="new disks")
PAUSED = (
    "region RegionTwo is paused since 2026-11-22T08:00:00Z by alice: new disks; "
    "'glance-sync resume RegionTwo' ends that"
)
WINDOW = pauses.Pause(
    since=builders.NOW, by="pause_windows", reason="0 9 * * * 8h Europe/Berlin",
    until=builders.NOW + datetime.timedelta(hours=8),
)
IN_WINDOW = (
    "region RegionTwo is paused since 2026-11-22T08:00:00Z until 2026-11-22T16:00:00Z by "
    "pause_windows: 0 9 * * * 8h Europe/Berlin"
)
UNAVAILABLE = (
    "region RegionTwo is unavailable until 2026-11-22T08:00:20Z, after 3 failures in a row: "
    "refused"
)


@pytest.fixture
def task():
    world = worlds.World()
    image = world.source.publish()
    world.changed(image.image_id)
    return world.task(image)


@pytest.mark.parametrize(
    ("breaker", "pause", "code", "reason"),
    [
        (None, None, "requested", ""),
        (OPEN, None, "region_unavailable", UNAVAILABLE),
        (OPEN, PAUSE, "region_paused", PAUSED),
        (None, PAUSE, "region_paused", PAUSED),
        (None, WINDOW, "region_paused", IN_WINDOW),
        (dataclasses.replace(OPEN, answers=True), None, "requested", ""),
        (dataclasses.replace(OPEN, retry_at=None), None, "requested", ""),
    ],
)
def test_a_pending_task_may_wait_for_its_region(task, breaker, pause, code, reason):
    states = RegionStates(
        breakers={} if breaker is None else {TWO: breaker},
        pauses=pauses.Pauses(regions={} if pause is None else {TWO: [pause]}),
    )
    found = task_reports.fields(task, states, builders.NOW)
    assert tuple(found) == task_reports.FIELDS
    assert (found["code"], found["reason"]) == (code, reason)


def test_other_tasks_have_their_own_reason(task):
    states = RegionStates(breakers={TWO: OPEN}, pauses=pauses.Pauses(regions={TWO: [PAUSE]}))
    failed = dataclasses.replace(
        task, status=tasks.TaskStatus.FAILURE, code=Code.REFUSED, reason="403"
    )
    found = task_reports.fields(failed, states, builders.NOW)
    assert (found["status"], found["code"], found["reason"]) == ("failure", "refused", "403")


def test_an_event_is_shown_with_all_that_it_has():
    event = history.Event(
        at=builders.NOW, kind=history.Kind.COPIED, by="host-1", seconds=1.23456, size=9
    )
    found = event_reports.fields(history.Recorded(number=7, event=event))
    assert tuple(found) == event_reports.FIELDS
    assert (found["number"], found["kind"], found["bytes"], found["seconds"]) == (
        7, "copied", 9, 1.235
    )
    assert found["code"] is None
    failed = dataclasses.replace(event, code=Code.REFUSED, seconds=None)
    found = event_reports.fields(history.Recorded(number=8, event=failed))
    assert (found["code"], found["seconds"]) == ("refused", None)


NO_STATES = RegionStates(breakers={}, pauses=pauses.Pauses())


def after(seconds):
    return builders.NOW + datetime.timedelta(seconds=seconds)


def test_the_lag_ends_with_the_task(task):
    asked = dataclasses.replace(task, asked_at=builders.NOW)
    assert task_reports.fields(asked, NO_STATES, after(60))["lag_seconds"] == 60
    done = dataclasses.replace(asked, status=tasks.TaskStatus.SUCCESS, done_at=after(7))
    found = task_reports.fields(done, NO_STATES, after(60))
    assert (found["lag_seconds"], found["done_at"]) == (7, "2026-11-22T08:00:07Z")
    again = dataclasses.replace(done, asked_at=after(50), status=tasks.TaskStatus.PENDING)
    assert task_reports.fields(again, NO_STATES, after(60))["lag_seconds"] == 10
    old = dataclasses.replace(task, asked_at=None)
    assert task_reports.fields(old, NO_STATES, after(60))["lag_seconds"] is None


@pytest.mark.parametrize(
    ("done", "total", "seconds", "rate", "eta"),
    [(50, 100, 5, 10, 5), (0, 100, 5, None, None), (50, None, 5, 10, None),
     (50, 100, 0, None, None), (120, 100, 5, 24, 0)],
)
def test_a_running_transfer_has_a_rate_and_an_end(task, done, total, seconds, rate, eta):
    running = dataclasses.replace(
        task,
        status=tasks.TaskStatus.PROCESSING,
        claimed_at=builders.NOW,
        updated_at=after(seconds),
        bytes_done=done,
        bytes_total=total,
    )
    found = task_reports.fields(running, NO_STATES, after(seconds))
    assert (found["bytes_per_second"], found["eta_seconds"]) == (rate, eta)
    waiting = dataclasses.replace(running, status=tasks.TaskStatus.PENDING)
    assert task_reports.fields(waiting, NO_STATES, after(9))["bytes_per_second"] is None


def test_a_cancelled_task_says_so_before_its_last_attempt_too(task):
    cancelled = dataclasses.replace(task, cancelled_by="alice")
    states = RegionStates(breakers={}, pauses=pauses.Pauses(regions={TWO: [PAUSE]}))
    found = task_reports.fields(cancelled, states, builders.NOW)
    assert found["code"] == "cancelled"
    assert found["reason"] == "cancelled by alice; 'glance-sync retry' continues it"


@pytest.mark.parametrize(("seconds", "said"), [(3600.4, "3600 s ahead of"), (-7, "7 s behind")])
def test_a_clock_that_is_off_is_said_without_a_sign(seconds, said):
    assert times.off(datetime.timedelta(seconds=seconds)) == said
