# SPDX-License-Identifier: Apache-2.0
"""Snapshots that the cascading region knows only by a location in RegionTwo."""

import dataclasses
import io
import json
import subprocess

import pytest

from tests.fakes import scripted_http
from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running
from tools import cloud as clouds
from tools import raw_data

TWO, THREE, FOUR = "RegionTwo", "RegionThree", "RegionFour"
NAMED = f"{TWO},{THREE},{FOUR}"


@pytest.fixture
def agent(mapped: clouds.Cloud, make_agent: conftest.MakeAgent) -> running.Agent:
    """Give an agent that waits for snapshots, and brings them to all regions but RegionOne."""
    del mapped
    default = {"snapshot_region_names": NAMED, "snapshot_sleep_interval": 1}
    made: running.Agent = make_agent(options={**running.FAST, "DEFAULT": default})
    made.begin()
    return made


def make_queued(people: users.People, name: str = "snapshot", user: str = "alice") -> str:
    """Make an image in RegionTwo that has no data yet."""
    image = people.client(TWO, user).images.create(
        name=name, disk_format="raw", container_format="bare"
    )
    return str(image.id)


def reasons(agent: running.Agent, image_id: str) -> dict[str, str]:
    return {region: task.reason for region, task in agent.tasks_of(image_id).items()}


def test_it_goes_from_the_region_that_has_it_to_the_others(agent, people):
    there = people.publish("disk", region=TWO, size=5 * users.MIB)
    image_id = people.refer(there.image_id, TWO, colour="red")
    image = dataclasses.replace(there, image_id=image_id)
    agent.wait_until(lambda: people.in_step(image, [THREE, FOUR]), "both regions")
    people.check_bytes(image, [THREE, FOUR])
    copy = people.record(THREE, image_id)
    assert copy is not None
    assert copy["colour"] == "red"
    assert copy["glance_sync_source_region"] == people.cascading
    agent.wait_until(
        lambda: agent.statuses(image_id) == {THREE: "success", FOUR: "success"}, "an end"
    )
    assert people.record(TWO, image_id) is None
    assert TWO in {task.copied_from for task in agent.tasks_of(image_id).values()}
    done = subprocess.run(
        agent.command("glance-sync", "explain", image_id, "-f", "json"),
        capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
    )
    explained = {
        one["region"]: (one["wanted"], one["decided_by"]) for one in json.loads(done.stdout)
    }
    named = ("yes", "snapshot_region_names")
    assert explained == {TWO: ("no", "location"), THREE: named, FOUR: named}
    # The copies go with it, and what held the data stays.
    people.delete(image_id)
    agent.wait_until(lambda: not people.copies(THREE, image_id), "no copy")
    assert people.sha512(TWO, there.image_id) == there.sha512


def test_it_is_waited_for_until_it_is_active_there(agent, people):
    there = make_queued(people)
    try:
        image_id = people.refer(there, TWO)
        agent.wait_until(
            lambda: reasons(agent, image_id)
            == dict.fromkeys((THREE, FOUR), "snapshot is queued in region RegionTwo"),
            "its waiting",
        )
        data = raw_data.random_data(100_000)
        people.client(TWO).images.upload(there, io.BytesIO(data))
        digest = people.sha512(TWO, there)
        agent.wait_until(
            lambda: agent.statuses(image_id) == {THREE: "success", FOUR: "success"}, "copies"
        )
        assert [people.sha512(region, image_id) for region in (THREE, FOUR)] == [digest] * 2
    finally:
        people.delete(there, TWO)


def test_it_is_told_that_it_was_deleted_before_it_had_data(agent, people):
    there = make_queued(people)
    image_id = people.refer(there, TWO)
    agent.wait_until(lambda: len(reasons(agent, image_id)) == 2, "its waiting")
    people.delete(there, TWO)
    lost = "snapshot was deleted in region RegionTwo before it was copied"
    agent.wait_until(
        lambda: reasons(agent, image_id) == {THREE: lost, FOUR: lost}, "the end of the waiting"
    )
    assert agent.statuses(image_id) == {THREE: "failure", FOUR: "failure"}


def test_nobody_gets_an_image_of_another_project_by_naming_it(agent, people):
    secret = people.publish("secret", region=TWO, user="bob", visibility="private")
    image_id = people.refer(secret.image_id, TWO)
    agent.wait_until(
        lambda: agent.statuses(image_id) == {THREE: "failure", FOUR: "failure"}, "a refusal"
    )
    for reason in reasons(agent, image_id).values():
        assert f"image {secret.image_id} of region {TWO}, which belongs to project" in reason
    assert people.record(THREE, image_id) is None


def test_a_location_that_is_no_region_s_is_told_by_its_host(agent, people):
    with scripted_http.serving() as server:
        server.script = [scripted_http.Reply(body=b"x")]
        there = people.publish("disk", region=TWO)
        url = f"{server.url}/v2/images/{there.image_id}"
        image_id = people.refer(there.image_id, TWO, url=url)
    agent.wait_until(
        lambda: set(agent.statuses(image_id).values()) == {"failure"}, "a failure"
    )
    host = server.url.split("/")[2]
    for reason in reasons(agent, image_id).values():
        assert reason.startswith(f"the image's data is at '{host}', which")


@pytest.mark.parametrize("is_wanted", [False, True])
def test_a_record_of_volumes_is_left_out_unless_it_is_wanted(make_agent, people, is_wanted):
    section = {"volume_backed": str(is_wanted)}
    agent = make_agent(options={**running.FAST, "snapshots": section})
    agent.begin()
    image = people.publish(
        size=0, image_type="snapshot", block_device_mapping="[]", bdm_v2="True"
    )
    agent.wait_until(
        lambda: list(agent.statuses(image.image_id).values()) == ["success"] * 3, "an end"
    )
    if is_wanted:
        assert people.in_step(image)
        people.check_bytes(image)
        return
    assert people.record(TWO, image.image_id) is None
    told = {one["reason"] for one in agent.status("--image", image.image_id)}
    assert len(told) == 1
    assert "[snapshots] volume_backed is false" in told.pop()
