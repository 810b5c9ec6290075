# SPDX-License-Identifier: Apache-2.0
"""No image of a user is ever touched, whatever mark it bears.

In each test users make images of copies, which have the properties of these. Then sources are
deleted, announced or not, copies are deleted by hand, and the agent loses its database; after
each of that all images of users are compared with what they were, record, members and data.
"""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import strategy
from tests import marks
from tests.fakes import glance
from tests.fakes import nova
from tests.fakes import restores
from tests.fakes import users
from tests.fakes import world as worlds

ONE = worlds.CASCADING
TWO, THREE = worlds.CASCADED
#: Who owns the golden images, and whoever else has a project.
OPERATOR, USER = "alpha", "beta"
#: Longer than a source must be gone before anybody concludes anything.
A_DAY = 25 * 3600.0
#: So many that the list of their names is cut in a snapshot.
PROPERTIES = {f"hw_property_number_{number:02}": "virtio" for number in range(20)}

Make = Callable[[glance.FakeGlance, images.ImageId], images.ImageId]


def bytes_of(name: str) -> bytes:
    return f"bytes of {name}".encode()


class Cloud:
    """Golden images that have copies, and users who make images of these."""

    def __init__(self, regions: Sequence[images.RegionId] = worlds.CASCADED) -> None:
        """Have copies of golden images in ``regions``."""
        self.outside = worlds.Outside()
        self.world = worlds.World(self.outside)
        self.world.gone_grace = A_DAY - 3600.0
        self.glances = self.world.regions.glances
        self.regions = regions
        self.theirs: dict[tuple[images.RegionId, images.ImageId], object] = {}
        self.golden: dict[str, images.ImageId] = {}
        self.world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
        for project in (OPERATOR, USER):
            self.world.identity.associated[project] = frozenset(worlds.CASCADED)
        for name in ("heard", "unheard", "by hand", "kept", "late"):
            self.golden[name] = self.publish(name)
        self.settle()

    def publish(self, name: str) -> images.ImageId:
        """Publish a golden image, and tell of it."""
        wanted = {strategy.SYNC_REGIONS: ",".join(self.regions)}
        image = self.world.source.publish(
            bytes_of(name), name=name, owner=OPERATOR, properties=PROPERTIES | wanted,
            visibility="public",
        )
        self.world.changed(image.image_id)
        return image.image_id

    def make(self, make: Make, *, also_protected: bool = False) -> None:
        """Have users make an image of each copy, and perhaps another one that is protected."""
        for region in self.regions:
            service = self.glances[region]
            for image_id in self.golden.values():
                self.theirs_is(region, make(service, image_id))
                if also_protected:
                    made = make(service, image_id)
                    service.change(made, protected=True)
                    self.theirs_is(region, made)
        self.check()

    def theirs_is(self, region: images.RegionId, image_id: images.ImageId) -> None:
        """Take note of an image of a user as it is now."""
        self.theirs[region, image_id] = self.glances[region].whole(image_id)

    def of_users(self, region: images.RegionId) -> list[images.ImageId]:
        return [image_id for found, image_id in self.theirs if found == region]

    def check(self) -> None:
        """Compare all images of users with what they were."""
        for (region, image_id), was in self.theirs.items():
            assert self.glances[region].whole(image_id) == was, f"{image_id} of {region}"

    def settle(self) -> None:
        """Work until nothing waits."""
        self.world.settle()
        self.check()

    def look(self) -> None:
        """Look at everything, and work."""
        self.world.reconciliation.run()
        self.settle()

    def copies(self, region: images.RegionId, source_id: images.ImageId) -> list[images.ImageId]:
        """Return the copies of a source; an image of a user is none, whatever it says."""
        service = self.glances[region]
        return [
            image_id
            for image_id in sorted(service.ids() - set(self.of_users(region)))
            if marks.source_of(service.record(image_id), region) == (ONE, source_id)
        ]

    # What happens to the golden images.

    def delete_and_tell(self, name: str) -> None:
        self.world.source.delete_as_user(self.golden[name])
        self.world.deleted(self.golden[name])
        self.settle()

    def delete_untold(self, name: str) -> None:
        self.world.source.delete_as_user(self.golden[name])
        self.look()
        self.world.clock.advance(A_DAY)
        self.look()

    def delete_copy_by_hand(self, name: str) -> None:
        for region in self.regions:
            (copy_id,) = self.copies(region, self.golden[name])
            self.glances[region].delete_as_user(copy_id)
        self.world.changed(self.golden[name])
        self.settle()
        self.look()

    def lose_database(self) -> None:
        self.forget_everything()
        self.look()
        self.look()
        self.world.verification.run()
        self.settle()

    def forget_everything(self) -> None:
        restores.lose_database(self.world.store, self.outside.facts)

    def ordeal(self, *, by_hand: bool = True) -> None:
        """Let all that happen to which users' images fell victim, and look what is left.

        :param by_hand: copies are deleted by hand as well.
        """
        self.look()
        self.delete_and_tell("heard")
        self.delete_untold("unheard")
        if by_hand:
            self.delete_copy_by_hand("by hand")
        self.check_copies(gone=("heard", "unheard"), there=("by hand", "kept", "late"))
        self.lose_database()
        self.check_copies(gone=("heard", "unheard"), there=("by hand", "kept", "late"))
        self.world.deleted(self.golden["unheard"])
        self.delete_untold("late")
        self.world.deleted(self.golden["late"])
        self.settle()
        self.check_copies(gone=("heard", "unheard", "late"), there=("by hand", "kept"))

    def check_copies(self, *, gone: Sequence[str], there: Sequence[str]) -> None:
        """Assert that each image has a copy with its bytes where it belongs, if it has one."""
        for region in worlds.CASCADED:
            for name in gone:
                assert not self.copies(region, self.golden[name]), f"{name} in {region}"
            for name in there:
                self.check_copy(region, name, 1 if region in self.regions else 0)

    def check_copy(self, region: images.RegionId, name: str, count: int = 1) -> None:
        found = self.copies(region, self.golden[name])
        assert len(found) == count, f"{name} in {region}: {found}"
        for copy_id in found:
            assert self.glances[region].data(copy_id) == bytes_of(name)


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def snapshot(project: str, **details: Any) -> Make:
    def make(service: glance.FakeGlance, image_id: images.ImageId) -> images.ImageId:
        return users.snapshot(service, image_id, project=project, **details)

    return make


# Nova and Cinder in the cascaded regions.


@pytest.mark.parametrize("image_type", [nova.SNAPSHOT, nova.BACKUP])
def test_snapshots_and_backups_of_servers_booted_from_copies_stay(cloud, image_type):
    cloud.make(snapshot(USER, image_type=image_type), also_protected=True)
    cloud.ordeal()


def test_snapshots_of_the_project_that_owns_the_copy_stay(cloud):
    cloud.make(snapshot(OPERATOR), also_protected=True)
    cloud.ordeal()


def test_snapshots_that_an_administrator_takes_and_shares_with_the_owner_stay(cloud):
    cloud.make(snapshot(USER, by=OPERATOR), also_protected=True)
    cloud.ordeal()


@pytest.mark.parametrize("project", [USER, OPERATOR])
def test_snapshots_with_the_same_bytes_as_the_copy_stay(cloud, project):
    def make(service: glance.FakeGlance, image_id: images.ImageId) -> images.ImageId:
        return users.snapshot(service, image_id, project=project, data=service.data(image_id))

    cloud.make(make, also_protected=True)
    cloud.ordeal()


@pytest.mark.parametrize("project", [USER, OPERATOR])
def test_snapshots_that_wait_for_their_data_stay(cloud, project):
    cloud.make(snapshot(project, data=None), also_protected=True)
    cloud.ordeal()


@pytest.mark.parametrize("project", [USER, OPERATOR])
def test_snapshots_that_their_owner_fills_later_stay(cloud, project):
    cloud.make(snapshot(project, data=None))
    cloud.look()
    for region, image_id in list(cloud.theirs):
        users.fill(cloud.glances[region], image_id, b"filled", project=project)
        cloud.theirs_is(region, image_id)
    cloud.ordeal()


@pytest.mark.parametrize("project", [USER, OPERATOR])
def test_snapshots_of_servers_whose_disks_are_volumes_stay(cloud, project):
    def make(service: glance.FakeGlance, image_id: images.ImageId) -> images.ImageId:
        return users.snapshot_volumes(service, image_id, project=project)

    cloud.make(make, also_protected=True)
    cloud.ordeal()


@pytest.mark.parametrize("project", [USER, OPERATOR])
def test_volumes_that_cinder_makes_images_of_stay(cloud, project):
    def make(service: glance.FakeGlance, image_id: images.ImageId) -> images.ImageId:
        return users.upload_volume(service, image_id, project=project)

    cloud.make(make, also_protected=True)
    cloud.ordeal()


def test_a_snapshot_of_a_server_that_was_booted_from_a_snapshot_stays(cloud):
    def make(service: glance.FakeGlance, image_id: images.ImageId) -> images.ImageId:
        first = users.snapshot(service, image_id, project=USER)
        cloud.theirs_is(service.region, first)
        return users.snapshot(service, first, project=USER)

    cloud.make(make)
    cloud.ordeal()


# Scripts.


@pytest.mark.parametrize("owner", [USER, OPERATOR])
@pytest.mark.parametrize("data", [b"by a script", "same", None], ids=["other", "same", "none"])
def test_images_with_all_properties_of_a_copy_stay(cloud, owner, data):
    def make(service: glance.FakeGlance, image_id: images.ImageId) -> images.ImageId:
        wanted = service.data(image_id) if data == "same" else data
        return users.script(service, image_id, data=wanted, owner=owner)

    cloud.make(make, also_protected=True)
    cloud.ordeal()


# With the copy's owner and its bytes, or none, an image that names itself is all that a copy is.
# Only that another one is known to a task, or has the id of the source, tells that it is not ours.
@pytest.mark.parametrize("owner", [USER, OPERATOR])
@pytest.mark.parametrize("data", [b"by a script", "same", None], ids=["other", "same", "none"])
def test_images_whose_mark_names_themselves_stay(cloud, owner, data):
    cloud.make(forgery(owner, data), also_protected=True)
    cloud.ordeal(by_hand=owner != OPERATOR or data == b"by a script")


@pytest.mark.parametrize("data", ["same", None], ids=["same", "none"])
def test_an_image_that_only_its_row_tells_from_a_copy_stays_when_that_is_deleted_by_hand(
    cloud, data
):
    cloud.make(forgery(OPERATOR, data))
    cloud.look()
    cloud.delete_copy_by_hand("by hand")


def forgery(owner: str, data: bytes | str | None) -> Make:
    def make(service: glance.FakeGlance, image_id: images.ImageId) -> images.ImageId:
        wanted = service.data(image_id) if isinstance(data, str) else data
        return users.forge(service, image_id, data=wanted, owner=owner)

    return make


@pytest.mark.parametrize("owner", [USER, OPERATOR])
def test_images_whose_mark_names_themselves_and_that_their_owner_fills_stay(cloud, owner):
    cloud.make(forgery(owner, None))
    cloud.look()
    for region, image_id in list(cloud.theirs):
        cloud.glances[region].put_data(image_id, b"filled")
        cloud.theirs_is(region, image_id)
    cloud.ordeal()


def test_a_forged_image_that_has_no_data_stays_where_the_copy_has_to_come_anew(cloud):
    for region in worlds.CASCADED:
        service = cloud.glances[region]
        made = users.forge(service, cloud.golden["by hand"], data=None, owner=USER)
        cloud.theirs_is(region, made)
    cloud.delete_copy_by_hand("by hand")
    for region in worlds.CASCADED:
        cloud.check_copy(region, "by hand")


def test_a_forged_image_with_other_bytes_is_never_removed_as_a_damaged_copy(cloud):
    """Neither with a task, nor without one, nor where it has the id that the copy should have."""
    image_id = cloud.world.source.make(name="forged", owner=OPERATOR).image_id
    for region in worlds.CASCADED:
        made = users.forge(
            cloud.glances[region], cloud.golden["kept"], data=b"other", owner=OPERATOR,
            **{
                "id": image_id, marks.COPY_ID: image_id, marks.SOURCE_ID: image_id,
                strategy.SYNC_REGIONS: "*",
            },
        )
        cloud.theirs_is(region, made)
    cloud.world.source.put_data(image_id, b"the source")
    cloud.world.changed(image_id)
    cloud.settle()
    cloud.ordeal()


def test_a_snapshot_whose_source_id_somebody_edited_stays(cloud):
    kept = cloud.golden["kept"]

    def make(service: glance.FakeGlance, image_id: images.ImageId) -> images.ImageId:
        made = users.snapshot(service, image_id, project=OPERATOR)
        service.change(made, **{marks.SOURCE_ID: kept if image_id != kept else "somebody's"})
        return made

    cloud.make(make, also_protected=True)
    cloud.ordeal()


def test_a_copy_whose_source_id_somebody_edited_is_nobodys_and_stays(cloud):
    edited, named = cloud.golden["kept"], cloud.golden["heard"]
    cloud.world.two.change(edited, **{marks.SOURCE_ID: named})
    cloud.theirs_is(TWO, edited)
    cloud.world.changed(edited)
    cloud.settle()
    cloud.look()
    cloud.delete_and_tell("heard")  # whose copy it says it is
    cloud.delete_and_tell("kept")  # whose copy it was
    cloud.lose_database()
    cloud.check_copies(gone=("heard",), there=("unheard", "by hand", "late"))


# The cascading region.


@pytest.mark.parametrize("project", [USER, OPERATOR])
def test_a_snapshot_in_the_cascading_region_is_a_source_like_any_other(cloud, project):
    """It was booted from an image that had been brought there from a region, with its mark."""
    (copy_id,) = cloud.copies(TWO, cloud.golden["kept"])
    made = users.script(
        cloud.world.two, copy_id, data=b"a server", into=cloud.world.source, owner=project,
        image_type="snapshot", name="snapshot",
    )
    cloud.theirs_is(ONE, made)
    cloud.world.changed(made)
    cloud.settle()
    check_arrived(cloud, made, b"a server")
    cloud.look()
    cloud.delete_and_tell("heard")
    cloud.delete_and_tell("kept")
    cloud.lose_database()
    check_arrived(cloud, made, b"a server")
    cloud.theirs.pop((ONE, made))
    cloud.world.source.delete_as_user(made)
    cloud.world.deleted(made)
    cloud.settle()
    assert not [one for region in worlds.CASCADED for one in cloud.copies(region, made)]


def check_arrived(cloud: Cloud, source_id: images.ImageId, data: bytes) -> None:
    """Assert that an image has a copy in each region that says nothing of its ancestors."""
    wanted = nova.properties(cloud.world.source.record(source_id))
    for region in worlds.CASCADED:
        service = cloud.glances[region]
        (copy_id,) = cloud.copies(region, source_id)
        record = service.record(copy_id)
        assert service.data(copy_id) == data
        assert marks.source_of(record, region) == (ONE, source_id)
        ours = {*marks.NAMES, marks.SYNCED_PROPERTIES}
        found = {name: one for name, one in nova.properties(record).items() if name not in ours}
        assert found == {name: one for name, one in wanted.items() if name not in ours}


def test_a_cascading_glance_that_was_rebuilt_from_copies_is_one_of_sources(cloud):
    cloud.make(snapshot(USER))
    restores.empty(cloud.world.source)
    rebuilt = [cloud.golden[name] for name in ("by hand", "kept", "late")]
    for image_id in rebuilt:
        users.replicate(cloud.world.two, image_id, cloud.world.source)
        cloud.theirs_is(ONE, image_id)
        cloud.world.changed(image_id)
    cloud.settle()
    cloud.look()
    for name in ("by hand", "kept", "late"):
        for region in worlds.CASCADED:
            cloud.check_copy(region, name)
    # What is deleted by hand comes back, from an image that bears a mark itself.
    cloud.delete_copy_by_hand("by hand")
    cloud.lose_database()
    for image_id, name in zip(rebuilt, ("by hand", "kept", "late"), strict=True):
        check_arrived(cloud, image_id, bytes_of(name))


# Replication by others, restored states, ids that are given out again.


def test_an_image_that_glance_replicator_brought_to_another_region_stays():
    """It has the id, the owner, the bytes and all properties of the copy."""
    cloud = Cloud(regions=(TWO,))
    for image_id in cloud.golden.values():
        cloud.theirs_is(THREE, users.replicate(cloud.world.two, image_id, cloud.world.three))
    cloud.ordeal()


def test_an_image_that_glance_replicator_brought_stays_where_a_copy_is_wanted_later():
    cloud = Cloud(regions=(TWO,))
    for image_id in cloud.golden.values():
        cloud.theirs_is(THREE, users.replicate(cloud.world.two, image_id, cloud.world.three))
    for image_id in cloud.golden.values():
        cloud.world.source.change(image_id, **{strategy.SYNC_REGIONS: "*"})
        cloud.world.changed(image_id)
    cloud.settle()
    cloud.look()
    cloud.delete_and_tell("heard")
    cloud.delete_untold("unheard")
    cloud.lose_database()


def test_a_snapshot_that_glance_replicator_brought_to_another_region_stays(cloud):
    def make(service: glance.FakeGlance, image_id: images.ImageId) -> images.ImageId:
        made = users.snapshot(service, image_id, project=OPERATOR)
        other = cloud.world.three if service is cloud.world.two else cloud.world.two
        cloud.theirs_is(other.region, users.replicate(service, made, other))
        return made

    cloud.make(make)
    cloud.ordeal()


def test_a_database_that_was_lost_costs_no_user_an_image(cloud):
    cloud.make(snapshot(USER), also_protected=True)
    cloud.make(snapshot(OPERATOR))
    cloud.lose_database()
    for name in ("heard", "kept"):
        cloud.delete_and_tell(name)
    cloud.delete_untold("unheard")
    cloud.forget_everything()
    cloud.world.source.delete_as_user(cloud.golden["by hand"])
    cloud.look()
    cloud.world.clock.advance(A_DAY)
    cloud.look()
    cloud.world.deleted(cloud.golden["by hand"])
    cloud.settle()


def test_an_older_state_of_the_database_costs_no_user_an_image(cloud):
    cloud.make(snapshot(USER))
    cloud.make(snapshot(OPERATOR), also_protected=True)
    state = restores.backup_tasks(cloud.world.store)
    cloud.delete_copy_by_hand("by hand")
    cloud.delete_and_tell("heard")
    late = cloud.golden["later"] = cloud.publish("later")
    cloud.settle()
    restores.restore_tasks(cloud.world.store, state)
    cloud.look()
    cloud.delete_and_tell("by hand")
    cloud.delete_untold("unheard")
    cloud.world.source.delete_as_user(late)
    cloud.look()
    cloud.check_copies(gone=("heard", "unheard"), there=("kept", "late"))


def test_an_older_state_of_the_cascading_glance_costs_nobody_an_image(cloud):
    cloud.make(snapshot(USER))
    state = restores.backup(cloud.world.source)
    cloud.world.clock.advance(100.0)
    cloud.golden["newer"] = cloud.publish("newer")
    cloud.settle()
    for region in worlds.CASCADED:
        made = users.snapshot(cloud.glances[region], cloud.golden["newer"], project=USER)
        cloud.theirs_is(region, made)
    cloud.look()
    restores.restore(cloud.world.source, state)
    cloud.look()
    cloud.world.clock.advance(A_DAY)
    cloud.look()
    cloud.golden["newest"] = cloud.publish("newest")
    cloud.settle()
    for _ in range(3):
        cloud.world.clock.advance(A_DAY)
        cloud.look()
    cloud.check_copies(gone=(), there=tuple(cloud.golden))


def test_a_message_that_comes_after_a_scan_says_why_the_newest_image_is_gone(cloud):
    """As after a start of the agent, which scans before it has read what waits for it."""
    cloud.world.clock.advance(100.0)
    cloud.golden["newest"] = cloud.publish("newest")
    cloud.settle()
    cloud.look()
    cloud.world.source.delete_as_user(cloud.golden["newest"])
    cloud.look()
    cloud.world.deleted(cloud.golden["newest"])
    cloud.settle()
    cloud.delete_untold("unheard")
    cloud.check_copies(gone=("newest", "unheard"), there=("heard", "by hand", "kept", "late"))


@pytest.mark.parametrize("owner", [USER, OPERATOR])
@pytest.mark.parametrize("data", [b"by a script", None], ids=["other", "none"])
def test_an_image_that_got_the_id_of_a_copy_once_more_stays(cloud, owner, data):
    """The database of its Glance was purged, and the script copied the mark, which names it."""
    take_the_ids_of_copies(cloud, owner, data)
    cloud.look()
    cloud.delete_and_tell("heard")
    cloud.delete_untold("unheard")
    if (owner, data) != (OPERATOR, None):
        cloud.lose_database()


def test_an_image_that_got_the_id_and_the_bytes_of_a_copy_stays_while_a_task_tells(cloud):
    take_the_ids_of_copies(cloud, OPERATOR, "same")
    cloud.look()
    cloud.delete_and_tell("heard")
    cloud.delete_untold("unheard")


def take_the_ids_of_copies(cloud: Cloud, owner: str, data: bytes | str | None) -> None:
    service = cloud.world.two
    for name, image_id in cloud.golden.items():
        record = service.record(image_id)
        service.delete_as_user(image_id)
        restores.purge(service)
        cloud.world.clock.advance(60.0)
        body = nova.scripted(record, owner=owner)
        properties = nova.properties(body)
        made = service.make(
            image_id=image_id, owner=owner, properties=properties, name="by a script"
        )
        if data is not None:
            service.put_data(made.image_id, bytes_of(name) if data == "same" else data)
        assert marks.source_of(service.record(image_id), TWO) == (ONE, image_id)
        cloud.theirs_is(TWO, image_id)
