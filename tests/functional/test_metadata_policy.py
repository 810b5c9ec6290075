# SPDX-License-Identifier: Apache-2.0
"""Every option of ``[metadata]`` is brought about by a reload, and taken back by another."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import signal
from typing import Any

from glanceclient import exc as glance_exc
import pytest

from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running
from tools import agents
from tools import cloud as clouds

MAPPED, OTHER = "RegionTwo", "RegionThree"
KEY_POLICY = "cinder_encryption_key_deletion_policy"


@pytest.fixture(scope="module")
def agent(
    cloud: clouds.Cloud, people: users.People, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[running.Agent]:
    """Give an agent at work, whose map has alice's project in one region."""
    made = running.Agent(
        cloud.describe(), tmp_path_factory.mktemp("metadata"), options=running.FAST
    )
    project_map = made.directory / "project_map.yaml"
    project_map.write_text(
        f"{MAPPED}:\n  {people.project('alice')}: {people.project('bob')}\n"
    )
    made.begin()
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.said()


@pytest.fixture
def turn(agent: running.Agent, cloud: clouds.Cloud) -> Iterator[Callable[..., None]]:
    """Give a way to change [metadata] while the agent runs; at the end it is as it was."""

    def reload(**metadata: object) -> None:
        options: agents.Options = {"metadata": metadata} if metadata else {}
        conftest.rewrite(agent, cloud.describe(), options)
        before = agent.said().count("Took over the configuration")
        agent.signal(signal.SIGHUP)
        agent.wait_until(
            lambda: agent.said().count("Took over the configuration") > before, "the reload"
        )

    yield reload
    reload()


@pytest.fixture
def image(people: users.People, agent: running.Agent) -> users.Published:
    """Give an image of alice that bob may see, copied; one copy has a note of its region."""
    made = publish(people)
    bob = people.project("bob")
    people.client().image_members.create(made.image_id, bob)
    people.client(user="bob").image_members.update(made.image_id, bob, "accepted")
    wait(agent, people, made, plain(people))
    people.client(MAPPED, "admin").images.update(made.image_id, local_note="keep")
    return made


def publish(people: users.People) -> users.Published:
    """Let alice publish an image that every option has something to do with."""
    return people.publish(
        visibility="shared",
        hw_disk_bus="virtio",
        internal_note="x",
        internal_id="7",
        cinder_encryption_key_deletion_policy="on_image_deletion",
    )


def plain(people: users.People, **changes: object) -> dict[str, object]:
    """Return what a copy looks like where the operator chose nothing, with changes."""
    return {
        "owner": people.project("alice"),
        "visibility": "shared",
        "hw_disk_bus": "virtio",
        "internal_note": "x",
        "internal_id": "7",
        KEY_POLICY: None,
        "members": {people.project("bob"): "accepted"},
        **changes,
    }


def look(
    people: users.People, region: str, image: users.Published, names: Mapping[str, object]
) -> dict[str, Any]:
    """Return what there is in a copy of ``names``; a copy that is not there has nothing."""
    record = people.record(region, image.image_id) or {}
    found = {name: record.get(name) for name in names} | {"members": {}}
    if record.get("visibility") == "shared":
        with contextlib.suppress(glance_exc.HTTPForbidden):  # it was just made private
            found["members"] = people.members(region, image.image_id)
    return found


def wait(
    agent: running.Agent,
    people: users.People,
    image: users.Published,
    expected: Mapping[str, object],
    **by_region: Mapping[str, object],
) -> None:
    """Wait until all copies are as expected."""
    wanted = {region: by_region.get(region, expected) for region in people.cascaded}

    def are_there() -> bool:
        return all(look(people, one, image, names) == names for one, names in wanted.items())

    agent.wait_until(are_there, f"copies that are {wanted}")


OPTIONS = [
    pytest.param(
        {"exclude_properties": f"internal_*, {KEY_POLICY}"},
        lambda _project: {"internal_note": None, "internal_id": None},
        id="exclude_properties",
    ),
    pytest.param(
        {"exclude_properties": ""},
        # With it, deleting a copy would delete the key of its source.
        lambda _project: {KEY_POLICY: None},
        id="exclude_properties, none",
    ),
    pytest.param(
        {"owner": "agent"}, lambda project: {"owner": project}, id="owner, agent"
    ),
    pytest.param(
        {"visibility": "private"},
        lambda _project: {"visibility": "private", "members": {}},
        id="visibility",
    ),
]


@pytest.mark.parametrize(("options", "changes"), OPTIONS)
def test_an_option_changes_copies_that_exist_and_new_ones_and_is_taken_back(
    agent, people, cloud, turn, image, options, changes
):
    before = plain(people)
    after = before | changes(cloud.describe().user("glance-sync").project_id)
    turn(**options)
    wait(agent, people, image, after)
    new = publish(people)
    wait(agent, people, new, after | {"members": {}})
    turn()
    wait(agent, people, image, before)
    wait(agent, people, new, before | {"members": {}})
    check_untouched(people, image)
    people.check_bytes(new)


def test_mapped_owners_have_the_copies_of_their_region_until_the_map_is_not_used_any_more(
    agent, people, turn, image
):
    before = plain(people)
    bobs = before | {"owner": people.project("bob")}
    turn(owner="mapped")
    wait(agent, people, image, before, **{MAPPED: bobs})
    people.client(MAPPED, "bob").images.update(image.image_id, bobs_note="keep")
    assert people.record(MAPPED, image.image_id, user="alice") is None
    assert people.record(OTHER, image.image_id, user="alice") is not None
    turn()
    wait(agent, people, image, before)
    assert people.record(MAPPED, image.image_id)["bobs_note"] == "keep"
    check_untouched(people, image)


def test_members_of_copies_are_somebody_else_s_business_until_they_are_the_agent_s_again(
    agent, people, turn, image
):
    bob, guest = people.project("bob"), people.project("admin")
    before = plain(people)
    turn(members="false")
    people.client().image_members.delete(image.image_id, bob)
    people.client(OTHER, "admin").image_members.create(image.image_id, guest)
    people.client().images.update(image.image_id, hw_disk_bus="scsi")
    as_they_were = before | {"hw_disk_bus": "scsi"}
    with_guest = as_they_were | {"members": {bob: "accepted", guest: "pending"}}
    wait(agent, people, image, as_they_were, **{OTHER: with_guest})
    turn()
    wait(agent, people, image, as_they_were | {"members": {}})
    people.client().image_members.create(image.image_id, bob)
    wait(agent, people, image, as_they_were | {"members": {bob: "pending"}})
    check_untouched(people, image)


def check_untouched(people: users.People, image: users.Published) -> None:
    """Assert that bytes, and what a region's operator added, are as they were."""
    people.check_bytes(image)
    copy = people.record(MAPPED, image.image_id)
    source = people.record(people.cascading, image.image_id)
    assert copy is not None
    assert source is not None
    assert copy["local_note"] == "keep"
    assert source["owner"] == people.project("alice")
    assert source[KEY_POLICY] == "on_image_deletion"
