# SPDX-License-Identifier: Apache-2.0
"""The metadata policy in a whole cloud in memory: each option on, and off again."""

import dataclasses

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.engine.reconcile import scan_state
from tests.fakes import world as worlds
from tests.unit import builders

Owner = metadata_policy.Owner
Policy = metadata_policy.MetadataPolicy
TWO, THREE = worlds.CASCADED
SAME = Policy()
EXCLUDING = Policy(exclude_properties=("internal_*",))
MAPPED = Policy(owner=Owner.MAPPED, project_map={TWO: {"alpha": "alpha-two"}})
AGENT = Policy(owner=Owner.AGENT)
PRIVATE = Policy(visibility=metadata_policy.Visibility.PRIVATE)
NO_MEMBERS = Policy(members=False)
ALL_AT_ONCE = Policy(
    exclude_properties=("*",), owner=Owner.AGENT, visibility=PRIVATE.visibility, members=False
)
POLICIES = [
    pytest.param(SAME, id="same"),
    pytest.param(EXCLUDING, id="exclude_properties"),
    pytest.param(MAPPED, id="mapped"),
    pytest.param(AGENT, id="agent"),
    pytest.param(PRIVATE, id="private"),
    pytest.param(NO_MEMBERS, id="members"),
    pytest.param(ALL_AT_ONCE, id="all"),
]


@pytest.fixture
def world():
    return worlds.World()


def publish(world):
    """Publish an image that every option changes."""
    image = world.source.publish(
        b"some bytes",
        owner="alpha",
        visibility="shared",
        properties={"hw_disk_bus": "virtio", "internal_note": "x"},
    )
    world.source.share(image.image_id, "beta", "accepted")
    world.changed(image.image_id)
    world.run()
    return image


def turn(world, policy):
    """Apply a policy as a reload does: run a full scan, and run what it requests.

    Nothing is left to do afterwards.
    """
    world.metadata = policy
    report = world.reconciliation.run()
    world.settle()
    assert world.reconciliation.run() == scan_state.ScanReport(sources=report.sources)
    return report.requested


def looks(world, image, region=TWO):
    """Return what the options are about: of the copy in a region."""
    copy = world.regions.glances[region].image(world.task(image, region).copy_id)
    metadata = copy.metadata
    return metadata.owner, metadata.visibility, set(metadata.properties), dict(copy.members)


def nobody_answers():
    raise errors.ServiceUnavailable("no answer")


BOTH = {"hw_disk_bus", "internal_note"}
BETA = {"beta": "accepted"}
PLAIN = ("alpha", "shared", BOTH, BETA)


@pytest.mark.parametrize(
    ("policy", "there", "requested", "expected"),
    [
        pytest.param(EXCLUDING, TWO, 2, ("alpha", "shared", {"hw_disk_bus"}, BETA), id="exclude"),
        pytest.param(MAPPED, TWO, 1, ("alpha-two", "shared", BOTH, BETA), id="mapped"),
        pytest.param(MAPPED, THREE, 1, PLAIN, id="mapped elsewhere"),
        pytest.param(AGENT, TWO, 2, ("agents", "shared", BOTH, BETA), id="agent"),
        pytest.param(PRIVATE, TWO, 2, ("alpha", "private", BOTH, {}), id="private"),
    ],
)
def test_a_changed_option_changes_existing_copies_and_back(
    world, policy, there, requested, expected
):
    image = publish(world)
    assert looks(world, image, there) == PLAIN
    for _ in range(2):
        assert turn(world, policy) == requested
        assert looks(world, image, there) == expected
        assert turn(world, SAME) == requested
        assert looks(world, image, there) == PLAIN
    assert world.two.data(image.image_id) == b"some bytes"


@pytest.mark.parametrize("policy", POLICIES)
def test_a_new_copy_is_as_the_policy_wants_it_before_it_has_data(world, policy):
    world.metadata = policy
    seen = []

    def before(name, image_id):
        if name == "write":
            seen.append(world.two.image(image_id))

    world.two.before = before
    image = publish(world)
    (queued,) = seen
    expected = looks(world, image)
    assert (queued.metadata.owner, queued.metadata.visibility) == expected[:2]
    assert set(queued.metadata.properties) == expected[2]
    assert turn(world, policy) == 0
    assert world.two.data(image.image_id) == b"some bytes"
    assert world.two.image(image.image_id).multihash == image.multihash


@pytest.mark.parametrize("policy", POLICIES)
def test_the_event_path_and_scans_want_the_same(world, policy):
    image = publish(world)
    world.metadata = policy
    world.changed(image.image_id)
    world.run()
    assert world.reconciliation.run() == scan_state.ScanReport(sources=1)


@pytest.mark.parametrize("step", ["create", "write", "get_record"])
@pytest.mark.parametrize("after", POLICIES)
@pytest.mark.parametrize("before", POLICIES)
def test_a_reload_during_an_attempt_applies_after_it(
    world, before, after, step
):
    def reload(name, _image_id):
        if name == step:
            world.two.before = lambda _name, _id: None
            world.metadata = after
            world.reconciliation.run()

    world.metadata = before
    world.two.before = reload
    image = publish(world)
    world.settle()
    assert world.task(image).status == "success"
    assert turn(world, after) == 0
    assert world.two.ids() == {image.image_id}


@pytest.mark.parametrize("policy", POLICIES)
def test_what_exists_only_on_a_copy_stays(world, policy):
    image = publish(world)
    world.two.change(image.image_id, local_note="ours", internal_local="ours")
    for one in (policy, SAME, policy):
        turn(world, one)
        properties = world.two.image(image.image_id).metadata.properties
        assert properties["local_note"] == properties["internal_local"] == "ours"


def test_an_excluded_property_that_the_agent_did_not_write_stays(world):
    world.metadata = EXCLUDING
    image = publish(world)
    world.two.change(image.image_id, internal_note="the region's own")
    assert turn(world, EXCLUDING) == 0
    assert world.two.image(image.image_id).metadata.properties["internal_note"] == (
        "the region's own"
    )


def test_members_of_copies_stay_until_the_option_is_on_again(world):
    image = publish(world)
    assert turn(world, NO_MEMBERS) == 0
    world.source.share(image.image_id, "beta", None)
    world.source.share(image.image_id, "gamma")
    world.two.share(image.image_id, "delta")
    assert turn(world, NO_MEMBERS) == 0
    world.source.change(image.image_id, hw_disk_bus="scsi")
    world.changed(image.image_id)
    world.run()
    assert world.two.image(image.image_id).metadata.properties["hw_disk_bus"] == "scsi"
    assert looks(world, image)[3] == {"beta": "accepted", "delta": "pending"}
    assert turn(world, SAME) == 2
    assert looks(world, image)[3] == looks(world, image, THREE)[3] == {"gamma": "pending"}


def test_a_scan_reads_members_only_if_the_agent_changes_them(world):
    publish(world)
    asked = []
    world.two.before = world.source.before = lambda name, _id: asked.append(name)
    turn(world, NO_MEMBERS)
    assert "members" not in asked
    turn(world, SAME)
    assert "members" in asked


@pytest.mark.parametrize("members", [True, False])
def test_a_copy_that_was_private_ends_without_former_members(world, members):
    image = publish(world)
    turn(world, dataclasses.replace(PRIVATE, members=members))
    assert looks(world, image) == ("alpha", "private", BOTH, {})
    world.source.share(image.image_id, "beta", None)
    turn(world, SAME)
    assert looks(world, image) == ("alpha", "shared", BOTH, {})


def test_a_changed_map_gives_copies_another_owner(world):
    image = publish(world)
    turn(world, MAPPED)
    turn(world, dataclasses.replace(MAPPED, project_map={TWO: {"alpha": "another"}}))
    assert looks(world, image)[0] == "another"


def test_a_lost_database_adopts_copies_of_mapped_owners_and_no_stranger_s(world):
    world.metadata = MAPPED
    image = publish(world)
    world.store._rows.clear()
    assert turn(world, MAPPED) == 2
    assert world.task(image).status == "success"
    world.store._rows.clear()
    world.two.change(image.image_id, owner="alpha")
    world.reconciliation.run()
    world.settle()
    assert "to project alpha, but a copy would belong to alpha-two" in world.task(image).reason


def test_a_record_without_data_that_has_its_mapped_owner_is_used(world):
    world.metadata = MAPPED
    image = world.source.publish(b"some bytes", owner="alpha")
    world.source._data[image.image_id] = b"wrong byte"
    world.changed(image.image_id)
    world.run()
    assert world.two.image(image.image_id).status == "queued"
    world.source._data[image.image_id] = b"some bytes"
    world.settle()
    assert world.two.ids() == {image.image_id}
    assert looks(world, image)[0] == "alpha-two"


def test_the_real_source_decides_where_an_image_belongs(world):
    world.metadata = Policy(exclude_properties=("sync_regions",), owner=Owner.AGENT)
    image = world.source.publish(
        b"1", owner="alpha", properties={"sync_regions": "none", "image_type": "snapshot"}
    )
    world.changed(image.image_id)
    world.settle()
    assert not world.two.ids()
    world.source.change(image.image_id, sync_regions="*")
    world.changed(image.image_id)
    world.run()
    assert looks(world, image)[2] == {"image_type"}


@pytest.mark.parametrize(
    "error",
    [errors.ServiceUnavailable("no answer"), errors.Refused("our token is of no project")],
    ids=["away", "refuses"],
)
def test_while_keystone_does_not_name_the_agent_s_project_copies_wait(world, error):
    def refuse():
        raise error

    image = publish(world)
    ours, world.catalogue.own_project = world.catalogue.own_project, refuse
    world.metadata = AGENT
    new = world.source.publish(b"1", owner="alpha")
    report = world.reconciliation.run()
    assert report.failed_regions == {TWO, THREE}
    for one in (image, new):
        world.changed(one.image_id)
    for _ in range(50):
        world.run(seconds=30.0)
    for one in (image, new):
        task = world.task(one)
        assert (task.status, task.attempts) == ("pending", 0)
        assert "which project is the agent's own" in task.reason
        assert str(error) in task.reason
    assert new.image_id not in world.two.ids()
    assert world.two.image(image.image_id).metadata.owner == "alpha"
    world.catalogue.own_project = ours
    world.settle()
    assert looks(world, image)[0] == looks(world, new)[0] == "agents"


def test_a_deleted_image_takes_its_copy_along_without_keystone(world):
    world.metadata = AGENT
    image = publish(world)
    world.catalogue.own_project = nobody_answers
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.run()
    assert not world.two.ids()


def test_keystone_is_not_asked_for_the_agent_s_project_without_need(world):
    world.catalogue.own_project = nobody_answers
    image = publish(world)
    for policy in (EXCLUDING, MAPPED, PRIVATE, NO_MEMBERS):
        turn(world, policy)
    assert looks(world, image)[0] == "alpha"


def test_an_image_that_is_itself_a_copy_stays_none(world):
    world.metadata = ALL_AT_ONCE
    marks = builders.marks(builders.IMAGE_ID, worlds.CASCADING)
    world.source.publish(b"1", image_id=builders.IMAGE_ID, properties=marks)
    assert world.reconciliation.run() == scan_state.ScanReport(sources=1)
    assert not world.two.ids()
