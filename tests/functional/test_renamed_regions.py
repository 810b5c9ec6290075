# SPDX-License-Identifier: Apache-2.0
"""Regions that have new names, or have left the catalogue, on the real cloud."""

import contextlib
import datetime
import json
import subprocess
import uuid

import pytest

from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from tests.functional import databases
from tests.functional import running

NOW = datetime.datetime(2026, 11, 22, 8, 0, tzinfo=datetime.UTC)
#: What RegionTwo was called before; the catalogue has never heard of it.
OLD = images.RegionId("OldTwo")
ONE, TWO = images.RegionId("RegionOne"), images.RegionId("RegionTwo")


@pytest.fixture
def configured(cloud, tmp_path):
    """Return a function that writes an agent's files; the database is made."""

    def configure(**options):
        agent = running.Agent(
            cloud.describe(), tmp_path, options={**running.FAST, "DEFAULT": options}
        )
        databases.make(agent.directory)
        return agent

    return configure


@contextlib.contextmanager
def store_of(agent):
    with contextlib.closing(databases.opened(agent.directory)) as store:
        yield store


def manage(agent, *arguments):
    command = agent.command("glance-sync-manage", *arguments)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done


def copy(people, region, *, copy_id=None, copy_region, source_region):
    """Make an image with a mark, as the agent or Nova does; return its id."""
    image_id = str(uuid.uuid4())
    people.create(
        "marked",
        region=region,
        user="admin",
        id=image_id,
        visibility="private",
        glance_sync_source_id=str(uuid.uuid4()),
        glance_sync_source_region=source_region,
        glance_sync_copy_id=copy_id or image_id,
        glance_sync_copy_region=copy_region,
    )
    return image_id


def names_on(people, region, image_id):
    record = people.client(region, "admin").images.get(image_id)
    return record["glance_sync_copy_region"], record["glance_sync_source_region"]


def known(agent, people, region, image_id, *, under=None, source_region=None):
    """Let a task know a copy, in the database under the name that its region had."""
    record = people.client(region, "admin").images.get(image_id)
    key = tasks.TaskKey(
        image_id=images.image_id(record["glance_sync_source_id"]), region=under or region
    )
    made = datetime.datetime.fromisoformat(record["created_at"])
    with store_of(agent) as store:
        store.adopt(
            key,
            identity.KnownCopy(copy_id=images.image_id(image_id), created_at=made),
            now=NOW,
            request_id="request",
            source_region=source_region,
        )
    return key


def seen_before(agent, cascading=ONE):
    """Let the database remember a catalogue that had the old name."""
    key = images.image_id(str(uuid.uuid4()))
    with store_of(agent) as store:
        store.known_regions().remember(cascading, [cascading, OLD], NOW)
        store.request(key, [OLD], ports.Request(now=NOW, not_before=NOW, request_id="request"))
    return tasks.TaskKey(image_id=key, region=OLD)


def test_a_region_with_a_new_name_keeps_its_tasks_and_its_copies(configured, people):
    agent = configured()
    key = seen_before(agent)
    ours = copy(people, TWO, copy_region=OLD, source_region=ONE)
    sourced = copy(people, "RegionThree", copy_region="RegionThree", source_region=OLD)
    known(agent, people, TWO, ours, under=OLD)
    known(agent, people, images.RegionId("RegionThree"), sourced, source_region=OLD)
    replicated = copy(people, TWO, copy_region=OLD, source_region=ONE)
    snapshot = copy(people, TWO, copy_id=ours, copy_region=OLD, source_region=ONE)

    shown = manage(agent, "region", "rename", OLD, TWO)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout == (
        "Region OldTwo would become RegionTwo: 2 tasks in it, 1 tasks of its images, 2 copies "
        "would get a new mark. Nothing was changed; add --yes to do it\n"
    )
    assert names_on(people, TWO, ours) == (OLD, ONE)

    done = manage(agent, "region", "rename", OLD, TWO, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "Renamed region OldTwo to RegionTwo: 2 tasks in it, 1 tasks of its images, 2 copies have "
        "a new mark\n"
    )
    assert names_on(people, TWO, ours) == (TWO, ONE)
    assert names_on(people, "RegionThree", sourced) == ("RegionThree", TWO)
    assert names_on(people, TWO, snapshot) == (OLD, ONE)
    assert names_on(people, TWO, replicated) == (OLD, ONE)
    with store_of(agent) as store:
        renamed = {task.key: task for task in store.list()}
    assert tasks.TaskKey(image_id=key.image_id, region=TWO) in renamed
    assert {task.copy_id: task.key.region for task in renamed.values() if task.copy_id} == {
        ours: TWO, sourced: "RegionThree"
    }


def test_two_regions_are_not_made_one_and_no_mark_is_changed(configured, people):
    agent = configured()
    seen_before(agent)
    burnt = copy(people, TWO, copy_region=OLD, source_region=ONE)
    key = known(agent, people, TWO, burnt, under=OLD)
    with store_of(agent) as store:
        store.adopt(
            tasks.TaskKey(image_id=key.image_id, region=TWO),
            identity.KnownCopy(copy_id=images.image_id(burnt), created_at=NOW),
            now=NOW,
            request_id="request",
            source_region=None,
        )
    for consent in ([], ["--yes"]):
        done = manage(agent, "region", "rename", OLD, TWO, *consent)
        assert (done.returncode, done.stdout) == (1, "")
        assert "these are two regions" in done.stderr
    assert names_on(people, TWO, burnt) == (OLD, ONE)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("Atlantis", "RegionTwo", "the database has no region Atlantis; it has OldTwo, Reg"),
        ("OldTwo", "NewTwo", "there is no region NewTwo in Keystone's catalogue; the regions"),
        ("RegionOne", "RegionTwo", "region RegionOne is still in Keystone's catalogue"),
    ],
)
def test_a_name_that_makes_no_sense_is_refused(configured, old, new, said):
    agent = configured()
    seen_before(agent)
    done = manage(agent, "region", "rename", old, new, "--yes")
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr


def test_an_agent_with_another_cascading_region_does_not_start(configured):
    agent = configured()
    seen_before(agent, cascading=OLD)
    agent.start()
    assert agent.wait_for_end() == 1
    assert "cascading_endpoint_url leads to region RegionOne" in agent.said()
    assert "images of region OldTwo" in agent.said()
    assert "region rename OldTwo RegionOne" in agent.said()

    assert manage(agent, "region", "rename", OLD, ONE, "--yes").returncode == 0
    agent.begin()
    agent.kill()


def test_check_says_that_the_cascading_region_is_another_one(configured):
    agent = configured()
    seen_before(agent, cascading=OLD)
    done = manage(agent, "check", "-f", "json")
    found = {one["link"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["catalogue"]["verdict"] == "FAIL"
    assert "images of region OldTwo" in found["catalogue"]["detail"]


def test_a_region_that_is_named_and_has_left_the_catalogue_stops_nobody(configured, people):
    agent = configured(snapshot_region_names=f"{OLD},RegionTwo")
    seen_before(agent)
    agent.begin()
    assert "snapshot_region_names: region OldTwo has left Keystone's catalogue" in agent.said()
    image = people.publish()
    agent.wait_until(lambda: people.in_step(image), f"copies of {image.image_id}")
    agent.kill()

    done = manage(agent, "check", "-f", "json")
    found = {one["link"]: one for one in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["catalogue"]["verdict"] == "FAIL"
    assert "OldTwo" in found["catalogue"]["detail"]
    assert "region forget" in found["catalogue"]["remedy"]


def test_a_region_that_was_never_seen_keeps_the_agent_from_starting(configured):
    agent = configured(snapshot_region_names="Atlantis")
    agent.start()
    assert agent.wait_for_end() == 1
    assert "snapshot_region_names: the catalogue has no image endpoint in" in agent.said()
