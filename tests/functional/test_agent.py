# SPDX-License-Identifier: Apache-2.0
"""What users do in the cascading region arrives in all others."""

from collections.abc import Callable, Iterator, Mapping
import pathlib
import signal
from typing import Any
import uuid

import pytest

from tests import marks
from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running
from tools import cloud as clouds

MIB = users.MIB


@pytest.fixture(scope="module")
def shared(
    cloud: clouds.Cloud, people: users.People, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[running.Agent]:
    """Give the agent that most tests share; it may be stopped."""
    agent = running.Agent(
        cloud.describe(), tmp_path_factory.mktemp("shared"), options=running.FAST
    )
    yield agent
    agent.kill()


@pytest.fixture
def agent(shared: running.Agent) -> running.Agent:
    """Give the shared agent, at work."""
    if not shared.is_running():
        shared.begin()
    return shared


@pytest.fixture
def make_alone(shared: running.Agent, make_agent: conftest.MakeAgent) -> conftest.MakeAgent:
    """Give a way to make agents that no other agent works beside."""
    shared.kill()
    return make_agent


@pytest.fixture(scope="module")
def image(people: users.People) -> users.Published:
    """Give an image that tests may change, each in its own way."""
    return people.publish(
        "changing", tags=["golden", "old"], hw_disk_bus="virtio", obsolete="yes", kept="1"
    )


def copied(agent: running.Agent, people: users.People, image: users.Published) -> None:
    agent.wait_until(lambda: people.in_step(image), f"copies of {image.image_id}")


def gone(agent: running.Agent, people: users.People, image: users.Published) -> None:
    agent.wait_until(
        lambda: not any(people.record(region, image.image_id) for region in people.cascaded),
        f"no copy of {image.image_id}",
    )


def finished(agent: running.Agent, *images: users.Published) -> bool:
    found = [status for one in images for status in agent.statuses(one.image_id).values()]
    return found == ["success"] * (3 * len(images))


def lose_events(people: users.People) -> None:
    """Lose what waits in the agent's queue, as a broker that restarts does."""
    conftest.purge(people.cloud, "glance-sync-agent")


def with_options(**sections: Mapping[str, object]) -> dict[str, dict[str, object]]:
    return {name: dict(values) for name, values in {**running.FAST, **sections}.items()}


@pytest.mark.parametrize("size", [1, 64 * 1024, 20 * MIB], ids=["byte", "small", "over-ssh"])
def test_an_image_is_in_every_region_byte_for_byte(agent, people, size):
    image = people.publish(
        "whole", size=size, tags=["golden", "ünïcode"], hw_disk_bus="virtio", empty="", min_ram=64
    )
    copied(agent, people, image)
    people.check_bytes(image)
    source = people.record(people.cascading, image.image_id)
    for region in people.cascaded:
        copy = people.record(region, image.image_id)
        for name in ("name", "owner", "visibility", "disk_format", "min_ram", "hw_disk_bus"):
            assert copy[name] == source[name]
        assert copy["empty"] == ""
        assert sorted(copy["tags"]) == ["golden", "ünïcode"]
        assert copy["os_hash_value"] == image.sha512
        assert marks.source_of(copy, region) == (people.cascading, image.image_id)
    agent.wait_until(lambda: finished(agent, image), "the end of its tasks")
    assert {task.bytes_done for task in agent.tasks_of(image.image_id).values()} == {size}


def update(**changes: Any) -> Callable[[users.People, str], None]:
    return lambda people, image_id: people.client().images.update(image_id, **changes)


def as_admin(**changes: Any) -> Callable[[users.People, str], None]:
    def do(people: users.People, image_id: str) -> None:
        people.client(user="admin").images.update(image_id, **changes)

    return do


def drop(people: users.People, image_id: str) -> None:
    people.client().images.update(image_id, remove_props=["obsolete"])


def tag(people: users.People, image_id: str) -> None:
    people.client().image_tags.update(image_id, "new")
    people.client().image_tags.delete(image_id, "old")


CHANGES = [
    pytest.param(update(hw_disk_bus="scsi"), {"hw_disk_bus": "scsi"}, id="property"),
    pytest.param(update(added="by alice"), {"added": "by alice"}, id="new-property"),
    pytest.param(drop, {"obsolete": None}, id="property-removed"),
    pytest.param(tag, {"tags": ["golden", "new"]}, id="tags"),
    pytest.param(as_admin(visibility="public"), {"visibility": "public"}, id="visibility"),
    pytest.param(update(protected=True), {"protected": True}, id="protected"),
    pytest.param(update(os_hidden=True), {"os_hidden": True}, id="hidden"),
    pytest.param(update(min_disk=3), {"min_disk": 3}, id="min-disk"),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_a_change_arrives_everywhere_and_nothing_else_changes(
    agent, people, image, change, expected: Mapping[str, Any]
):
    copied(agent, people, image)
    before = people.record(people.cascaded[0], image.image_id)

    def arrived() -> bool:
        records = [people.record(region, image.image_id) for region in people.cascaded]
        return all(
            normal(record.get(name)) == value
            for record in records
            for name, value in expected.items()
        )

    change(people, image.image_id)
    agent.wait_until(arrived, f"{expected} in all regions")
    after = people.record(people.cascaded[0], image.image_id)
    volatile = {"updated_at", "glance_sync_properties", *expected}
    for name in {*before, *after} - volatile:
        assert normal(after.get(name)) == normal(before.get(name)), name


def normal(value: object) -> object:
    return sorted(value) if isinstance(value, list) else value


def test_a_new_name_arrives_everywhere(agent, people, image):
    copied(agent, people, image)
    name = image.name + "-renamed"
    people.client().images.update(image.image_id, name=name)
    agent.wait_until(
        lambda: all(
            people.record(region, image.image_id)["name"] == name for region in people.cascaded
        ),
        "the new name",
    )


def test_what_a_region_s_operator_added_to_a_copy_stays(agent, people):
    image = people.publish("annotated")
    copied(agent, people, image)
    region = people.cascaded[0]
    client = people.client(region, "admin")
    client.images.update(image.image_id, local_note="keep", tags=["ours"])
    people.client().images.update(image.image_id, round="2")
    agent.wait_until(
        lambda: people.record(region, image.image_id).get("round") == "2", "the change"
    )
    assert people.record(region, image.image_id)["local_note"] == "keep"


def test_a_deactivated_image_is_deactivated_everywhere_and_comes_back(agent, people):
    image = people.publish("parked")
    copied(agent, people, image)
    admin = people.client(user="admin").images

    def all_are(status: str) -> bool:
        return all(
            people.record(region, image.image_id)["status"] == status
            for region in people.cascaded
        )

    admin.deactivate(image.image_id)
    agent.wait_until(lambda: all_are("deactivated"), "deactivated copies")
    admin.reactivate(image.image_id)
    agent.wait_until(lambda: all_are("active"), "active copies")


def test_members_come_accept_and_go_everywhere(agent, people):
    image = people.publish("shared")
    copied(agent, people, image)
    bob = people.project("bob")

    def members_are(expected: Mapping[str, str]) -> bool:
        return all(
            people.members(region, image.image_id) == expected for region in people.cascaded
        )

    people.client().image_members.create(image.image_id, bob)
    agent.wait_until(lambda: members_are({bob: "pending"}), "the member")
    people.client(user="bob").image_members.update(image.image_id, bob, "accepted")
    agent.wait_until(lambda: members_are({bob: "accepted"}), "the member's consent")
    for region in people.cascaded:
        assert people.record(region, image.image_id, user="bob") is not None
    people.client().image_members.delete(image.image_id, bob)
    agent.wait_until(lambda: members_are({}), "the member's leave")


@pytest.mark.parametrize("protected", [False, True])
def test_a_deleted_image_is_deleted_everywhere(agent, people, protected):
    image = people.publish("deleted", protected=protected)
    copied(agent, people, image)
    if protected:
        people.client().images.update(image.image_id, protected=False)
    people.delete(image.image_id)
    gone(agent, people, image)
    agent.wait_until(lambda: not agent.tasks_of(image.image_id), "the end of its rows")


def test_an_image_that_somebody_else_has_there_is_a_conflict_and_stays_untouched(agent, people):
    image_id = str(uuid.uuid4())
    region, *others = people.cascaded
    theirs = people.publish("theirs", region=region, user="bob", id=image_id)
    before = people.record(region, image_id)
    image = people.publish("ours", id=image_id)
    agent.wait_until(lambda: people.in_step(image, others), "the other copies")
    agent.wait_until(
        lambda: agent.statuses(image_id)[region] == "failure", "a failed task"
    )
    assert "this agent did not make it" in agent.tasks_of(image_id)[region].reason
    people.delete(image_id)
    agent.wait_until(
        lambda: not any(people.record(other, image_id) for other in others), "no copies"
    )
    assert people.record(region, image_id) == before
    assert people.sha512(region, image_id) == theirs.sha512


def test_where_an_id_was_used_once_the_copy_has_another(agent, people):
    image_id = str(uuid.uuid4())
    region, *others = people.cascaded
    people.publish("first", region=region, id=image_id)
    people.delete(image_id, region)
    image = people.publish("second", id=image_id)
    agent.wait_until(
        lambda: [copy["status"] for copy in people.copies(region, image_id)] == ["active"],
        "a copy of another id",
    )
    agent.wait_until(lambda: people.in_step(image, others), "the other copies")
    (copy,) = people.copies(region, image_id)
    assert copy["id"] != image_id
    assert people.sha512(region, copy["id"]) == image.sha512
    assert agent.tasks_of(image_id)[region].copy_id == copy["id"]
    people.client().images.update(image_id, round="2")
    agent.wait_until(
        lambda: people.record(region, copy["id"]).get("round") == "2", "the change"
    )
    people.delete(image_id)
    agent.wait_until(lambda: people.record(region, copy["id"]) is None, "the copy's end")


def test_an_image_that_is_itself_a_copy_is_not_copied(agent, people):
    image_id = str(uuid.uuid4())
    mark = {
        marks.SOURCE_ID: str(uuid.uuid4()),
        marks.SOURCE_REGION: "Far",
        marks.COPY_ID: image_id,
        marks.COPY_REGION: people.cascading,
    }
    image = people.publish("copied back", id=image_id, **mark)
    later = people.publish("published after it")
    copied(agent, people, later)
    agent.wait_until(lambda: finished(agent, later), "the end of later tasks")
    assert not agent.tasks_of(image.image_id)
    assert not any(people.record(region, image.image_id) for region in people.cascaded)


def test_what_happened_while_no_agent_ran_is_made_good_at_start(agent, people):
    deleted, changed = people.publish("deleted later"), people.publish("changed later")
    for image in (deleted, changed):
        copied(agent, people, image)
    assert agent.stop() == 0
    agent.begin()  # a look sees them: what no look has seen may be lost
    assert agent.stop() == 0
    lose_events(people)
    people.delete(deleted.image_id)
    people.client().images.update(changed.image_id, round="2", tags=["later"])
    people.client().image_members.create(changed.image_id, people.project("bob"))
    new = people.publish("published later", size=5 * MIB)
    lose_events(people)
    agent.begin()
    gone(agent, people, deleted)
    copied(agent, people, new)
    people.check_bytes(new)
    agent.wait_until(
        lambda: all(
            people.record(region, changed.image_id).get("round") == "2"
            and people.members(region, changed.image_id)
            for region in people.cascaded
        ),
        "the changes",
    )


def test_more_deletions_than_max_deletes_are_held_back(make_alone, people, cloud):
    agent = make_alone(options=with_options(reconcile={"max_deletes": 1, "gone_grace": 0}))
    agent.begin()
    images = [people.publish(f"held {number}") for number in range(3)]
    for image in images:
        copied(agent, people, image)
    agent.kill()
    agent.begin()  # a look sees them: what no look has seen may be lost
    agent.kill()
    for image in images[:2]:
        people.delete(image.image_id)
    lose_events(people)
    agent.begin()
    said = agent.said()
    assert "2 sources are gone or out of strategy, and one scan may delete the copies of 1" in said
    assert "glance-sync reconcile --allow-deletes 2" in said
    assert "2 held back" in said
    for image in images:
        assert people.in_step(image)
    conftest.rewrite(agent, cloud.describe(), {"reconcile": {"max_deletes": 2, "gone_grace": 0}})
    agent.signal(signal.SIGHUP)
    for image in images[:2]:
        gone(agent, people, image)
    assert people.in_step(images[2])


def test_strategy_none_copies_nothing(make_alone, people):
    before = people.publish("before")
    agent = make_alone(options=with_options(DEFAULT={"sync_strategy": "None"}))
    agent.begin()
    assert "Scanned" in agent.said()
    after = people.publish("after")
    # The queue is read in order, and the end of the listener is told with its counts.
    agent.wait_until(lambda: conftest.ready(people.cloud, "glance-sync-agent") == 0, "no event")
    assert agent.stop() == 0
    assert "'handled': " in agent.said()
    for image in (before, after):
        assert not any(people.record(region, image.image_id) for region in people.cascaded)


def test_an_agent_that_lost_its_database_adopts_its_copies(make_alone, people):
    agent = make_alone()
    agent.begin()
    image_id = str(uuid.uuid4())
    region = people.cascaded[0]
    people.publish("first", region=region, id=image_id)
    people.delete(image_id, region)
    plain, moved = people.publish("plain", size=5 * MIB), people.publish("moved", id=image_id)
    copied(agent, people, plain)
    # The newest image stays: without it, a Glance looks as if it was restored from a backup.
    copied(agent, people, people.publish("newest"))
    agent.wait_until(lambda: len(everywhere(people, moved)) == 3, "all copies")
    agent.wait_until(lambda: finished(agent, plain, moved), "the end of all tasks")
    agent.kill()
    before = [*everywhere(people, plain), *everywhere(people, moved)]
    for file in pathlib.Path(agent.directory / "state").glob("sync.sqlite*"):
        file.unlink()
    agent.begin()
    agent.wait_until(lambda: finished(agent, plain, moved), "the end of all tasks")
    assert [*everywhere(people, plain), *everywhere(people, moved)] == before
    assert "Copied" not in agent.said()
    # Without a row, a deletion while no agent runs would go unnoticed.
    agent.kill()
    people.delete(plain.image_id)
    people.delete(moved.image_id)
    lose_events(people)
    agent.begin()
    gone(agent, people, plain)
    agent.wait_until(lambda: not everywhere(people, moved), "no copy of the moved image")


def everywhere(people: users.People, image: users.Published) -> list[dict[str, Any]]:
    return [
        copy
        for region in people.cascaded
        for copy in people.copies(region, image.image_id)
        if copy["status"] == "active"
    ]


def test_without_ssh_every_region_is_filled_through_its_image_api(make_alone, people):
    agent = make_alone(ssh=False)
    agent.begin()
    image = people.publish("through the API", size=20 * MIB)
    copied(agent, people, image)
    people.check_bytes(image)
