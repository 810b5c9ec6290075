# SPDX-License-Identifier: Apache-2.0
"""On a real cloud: images that users made of copies stay as they are, whatever the agent does.

What Nova and Cinder ask Glance for is asked for here, with a user's own token.
"""

from collections.abc import Sequence
from typing import Any

import pytest

from tests import marks
from tests.fakes import nova
from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running
from tests.functional import servers
from tools import cloud as clouds

REGION = "RegionTwo"
#: An agent that concludes soon that a source is gone.
OPTIONS: dict[str, dict[str, Any]] = {
    **{section: dict(values) for section, values in running.FAST.items()},
    "reconcile": {"interval": 1, "changes_interval": 1, "max_deletes": 100, "gone_grace": 0},
}
_PROPERTIES = {f"hw_property_number_{number:02}": "virtio" for number in range(20)}
_SIZE = 20_000


@pytest.fixture
def agent(make_agent: conftest.MakeAgent) -> running.Agent:
    """Give an agent that is at work."""
    made = make_agent(options=OPTIONS)
    made.begin()
    return made


@pytest.fixture
def owners(people: users.People) -> servers.Servers:
    """Give users who make images of others."""
    return servers.Servers(people)


@pytest.fixture
def golden(agent: running.Agent, people: users.People) -> list[users.Published]:
    """Give images that an operator published, and that have a copy in each region."""
    images = [
        people.publish("golden", user="admin", size=_SIZE, visibility="public", **_PROPERTIES)
        for _ in range(4)
    ]
    # The newest image is not the one that goes: a scan may come before the message of that.
    for image in (*images, people.publish("newest")):
        here(agent, people, image)
    return images


def here(agent: running.Agent, people: users.People, image: users.Published) -> None:
    """Wait until an image has a copy in each region, and all of its tasks know that."""

    def is_here() -> bool:
        return all(len(active(people, region, image)) == 1 for region in people.cascaded)

    agent.wait_until(is_here, f"copies of {image.name}")
    at_rest(agent)


def active(people: users.People, region: str, image: users.Published) -> list[str]:
    found = people.copies(region, image.image_id)
    return [copy["id"] for copy in found if copy["status"] == "active"]


def gone(agent: running.Agent, people: users.People, image: users.Published) -> None:
    """Wait until an image has no copy any more that its own users did not make."""
    agent.wait_until(
        lambda: not any(people.record(region, image.image_id) for region in people.cascaded),
        f"the end of copies of {image.name}",
    )


def at_rest(agent: running.Agent) -> None:
    agent.wait_until(lambda: all(one.status == "success" for one in agent.tasks()), "rest")


def looked(agent: running.Agent, times: int = 2) -> None:
    """Wait until everything was looked at a few times more."""
    before = agent.said().count("Scanned ")
    agent.wait_until(
        lambda: agent.said().count("Scanned ") >= before + times, "a look at everything"
    )
    at_rest(agent)


def lose_database(agent: running.Agent) -> None:
    agent.kill()
    agent.lose_database()
    agent.begin()
    looked(agent)


def check(
    people: users.People, owners: servers.Servers, there: Sequence[users.Published]
) -> None:
    """Compare the images of users with what they were, and copies with their sources."""
    touched = [sentence for _key, sentence in owners.touched()]
    print(f"images of users seen {len(owners.theirs)}, touched {len(touched)}")  # noqa: T201
    assert touched == []
    for image in there:
        for region in people.cascaded:
            theirs = {found for where, found in owners.theirs if where == region}
            (copy_id,) = set(active(people, region, image)) - theirs
            assert people.sha512(region, copy_id) == image.sha512


def test_snapshots_of_servers_booted_from_copies_outlive_all_that_becomes_of_these(
    agent: running.Agent,
    people: users.People,
    owners: servers.Servers,
    golden: list[users.Published],
):
    deleted, by_hand, untouched, late = golden
    for image in golden:
        for is_protected in (False, True):
            owners.snapshot(REGION, image.image_id, is_protected=is_protected)
        owners.snapshot(REGION, image.image_id, image_type=nova.BACKUP)
    people.delete(deleted.image_id, user="admin")
    gone(agent, people, deleted)
    people.delete(by_hand.image_id, REGION, user="admin")
    here(agent, people, by_hand)
    looked(agent)
    check(people, owners, [by_hand, untouched, late])
    lose_database(agent)
    check(people, owners, [by_hand, untouched, late])
    people.delete(late.image_id, user="admin")
    gone(agent, people, late)
    looked(agent)
    check(people, owners, [by_hand, untouched])


def test_whatever_users_make_of_copies_stays(
    agent: running.Agent,
    people: users.People,
    owners: servers.Servers,
    golden: list[users.Published],
):
    deleted, by_hand, untouched, late = golden
    waiting = []
    for image in golden:
        for make in owners.ways:
            make(REGION, image.image_id)
        waiting.append(owners.snapshot(REGION, image.image_id, has_data=False))
    looked(agent)
    check(people, owners, [])
    people.delete(deleted.image_id, user="admin")
    gone(agent, people, deleted)
    for image_id in waiting:
        owners.fill(REGION, image_id)
    people.delete(by_hand.image_id, REGION, user="admin")
    agent.wait_until(
        lambda: bool(
            set(active(people, REGION, by_hand)) - {one for _region, one in owners.theirs}
        ),
        "another copy",
    )
    looked(agent)
    check(people, owners, [by_hand, untouched, late])
    lose_database(agent)
    check(people, owners, [by_hand, untouched, late])
    people.delete(late.image_id, user="admin")
    gone(agent, people, late)
    looked(agent)
    check(people, owners, [by_hand, untouched])


def test_a_source_with_a_mark_that_it_inherited_is_copied_and_its_copies_name_themselves(
    agent: running.Agent,
    people: users.People,
    owners: servers.Servers,
    golden: list[users.Published],
):
    made = owners.script(REGION, golden[0].image_id, into=people.cascading)
    record = people.record(people.cascading, made)
    assert record is not None
    image = users.Published(
        image_id=made, name=record["name"], size=record["size"], sha512=record["os_hash_value"]
    )
    here(agent, people, image)
    for region in people.cascaded:
        copy = people.record(region, made)
        assert copy is not None
        assert marks.source_of(copy, region) == (people.cascading, made)
        assert {name: copy.get(name) for name in _PROPERTIES} == _PROPERTIES
    people.delete(golden[0].image_id, user="admin")
    gone(agent, people, golden[0])
    looked(agent)
    check(people, owners, [image, *golden[1:]])


def test_a_snapshot_that_glance_replicator_brought_to_other_regions_stays(
    agent: running.Agent,
    people: users.People,
    owners: servers.Servers,
    golden: list[users.Published],
):
    deleted, by_hand, *others = golden
    for image in (deleted, by_hand):
        made = owners.snapshot(REGION, image.image_id)
        for region in people.cascaded:
            if region != REGION:
                owners.replicate(REGION, made, region)
    people.delete(deleted.image_id, user="admin")
    gone(agent, people, deleted)
    people.delete(by_hand.image_id, REGION, user="admin")
    here(agent, people, by_hand)
    lose_database(agent)
    looked(agent)
    check(people, owners, [by_hand, *others])


def test_the_real_glance_shows_an_image_of_a_server_as_the_fake_one_does(
    people: users.People,
    owners: servers.Servers,
    cloud: clouds.Cloud,
):
    """What Nova hands on is cut, it names what it was booted from, and has no formats at first."""
    properties: dict[str, Any] = {
        **_PROPERTIES, **dict.fromkeys(marks.NAMES, "x" * 300), "img_signature": "secret",
    }
    base = people.publish("base", **properties)
    made = owners.snapshot(people.cascading, base.image_id, has_data=False)
    record = people.record(people.cascading, made)
    assert record is not None
    assert record["status"] == "queued"
    assert (record["disk_format"], record["container_format"]) == (None, None)
    assert (record["owner"], record["visibility"]) == (people.project("bob"), "private")
    assert record["base_image_ref"] == base.image_id
    assert {record[name] for name in marks.NAMES} == {"x" * 255}
    assert {name: record[name] for name in _PROPERTIES} == _PROPERTIES
    assert "img_signature" not in record
    owners.fill(people.cascading, made)
    filled = people.record(people.cascading, made)
    assert filled is not None
    assert (filled["status"], filled["image_location"]) == ("active", "snapshot")
    assert list(owners.touched()) == []
