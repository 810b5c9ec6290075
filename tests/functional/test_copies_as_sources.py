# SPDX-License-Identifier: Apache-2.0
"""An image that its own region has lost is still in the others."""

from collections.abc import Callable
import pathlib
import subprocess

import pytest
import yaml

from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running
from tools import cloud as clouds

MIB = users.MIB
REGION = "RegionThree"
#: The first of the other two by its name.
ORIGIN = "RegionFour"


def remove(file: pathlib.Path) -> None:
    file.unlink()


def damage(file: pathlib.Path) -> None:
    """Change the last byte, so that all but the last block are gone when it is found."""
    with file.open("r+b") as data:
        data.seek(-1, 2)
        last = data.read(1)
        data.seek(-1, 2)
        data.write(bytes([last[0] ^ 1]))


def without_datadirs(agent: running.Agent, people: users.People) -> None:
    """Have the agent read cascaded regions through their image API."""
    store_file = agent.directory / "glance_store.yaml"
    content = yaml.safe_load(store_file.read_text())
    for entry in content["glances"]:
        if entry["name"] in people.cascaded:
            del entry["schemes"][0]["parameters"]["datadir"]
    store_file.write_text(yaml.safe_dump(content))


def glance_sync(agent: running.Agent, *arguments: str) -> str:
    done = subprocess.run(
        agent.command("glance-sync", *arguments),
        check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )
    return done.stdout


def finished(agent: running.Agent, image: users.Published) -> bool:
    return list(agent.statuses(image.image_id).values()) == ["success"] * 3


@pytest.mark.parametrize(
    ("fault", "size", "has_datadirs", "said"),
    [
        (remove, 5 * MIB, True, "Glance has a record of 5242880 bytes but no data"),
        (damage, 5 * MIB, False, "DigestMismatch: "),
        (remove, 64 * 1024, False, "Glance has a record of 65536 bytes but no data"),
    ],
    ids=["lost", "damaged", "small"],
)
def test_a_region_is_filled_from_a_copy_if_the_source_is_no_good(
    make_agent: conftest.MakeAgent,
    people: users.People,
    cloud: clouds.Cloud,
    fault: Callable[[pathlib.Path], None],
    size: int,
    has_datadirs: bool,
    said: str,
):
    agent = make_agent()
    if not has_datadirs:
        without_datadirs(agent, people)
    agent.begin()
    image = people.publish("rescued", size=size)
    agent.wait_until(lambda: finished(agent, image), "the first copies")
    origins = {task.copied_from for task in agent.tasks_of(image.image_id).values()}
    assert people.cascading in origins  # where it was busy, a copy may have served already
    fault(pathlib.Path(cloud.describe().region(people.cascading).datadir) / image.image_id)
    people.delete(image.image_id, REGION, "admin")
    glance_sync(agent, "sync", image.image_id, REGION)
    agent.wait_until(
        lambda: agent.tasks_of(image.image_id)[REGION].copied_from == ORIGIN, "the copy of a copy"
    )
    agent.wait_until(lambda: finished(agent, image), "the end of its task")
    (copy,) = people.copies(REGION, image.image_id)
    assert (copy["status"], copy["os_hash_value"]) == ("active", image.sha512)
    assert people.sha512(REGION, copy["id"]) == image.sha512
    shown = " ".join(glance_sync(agent, "show", image.image_id).replace("|", " ").split())
    assert f"copied from {ORIGIN}" in shown
    assert said in agent.said()
    assert f"reading region {ORIGIN}" in agent.said()
    assert "no datadir to read from" not in agent.said()
    assert "Traceback" not in agent.said()
