# SPDX-License-Identifier: Apache-2.0
"""The operator's tools over a real SQLite file: what they print, and their exit status."""

import contextlib
import csv
import dataclasses
import datetime
import io
import json
import logging
import shutil
import sqlite3
import types
from typing import Any

import pytest
import yaml

import glance_sync_agent
from glance_sync_agent import errors
from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import requests
from glance_sync_agent.cmd.cli import shell
from glance_sync_agent.cmd.cli import tables
from glance_sync_agent.cmd.daemon import command
from glance_sync_agent.cmd.manage import manager
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import fleet
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine import ports
from tests.fakes import world as worlds
from tests.unit import builders

COLUMNS = [
    "image_id",
    "image_name",
    "region",
    "status",
    "reason",
    "copy_id",
    "copied_from",
    "bytes_done",
    "bytes_total",
    "attempts",
    "not_before",
    "updated_at",
    "code",
    "asked_at",
    "done_at",
    "lag_seconds",
    "bytes_per_second",
    "eta_seconds",
]
IMAGE = builders.IMAGE_ID
OTHER = "11111111-2222-4333-8444-555555555555"
NOW = builders.NOW


def known(image_id):
    return identity.KnownCopy(copy_id=image_id, created_at=NOW)

LATER = datetime.datetime(2199, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(autouse=True)
def logging_as_before():
    """Give the root logger back what the tools change."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def conf_file(tmp_path):
    file = tmp_path / "sync.conf"
    # Nothing listens on port 1.
    file.write_text(
        f"""\
[DEFAULT]
state_path = {tmp_path / "state"}
transport_url = rabbit://user:hidden-of-the-bus@127.0.0.1:1/region
log_file = {tmp_path / "agent.log"}
sync_server_port = 0

[service_credentials]
auth_url = http://127.0.0.1:1/v3
username = glance-sync
password = hidden-of-keystone
project_name = service
user_domain_name = Default
project_domain_name = Default
"""
    )
    return file


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory):
    """Make the tables once; a copy of the file costs less."""
    file = tmp_path_factory.mktemp("empty") / "sync.sqlite"
    made = task_store.SqlTaskStore(f"sqlite:///{file}")
    made.upgrade()
    made.close()
    return file


@pytest.fixture
def store(tmp_path, conf_file, empty_database):
    (tmp_path / "state").mkdir()
    file = shutil.copy(empty_database, tmp_path / "state")
    found = task_store.SqlTaskStore(f"sqlite:///{file}")
    yield found
    found.close()


@pytest.fixture
def run(conf_file, capsys):
    """Return a function that runs a tool and returns status, stdout and stderr."""

    def run(main, *arguments):
        status = main(["--config-file", str(conf_file), *arguments])
        out, err = capsys.readouterr()
        assert "hidden-of" not in out + err
        return status, out, err

    return run


@pytest.fixture
def ctl_run(run):
    return lambda *arguments: run(shell.main, *arguments)


@pytest.fixture
def manage_run(run):
    return lambda *arguments: run(manager.main, *arguments)


def fill(store, image_id, region, outcome=None, name="cirros"):
    """Put one task with an outcome into the table."""
    request = ports.Request(now=NOW, not_before=NOW, request_id="request")
    store.request(image_id, [region], request, elsewhere=False)
    if outcome is None:
        return
    (lease,) = store.claim(region, 1, owner="test", now=NOW, until=LATER)
    store.note_copy(lease, known(image_id), name)
    store.renew(lease, now=NOW, until=LATER, bytes_done=30, bytes_total=40)
    if outcome != "processing":
        store.finish(lease, outcome, NOW)


@pytest.fixture
def filled(store):
    fill(store, IMAGE, "RegionTwo", tasks.Succeeded(code=Code.IN_SYNC, reason="in sync"))
    fill(store, IMAGE, "RegionThree", tasks.Failed(code=Code.REFUSED, reason="not ours"))
    later = tasks.RetryAt(when=LATER, code=Code.ATTEMPT_FAILED, reason="connection refused")
    fill(store, IMAGE, "RegionFour", later)
    fill(store, OTHER, "RegionTwo", "processing", name="ubuntu")
    fill(store, OTHER, "RegionThree")
    return store


def found_in(store, image_id, region):
    (task,) = store.list(image_id=image_id, region=region)
    return task


def test_status_has_exactly_the_columns_that_scripts_rely_on(ctl_run, filled):
    status, out, err = ctl_run("status", "-f", "json", "--region", "RegionThree")

    assert (status, err) == (0, "")
    rows = json.loads(out)
    assert [list(row) for row in rows] == [COLUMNS, COLUMNS]
    first = rows[0] if rows[0]["image_id"] == IMAGE else rows[1]
    lag = first.pop("lag_seconds")
    assert lag > 0
    assert first == {
        "image_id": IMAGE,
        "image_name": "cirros",
        "region": "RegionThree",
        "status": "failure",
        "reason": "not ours",
        "copy_id": IMAGE,
        "copied_from": None,
        "bytes_done": 30,
        "bytes_total": 40,
        "attempts": 1,
        "not_before": "2026-11-22T08:00:00Z",
        "updated_at": "2026-11-22T08:00:00Z",
        "code": "refused",
        "asked_at": "2026-11-22T08:00:00Z",
        "done_at": None,
        "bytes_per_second": None,
        "eta_seconds": None,
    }


def test_what_is_unknown_is_null_to_a_program_and_nothing_to_a_person(ctl_run, filled):
    only = ["status", "--image", OTHER, "--region", "RegionThree"]
    (row,) = json.loads(ctl_run(*only, "-f", "json")[1])
    table = ctl_run(*only)[1]

    assert (row["image_name"], row["copy_id"], row["bytes_total"]) == (None, None, None)
    assert "None" not in table


@pytest.mark.parametrize(
    ("filters", "pairs"),
    [
        ([], 5),
        (["--image", IMAGE], 3),
        (["--image", IMAGE.upper()], 3),
        (["--image", "ubuntu"], 2),
        (["--region", "RegionTwo"], 2),
        (["--status", "failure"], 1),
        (["--status", "pending"], 2),
        (["--status", "processing", "--region", "RegionTwo"], 1),
        (["--status", "success", "--image", OTHER], 0),
    ],
)
def test_status_shows_what_all_filters_let_through(ctl_run, filled, filters, pairs):
    status, out, _ = ctl_run("status", "-f", "json", *filters)

    assert status == 0
    assert len(json.loads(out)) == pairs


def test_status_comes_in_pages_of_images(ctl_run, filled):
    seen: list[tuple[str, str]] = []
    after: list[str] = []
    for is_last in (False, True):
        status, out, err = ctl_run("status", "--limit", "1", *after, "-f", "json")
        assert status == 0
        rows = json.loads(out)
        seen += [(row["image_id"], row["region"]) for row in rows]
        assert len({row["image_id"] for row in rows}) == 1
        after = ["--marker", rows[-1]["image_id"]]
        assert (f"Show the next with {' '.join(after)}" in err) is not is_last
    everything = json.loads(ctl_run("status", "-f", "json")[1])
    assert seen == [(row["image_id"], row["region"]) for row in everything]


def test_a_page_of_status_has_images_with_a_task_that_all_filters_let_through(ctl_run, filled):
    only = ["status", "--limit", "1", "--region", "RegionTwo", "--status", "processing"]
    status, out, err = ctl_run(*only, "-f", "json")
    assert [row["image_id"] for row in json.loads(out)] == [OTHER]
    assert (status, err) == (0, "")
    assert json.loads(ctl_run(*only, "--marker", OTHER, "-f", "json")[1]) == []


def test_status_speaks_csv_and_yaml(ctl_run, filled):
    as_csv = list(csv.DictReader(io.StringIO(ctl_run("status", "-f", "csv")[1])))
    as_yaml = yaml.safe_load(ctl_run("status", "-f", "yaml")[1])

    assert [list(row) for row in as_csv] == [COLUMNS] * 5
    assert [row["status"] for row in as_yaml] == [row["status"] for row in as_csv]


def test_a_table_has_few_columns_unless_all_are_asked_for(ctl_run, filled):
    narrow = ctl_run("status")[1].splitlines()[1]
    wide = ctl_run("status", "--long")[1].splitlines()[1]

    assert narrow.replace("|", " ").split() == [
        "image_id", "image_name", "region", "status", "reason",
    ]
    assert wide.replace("|", " ").split() == COLUMNS


def test_a_column_that_a_table_leaves_out_can_be_asked_for(ctl_run, filled):
    out = ctl_run("status", "-f", "table", "-c", "attempts", "--status", "failure")[1]

    assert out.splitlines()[1].replace("|", " ").split() == ["attempts"]


@pytest.mark.parametrize("style", ["table", "csv", "json", "value", "yaml"])
@pytest.mark.parametrize("column", ["image_name", "bytes_total", "copied_from"])
def test_sorting_by_a_column_with_empty_fields_loses_no_row(ctl_run, filled, column, style):
    by_image = ctl_run("status", "-f", style, "-c", "image_id", "-c", column)
    up = ["status", "-f", style, "-c", "image_id", "-c", column, "--sort-column", column]

    status, out, err = ctl_run(*up)
    down = ctl_run(*up, "--sort-descending")[1]

    assert (status, err) == (0, "")
    assert sorted(out.splitlines()) == sorted(by_image[1].splitlines())
    assert sorted(down.splitlines()) == sorted(by_image[1].splitlines())


@pytest.mark.parametrize(
    ("direction", "names"),
    [
        ("--sort-ascending", ["cirros", "cirros", "cirros", "ubuntu", None]),
        ("--sort-descending", [None, "ubuntu", "cirros", "cirros", "cirros"]),
    ],
)
def test_what_is_unknown_is_sorted_last(ctl_run, filled, direction, names):
    sort = ["--sort-column", "image_name", direction]

    rows = json.loads(ctl_run("status", "-f", "json", *sort)[1])
    table = [line.split("|")[2].strip() for line in ctl_run("status", *sort)[1].splitlines()[3:-1]]

    assert [row["image_name"] for row in rows] == names
    assert table == [name or "" for name in names]


def test_a_table_is_sorted_by_a_column_that_it_does_not_show(ctl_run, filled):
    sort = ["--sort-column", "not_before", "--sort-descending"]

    first, *_ = ctl_run("status", *sort)[1].splitlines()[3:-1]

    assert first.split("|")[3].strip() == "RegionFour"
    assert "not_before" not in ctl_run("status", *sort)[1]


def test_columns_whose_values_cannot_be_compared_lose_no_row(capsys):
    class Mixed(tables.Lister):
        """A table of a text beside a number."""

        def take_action(self, parsed_args):
            return ("mixed",), iter([("text",), (1,)])

    tool = console.Console(name="tool", description="", examples="", commands={"mixed": Mixed})
    assert console.run(tool, ["mixed", "-f", "value", "--sort-column", "mixed"]) == 0

    assert capsys.readouterr().out == "text\n1\n"


HOSTILE = "evil\x1b[2J\n| forged\x9b\u202e"
HARMLESS = r"evil\x1b[2J\n| forged\x9b\u202e"


@pytest.mark.parametrize("style", ["table", "csv", "value", "json", "yaml"])
def test_names_and_reasons_do_not_steer_the_terminal(ctl_run, store, style):
    fill(store, IMAGE, "RegionTwo", tasks.Failed(code=Code.REFUSED, reason=HOSTILE), name=HOSTILE)

    listed = ctl_run("status", "-f", style)[1]

    assert not [one for one in listed if not one.isprintable() and one not in "\r\n"]
    if style == "json":
        assert json.loads(listed)[0]["image_name"] == HOSTILE
    elif style == "yaml":
        assert yaml.safe_load(listed)[0]["image_name"] == HOSTILE
    else:
        # cliff's CSV has a backslash before each backslash.
        assert listed.replace("\\\\", "\\").count(HARMLESS) == 2


@pytest.mark.parametrize("style", ["table", "shell", "value", "json", "yaml"])
def test_what_is_shown_of_an_image_does_not_steer_the_terminal(ctl_run, store, style):
    fill(store, IMAGE, "RegionTwo", tasks.Failed(code=Code.REFUSED, reason=HOSTILE), name=HOSTILE)

    shown = ctl_run("show", IMAGE, "-f", style)[1]

    assert not [one for one in shown if not one.isprintable() and one != "\n"]


def test_an_empty_database_is_no_failure(ctl_run, store):
    assert ctl_run("status", "-f", "json")[:2] == (0, "[]\n")


def test_show_gives_one_structure_with_every_region(ctl_run, filled):
    status, out, _ = ctl_run("show", IMAGE, "-f", "json")

    assert status == 0
    found = json.loads(out)
    regions = found.pop("regions")
    assert found == {
        "image_id": IMAGE,
        "image_name": "cirros",
        "bytes_total": 40,
        "known_since": "2026-11-22T08:00:00Z",
    }
    assert [list(one) for one in regions] == [COLUMNS] * 3
    assert [one["region"] for one in regions] == ["RegionFour", "RegionThree", "RegionTwo"]


def test_show_says_to_a_person_why_and_until_when(ctl_run, filled):
    out = ctl_run("show", IMAGE)[1]

    assert "RegionTwo: success; in sync; since 2026-11-22T08:00:00Z" in out
    assert "RegionThree: failure; not ours; 1 failed attempts" in out
    assert "RegionFour: pending; connection refused; due 2199-01-01T00:00:00Z" in out


def test_show_says_how_far_a_transfer_is(ctl_run, filled):
    assert "RegionTwo: processing; 30 of 40 bytes" in ctl_run("show", OTHER)[1]


def test_show_names_a_copy_of_another_id(ctl_run, store):
    fill(store, IMAGE, "RegionTwo")
    (lease,) = store.claim("RegionTwo", 1, owner="test", now=NOW, until=LATER)
    store.note_copy(lease, known(OTHER), "cirros")

    assert f"copy {OTHER}" in ctl_run("show", IMAGE)[1]


def test_where_a_copy_came_from_is_shown(ctl_run, store):
    for region, name in (("RegionTwo", "RegionOne"), ("RegionThree", "RegionTwo")):
        origin = images.RegionId(name)
        copy = tasks.CopySeen(
            copy_id=IMAGE, created_at=None, image_name="cirros", size=40, copied_from=origin
        )
        fill(store, IMAGE, region, tasks.Succeeded(code=Code.IN_SYNC, reason="in sync", copy=copy))

    for_a_person = ctl_run("show", IMAGE)[1]
    shown = json.loads(ctl_run("show", IMAGE, "-f", "json")[1])["regions"]
    listed = json.loads(ctl_run("status", "-f", "json", "--region", "RegionThree")[1])

    assert {one["region"]: one["copied_from"] for one in shown} == {
        "RegionTwo": "RegionOne", "RegionThree": "RegionTwo",
    }
    assert [one["copied_from"] for one in listed] == ["RegionTwo"]
    assert "RegionThree: success; in sync; since 2026-11-22T08:00:00Z, copied from RegionTwo" in (
        for_a_person
    )
    assert "copied from RegionOne" not in for_a_person


@pytest.mark.parametrize("command", [["show"], ["retry"], ["status", "--image"]])
def test_an_image_without_a_task_is_a_usage_error_with_a_remedy(ctl_run, store, command):
    status, out, err = ctl_run(*command, IMAGE)

    assert (status, out) == (2, "")
    assert err == (
        f"glance-sync: image {IMAGE} has no task; "
        f"'glance-sync explain {IMAGE}' shows where it belongs, "
        f"'glance-sync sync {IMAGE}' requests its copies\n"
    )


def test_retry_makes_what_failed_and_what_waits_due_now(ctl_run, filled):
    before = found_in(filled, IMAGE, "RegionTwo")

    status, out, err = ctl_run("retry", IMAGE)

    assert (status, err) == (0, "")
    assert out == f"Due now: image {IMAGE} in RegionFour, RegionThree\n"
    now = datetime.datetime.now(datetime.UTC)
    for region in ("RegionThree", "RegionFour"):
        task = found_in(filled, IMAGE, region)
        assert (task.status, task.attempts) == (tasks.TaskStatus.PENDING, 0)
        assert task.not_before <= now
        assert not task.may_delete
    assert found_in(filled, IMAGE, "RegionTwo") == before


def open_breaker(store, region, until=LATER):
    """Open the breaker of a region."""
    breaker = breakers.Breaker(
        failures=4, since=NOW, retry_at=until, reason="connection to two.example: refused"
    )
    store.breakers().change(region, lambda _: breaker)


def test_tasks_that_wait_for_a_region_say_until_when_and_why(ctl_run, filled):
    open_breaker(filled, "RegionTwo")
    open_breaker(filled, "RegionThree")
    told = (
        "region RegionThree is unavailable until 2199-01-01T00:00:00Z, after 4 failures in a "
        "row: connection to two.example: refused"
    )

    rows = json.loads(ctl_run("status", "-f", "json")[1])
    shown = ctl_run("show", OTHER)[1]

    reasons = {(row["image_id"], row["region"]): row["reason"] for row in rows}
    assert reasons == {
        (IMAGE, "RegionTwo"): "in sync",
        (IMAGE, "RegionThree"): "not ours",
        (IMAGE, "RegionFour"): "connection refused",
        (OTHER, "RegionTwo"): "",
        (OTHER, "RegionThree"): told,
    }
    assert f"RegionThree: pending; {told}" in shown


def test_a_region_that_failed_and_is_available_changes_no_reason(ctl_run, filled):
    counted = breakers.Breaker(failures=1, reason="connection refused")
    filled.breakers().change("RegionThree", lambda _: counted)

    pending = ["--image", OTHER, "--status", "pending"]
    (row,) = json.loads(ctl_run("status", "-f", "json", *pending)[1])

    assert row["reason"] == ""


def test_a_paused_region_says_who_paused_it_and_what_ends_that(ctl_run, filled, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "alice")
    open_breaker(filled, "RegionThree")

    status, out, _ = ctl_run("pause", "RegionThree", "--reason", "new disks")

    assert (status, out) == (
        0, "Paused region RegionThree: running transfers stop, no other starts\n"
    )
    (row,) = json.loads(
        ctl_run("status", "-f", "json", "--image", OTHER, "--region", "RegionThree")[1]
    )
    pause = filled.pauses().all()["RegionThree"]
    since = pause.since.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert row["code"] == "region_paused"
    assert row["reason"] == (
        f"region RegionThree is paused since {since} by alice: new disks; "
        "'glance-sync resume RegionThree' ends that"
    )
    assert not pause.finishes


def test_a_region_is_resumed_once(ctl_run, filled):
    ctl_run("pause", "RegionThree", "--reason", "new disks", "--finish")
    assert filled.pauses().all()["RegionThree"].finishes

    assert ctl_run("resume", "RegionThree") == (0, "Resumed region RegionThree\n", "")
    assert not filled.pauses().all()
    status, out, err = ctl_run("resume", "RegionThree")
    assert (status, out) == (0, "")
    assert "Region RegionThree was not paused" in err


@pytest.fixture
def window(conf_file):
    """Pause RegionThree for the next hour and the one before; return the time in sync.conf."""
    hour = datetime.datetime.now(datetime.UTC).hour
    text = f"0 {hour} * * * 2h UTC"
    with conf_file.open("a") as file:
        file.write(f"\n[transfer]\npause_windows = RegionThree: {text}\n")
    return text


def test_a_window_is_shown_until_its_end(ctl_run, filled, window):
    filled.agents().report(agent_of("host-1"))
    (row,) = json.loads(
        ctl_run("status", "-f", "json", "--image", OTHER, "--region", "RegionThree")[1]
    )
    assert row["code"] == "region_paused"
    assert row["reason"].endswith(f":00Z by pause_windows: {window}")
    out = ctl_run("summary")[1]
    assert "RegionThree: paused since" in out
    assert f"by pause_windows: {window}; 0 success" in out


def test_who_resumes_a_region_in_a_window_is_shown_what_still_pauses_it(
    ctl_run, filled, window
):
    ctl_run("pause", "RegionThree", "--reason", "new disks")
    status, out, err = ctl_run("resume", "RegionThree")
    assert (status, out) == (0, "Resumed region RegionThree\n")
    assert "Region RegionThree is still paused since" in err
    assert f"by pause_windows: {window}. Change [transfer] pause_windows" in err
    err = ctl_run("resume", "RegionThree")[2]
    assert "Region RegionThree was not paused by a person" in err
    assert "is still paused since" in err


def test_what_people_asked_for_is_among_the_events(ctl_run, filled, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "alice")
    ctl_run("pause", "RegionTwo", "--reason", "new disks")
    ctl_run("resume", "RegionTwo")
    ctl_run("resume", "RegionTwo")
    ctl_run("cancel", OTHER, "--region", "RegionThree")

    rows = json.loads(ctl_run("events", "-f", "json")[1])

    assert [(row["kind"], row["by"], row["region"], row["text"]) for row in rows] == [
        ("cancelled", "alice", "RegionThree", ""),
        ("resumed", "alice", "RegionTwo", ""),
        ("paused", "alice", "RegionTwo", "new disks"),
    ]
    (row,) = json.loads(ctl_run("events", "-f", "json", "--image", OTHER)[1])
    assert (row["image_id"], row["code"]) == (OTHER, None)
    rest = ["--before", str(rows[0]["number"]), "--limit", "1"]
    assert [one["kind"] for one in json.loads(ctl_run("events", "-f", "json", *rest)[1])] == [
        "resumed"
    ]
    lines = ctl_run("events", "--kind", "paused")[1].splitlines()
    assert lines[1].replace(" ", "") == "|at|kind|by|image_id|region|text|"


def agent_of(host, **fields):
    now = datetime.datetime.now(datetime.UTC)
    return fleet.Agent(
        agent_id=f"{host}:1", host=host, version="1.2.3", started_at=now, seen_at=now, **fields
    )


def test_an_empty_command_line_shows_the_state_of_all(ctl_run, filled):
    status, out, _ = ctl_run()
    assert status == 2  # no agent is alive
    assert "critical: no agent is alive, so nothing is copied; start one:" in out
    assert "RegionThree: available; 0 success, 0 processing, 1 pending, 1 failure" in out


def test_the_summary_is_a_plug_in_of_nagios(ctl_run, filled):
    filled.agents().report(agent_of("host-1", running=3))
    status, out, _ = ctl_run("summary", "-f", "json")
    found = json.loads(out)
    assert (status, found["status"]) == (1, "warning")
    assert [one["state"] for one in found["agents"]] == ["running"]
    ctl_run("cancel", OTHER)
    assert "host-1: running, 3 tasks" in ctl_run("summary")[1]


def test_the_summary_of_nothing_is_well_if_an_agent_is_alive(ctl_run, store):
    store.agents().report(agent_of("host-1"))
    status, out, _ = ctl_run("summary", "-f", "json")
    assert (status, json.loads(out)["status"]) == (0, "ok")


def test_agents_are_listed(ctl_run, store):
    store.agents().report(agent_of("host-1"))
    store.agents().report(agent_of("host-2", waits_for="Keystone"))
    rows = json.loads(ctl_run("agents", "-f", "json")[1])
    assert [(row["host"], row["state"], row["waits_for"]) for row in rows] == [
        ("host-1", "running", None), ("host-2", "waiting", "Keystone")
    ]
    assert "| host   | version | state   | running |" in ctl_run("agents")[1]


@pytest.mark.parametrize("text", ["0", "10001", "9" * 5000, "many", ""])
def test_what_is_no_count_of_events_is_a_usage_error(ctl_run, filled, text):
    status, out, err = ctl_run("events", "--limit", text)
    assert (status, out) == (2, "")
    assert "a number from 1 to 10000" in err


def test_cancel_stops_what_waits_and_says_where(ctl_run, filled, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "alice")

    status, out, _ = ctl_run("cancel", OTHER)

    assert (status, out) == (0, f"Cancelled image {OTHER} in RegionThree, RegionTwo\n")
    task = found_in(filled, OTHER, "RegionThree")
    assert (task.status, task.cancelled_by) == (tasks.TaskStatus.PENDING, "alice")
    assert task.reason == "cancelled by alice; 'glance-sync retry' continues it"
    status, out, _ = ctl_run("retry", OTHER)
    assert (status, out) == (0, f"Due now: image {OTHER} in RegionThree, RegionTwo\n")
    assert found_in(filled, OTHER, "RegionThree").cancelled_by is None


def test_all_failures_are_retried_with_one_command(ctl_run, filled):
    status, out, _ = ctl_run("retry", "--all", "--region", "RegionThree", "--code", "refused")
    assert (status, out) == (0, "Due now: 1 tasks\n")
    assert found_in(filled, IMAGE, "RegionThree").status is tasks.TaskStatus.PENDING
    status, out, err = ctl_run("retry", "--all")
    assert (status, out) == (0, "")
    assert "Nothing to retry: no task matches" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name an image, or say --all"),
        ([IMAGE, "--all"], "name an image, or say --all"),
        ([IMAGE, "--code", "refused"], "--code is for --all"),
        (["--all", "--code", "typo"], "invalid choice"),
    ],
)
def test_what_to_retry_is_said_once(ctl_run, filled, arguments, said):
    status, out, err = ctl_run("retry", *arguments)
    assert (status, out) == (2, "")
    assert said in err


def test_there_is_nothing_to_cancel_where_all_is_done(ctl_run, filled):
    status, out, err = ctl_run("cancel", IMAGE, "--region", "RegionTwo")
    assert (status, out) == (0, "")
    assert f"Nothing to cancel: image {IMAGE} is in RegionTwo: success" in err


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_no_region_is_paused_that_nobody_knows(ctl_run, filled, command):
    reason = ["--reason", "typo"] if command == "pause" else []
    status, out, err = ctl_run(command, "Region\x1bTwo", *reason)
    assert (status, out) == (1, "")  # this Keystone does not answer
    assert "region Region\\x1bTwo has no task" in err
    assert not filled.pauses().all()


def test_retry_probes_an_unavailable_region(ctl_run, filled):
    open_breaker(filled, "RegionThree")
    open_breaker(filled, "RegionTwo")

    status, out, _ = ctl_run("retry", OTHER)

    assert (status, out) == (0, f"Due now: image {OTHER} in RegionThree\n")
    now = datetime.datetime.now(datetime.UTC)
    found = filled.breakers().all()
    assert not found["RegionThree"].is_open(now)
    assert found["RegionTwo"].is_open(now)


def test_retry_of_one_region_leaves_the_others_alone(ctl_run, filled):
    before = found_in(filled, IMAGE, "RegionFour")

    status, out, _ = ctl_run("retry", IMAGE, "RegionThree")

    assert (status, out) == (0, f"Due now: image {IMAGE} in RegionThree\n")
    assert found_in(filled, IMAGE, "RegionThree").status is tasks.TaskStatus.PENDING
    assert found_in(filled, IMAGE, "RegionFour") == before


def test_retry_of_what_runs_or_is_in_step_says_that_there_is_nothing_to_do(ctl_run, filled):
    status, out, err = ctl_run("retry", IMAGE, "RegionTwo")

    assert (status, out) == (0, "")
    assert err == f"Nothing to retry: image {IMAGE} is in RegionTwo: success\n"


@pytest.mark.parametrize("command", ["retry", "show"])
def test_an_image_without_a_task_in_a_region_is_a_usage_error(ctl_run, filled, command):
    status, _, err = ctl_run(command, OTHER, "--region", "RegionFour")

    assert status == 2
    assert f"image {OTHER} has no task in region RegionFour" in err


@pytest.mark.parametrize(
    "command", [["status"], ["show", IMAGE], ["retry", IMAGE]], ids=lambda words: words[0]
)
def test_an_unknown_region_is_a_failure_if_keystone_is_unreachable(
    ctl_run, filled, command
):
    status, out, err = ctl_run(*command, "--region", "RegionNine")

    assert (status, out) == (1, "")
    assert "region RegionNine has no task, and Keystone cannot tell whether it exists" in err


def test_the_positional_region_is_the_same_as_the_option(ctl_run, filled):
    by_option = ctl_run("retry", IMAGE, "--region", "RegionThree")
    both = ctl_run("retry", IMAGE, "RegionThree", "--region", "RegionThree")

    assert by_option[:2] == (0, f"Due now: image {IMAGE} in RegionThree\n")
    assert both[0] == 0


@pytest.mark.parametrize("command", ["retry", "sync"])
def test_two_different_regions_are_a_usage_error(ctl_run, filled, command):
    status, out, err = ctl_run(command, IMAGE, "RegionThree", "--region", "RegionFour")

    assert (status, out) == (2, "")
    assert "--region RegionFour and RegionThree: name one region" in err


def test_show_of_one_region_leaves_out_the_others(ctl_run, filled):
    out = ctl_run("show", IMAGE, "--region", "RegionTwo", "-f", "json")[1]

    assert [one["region"] for one in json.loads(out)["regions"]] == ["RegionTwo"]


def test_an_image_is_found_by_its_name_without_keystone_too(ctl_run, filled):
    shown = ctl_run("show", "ubuntu", "-f", "json")
    retried = ctl_run("retry", "cirros", "--region", "RegionThree")

    assert (shown[0], json.loads(shown[1])["image_id"]) == (0, OTHER)
    assert "the search for the name ubuntu is incomplete: " in shown[2]
    assert retried[:2] == (0, f"Due now: image {IMAGE} in RegionThree\n")


def test_a_name_of_several_images_is_a_usage_error_that_lists_them(ctl_run, filled):
    in_sync = tasks.Succeeded(code=Code.IN_SYNC, reason="in sync")
    fill(filled, OTHER, "RegionFour", in_sync, name="cirros")

    status, out, err = ctl_run("show", "cirros")

    assert (status, out) == (2, "")
    assert f"2 images have the name cirros: {OTHER}, {IMAGE}; give one id" in err
    rows = json.loads(ctl_run("status", "--image", "cirros", "-f", "json")[1])
    assert {row["image_id"] for row in rows} == {IMAGE, OTHER}


@pytest.mark.parametrize(
    "command", [["show"], ["retry"], ["status", "--image"]], ids=lambda words: words[0]
)
@pytest.mark.parametrize("text", ["absent", "../../etc/passwd", IMAGE.replace("-", "")])
def test_a_name_that_the_database_does_not_know_needs_keystone(ctl_run, filled, command, text):
    status, out, err = ctl_run(*command, text)

    assert (status, out) == (1, "")
    assert f"found no image with the name {text}, but the search is incomplete: " in err


def test_a_request_while_the_agent_is_paused_says_so(ctl_run, filled, conf_file):
    text = conf_file.read_text()
    conf_file.write_text(text.replace("[DEFAULT]", "[DEFAULT]\nsync_enabled = false"))

    assert "sync_enabled is false" in ctl_run("retry", IMAGE)[2]


def test_sync_without_keystone_says_so_and_changes_nothing(ctl_run, filled):
    before = list(filled.list())

    status, out, err = ctl_run("sync", IMAGE, "RegionTwo")

    assert (status, out) == (1, "")
    assert "127.0.0.1" in err
    assert "Traceback" not in err
    assert list(filled.list()) == before


def test_to_release_a_copy_its_region_is_named_too(ctl_run, filled):
    before = list(filled.list())

    status, out, err = ctl_run("sync", "--release", IMAGE)

    assert (status, out) == (2, "")
    assert "--release needs the region of the copy: add --region" in err
    assert list(filled.list()) == before


def test_an_unknown_copy_is_not_released():
    key = tasks.TaskKey(image_id=images.ImageId("0" * 36), region=images.RegionId("RegionTwo"))
    cloud: Any = types.SimpleNamespace(engine=lambda: worlds.World().engine)

    with pytest.raises(errors.SyncError, match="so there is nothing to activate; 'glance-sync"):
        requests._release(cloud, key)


@pytest.mark.parametrize(
    "command",
    [["show"], ["retry"], ["sync"], ["explain"], ["verify"], ["status", "--image"]],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "'' is neither the id nor the name of an image"),
        ("a\udcff", r"a\udcff is not valid UTF-8"),  # the byte ff in an argument
    ],
)
def test_what_can_be_no_name_is_a_usage_error(ctl_run, command, text, said):
    status, _, err = ctl_run(*command, text)

    assert status == 2
    assert said in err


@pytest.mark.parametrize(
    ("main", "arguments", "said"),
    [
        pytest.param(manager.main, [], "which command?", id="none to manage"),
        pytest.param(shell.main, ["dance"], "there is no command 'dance'", id="unknown"),
        pytest.param(manager.main, ["db"], "there is no command 'db'", id="half a command"),
        pytest.param(shell.main, ["status", "--status", "lost"], "invalid choice", id="choice"),
        pytest.param(shell.main, ["status", "--nonsense"], "--nonsense", id="option"),
        pytest.param(shell.main, ["status", "--marker", IMAGE], "needs --limit", id="marker"),
        pytest.param(shell.main, ["status", "--limit", "0"], "from 1 to 10000", id="no limit"),
        pytest.param(
            shell.main, ["status", "--limit", "1", "--marker", "x"], "not the id", id="no marker"
        ),
        pytest.param(
            shell.main, ["status", "--limit", "1", "--image", "x"], "not for --image", id="page"
        ),
        pytest.param(
            shell.main, ["status", "--limit", "1", "--wait"], "not for --image, --wait", id="wait"
        ),
    ],
)
def test_a_usage_error_is_a_sentence_and_status_2(run, main, arguments, said):
    status, out, err = run(main, *arguments)

    assert (status, out) == (2, "")
    assert said in err


@pytest.mark.parametrize(
    ("main", "commands"),
    [(shell.main, ["status", "show", "retry", "sync"]), (manager.main, ["db upgrade", "check"])],
)
def test_the_help_names_every_command_with_examples(run, main, commands):
    status, out, _ = run(main, "--help")

    assert status == 0
    assert "examples:" in out
    assert not [command for command in commands if f"  {command} " not in out]


@pytest.mark.parametrize(
    "command",
    [
        "status", "retry", "sync", "pause", "resume", "cancel", "events", "summary", "agents"
    ],
)
def test_the_help_of_a_command_has_an_example(ctl_run, command):
    status, out, _ = ctl_run(command, "--help")

    assert status == 0
    assert f"glance-sync {command} " in out.partition("example")[2]


@pytest.mark.parametrize("command", ["status", "show", "retry"])
def test_without_a_database_the_way_to_make_one_is_named(ctl_run, command):
    arguments = [] if command == "status" else [IMAGE]

    status, out, err = ctl_run(command, *arguments)

    assert (status, out) == (1, "")
    assert "run 'glance-sync-manage db upgrade'" in err


def test_without_a_configuration_the_file_is_named(capsys, tmp_path):
    assert shell.main(["--config-file", str(tmp_path / "absent.conf"), "status"]) == 1
    assert "absent.conf" in capsys.readouterr().err


def test_a_traceback_is_shown_only_with_debug(ctl_run):
    assert "Traceback" not in ctl_run("show", IMAGE)[2]
    assert "Traceback" in ctl_run("--debug", "show", IMAGE)[2]


def test_the_agents_log_is_not_touched(ctl_run, filled, tmp_path):
    ctl_run("status")

    assert not (tmp_path / "agent.log").exists()


def test_the_database_is_made_and_then_left_as_it_is(manage_run, tmp_path):
    first = manage_run("db", "upgrade")
    second = manage_run("db", "upgrade")

    assert first == (0, "Upgraded the database from nothing to revision 0021\n", "")
    assert second == (0, "The database is at revision 0021 already\n", "")
    assert (tmp_path / "state" / "sync.sqlite").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "state").stat().st_mode & 0o007 == 0


def test_a_state_path_that_cannot_be_made_is_named(manage_run, tmp_path):
    (tmp_path / "state").write_text("a file")

    status, _, err = manage_run("db", "upgrade")

    assert status == 1
    assert f"state_path = {tmp_path / 'state'}" in err


def test_a_check_shows_failures_remedies_and_skipped_links(manage_run):
    status, out, _ = manage_run("check", "-f", "json")

    assert status == 1
    found = {one["link"]: one for one in json.loads(out)}
    assert {link: one["verdict"] for link, one in found.items()} == {
        "sync.conf": "WARN",  # everybody may read it
        "glance_store.yaml": "SKIP",
        "sync_strategy.yaml": "OK",
        "state_path": "OK",
        "API": "OK",
        "database": "FAIL",
        "message bus": "FAIL",
        "Keystone": "FAIL",
        "catalogue": "SKIP",
        "regions": "SKIP",
        "tasks": "SKIP",
        "marked images": "SKIP",
        "first start": "SKIP",
    }
    failed = [one for one in found.values() if one["verdict"] == "FAIL"]
    assert all(one["remedy"] for one in failed)
    assert found["database"]["remedy"] == "glance-sync-manage db upgrade"
    assert "transport_url" in found["message bus"]["remedy"]
    assert "127.0.0.1:1/region" in found["message bus"]["detail"]
    assert "[service_credentials]" in found["Keystone"]["remedy"]


def test_a_check_prints_a_line_for_each_link_and_a_remedy_below(manage_run, store):
    status, out, _ = manage_run("check")

    assert status == 1
    lines = out.splitlines()
    assert "OK    database             revision 0021, can be written" in lines
    bus = next(index for index, line in enumerate(lines) if line.startswith("FAIL  message bus"))
    assert lines[bus + 1].startswith("      -> set transport_url")
    assert lines[-1] == "2 of 14 links fail"
    last = lines[lines.index("Problems, the most important first:") + 1 : -2]
    verdicts = [line.split()[0] for line in last if not line.startswith(" ")]
    assert verdicts == ["FAIL", "FAIL", "WARN"]


def test_a_check_may_show_only_problems(manage_run, store):
    _, out, _ = manage_run("check", "--problems")
    assert not [line for line in out.splitlines() if line.startswith(("OK", "SKIP"))]
    assert out.count("FAIL  message bus") == 1
    found = json.loads(manage_run("check", "--problems", "-f", "json")[1])
    assert {one["verdict"] for one in found} == {"FAIL", "WARN"}


def test_a_check_knows_the_agents_and_what_waits_for_them(manage_run, filled):
    filled.agents().report(agent_of("host-1"))
    found = {one["link"]: one for one in json.loads(manage_run("check", "-f", "json")[1])}
    assert found["clock"]["verdict"] == "OK"
    assert (found["agents"]["verdict"], found["agents"]["detail"]) == ("OK", "1 run")
    assert found["tasks RegionThree"]["verdict"] == "WARN"
    assert found["tasks RegionThree"]["detail"] == "1 tasks of region RegionThree failed"
    assert "glance-sync status --region RegionThree" in found["tasks RegionThree"]["remedy"]

    only = json.loads(manage_run("check", "--region", "RegionFour", "-f", "json")[1])
    assert [one["link"] for one in only if one["link"].startswith("tasks")] == [
        "tasks RegionFour"
    ]
    assert "agents" not in {one["link"] for one in only}


def test_an_agent_that_is_gone_fails_a_check(manage_run, store):
    gone = dataclasses.replace(
        agent_of("host-1"),
        seen_at=datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5),
    )
    store.agents().report(gone)
    found = json.loads(manage_run("check", "-f", "json")[1])
    agents = [(one["verdict"], one["detail"]) for one in found if one["link"] == "agents"]
    assert agents[0] == ("FAIL", "no agent is alive, so nothing is copied")
    assert agents[1][0] == "WARN"


def test_a_database_that_can_be_read_and_not_written_fails(manage_run, store, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "sync.sqlite")) as connection:
        connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON tasks BEGIN SELECT RAISE(ABORT, 'read only'); END"
        )

    found = {one["link"]: one for one in json.loads(manage_run("check", "-f", "json")[1])}

    assert found["database"]["verdict"] == "FAIL"
    assert "read only" in found["database"]["detail"]
    assert "grant" in found["database"]["remedy"]


def test_a_quick_check_leaves_out_what_a_start_would_copy(manage_run, store):
    found = json.loads(manage_run("check", "--quick", "-f", "json")[1])

    assert "first start" not in [one["link"] for one in found]


def test_a_check_of_a_bad_configuration_is_a_finding(manage_run, conf_file):
    conf_file.write_text("[transfer]\nlease_seconds = 1\n")

    status, out, err = manage_run("check", "-f", "json")

    assert (status, err) == (1, "")
    first, second = json.loads(out)
    assert (first["link"], first["verdict"]) == ("sync.conf", "FAIL")
    assert "lease_seconds" in first["detail"]
    assert first["remedy"]
    assert second["verdict"] == "SKIP"


def test_a_check_shows_every_mistake_of_the_store_file(manage_run, conf_file, tmp_path):
    (tmp_path / "glance_store.yaml").write_text("glances:\n- name: R\n- junk\n")

    out = manage_run("check")[1]

    assert f"FAIL  glance_store.yaml    {tmp_path}/glance_store.yaml:2: expected" in out
    assert f"\n      {tmp_path}/glance_store.yaml:3: expected" in out


def test_a_bus_that_cannot_be_checked_is_said_to_be_so(manage_run, conf_file):
    text = conf_file.read_text()
    conf_file.write_text(text.replace("rabbit://user:hidden-of-the-bus@127.0.0.1:1/", "fake://"))

    out = manage_run("check")[1]

    assert "OK    message bus          fake://, which cannot be checked" in out


@pytest.mark.parametrize(
    ("command", "option"), [("sync", "--delete-copies"), ("verify", "--replace-all")]
)
def test_the_old_name_of_an_option_is_hidden_and_warns(ctl_run, filled, command, option):
    shown = ctl_run(command, "--help")[1]
    told = ctl_run(command, "--force", IMAGE)[2]

    assert f"{option} " in shown
    assert "--force" not in shown
    assert f"--force is deprecated: use {option}, which does the same" in told
    assert "deprecated" not in ctl_run(command, option, IMAGE)[2]


@pytest.mark.parametrize("text", ["0", "-1", "ten", "1.5", "", "\N{SUPERSCRIPT TWO}"])
def test_what_is_no_count_of_deletions_is_a_usage_error(ctl_run, text):
    status, _, err = ctl_run("reconcile", f"--allow-deletes={text}")

    assert status == 2
    assert f"'{text}' is not a whole number above 0" in err


@pytest.mark.parametrize(
    ("main", "name"),
    [
        (shell.main, "glance-sync"),
        (manager.main, "glance-sync-manage"),
        (command.main, "glance-sync-agent"),
    ],
)
def test_the_version_is_shown(capsys, main, name):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{name} {glance_sync_agent.__version__}\n"
