# SPDX-License-Identifier: Apache-2.0
"""What is taken back at the source stays nowhere visible, and what is given comes last."""

from collections import Counter

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import snapshots
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain import verification
from tests.fakes import glance
from tests.fakes import world as worlds

Status = images.ImageStatus
TWO, THREE = worlds.CASCADED
OFF = strategy.PlacementPolicy(strategy=strategy.Strategy.NONE)
#: Everybody's images go to RegionThree, and no longer to RegionTwo.
ELSEWHERE = strategy.PlacementPolicy(snapshot_regions=frozenset({THREE}))
SNAPSHOT = {snapshots.IMAGE_TYPE: snapshots.SNAPSHOT}
NONE = {strategy.SYNC_REGIONS: strategy.NOWHERE}


@pytest.fixture
def world():
    return worlds.World()


def published(world, **fields):
    """Return a source that was copied everywhere."""
    image = world.source.publish(b"golden image", **{"visibility": "public", **fields})
    world.changed(image.image_id)
    world.run()
    return image


def seen(world, image):
    """Return who sees the copies, by region."""
    return {
        glance.region: glance.image(image.image_id).metadata.visibility
        for glance in (world.two, world.three)
    }


def watch(service, found):
    """Note the calls of a Glance, and what it shows to everybody before each."""

    def before(name, _image_id):
        found.append(name)
        for image_id in service.ids():
            image = service.image(image_id)
            if image.status is Status.ACTIVE and image.metadata.visibility != "private":
                found.append(f"{image.metadata.visibility}, {sorted(image.members)}")

    service.before = before


def take_back(world, image, how):
    match how:
        case "made private":
            world.source.change(image.image_id, visibility="private")
        case "deactivated":
            world.source.set_active(image.image_id, active=False)
        case "unshared":
            world.source.share(image.image_id, "beta", None)
        case "given away":
            world.source.change(image.image_id, owner="beta")


# What is out of strategy


@pytest.mark.parametrize("by", ["event", "scan"])
@pytest.mark.parametrize("policy", [OFF, strategy.PlacementPolicy()])
def test_an_image_that_is_wanted_nowhere_is_made_private_everywhere(world, policy, by):
    image = published(world)
    assert set(seen(world, image).values()) == {"public"}
    world.policy = policy
    world.source.change(image.image_id, visibility="private", name="new", **NONE)
    if by == "event":
        world.changed(image.image_id)
    else:
        world.reconciliation.run()
    world.run()
    assert seen(world, image) == {TWO: "private", THREE: "private"}
    assert world.two.image(image.image_id).metadata.name != "new"
    assert world.task(image).reason.endswith(
        "; the copy stays, and only what narrows access to its source follows: it is private"
    )


@pytest.mark.parametrize("by", ["event", "scan"])
def test_an_image_that_is_wanted_nowhere_is_deactivated_everywhere_and_stays_so(world, by):
    image = published(world)
    world.policy = OFF
    for active in (False, True):
        world.source.set_active(image.image_id, active=active)
        if by == "event":
            world.changed(image.image_id)
        else:
            world.reconciliation.run()
        world.run()
        assert world.two.image(image.image_id).status is Status.DEACTIVATED
        assert world.task(image).reason.endswith("it is public and deactivated")
    # It was by us, so that it comes back where it is wanted.
    world.policy = strategy.PlacementPolicy()
    world.reconciliation.run()
    world.run()
    assert world.two.image(image.image_id).status is Status.ACTIVE


def test_whoever_is_a_member_no_more_is_none_of_a_copy_that_nobody_wants(world):
    image = world.source.publish(b"golden image", visibility="shared")
    world.source.share(image.image_id, "beta", "accepted")
    world.changed(image.image_id)
    world.run()
    world.policy = OFF
    world.source.share(image.image_id, "beta", None)
    world.source.share(image.image_id, "gamma", "accepted")
    world.changed(image.image_id)
    world.run()
    assert world.two.image(image.image_id).members == {}


def test_what_widens_goes_nowhere_where_the_image_is_not_wanted(world):
    image = published(world, visibility="private")
    world.policy = OFF
    world.source.change(image.image_id, visibility="public")
    world.changed(image.image_id)
    world.run()
    world.reconciliation.run()
    assert world.run() == 0
    assert seen(world, image) == {TWO: "private", THREE: "private"}


def test_members_and_visibility_are_left_alone_where_they_are_not_ours(world):
    world.metadata = metadata_policy.MetadataPolicy(members=False)
    image = published(world, visibility="shared")
    world.two.share(image.image_id, "beta", "accepted")
    world.policy = OFF
    world.source.change(image.image_id, name="new")
    world.changed(image.image_id)
    world.run()
    assert world.two.image(image.image_id).members == {"beta": "accepted"}
    # By the operator's word every copy is private, and so is one that nobody wants.
    world.metadata = metadata_policy.MetadataPolicy(visibility=metadata_policy.Visibility.PRIVATE)
    world.reconciliation.run()
    world.run()
    assert seen(world, image) == {TWO: "private", THREE: "private"}


def test_a_scan_asks_a_region_once_for_what_is_not_wanted_there(world):
    world.members_interval = 86400.0  # the first scan compares none
    for number in range(3):
        image = published(world, name=str(number), visibility="shared")
        world.source.change(image.image_id, **NONE)
    for policy in (OFF, strategy.PlacementPolicy()):
        world.policy = policy
        calls: list[str] = []
        world.two.before = lambda name, _id, calls=calls: calls.append(name)
        world.reconciliation.run()
        assert calls == ["find"]


def test_a_scan_under_none_asks_for_nothing_but_what_is_taken_back(world):
    image = published(world)
    world.deletes_unwanted = True
    world.policy = OFF
    world.source.change(image.image_id, name="new")
    assert world.reconciliation.run().requested == 0
    world.source.change(image.image_id, visibility="private")
    assert world.reconciliation.run().requested == 2
    world.run()
    assert world.two.image(image.image_id).metadata.visibility == "private"


def test_a_scan_under_none_asks_no_region_that_has_no_copy(world):
    world.policy = OFF
    world.source.publish(b"never copied")
    calls = []
    world.two.before = lambda name, _id: calls.append(name)
    world.reconciliation.run()
    assert calls == []


def test_a_copy_in_a_region_where_no_images_go_any_more_is_taken_back_as_well():
    """As one of a snapshot in the cascading region, which the operator names no more."""
    world = worlds.World(snapshot_origins=[TWO])
    world.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({worlds.CASCADING}))
    image = world.two.publish(b"snapshot", visibility="public", properties=SNAPSHOT)
    world.source.publish(b"keeper")
    world.reconciliation.run()
    world.run()
    assert world.source.image(image.image_id).metadata.visibility == "public"
    world.policy = ELSEWHERE
    world.deletes_unwanted = True
    world.two.change(image.image_id, visibility="private")
    world.reconciliation.run()
    world.run()
    assert world.source.image(image.image_id).metadata.visibility == "private"


@pytest.mark.parametrize("by", ["event", "scan"])
def test_an_image_that_another_project_got_is_taken_from_the_one_that_had_it(world, by):
    image = published(world, visibility="private", owner="alpha")
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.identity.associated["beta"] = frozenset({THREE})
    world.source.change(image.image_id, owner="beta", name="new")
    if by == "event":
        world.changed(image.image_id)
    else:
        world.reconciliation.run()
    world.run()
    assert world.task(image).reason.startswith("not wanted here")
    copies = [one.image(image.image_id).metadata for one in (world.two, world.three)]
    assert [(one.owner, one.name) for one in copies] == [("beta", image.metadata.name),
                                                         ("beta", "new")]


@pytest.mark.parametrize(
    ("policy", "before", "after"),
    [
        (metadata_policy.MetadataPolicy(), "alpha", "beta"),
        (metadata_policy.MetadataPolicy(owner=metadata_policy.Owner.AGENT), "agents", "agents"),
        (
            metadata_policy.MetadataPolicy(
                owner=metadata_policy.Owner.MAPPED,
                project_map={TWO: {"alpha": "alpha-two", "beta": "beta-two"}},
            ),
            "alpha-two",
            "beta-two",
        ),
    ],
)
def test_a_copy_that_nobody_wants_belongs_to_whom_the_policy_gives_it(
    world, policy, before, after
):
    world.metadata = policy
    image = published(world, visibility="private", owner="alpha")
    assert world.two.image(image.image_id).metadata.owner == before
    world.policy = OFF
    world.source.change(image.image_id, owner="beta")
    world.changed(image.image_id)
    world.run()
    assert world.two.image(image.image_id).metadata.owner == after
    assert world.reconciliation.run().requested == 0


# What a region refuses


def refuse(world, image):
    """Give a source more properties than RegionTwo takes."""
    more = {f"p{number}": "x" for number in range(glance.PROPERTY_QUOTA)}
    world.source.change(image.image_id, **more)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("how", ["made private", "deactivated", "unshared", "given away"])
def test_what_is_taken_back_goes_although_the_region_refuses_something_else(
    world, how, at_once
):
    image = published(world, visibility="shared" if how == "unshared" else "public")
    if how == "unshared":
        world.source.share(image.image_id, "beta", "accepted")
        world.changed(image.image_id)
        world.run()
    refuse(world, image)
    if not at_once:
        world.changed(image.image_id)
        world.run()
        assert world.task(image).status == "failure"
    take_back(world, image, how)
    world.changed(image.image_id)
    world.run()
    source, copy = world.source.image(image.image_id), world.two.image(image.image_id)
    assert (copy.status, copy.metadata.visibility, copy.metadata.owner, copy.members) == (
        source.status, source.metadata.visibility, source.metadata.owner, {}
    )
    task = world.task(image)
    assert (task.status, "image_property_quota" in task.reason) == ("failure", True)


# Who sees it is set last


@pytest.mark.parametrize(
    ("visibility", "first"),
    [("public", "private"), ("community", "private"), ("shared", "shared"),
     ("private", "private")],
)
def test_a_record_is_seen_by_its_owner_alone_until_its_bytes_are_there(
    world, visibility, first
):
    image = world.source.publish(b"golden image", visibility=visibility)
    if visibility == "shared":
        world.source.share(image.image_id, "beta", "accepted")
    found = []

    def before(name, image_id):
        if name == "get_record" and image_id in world.two.ids():
            copy = world.two.image(image_id)
            found.append((copy.status, copy.metadata.visibility, copy.members))

    world.two.before = before
    world.changed(image.image_id)
    world.run()
    assert found[0] == ("active", first, {})
    copy = world.two.image(image.image_id)
    assert copy.metadata.visibility == visibility
    assert copy.members == world.source.image(image.image_id).members
    assert world.task(image).reason == "in sync"


@pytest.mark.parametrize(
    ("visibility", "member", "calls", "looks"),
    [
        ("public", None, ["create", "write", "get_record", "update"], 2),
        ("community", None, ["create", "write", "get_record", "update"], 2),
        ("shared", "beta", ["create", "write", "get_record", "update", "get"], 2),
        ("shared", None, ["create", "write", "get_record"], 1),
        ("private", None, ["create", "write", "get_record"], 1),
    ],
)
def test_an_image_that_others_see_costs_one_change_and_one_look_more(
    world, visibility, member, calls, looks
):
    image = world.source.publish(b"golden image", visibility=visibility)
    if member:
        world.source.share(image.image_id, member)
    there: list[str] = []
    here: Counter[str] = Counter()
    world.two.before = lambda name, _id: there.append(name)
    world.source.before = lambda name, _id: here.update([name])
    world.intake.request(image.image_id, TWO)
    world.run()
    assert there == calls
    assert here["get"] == looks


@pytest.mark.parametrize("how", ["made private", "deactivated", "unshared"])
def test_what_is_taken_back_while_the_bytes_are_sent_is_never_seen(world, how):
    visibility = "shared" if how == "unshared" else "public"
    image = world.source.publish(b"golden image", visibility=visibility)
    if how == "unshared":
        world.source.share(image.image_id, "beta", "accepted")
    found: list[str] = []
    watch(world.two, found)
    inner = world.regions.store

    def store(region, size):
        take_back(world, image, how)
        return inner(region, size)

    world.regions.store = store
    world.intake.request(image.image_id, TWO)
    world.run()
    assert found[0] == "create"
    assert not [one for one in found if "public" in one or "beta" in one]
    copy = world.two.image(image.image_id)
    source = world.source.image(image.image_id)
    assert (copy.status, copy.metadata.visibility, copy.members) == (
        source.status, source.metadata.visibility, source.members
    )


@pytest.mark.parametrize("how", ["made private", "deactivated"])
def test_a_change_that_widens_looks_at_the_source_once_more(world, how):
    """The look that other regions share may be seconds old."""
    image = published(world, visibility="private")
    world.source.change(image.image_id, visibility="public")
    found: list[str] = []
    watch(world.two, found)
    world.changed(image.image_id)
    world.clock.advance(1.0)
    world.worker.dispatch()
    in_three, in_two = world.submitted  # in the order of the names
    world.submitted.clear()
    in_three()
    assert seen(world, image) == {THREE: "public", TWO: "private"}
    take_back(world, image, how)
    in_two()
    assert not [one for one in found if "public" in one]


def test_a_change_of_the_owner_looks_at_the_source_once_more(world):
    image = published(world, visibility="private", owner="alpha")
    owners = []
    world.two.before = lambda _name, image_id: owners.append(
        world.two.image(image_id).metadata.owner
    )
    world.source.change(image.image_id, owner="beta")
    world.changed(image.image_id)
    world.clock.advance(1.0)
    world.worker.dispatch()
    in_three, in_two = world.submitted  # in the order of the names
    world.submitted.clear()
    in_three()
    world.source.change(image.image_id, owner="gamma")
    in_two()
    assert world.three.image(image.image_id).metadata.owner == "beta"
    assert world.two.image(image.image_id).metadata.owner == "gamma"
    assert "beta" not in owners


def test_a_row_knows_a_copy_before_others_see_it(world):
    image = world.source.publish(b"golden image", visibility="public")
    known = []

    def before(name, image_id):
        if name == "update":
            known.append((world.task(image).copy_id, world.task(image).copy_created_at))

    world.two.before = before
    world.intake.request(image.image_id, TWO)
    world.run()
    copy = world.two.image(image.image_id)
    # The same for a copy that is found, as after the loss of the database.
    world.two.change(image.image_id, visibility="private")
    world.store._rows.clear()
    world.intake.request(image.image_id, TWO)
    world.run()
    assert known == [(image.image_id, copy.created_at)] * 2


def test_a_source_that_does_not_answer_makes_nobody_see_its_copy(world):
    image = world.source.publish(b"golden image", visibility="public")
    looks = []

    def before(name, _image_id):
        looks.append(name)
        if name == "get" and looks.count("get") == 2:
            raise errors.ServiceUnavailable("no answer", region=worlds.CASCADING)

    world.source.before = before
    world.intake.request(image.image_id, TWO)
    world.run()
    assert world.two.image(image.image_id).metadata.visibility == "private"
    assert world.task(image).status == "pending"
    world.settle()
    assert world.two.image(image.image_id).metadata.visibility == "public"


def test_an_image_that_is_reactivated_and_made_private_at_once_is_not_seen(world):
    image = published(world)
    world.source.set_active(image.image_id, active=False)
    world.changed(image.image_id)
    world.run()
    found: list[str] = []
    watch(world.two, found)
    world.source.set_active(image.image_id, active=True)
    world.source.change(image.image_id, visibility="private")
    world.changed(image.image_id)
    world.run()
    assert world.two.image(image.image_id).status is Status.ACTIVE
    assert not [one for one in found if "public" in one]


def test_each_step_that_widens_has_a_look_of_its_own(world):
    image = published(world, visibility="private")
    world.source.set_active(image.image_id, active=False)
    world.changed(image.image_id)
    world.run()
    calls = []

    def before(name, _image_id):
        calls.append(name)
        if name == "update":
            world.source.set_active(image.image_id, active=False)

    world.two.before = before
    world.source.set_active(image.image_id, active=True)
    world.source.change(image.image_id, visibility="public")
    world.intake.request(image.image_id, TWO)
    world.run()
    assert "update" in calls
    assert "set_active" not in calls


def test_a_copy_without_a_hash_to_prove_it_is_seen_when_it_was_proven(world):
    image = world.source.publish(b"golden image", visibility="public")
    world.source.change(image.image_id, os_hash_algo=None, os_hash_value=None)
    world.three.hash_algo = "sha256"
    world.changed(image.image_id)
    world.run()
    assert seen(world, image) == {TWO: "public", THREE: "public"}


# What somebody else deactivated


def test_a_copy_that_somebody_else_deactivated_stays_so_and_says_how_to_undo_that(world):
    image = published(world)
    world.two.set_active(image.image_id, active=False)
    world.source.change(image.image_id, name="new")
    world.changed(image.image_id)
    world.run()
    copy = world.two.image(image.image_id)
    assert (copy.status, copy.metadata.name) == ("deactivated", "new")
    task = world.task(image)
    assert task.status == "success"
    assert f"glance-sync sync --release {image.image_id} --region RegionTwo" in task.reason
    # It counts as settled: no look asks for it again, whatever that look is for.
    for _ in range(2):
        assert world.reconciliation.run().requested == 0


def test_a_scan_notes_once_what_somebody_else_deactivated(world):
    image = published(world)
    world.two.set_active(image.image_id, active=False)
    assert world.reconciliation.run().requested == 1
    world.run()
    assert "somebody else deactivated" in world.task(image).reason
    assert world.reconciliation.run().requested == 0
    world.two.set_active(image.image_id, active=True)
    assert world.reconciliation.run().requested == 1
    world.run()
    assert world.task(image).reason == "in sync"


def test_a_member_that_goes_is_none_of_a_copy_that_somebody_else_deactivated(world):
    image = world.source.publish(b"golden image", visibility="shared")
    world.source.share(image.image_id, "beta", "accepted")
    world.changed(image.image_id)
    world.run()
    world.two.set_active(image.image_id, active=False)
    world.reconciliation.run()
    world.run()
    world.source.share(image.image_id, "beta", None)
    assert world.reconciliation.run().requested == 2
    world.run()
    assert world.two.image(image.image_id).members == {}


def test_a_copy_that_somebody_else_deactivated_is_no_location_of_its_source(world):
    for service in world.regions.glances.values():
        service.shows_locations = service.tells_size = True
    world.record_locations = True
    image = published(world)
    assert len(world.source.image(image.image_id).locations) == 3
    world.two.set_active(image.image_id, active=False)
    world.reconciliation.run()
    world.run()
    assert len(world.source.image(image.image_id).locations) == 2
    assert world.reconciliation.run().requested == 0


def test_what_we_deactivated_is_reactivated_with_its_source(world):
    image = published(world)
    for active in (False, True, False, True):
        world.source.set_active(image.image_id, active=active)
        world.changed(image.image_id)
        world.run()
        assert world.two.image(image.image_id).status is world.source.image(image.image_id).status
        assert world.task(image).deactivated_id == (None if active else image.image_id)
    # We undid what we did, so that whoever does it now is somebody else.
    world.two.set_active(image.image_id, active=False)
    world.changed(image.image_id)
    world.run()
    assert world.two.image(image.image_id).status is Status.DEACTIVATED


def test_a_region_that_was_deactivated_before_its_source_stays_so_after_it(world):
    image = published(world)
    world.two.set_active(image.image_id, active=False)
    for active in (False, True):
        world.source.set_active(image.image_id, active=active)
        world.changed(image.image_id)
        world.run()
    assert world.two.image(image.image_id).status is Status.DEACTIVATED
    assert world.three.image(image.image_id).status is Status.ACTIVE


def test_the_intent_is_written_before_the_deed(world):
    image = published(world)
    found = []

    def before(name, image_id):
        if name == "set_active":
            found.append(world.task(image).deactivated_id == image_id)
            raise errors.ServiceUnavailable("the agent dies here")

    world.two.before = before
    world.source.set_active(image.image_id, active=False)
    world.changed(image.image_id)
    world.run()
    assert found == [True]
    assert world.two.image(image.image_id).status is Status.ACTIVE
    # The source is active again, so there is nothing to be done, and nothing to be undone.
    world.two.before = lambda _name, _id: None
    world.source.set_active(image.image_id, active=True)
    world.changed(image.image_id)
    world.settle()
    assert world.task(image).deactivated_id is None


def test_a_lost_database_does_not_know_who_deactivated_a_copy(world):
    image = published(world)
    world.source.set_active(image.image_id, active=False)
    world.changed(image.image_id)
    world.run()
    world.store._rows.clear()
    world.source.set_active(image.image_id, active=True)
    world.reconciliation.run()
    world.run()
    assert world.two.image(image.image_id).status is Status.DEACTIVATED
    assert "somebody else deactivated" in world.task(image).reason
    assert world.task(image).copy_id == image.image_id
    assert world.reconciliation.run().requested == 0


def test_an_operator_releases_a_copy(world):
    image = published(world)
    world.two.set_active(image.image_id, active=False)
    world.changed(image.image_id)
    world.run()
    key = world.task(image).key
    assert world.store.permit_activation(key, now=world.clock.now(), request_id="operator")
    world.run()
    assert world.two.image(image.image_id).status is Status.ACTIVE
    assert world.task(image).reason == "in sync"
    assert world.task(image).deactivated_id is None


def test_a_damaged_copy_that_somebody_else_deactivated_is_not_replaced(world):
    image = published(world)
    world.two.damage(image.image_id, b"damaged imag")
    world.verify_interval = 1.0
    world.clock.advance(10.0)
    world.verification.run()
    world.two.set_active(image.image_id, active=False)
    world.run()
    assert world.two.image(image.image_id).status is Status.DEACTIVATED


def test_a_damaged_copy_that_somebody_else_deactivated_is_replaced_after_its_release(world):
    image = published(world)
    world.two.damage(image.image_id, b"damaged imag")
    world.two.set_active(image.image_id, active=False)
    key = world.task(image).key
    damage = verification.Damage(copy_id=image.image_id, found="other bytes")
    assert world.store.distrust(key, damage, now=world.clock.now(), request_id="verify")
    world.settle()
    assert world.two.image(image.image_id).status is Status.DEACTIVATED
    assert world.store.permit_activation(key, now=world.clock.now(), request_id="operator")
    world.settle()
    copy_id = world.task(image).copy_id
    assert world.two.data(copy_id) == b"golden image"
    assert world.two.image(copy_id).status is Status.ACTIVE


def test_a_damaged_copy_is_replaced_after_its_region_was_out_of_the_catalogue(world):
    image = published(world)
    world.two.damage(image.image_id, b"damaged imag")
    everywhere = world.catalogue.names
    world.catalogue.names = everywhere - {TWO}
    damage = verification.Damage(copy_id=image.image_id, found="other bytes")
    key = world.task(image).key
    assert world.store.distrust(key, damage, now=world.clock.now(), request_id="verify")
    world.settle()
    world.catalogue.names = everywhere
    world.reconciliation.run()
    world.settle()
    assert world.two.data(world.task(image).copy_id) == b"golden image"


def test_a_member_removed_while_a_region_was_out_of_the_catalogue_is_removed_later(world):
    source = world.source.publish(visibility="shared")
    world.source.share(source.image_id, "beta")
    world.changed(source.image_id)
    world.settle()
    assert "beta" in world.two.image(source.image_id).members

    everywhere = world.catalogue.names
    world.catalogue.names = everywhere - {TWO}
    world.source.share(source.image_id, "beta", None)
    world.changed(source.image_id)
    world.settle()
    world.catalogue.names = everywhere
    world.source.change(source.image_id, sync_regions="none")
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.reconciliation.run()
    world.settle()
    assert "beta" not in world.two.image(source.image_id).members


@pytest.fixture
def elsewhere(world):
    """Return a public image that is copied to RegionThree. RegionTwo has its data, and is down."""
    world.source.shows_locations = True
    there = world.two.publish(b"golden image", owner="alpha")
    image = world.refer(there, owner="alpha", visibility="public")
    world.changed(image.image_id)
    world.settle()
    assert world.three.image(image.image_id).metadata.visibility == "public"

    def down(_name, _image_id):
        raise errors.ServiceUnavailable("no answer", region=TWO)

    world.two.before = down
    return image


@pytest.mark.parametrize("is_announced", [True, False])
def test_what_is_taken_back_follows_although_the_region_of_the_data_is_down(
    world, elsewhere, is_announced
):
    world.source.change(elsewhere.image_id, visibility="private")
    world.source.set_active(elsewhere.image_id, active=False)
    if is_announced:
        world.changed(elsewhere.image_id)
    else:
        assert world.reconciliation.run().failed_regions == {TWO}
    world.run()
    copy = world.three.image(elsewhere.image_id)
    assert (copy.metadata.visibility, copy.status) == ("private", Status.DEACTIVATED)


def test_what_is_given_waits_for_the_region_of_the_data(world, elsewhere):
    world.source.change(elsewhere.image_id, visibility="private")
    world.changed(elsewhere.image_id)
    world.run()
    world.source.change(elsewhere.image_id, visibility="public", name="new")
    world.changed(elsewhere.image_id)
    world.run()
    copy = world.three.image(elsewhere.image_id)
    assert (copy.metadata.visibility, copy.metadata.name) == ("private", elsewhere.metadata.name)
    assert world.store.get(tasks.TaskKey(image_id=elsewhere.image_id, region=THREE)).code == (
        "attempt_failed"
    )
    world.two.before = lambda _name, _image_id: None
    world.clock.advance(600.0)
    world.run()
    assert world.three.image(elsewhere.image_id).metadata.visibility == "public"


def test_a_member_removed_is_removed_although_the_region_of_the_data_is_down(world, elsewhere):
    world.two.before = lambda _name, _image_id: None
    world.source.change(elsewhere.image_id, visibility="shared")
    world.source.share(elsewhere.image_id, "beta", "accepted")
    world.changed(elsewhere.image_id)
    world.settle()
    assert "beta" in world.three.image(elsewhere.image_id).members

    def down(_name, _image_id):
        raise errors.ServiceUnavailable("no answer", region=TWO)

    world.two.before = down
    world.source.share(elsewhere.image_id, "beta", None)
    world.changed(elsewhere.image_id)
    world.run()
    assert not world.three.image(elsewhere.image_id).members


def test_access_is_not_given_on_an_old_look_at_the_source(world):
    """The Glance of the copy takes its time right before the copy would be public."""
    image = published(world, visibility="private")
    world.source.change(image.image_id, visibility="public")
    world.changed(image.image_id)
    shown = []
    update = world.two.update

    def take_time(name, _image_id):
        if name == "get_record":
            world.source.change(image.image_id, visibility="private")
            world.clock.advance(20.0)

    def note(change):
        shown.append(change.attributes["visibility"])
        return update(change)

    world.two.before, world.two.update = take_time, note
    world.settle()
    assert "public" not in shown
    assert seen(world, image)[TWO] == "private"


def test_access_is_not_given_on_a_look_that_is_old_because_keystone_took_its_time(world):
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.cache_seconds = 0.0
    world.identity.associated = {"alpha": frozenset({TWO})}
    image = world.source.publish(b"golden image", visibility="public", owner="alpha")
    world.changed(image.image_id)
    ask, shown = world.identity.association, []

    def take_time(project):
        copy = world.two.image(image.image_id) if image.image_id in world.two.ids() else None
        if copy is not None and copy.status is Status.ACTIVE:
            world.source.change(image.image_id, visibility="private")
            world.clock.advance(25.0)
        return ask(project)

    def watch_copies(name, _image_id):
        if name == "update":
            shown.append(world.two.image(image.image_id).metadata.visibility)

    world.identity.association, world.two.before = take_time, watch_copies
    world.settle()
    assert world.two.image(image.image_id).metadata.visibility == "private"
    assert "public" not in shown
