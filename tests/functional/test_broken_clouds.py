# SPDX-License-Identifier: Apache-2.0
"""What an operator of a broken cloud sees on the first screen of ``check`` and ``summary``."""

from collections.abc import Iterator, Mapping
import json
import os
import pathlib
import re
import signal
import subprocess
import textwrap

import pytest

from tests import paths
from tests.contract import databases as tables
from tests.functional import broken_clouds
from tests.functional import people as users
from tests.functional import running
from tools import cloud as clouds
from tools import databases as servers

#: A terminal as it was in the beginning.
LINES, COLUMNS = 24, 80
#: Names a file to which each row of the table in broken-clouds.rst is appended, as JSON.
TABLE = "GLANCE_SYNC_TEST_TABLE"


@pytest.fixture(scope="module")
def shared(
    cloud: clouds.Cloud,
    people: users.People,
    postgresql_server: servers.Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[broken_clouds.Stage]:
    options = {
        **running.FAST,
        "DEFAULT": {"task_retry_times": 1000},
        "api": {
            "enabled": "false", "completion_target_seconds": broken_clouds.TARGET_SECONDS
        },
    }
    options["transfer"] = {**options["transfer"], "small_image_mib": 0}
    tables.empty(postgresql_server.url)
    made = [
        running.Agent(cloud.describe(), tmp_path_factory.mktemp(name), options=options)
        for name in ("agent", "frozen")
    ]
    agent, frozen = made
    try:
        for one in made:
            one.start()
        frozen.wait_for_log("Scanned ")
        os.killpg(frozen.pid, signal.SIGSTOP)  # launcher and worker
        agent.wait_for_log("Scanned ")
        yield broken_clouds.Stage(
            cloud=cloud, people=people, agent=agent, frozen=frozen,
            directory=tmp_path_factory.getbasetemp(), database=postgresql_server,
        )
    finally:
        for one in made:
            one.close()


def said(commands: dict[str, list[str]], environment: Mapping[str, str]) -> dict[str, str]:
    """Run commands at the same time; return the last screen of each."""
    running_now = {
        name: subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, env={**os.environ, **environment},
        )
        for name, command in commands.items()
    }
    return {name: process.communicate()[0] for name, process in running_now.items()}


def screen(text: str) -> str:
    """Return what is left on a terminal."""
    lines = [
        part for line in text.splitlines() for part in (textwrap.wrap(
            line, COLUMNS, drop_whitespace=False, break_on_hyphens=False) or [""])
    ]
    return "".join(lines[-LINES:])


def problem(text: str, word: str) -> str:
    """Return the problem of a check that has a word, on one line."""
    lines = text.rpartition("most important first:")[2].strip().splitlines()
    starts = [number for number, line in enumerate(lines) if not line.startswith("      ")]
    ends = [*starts[1:], len(lines)]
    parts = [" ".join(lines[start:end]) for start, end in zip(starts, ends, strict=True)]
    return " ".join(next(one for one in parts if word in one).split())


def told(text: str) -> str:
    """Return the problems of a summary."""
    try:
        return " ".join(one["text"] for one in json.loads(text)["problems"]) or "nothing"
    except ValueError:
        return " ".join(text.split())


def general(text: str, directory: pathlib.Path) -> str:
    """Return what was said without the names of this machine and this moment."""
    for expression, instead in (
        (rf"{directory.parent}/agent(?=/)", "/etc/glance"),
        (rf"{directory.parent}/agent", "/etc/glance/agent"),
        (r"/\S*/\.cloud/\S*/|/tmp/\S+/(?=glance_store)", "/etc/glance/"),
        (r"(\d\]?|sport = ):\d{4,5}\b", r"\1:PORT"),
        (r"-p \d{4,5}\b", "-p PORT"),
        (r"SHA256:[\w+/]+", "SHA256:KEY"),
        (r"20\d\d-\d\d-\d\dT[\d:]+Z", "TIME"),
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "ID"),
        (r" on \S+ may say| agent \S+:ID", lambda found: found[0].replace("vm", "host-1")),
    ):
        text = re.sub(expression, instead, text)
    return text


@pytest.mark.parametrize("breakage", broken_clouds.ALL, ids=lambda one: one.name)
def test_the_cause_and_the_remedy_are_on_the_first_screen(shared, breakage, tmp_path):
    shared.directory = tmp_path / "agent"
    with breakage.run(shared) as agent:
        found = said(
            {
                "check": agent.command("glance-sync-manage", "check"),
                "summary": agent.command("glance-sync", "summary", "-f", "json"),
            },
            agent.environment,
        )
    shown = screen(found["check"])
    assert [word for word in breakage.check if word not in shown] == [], found["check"]
    summary = told(found["summary"])
    assert [word for word in breakage.summary if word not in summary] == [], summary
    if TABLE in os.environ:
        row = [breakage.title, problem(found["check"], breakage.check[0]), summary]
        with pathlib.Path(os.environ[TABLE]).open("a") as table:
            table.write(json.dumps([general(text, tmp_path / "agent") for text in row]) + "\n")


def test_the_page_lists_every_breakage():
    page = (paths.ROOT / "doc" / "source" / "broken-clouds.rst").read_text()
    listed = re.findall(r"^   \* - (.*)$", page, re.MULTILINE)[1:]
    assert listed == [one.title for one in broken_clouds.ALL]
