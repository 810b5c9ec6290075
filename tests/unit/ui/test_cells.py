# SPDX-License-Identifier: Apache-2.0
"""How a copy is shown."""

import pytest

from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.ui import wording
from glance_sync_agent.ui.views import cells


def task(**changes):
    return {
        "region": "RegionTwo", "status": "pending", "code": "requested", "bytes_done": 0,
        "bytes_total": None, "eta_seconds": None, **changes,
    }


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("status", tasks.TaskStatus)
def test_every_state_has_a_symbol_and_a_word(status, code):
    found = cells.cell(task(status=status.value, code=code.value or "unknown"))
    assert cells.SYMBOLS[found["state"]] == found["symbol"]
    assert found["word"]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"status": "success", "code": "in_sync"}, "done"),
        ({"status": "success", "code": "out_of_strategy"}, "none"),
        ({"code": "region_paused"}, "paused"),
        ({"code": "cancelled"}, "cancelled"),
        ({"status": "failure", "code": "gave_up"}, "failed"),
        ({"status": "processing", "code": "cancelled"}, "running"),
    ],
)
def test_a_state_follows_from_status_and_code(changes, state):
    assert cells.cell(task(**changes))["state"] == state


def test_only_a_running_copy_has_progress():
    running = task(status="processing", bytes_done=512, bytes_total=1024, eta_seconds=90)
    found = cells.cell(running)
    assert (found["share"], found["progress"]) == (0.5, "50%, 1 min left")
    assert found["word"] == "copying"
    found = cells.cell({**running, "bytes_done": 2000, "eta_seconds": None})
    assert (found["share"], found["progress"]) == (1.0, "100%")
    for changes in ({"bytes_total": None}, {"bytes_total": 0}, {"status": "failure"}):
        assert cells.cell({**running, **changes})["share"] is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, ""), (0, "0 s"), (59, "59 s"), (60, "1 min"), (7199, "1 h"), (200_000, "2 d")],
)
def test_a_duration_is_in_its_largest_unit(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, ""), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**50 * 5, "5120.0 TiB")],
)
def test_a_size_is_in_its_largest_unit(count, text):
    assert wording.size(count) == text


def test_a_time_is_to_the_second():
    assert wording.time("2026-11-22T08:00:00.123456Z") == "2026-11-22 08:00:00 UTC"
    assert wording.time(None) == ""
