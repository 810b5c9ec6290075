# SPDX-License-Identifier: Apache-2.0
"""The metadata of copies: each option, and what must hold for every policy."""

import dataclasses
import fnmatch

import hypothesis
from hypothesis import strategies as st
import pytest

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import situations
from glance_sync_agent.domain.codes import Code
from tests.unit import builders

Owner = metadata_policy.Owner
Visibility = metadata_policy.Visibility
Policy = metadata_policy.MetadataPolicy
Accepted = images.MemberStatus.ACCEPTED
Pending = images.MemberStatus.PENDING
REGION = builders.REGION
OTHER_REGION = images.RegionId("RegionThree")
MAP = {REGION: {"alpha": "alpha-two"}, OTHER_REGION: {"alpha": "alpha-three"}}


def wanted(policy, source, *, region=REGION, copy=None, own_project=None, copy_ids=None):
    return metadata_policy.wanted(
        policy, source, region, copy=copy, own_project=own_project, copy_ids=copy_ids or {}
    )


KERNEL = images.ImageId("0a5c1d9e-3b7f-4e62-9d48-c17e5f80a2b6")
RAMDISK = images.ImageId("1b6d2e0f-4c80-4f73-8e59-d28f6091b3c7")
COPY_OF_KERNEL = images.ImageId("2c7e3f10-5d91-4084-9f6a-e3907102c4d8")
BOOTED = builders.source(
    properties={"kernel_id": KERNEL, "ramdisk_id": RAMDISK, "base_image_ref": KERNEL}
)


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({}, set()),
        ({"kernel_id": KERNEL}, {KERNEL}),
        ({"ramdisk_id": RAMDISK, "kernel_id": KERNEL}, {KERNEL, RAMDISK}),
        ({"kernel_id": KERNEL.upper()}, {KERNEL}),
        ({"kernel_id": "vmlinuz", "ramdisk_id": ""}, set()),
        ({"base_image_ref": KERNEL}, set()),
    ],
)
def test_an_image_refers_to_its_kernel_and_its_ramdisk(properties, expected):
    assert metadata_policy.referred(builders.source(properties=properties)) == expected


def test_a_copy_names_the_copies_of_kernel_and_ramdisk_by_their_own_ids():
    found = wanted(Policy(), BOOTED, copy_ids={KERNEL: COPY_OF_KERNEL}).metadata.properties
    assert found == {"kernel_id": COPY_OF_KERNEL, "ramdisk_id": RAMDISK, "base_image_ref": KERNEL}
    found = wanted(Policy(), BOOTED, copy_ids={RAMDISK: COPY_OF_KERNEL}).metadata.properties
    assert found == {"kernel_id": KERNEL, "ramdisk_id": COPY_OF_KERNEL, "base_image_ref": KERNEL}


def test_what_is_no_image_id_stays_as_it_is():
    source = builders.source(properties={"kernel_id": "vmlinuz", "ramdisk_id": KERNEL.upper()})
    found = wanted(Policy(), source, copy_ids={KERNEL: COPY_OF_KERNEL}).metadata.properties
    assert found == {"kernel_id": "vmlinuz", "ramdisk_id": COPY_OF_KERNEL}


def test_a_kernel_that_is_excluded_is_not_named():
    policy = Policy(exclude_properties=("kernel_*",))
    assert wanted(policy, BOOTED, copy_ids={KERNEL: COPY_OF_KERNEL}).metadata.properties == {
        "ramdisk_id": RAMDISK, "base_image_ref": KERNEL,
    }


SHARED = builders.source(
    visibility="shared",
    properties={"hw_disk_bus": "virtio", "internal_note": "x", "Internal_note": "y"},
    members={"beta": Accepted},
)


def test_without_a_policy_a_copy_has_the_metadata_of_its_source():
    assert wanted(Policy(), SHARED) == SHARED


@pytest.mark.parametrize(
    ("globs", "left"),
    [
        ((), {"hw_disk_bus", "internal_note", "Internal_note"}),
        (("internal_*",), {"hw_disk_bus", "Internal_note"}),
        (("?nternal_*",), {"hw_disk_bus"}),
        (("nothing", "hw_disk_bus"), {"internal_note", "Internal_note"}),
        (("internal", "note", "hw_*_"), {"hw_disk_bus", "internal_note", "Internal_note"}),
        (("*",), set()),
    ],
)
def test_excluded_properties_are_left_out_and_no_others(globs, left):
    found = wanted(Policy(exclude_properties=globs), SHARED).metadata.properties
    assert found == {name: SHARED.metadata.properties[name] for name in left}


def test_excluded_properties_are_not_listed_as_synced():
    found = wanted(Policy(exclude_properties=("*nternal*",)), SHARED)
    assert mark_properties.synced(found) == '["hw_disk_bus"]'
    assert images.key_of(found) == images.key_of(SHARED)


@pytest.mark.parametrize(
    ("owner", "source_owner", "region", "expected"),
    [
        pytest.param(Owner.SAME, "alpha", REGION, "alpha", id="same, whatever the map says"),
        pytest.param(Owner.SAME, None, REGION, None, id="same nobody"),
        pytest.param(Owner.MAPPED, "alpha", REGION, "alpha-two", id="mapped"),
        pytest.param(Owner.MAPPED, "alpha", OTHER_REGION, "alpha-three", id="mapped elsewhere"),
        pytest.param(Owner.MAPPED, "beta", REGION, "beta", id="unlisted project"),
        pytest.param(Owner.MAPPED, "alpha", "RegionNine", "alpha", id="unlisted region"),
        pytest.param(Owner.MAPPED, None, REGION, None, id="mapped nobody"),
        pytest.param(Owner.AGENT, "alpha", REGION, "agents", id="agent"),
        pytest.param(Owner.AGENT, None, REGION, "agents", id="agent for nobody"),
    ],
)
def test_a_copy_has_the_owner_that_the_policy_gives_it(owner, source_owner, region, expected):
    policy = Policy(owner=owner, project_map=MAP)
    source = builders.source(owner=source_owner)
    assert wanted(policy, source, region=region, own_project="agents") == dataclasses.replace(
        source, metadata=dataclasses.replace(source.metadata, owner=expected)
    )


@pytest.mark.parametrize("visibility", ["public", "community", "shared", "private"])
def test_copies_are_as_visible_as_their_source_or_private(visibility):
    source = builders.source(visibility=visibility)
    assert wanted(Policy(), source) == source
    found = wanted(Policy(visibility=Visibility.PRIVATE), source)
    assert found.metadata == dataclasses.replace(source.metadata, visibility="private")


def test_a_private_copy_has_no_members():
    copy = builders.copy(members={"gamma": Pending})
    assert wanted(Policy(visibility=Visibility.PRIVATE), SHARED, copy=copy).members == {}


@pytest.mark.parametrize("visibility", Visibility)
def test_members_stay_if_the_agent_does_not_change_them(visibility):
    policy = Policy(members=False, visibility=visibility)
    copy = builders.copy(members={"gamma": Pending})
    assert wanted(policy, SHARED, copy=copy).members == {"gamma": Pending}
    assert wanted(policy, SHARED).members == {}


NAMES = st.text(st.sampled_from("aAb_*"), min_size=1, max_size=4)
GLOBS = st.text(st.sampled_from("aAb_*?[]"), max_size=4)
HERE, THERE = (st.sampled_from([f"{where}-{n}" for n in range(3)]) for where in ("here", "there"))
MEMBERS = st.dictionaries(HERE, st.sampled_from(images.MemberStatus), max_size=3)
REGIONS = st.sampled_from([REGION, OTHER_REGION])
IMAGES = {
    "owner": st.none() | HERE,
    "properties": st.dictionaries(NAMES, NAMES, max_size=4),
    "tags": st.frozensets(NAMES, max_size=2),
    "members": MEMBERS,
}


@st.composite
def with_members(draw, /, build, **more):
    """An image that has members only if Glance allows any."""
    visibility = draw(st.sampled_from(["public", "community", "shared", "private"]))
    values = {name: draw(values) for name, values in (IMAGES | more).items()}
    if visibility != "shared":
        values["members"] = {}
    return build(visibility=visibility, **values)


SOURCES = with_members(
    builders.source,
    status=st.sampled_from(images.ImageStatus),
    size=st.none() | st.integers(0, 9),
    multihash=st.none() | st.just(builders.multihash()),
)
COPIES = with_members(
    builders.copy, synced_properties=st.frozensets(NAMES, max_size=3), name=st.just("cirros")
)
POLICIES = st.builds(
    Policy,
    exclude_properties=st.lists(GLOBS, max_size=2).map(tuple),
    owner=st.sampled_from(Owner),
    # To another alphabet: a project that is itself mapped would be mapped twice.
    project_map=st.dictionaries(REGIONS, st.dictionaries(HERE, THERE, max_size=3)),
    visibility=st.sampled_from(Visibility),
    members=st.booleans(),
)


@hypothesis.given(POLICIES, SOURCES, REGIONS, st.none() | COPIES)
def test_nothing_but_metadata_and_members_ever_changes(policy, source, region, copy):
    found = wanted(policy, source, region=region, copy=copy, own_project="agents")
    untouched = dataclasses.replace(found, metadata=source.metadata, members=source.members)
    assert untouched == source
    changed = dataclasses.replace(
        found.metadata,
        owner=source.metadata.owner,
        visibility=source.metadata.visibility,
        properties=source.metadata.properties,
    )
    assert changed == source.metadata


@hypothesis.given(POLICIES, SOURCES, REGIONS, st.none() | COPIES)
def test_a_policy_applied_twice_is_a_policy_applied_once(policy, source, region, copy):
    once = wanted(policy, source, region=region, copy=copy, own_project="agents")
    assert wanted(policy, once, region=region, copy=copy, own_project="agents") == once


@hypothesis.given(POLICIES, SOURCES)
def test_an_excluded_property_never_appears_and_no_other_is_lost(policy, source):
    found = wanted(policy, source, own_project="agents").metadata.properties
    for name, value in source.metadata.properties.items():
        is_excluded = any(fnmatch.fnmatchcase(name, one) for one in policy.exclude_properties)
        assert found.get(name) == (None if is_excluded else value)
    assert found.keys() <= source.metadata.properties.keys()


@hypothesis.given(POLICIES, SOURCES, REGIONS)
def test_only_those_who_see_the_source_or_own_the_copy_see_the_copy(policy, source, region):
    found = wanted(policy, source, region=region, own_project="agents")
    assert found.metadata.visibility in {source.metadata.visibility, "private"}
    assert found.members.items() <= source.members.items()
    assert not found.members or found.metadata.visibility == "shared"


def decide(source, copy):
    found = identity.Identity(whose=identity.Whose.OURS, reason="", is_known=True)
    return plans.decide(situations.Situation(source=source, copy=copy, identity=found))


def updated(copy, changes):
    """Return a copy after an update, as Glance would have it."""
    properties = {**copy.metadata.properties, **changes.properties}
    listed = properties.pop(mark_properties.SYNCED, None)
    metadata = dataclasses.replace(
        copy.metadata,
        **changes.attributes,
        properties={name: value for name, value in properties.items() if value is not None},
    )
    if changes.tags is not None:
        metadata = dataclasses.replace(metadata, tags=changes.tags)
    members = {**copy.members, **changes.members}
    if metadata.visibility != "shared":
        members = {}
    synced = mark_properties.read_synced(listed) if listed else copy.synced_properties
    return dataclasses.replace(
        copy,
        metadata=metadata,
        members={one: status for one, status in members.items() if status is not None},
        synced_properties=synced,
    )


@hypothesis.given(
    with_members(builders.source), COPIES, st.lists(POLICIES, min_size=1, max_size=3), REGIONS
)
def test_every_change_of_policy_is_two_updates_and_what_is_only_on_the_copy_stays(
    source, copy, policies, region
):
    for policy in policies:
        before, mine = copy, copy.synced_properties
        for _ in ("what narrows", "the rest"):
            action = decide(
                wanted(policy, source, region=region, copy=copy, own_project="agents"), copy
            )
            if isinstance(action, actions.UpdateMetadata):
                assert policy.members or not action.members
                copy = updated(copy, action)
        look = wanted(policy, source, region=region, copy=copy, own_project="agents")
        assert decide(look, copy) == actions.Settled(code=Code.IN_SYNC, text="in sync")
        theirs = before.metadata.properties.keys() - mine - source.metadata.properties.keys()
        for name in theirs:
            assert copy.metadata.properties[name] == before.metadata.properties[name]
