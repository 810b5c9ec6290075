# SPDX-License-Identifier: Apache-2.0
"""Copies that are damaged at rest, which Glance does not notice, are found and replaced."""

import json
import pathlib
import subprocess
from typing import Any

import pytest

from tests.functional import people as users
from tests.functional import running
from tools import cloud as clouds

TWO = "RegionTwo"


def verify(agent: running.Agent, *arguments: str, status: int) -> dict[tuple[str, str], Any]:
    """Run ``glance-sync verify``; return its rows by image and region."""
    done = subprocess.run(
        agent.command("glance-sync", "verify", "-f", "json", *arguments),
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == status, done.stderr
    return {(row["image_id"], row["region"]): row for row in json.loads(done.stdout)}


def flip(file: pathlib.Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def cut(file: pathlib.Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def empty(file: pathlib.Path) -> None:
    file.write_bytes(b"")


def remove(file: pathlib.Path) -> None:
    file.unlink()


FAULTS = {flip: "damaged", cut: "damaged", empty: "damaged", remove: "missing"}


def is_replaced(people: users.People, image: users.Published) -> bool:
    """Tell whether RegionTwo has one copy, whole, and not the one that was damaged."""
    copies = people.copies(TWO, image.image_id)
    return [copy["status"] for copy in copies] == ["active"] and copies[0]["id"] != image.image_id


@pytest.fixture
def datadir(cloud: clouds.Cloud) -> pathlib.Path:
    return pathlib.Path(cloud.describe().region(TWO).datadir)


@pytest.mark.parametrize("has_datadir", [True, False], ids=["files", "image API"])
def test_what_is_damaged_at_rest_is_found_and_replaced_and_the_rest_left_alone(
    make_agent, people, datadir, has_datadir
):
    agent = make_agent()
    if not has_datadir:
        (agent.directory / "glance_store.yaml").unlink()
    agent.begin()
    images = [people.publish(fault.__name__, size=3 * users.MIB) for fault in FAULTS]
    good = people.publish("good", size=3 * users.MIB)
    for image in (*images, good):
        agent.wait_until(lambda image=image: people.in_step(image), f"copies of {image.name}")
    agent.wait_until(lambda: {str(t.status) for t in agent.tasks()} == {"success"}, "the end")
    for fault, image in zip(FAULTS, images, strict=True):
        fault(datadir / image.image_id)
    wanted = {
        (image.image_id, region): "ok" for image in (*images, good) for region in people.cascaded
    }
    wanted |= {
        (image.image_id, TWO): verdict
        for image, verdict in zip(images, FAULTS.values(), strict=True)
    }
    if not has_datadir:
        # A Glance that breaks off before the first byte may as well be away.
        wanted[images[2].image_id, TWO] = "unreachable"
    before = {
        (image_id, region): people.record(region, image_id) for image_id, region in wanted
    }

    found = verify(agent, "--dry-run", status=1)

    assert {key: row["verdict"] for key, row in found.items()} == wanted
    assert f"expected sha512:{images[0].sha512}, got sha512:" in (
        found[images[0].image_id, TWO]["detail"]
    )
    assert found[good.image_id, TWO]["bytes"] == good.size
    assert before == {key: people.record(key[1], key[0]) for key in before}
    bad = [
        image for image in images if wanted[image.image_id, TWO] in {"damaged", "missing"}
    ]

    verify(agent, "--region", TWO, status=1)

    for image in bad:
        agent.wait_until(lambda image=image: is_replaced(people, image), f"a new {image.name}")
        (copy,) = people.copies(TWO, image.image_id)
        assert people.sha512(TWO, copy["id"]) == image.sha512
    agent.wait_until(lambda: {str(t.status) for t in agent.tasks()} == {"success"}, "the end")
    for key, record in before.items():
        if wanted[key] == "ok":
            assert people.record(key[1], key[0]) == record  # with its updated_at
    assert f"expected sha512:{images[0].sha512}, got sha512:" in agent.said()
    rows = verify(agent, images[0].image_id, status=0)
    assert {row["verdict"] for row in rows.values()} == {"ok"}


def test_an_agent_reads_copies_back_by_itself_if_it_is_told_to(make_agent, people, datadir):
    agent = make_agent(options={**running.FAST, "verify": {"interval": 2}})
    agent.begin()
    image = people.publish("at rest", size=users.MIB)
    agent.wait_until(lambda: people.in_step(image), "the copies")
    agent.wait_for_log("Verified ")
    flip(datadir / image.image_id)
    agent.wait_until(lambda: is_replaced(people, image), "a new copy", 120)
    assert f"expected sha512:{image.sha512}, got sha512:" in agent.said()
    assert agent.stop() == 0
