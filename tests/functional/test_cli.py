# SPDX-License-Identifier: Apache-2.0
"""``glance-sync`` as it is installed, in processes of its own."""

import datetime
import json
import os
import subprocess
import uuid

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from tests.functional import databases
from tests.functional import people as users
from tests.functional import running

NOW = datetime.datetime(2026, 11, 22, 8, 0, tzinfo=datetime.UTC)
CASCADED = ["RegionFour", "RegionThree", "RegionTwo"]


@pytest.fixture
def image_id():
    return images.ImageId(str(uuid.uuid4()))


@pytest.fixture
def configured(cloud, tmp_path):
    """Return a function that writes an agent's files; no agent runs."""

    def configure(**options):
        agent = running.Agent(cloud.describe(), tmp_path, options={"DEFAULT": options})
        databases.make(agent.directory)
        return agent

    return configure


def run(agent, *arguments):
    command = agent.command("glance-sync", *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False)


def rows(agent):
    store = databases.opened(agent.directory)
    try:
        return list(store.list())
    finally:
        store.close()


def test_sync_asks_for_an_image_in_every_cascaded_region(configured, image_id):
    agent = configured()

    done = run(agent, "sync", image_id)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        f"Requested image {image_id} in 3 regions; see 'glance-sync show {image_id}'\n"
    )
    found = rows(agent)
    assert [task.key.region for task in found] == CASCADED
    assert {task.key.image_id for task in found} == {image_id}
    assert {task.status for task in found} == {tasks.TaskStatus.PENDING}
    assert not any(task.may_delete for task in found)


def test_sync_asks_for_an_image_in_one_region(configured, image_id):
    agent = configured()

    done = run(agent, "sync", image_id, "RegionThree")

    assert (done.returncode, done.stderr) == (0, "")
    assert "in RegionThree" in done.stdout
    assert [task.key.region for task in rows(agent)] == ["RegionThree"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--delete-copies", ""),
        (
            "--force",
            "glance-sync sync: --force is deprecated: use --delete-copies, which does the same\n",
        ),
    ],
)
def test_sync_may_delete_copies_if_it_is_told_to(configured, image_id, option, said):
    agent = configured()

    done = run(agent, "sync", option, image_id, "--region", "RegionTwo")

    assert (done.returncode, done.stderr) == (0, said)
    (task,) = rows(agent)
    assert task.may_delete


@pytest.mark.parametrize("region", ["RegionNine", "RegionOne"])
def test_sync_to_a_region_that_takes_no_copies_lists_those_that_do(configured, image_id, region):
    agent = configured()

    done = run(agent, "sync", image_id, region)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"glance-sync: there is no region {region} to copy to; the regions are "
        f"{', '.join(CASCADED)}\n"
    )
    assert rows(agent) == []


def test_sync_under_the_strategy_none_wants_a_region(configured, image_id):
    agent = configured(sync_strategy="None")

    nowhere = run(agent, "sync", image_id)
    somewhere = run(agent, "sync", image_id, "RegionTwo")

    assert (nowhere.returncode, nowhere.stdout) == (1, "")
    assert "name a region" in nowhere.stderr
    assert somewhere.returncode == 0
    assert [task.key.region for task in rows(agent)] == ["RegionTwo"]


def test_what_is_requested_is_shown(configured, image_id):
    agent = configured()
    run(agent, "sync", image_id)

    shown = json.loads(run(agent, "show", image_id, "-f", "json").stdout)
    listed = json.loads(run(agent, "status", "-f", "json", "--image", image_id).stdout)

    assert shown["image_id"] == image_id
    for row in (*shown["regions"], *listed):
        assert row.pop("lag_seconds") >= 0  # it grows from one command to the next
    assert shown["regions"] == listed
    assert [row["region"] for row in listed] == CASCADED


@pytest.fixture
def published(cloud):
    """Give images: one with a name of its own, and two that share one."""
    people = users.People(cloud)
    first, *twins = (people.publish() for _ in range(3))
    name = f"{first.name}:golden"  # with the colon that Glance takes for an operator
    people.client().images.update(first.image_id, name=name)
    for twin in twins:
        people.client().images.update(twin.image_id, name=f"{name} twin")
    yield name, [images.ImageId(one.image_id) for one in (first, *twins)]
    people.clean()


@pytest.mark.parametrize(
    "command",
    [["sync"], ["show"], ["explain"], ["retry"], ["verify", "--dry-run"], ["status", "--image"]],
    ids=lambda words: words[0],
)
def test_every_command_takes_the_name_of_an_image(configured, published, command):
    agent = configured()
    name, (image_id, *twins) = published
    is_filter = command[0] == "status"  # it may find several
    for one in (image_id, *(twins if is_filter else ())):
        run(agent, "sync", one)

    by_name = run(agent, *command, name, "--region", "RegionTwo")
    by_id = run(agent, *command, image_id, "--region", "RegionTwo")
    twin = run(agent, *command, f"{name} twin")
    unknown = run(agent, *command, f"{name} unknown")

    assert by_name.returncode == by_id.returncode == 0, by_name.stderr
    assert by_name.stdout == by_id.stdout
    assert unknown.returncode == 2
    assert f"there is no image with the name {name} unknown in the cascading" in unknown.stderr
    if is_filter:
        assert twin.returncode == 0
        assert all(one in twin.stdout.replace("\n", "") for one in ("RegionTwo", "RegionFour"))
    else:
        assert twin.returncode == 2
        assert f"2 images have the name {name} twin: {', '.join(sorted(twins))}" in twin.stderr


@pytest.mark.parametrize(
    "command",
    ["status", "show", "explain", "retry", "sync", "verify", "reconcile"],
)
def test_a_region_that_nobody_knows_is_a_usage_error_with_those_that_there_are(
    configured, image_id, command
):
    agent = configured()
    image = [] if command in {"status", "reconcile"} else [image_id]

    done = run(agent, command, *image, "--region", "Typo")

    assert (done.returncode, done.stdout) == (2, "")
    assert "there is no region Typo" in done.stderr
    assert "RegionThree, RegionTwo" in done.stderr


def test_a_region_that_only_the_database_knows_is_known(configured, image_id):
    agent = configured()
    store = databases.opened(agent.directory)
    gone = images.RegionId("RegionGone")
    request = ports.Request(now=NOW, not_before=NOW, request_id="r")
    store.request(image_id, [gone], request, elsewhere=False)
    store.close()

    listed = run(agent, "status", "--region", gone, "-f", "json")
    empty = run(agent, "status", "--region", "RegionTwo", "-f", "json")
    unknown = run(agent, "status", "--region", "Typo")

    assert [row["region"] for row in json.loads(listed.stdout)] == [gone]
    assert (empty.returncode, json.loads(empty.stdout)) == (0, [])
    assert "the regions are RegionFour, RegionGone, RegionOne, " in unknown.stderr


def test_a_reader_that_goes_away_is_no_traceback(configured, image_id):
    agent = configured()
    run(agent, "sync", image_id)
    reading, writing = os.pipe()
    os.close(reading)

    with os.fdopen(writing, "wb") as closed:
        done = subprocess.run(
            agent.command("glance-sync", "status", "-f", "csv"),
            stdout=closed, stderr=subprocess.PIPE, text=True, check=False,
        )

    assert done.stderr == ""
    assert done.returncode == 141  # as if by SIGPIPE
