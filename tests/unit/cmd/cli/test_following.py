# SPDX-License-Identifier: Apache-2.0
"""``glance-sync status --wait`` and ``--watch``."""

import json
import signal
import subprocess
import sys

import pytest

from glance_sync_agent.cmd.cli import following
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from tests.fakes import clock as clocks
from tests.unit.cmd import test_cli

# Fixtures.
conf_file = test_cli.conf_file
ctl_run = test_cli.ctl_run
empty_database = test_cli.empty_database
filled = test_cli.filled
logging_as_before = test_cli.logging_as_before
run = test_cli.run
store = test_cli.store

IMAGE, OTHER = test_cli.IMAGE, test_cli.OTHER
DONE = tasks.Succeeded(code=Code.IN_SYNC, reason="in sync")
IN_STEP, FAILED, TIMED_OUT = following.Outcome


@pytest.fixture
def clock():
    return clocks.FakeClock()


def patience(clock, *, timeout=None, sleep=lambda: None):
    """Return a patience whose sleep moves the clock."""

    def slept(seconds):
        clock.advance(seconds)
        sleep()

    return following.Patience(
        interval=2.0, timeout=timeout, monotonic=clock.monotonic, sleep=slept
    )


def finish(store, image_id, region, outcome):
    later = test_cli.LATER
    (lease,) = store.claim(region, 1, owner="test", now=test_cli.NOW, until=later)
    assert lease.task.key.image_id == image_id
    store.finish(lease, outcome, test_cli.NOW)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(DONE, IN_STEP), (tasks.Failed(code=Code.REFUSED, reason="no"), FAILED)],
)
def test_it_waits_until_the_last_task_is_settled(store, clock, outcome, expected):
    test_cli.fill(store, IMAGE, "RegionTwo", DONE)
    test_cli.fill(store, IMAGE, "RegionThree")
    selection = following.Selection(image_ids=[IMAGE])
    slept, shown = [], []

    def sleep():
        slept.append(clock.monotonic())
        if len(slept) == 3:
            finish(store, IMAGE, "RegionThree", outcome)

    assert following.follow(
        lambda: selection.outcome(store), lambda: shown.append(1), patience(clock, sleep=sleep)
    ) is expected
    assert (len(slept), len(shown)) == (3, 3)


def test_it_ends_with_the_timeout_and_not_later(store, clock):
    test_cli.fill(store, IMAGE, "RegionTwo")
    selection, before = following.Selection(), clock.monotonic()
    found = following.follow(
        lambda: selection.outcome(store), lambda: None, patience(clock, timeout=5.0)
    )
    assert found is TIMED_OUT
    assert clock.monotonic() - before == 5.0


def test_only_the_named_images_and_regions_count_whatever_is_shown(filled):
    def outcome(**named):
        return following.Selection(**named).outcome(filled)

    assert outcome() is None
    assert outcome(image_ids=[IMAGE], region="RegionTwo") is IN_STEP
    assert outcome(image_ids=[IMAGE], region="RegionThree") is FAILED
    assert outcome(image_ids=[IMAGE], region="RegionFour") is None
    assert outcome(image_ids=[IMAGE, OTHER], region="RegionTwo") is None
    assert outcome(region="RegionThree", status=tasks.TaskStatus.FAILURE) is None
    assert outcome(region="RegionNine") is IN_STEP


def test_changes_are_written_once(clock):
    lines: list[str] = []
    changes = following.Changes(lines.append)
    fields = dict.fromkeys(
        ("image_id", "region", "status", "reason", "bytes_done", "bytes_total", "attempts",
         "copy_id", "copied_from", "updated_at", "not_before")
    )
    task = {**fields, "image_id": IMAGE, "region": "RegionTwo", "status": "processing",
            "bytes_done": 3, "updated_at": "T"}
    other = {**task, "region": "RegionThree"}
    for found in (
        [task, other],
        [{**task, "bytes_done": 9}, other],
        [{**task, "status": "success", "reason": "in sync"}],
    ):
        changes.show(found, clock.now())
    now = "2026-11-22T08:00:00Z"
    assert lines == [
        f"{now} {IMAGE} RegionTwo: processing; 3 of ? bytes; since T",
        f"{now} {IMAGE} RegionThree: processing; 3 of ? bytes; since T",
        f"{now} {IMAGE} RegionTwo: success; in sync; since T",
        f"{now} {IMAGE} RegionThree: not in this list any more",
    ]


@pytest.mark.parametrize(
    ("how", "region", "expected"),
    [("--wait", "RegionTwo", 0), ("--wait", "RegionThree", 1), ("--watch", "RegionThree", 1)],
)
def test_what_is_settled_is_shown_at_once(ctl_run, filled, how, region, expected):
    status, out, err = ctl_run("status", how, "--image", IMAGE, "--region", region)
    assert (status, err) == (expected, "")
    assert region in out


def test_a_timeout_has_an_exit_status_of_its_own_and_shows_the_state(ctl_run, filled):
    arguments = ["--wait", "--timeout", "0.01", "--image", OTHER]
    status, out, err = ctl_run("status", "-f", "json", *arguments)
    assert status == 2
    assert err == "Not all tasks are settled after 0.01 s\n"
    assert {one["status"] for one in json.loads(out)} == {"pending", "processing"}


def test_a_terminal_is_drawn_again(ctl_run, filled, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    arguments = ["--watch", "0.01", "--timeout", "0.02", "--image", OTHER]
    status, out, _ = ctl_run("status", *arguments)
    assert status == 2
    screens = out.split("\x1b[H\x1b[2J")
    assert len(screens) >= 3
    assert all("RegionThree" in one for one in screens[1:])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--timeout", "5"], "--timeout is for --wait and --watch"),
        (["--watch", "-f", "json"], "--watch is for people; use --wait with -f"),
        (["--watch", "0"], "must be greater than 0"),
        (["--wait", "--timeout", "nan"], "must be greater than 0"),
    ],
)
def test_wrong_times_are_usage_errors(ctl_run, store, arguments, said):
    status, out, err = ctl_run("status", *arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_an_interrupt_ends_it_without_a_traceback(conf_file, filled):
    program = (
        "import sys; from glance_sync_agent.cmd.cli import shell; sys.exit(shell.main())"
    )
    arguments = ["--config-file", str(conf_file), "status", "--watch", "--image", OTHER]
    # A shell lets what it starts with "&" ignore Ctrl-C: us, perhaps.
    at_a_terminal = ("env", "--default-signal=INT")
    with subprocess.Popen(
        [*at_a_terminal, sys.executable, "-W", "ignore", "-c", program, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:
        assert process.stdout is not None
        lines = process.stdout.readline() + process.stdout.readline()
        assert f"{OTHER} RegionThree: pending" in lines
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "")
