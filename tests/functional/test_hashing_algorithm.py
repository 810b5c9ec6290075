# SPDX-License-Identifier: Apache-2.0
"""A region whose Glance hashes in its own way is kept in step as any other."""

from collections.abc import Iterator
import pathlib

import pytest

from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running
from tools import cloud as clouds

REGION = "RegionFour"


@pytest.fixture
def odd(cloud: clouds.Cloud) -> Iterator[None]:
    """Let one region hash with another algorithm."""
    overrides = pathlib.Path(cloud.describe().region(REGION).config_dir, "local.conf")
    overrides.write_text("[DEFAULT]\nhashing_algorithm = sha256\n")
    try:
        cloud.restart_service(f"glance-{REGION}")
        yield
    finally:
        overrides.unlink()
        cloud.restart_service(f"glance-{REGION}")


def test_a_copy_that_is_hashed_otherwise_is_read_back_once(
    odd: None, make_agent: conftest.MakeAgent, people: users.People
) -> None:
    agent: running.Agent = make_agent()
    agent.begin()
    image = people.publish("hashed otherwise", size=3 * users.MIB)
    agent.wait_until(
        lambda: list(agent.statuses(image.image_id).values()) == ["success"] * 3, "the copies"
    )
    (copy,) = people.copies(REGION, image.image_id)
    assert (copy["status"], copy["os_hash_algo"]) == ("active", "sha256")
    people.check_bytes(image)
    people.client(people.cascading, "admin").images.update(image.image_id, min_ram=7)
    agent.wait_until(
        lambda: people.copies(REGION, image.image_id)[0]["min_ram"] == 7, "the change"
    )
    agent.wait_until(
        lambda: list(agent.statuses(image.image_id).values()) == ["success"] * 3, "the end"
    )
    told = f"Reading the copy of image {image.image_id} in region {REGION} back: region {REGION} "
    assert agent.said().count(told + "hashes with sha256, and the source with sha512") == 1
    assert "Reading the copy of" not in agent.said().replace(told, "")
