# SPDX-License-Identifier: Apache-2.0
"""``record_locations`` on a cascading Glance that can, and one region of three that can."""

import json
import pathlib
import re
import signal
import subprocess

import pytest

from tests.functional import conftest
from tests.functional import databases
from tests.functional import people as users
from tests.functional import running
from tools import agents
from tools import cloud as clouds

ON: agents.Options = {"DEFAULT": {"record_locations": "true"}}
RECORDED = "RegionTwo"  # something before its Glance tells a size


@pytest.fixture
def make(mapped: clouds.Cloud, make_agent: conftest.MakeAgent) -> conftest.MakeAgent:
    """Give a way to make agents on the cloud that can."""
    del mapped
    return make_agent


def entries(people: users.People, image: users.Published) -> list[dict[str, str]]:
    """Return what the source says of its copies."""
    record = people.record(people.cascading, image.image_id)
    assert record is not None
    found = [one for one in record["locations"] if "action" in one["metadata"]]
    for one in found:
        assert one["url"].endswith(f"/v2/images/{one['metadata']['image_id']}")
    return [one["metadata"] for one in found]


def patches(cloud: clouds.Cloud, image: users.Published) -> int:
    """Count the changes of a source that its Glance was asked for."""
    log = pathlib.Path(cloud.describe().region("RegionOne").glance_log).read_text(errors="replace")
    return len(re.findall(rf"PATCH /v2/images/{image.image_id} ", log))


def finished(agent: running.Agent, image: users.Published) -> None:
    agent.wait_until(
        lambda: list(agent.statuses(image.image_id).values()) == ["success"] * 3,
        f"the end of {image.image_id}",
    )


def recorded(agent: running.Agent, people: users.People, image: users.Published) -> None:
    agent.wait_until(lambda: bool(entries(people, image)), f"{image.image_id} on the map")


def generation(agent: running.Agent, image: users.Published) -> int:
    """Return how often the image was looked at, or will be."""
    return sum(task.generation for task in agent.tasks_of(image.image_id).values())


def test_a_copy_is_recorded_once_and_then_there_is_rest(mapped, people, make):
    agent = make(options={**running.FAST, **ON})
    agent.begin()
    first = people.publish("first")
    recorded(agent, people, first)
    assert entries(people, first) == [
        {"image_id": first.image_id, "action": "upload", "region": RECORDED, "store": "web"}
    ]
    # Messages keep their order: when the next image is through, so is what its predecessor caused.
    looks = []
    for name in ("second", "third"):
        later = people.publish(name)
        recorded(agent, people, later)
        finished(agent, later)
        looks.append(generation(agent, first))
    assert looks[0] == looks[1]
    assert patches(mapped, first) == 1
    finished(agent, first)
    people.check_bytes(first)
    assert people.sha512(people.cascading, first.image_id) == first.sha512
    for region in ("RegionThree", "RegionFour"):
        line = f"Could not record copies in region {region}"
        assert agent.said().count(line) == 1
    said = [line for line in agent.said().splitlines() if "record" in line.lower()]
    assert "://" not in "".join(said)


def test_a_copy_that_is_made_anew_takes_the_place_of_the_old(people, make):
    agent = make(options={**running.FAST, **ON})
    agent.begin()
    image = people.publish()
    recorded(agent, people, image)
    finished(agent, image)
    people.delete(image.image_id, RECORDED, "admin")
    people.client().images.update(image.image_id, colour="red")

    def replaced() -> bool:
        found = [one["image_id"] for one in entries(people, image)]
        return len(found) == 1 and found != [image.image_id]

    agent.wait_until(replaced, "another copy on the map")
    finished(agent, image)
    (copy,) = people.copies(RECORDED, image.image_id)
    assert [one["image_id"] for one in entries(people, image)] == [copy["id"]]
    assert people.sha512(people.cascading, image.image_id) == image.sha512
    people.delete(image.image_id)
    agent.wait_until(lambda: not people.copies(RECORDED, image.image_id), "no copy")


def test_turned_on_it_records_the_copies_that_are_there_and_off_it_leaves_them(
    mapped, people, make
):
    agent = make()
    agent.begin()
    image = people.publish()
    finished(agent, image)
    assert entries(people, image) == []
    conftest.rewrite(agent, mapped.describe(), ON)
    agent.signal(signal.SIGHUP)
    recorded(agent, people, image)
    conftest.rewrite(agent, mapped.describe(), {})
    agent.signal(signal.SIGHUP)
    agent.wait_until(lambda: agent.said().count("Took over the configuration") == 2, "a reload")
    people.client().images.update(image.image_id, sync_regions="none")
    agent.wait_until(
        lambda: {task.reason.partition(":")[0] for task in agent.tasks_of(image.image_id).values()}
        == {"not wanted here"},
        "the end of its tasks",
    )
    assert len(entries(people, image)) == 1
    conftest.rewrite(agent, mapped.describe(), ON)
    agent.signal(signal.SIGHUP)
    agent.wait_until(lambda: not entries(people, image), "an empty map")
    assert people.record(RECORDED, image.image_id) is not None


@pytest.mark.parametrize(("interface", "verdict"), [("public", "WARN"), ("internal", "OK")])
def test_check_tells_who_can_and_who_sees_it(mapped, people, tmp_path, interface, verdict):
    people.publish()
    options: agents.Options = {**ON, "service_credentials": {"interface": interface}}
    agent = running.Agent(mapped.describe(), tmp_path, options=options)
    databases.make(agent.directory)
    done = subprocess.run(
        agent.command("glance-sync-manage", "check", "-f", "json"),
        capture_output=True, text=True, check=False,
    )
    found = {
        one["link"].removeprefix("locations "): one
        for one in json.loads(done.stdout)
        if one["link"].startswith("locations ")
    }
    assert {name: one["verdict"] for name, one in found.items()} == {
        "RegionOne": verdict,
        "RegionTwo": "OK",
        "RegionThree": "WARN",
        "RegionFour": "WARN",
    }
    if interface == "public":
        assert "OSSN-0065" in found["RegionOne"]["detail"]
        assert "interface = internal" in found["RegionOne"]["remedy"]
