# SPDX-License-Identifier: Apache-2.0
"""What a source lost, its copies lose, whatever a Glance or Keystone refuses."""

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import verification
from tests.fakes import world as worlds
from tests.unit import builders

TWO, THREE = worlds.CASCADED
OTHER_ID = "00000000-0000-4000-8000-000000000001"
IN_USE = errors.Refused("DELETE: HTTP 409: could not be deleted because it is in use")
GOLD = strategy.PlacementPolicy(
    strategy=strategy.Strategy.USER,
    rules=(
        rules.Rule(
            title="rule 1", match=rules.Match(roles=frozenset({"gold"})), regions=("*",)
        ),
    ),
)


@pytest.fixture
def world():
    made = worlds.World()
    made.source.publish(b"keeper", owner="bob")  # a region without images proves nothing
    return made


@pytest.fixture
def image(world):
    made = world.source.publish(b"golden image", visibility="public", owner="alpha")
    world.changed(made.image_id)
    world.settle()
    assert world.two.image(made.image_id).metadata.visibility == "public"
    return made


def refuse(service, method, failure):
    def before(name, _image_id):
        if name == method:
            raise failure

    service.before = before


def take_back(world, image, how):
    if how == "private":
        world.source.change(image.image_id, visibility="private")
    else:
        world.source.set_active(image.image_id, active=False)
    world.changed(image.image_id)
    world.settle()


def assert_taken_back(world, image, how):
    copy = world.two.image(image.image_id)
    if how == "private":
        assert copy.metadata.visibility == "private"
    else:
        assert copy.status == "deactivated"


def test_a_copy_that_is_in_use_is_hidden_once_its_source_is_deleted(world, image):
    refuse(world.two, "delete", IN_USE)
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.settle()
    assert world.task(image).status == "failure"
    assert_taken_back(world, image, "private")


def test_a_region_that_refuses_every_change_still_deletes_a_copy(world, image, caplog):
    refuse(world.two, "update", errors.Refused("HTTP 403: policy 'modify_image'"))
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.settle()
    assert image.image_id not in world.two.ids()
    assert "Could not take access to the copy of image" in caplog.text


def test_a_copy_that_its_glance_deleted_by_half_is_forgotten(world, image):
    """A Glance that is killed in a deletion shows the image with that status for ever."""
    world.source.delete_as_user(image.image_id)
    world.two.change(image.image_id, status="deleted")
    world.deleted(image.image_id)
    world.settle()
    assert not [task for task in world.store.list() if task.key.image_id == image.image_id]


def test_a_copy_that_its_glance_deleted_by_half_is_made_anew_with_another_id(world, image):
    world.two.change(image.image_id, status="deleted")
    world.changed(image.image_id)
    world.settle()
    task = world.task(image)
    assert (task.status, task.code) == ("success", "in_sync")
    assert task.copy_id != image.image_id
    assert world.two.data(task.copy_id) == world.source.data(image.image_id)


def test_a_region_that_is_unreachable_is_not_asked_to_delete_next(world, image):
    asked = []

    def before(name, _image_id):
        asked.append(name)
        if name == "update":
            raise errors.ServiceUnavailable("no answer", region=TWO)

    world.two.before = before
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.run()
    assert "delete" not in asked
    assert world.task(image).status == "pending"


@pytest.mark.parametrize("how", ["private", "deactivated"])
@pytest.mark.parametrize("why", ["damaged", "other bytes", "unwanted"])
def test_a_copy_that_should_go_and_is_in_use_follows_its_source(world, image, why, how):
    refuse(world.two, "delete", IN_USE)
    if why == "damaged":
        damage = verification.Damage(copy_id=image.image_id, found="one other byte")
        world.store.distrust(
            world.task(image).key, damage, now=world.clock.now(), request_id="verify"
        )
    elif why == "other bytes":
        world.two.change(image.image_id, os_hash_value="0" * 128)
    else:
        world.deletes_unwanted = True
        world.source.change(image.image_id, **{strategy.SYNC_REGIONS: "none"})
        world.reconciliation.run()
    world.settle()
    take_back(world, image, how)
    assert_taken_back(world, image, how)


@pytest.mark.parametrize(
    "failure",
    [
        errors.Refused("HTTP 403: policy 'deactivate'"),
        errors.ServiceUnavailable("HTTP 500", region=TWO, fault=errors.Fault.ANSWER),
    ],
)
def test_a_copy_whose_deactivation_is_refused_is_made_private(world, image, failure):
    refuse(world.two, "set_active", failure)
    world.source.set_active(image.image_id, active=False)
    take_back(world, image, "private")
    assert_taken_back(world, image, "private")
    assert world.two.image(image.image_id).status == "active"
    assert world.task(image).status == "failure"


def of_unknown_project(world, failure):
    """Return a copied image of a project of which Keystone tells nothing any more."""
    world.policy = GOLD
    world.identity.roles = {"alpha": frozenset({"gold"})}
    image = world.source.publish(b"golden", visibility="public", owner="alpha")
    world.changed(image.image_id)
    world.settle()

    def roles_on(_project_id):
        raise failure

    world.identity.roles_on = roles_on
    world.clock.advance(120.0)  # until the answers of Keystone are too old
    return image


@pytest.mark.parametrize("failure", [errors.ServiceUnavailable("500"), errors.Refused("403")])
def test_a_damaged_copy_follows_and_stays_while_keystone_cannot_tell(world, failure):
    image = of_unknown_project(world, failure)
    world.source.change(image.image_id, visibility="private")
    damage = verification.Damage(copy_id=image.image_id, found="one other byte")
    world.store.distrust(
        world.task(image).key, damage, now=world.clock.now(), request_id="verify"
    )
    world.run()
    assert world.two.image(image.image_id).metadata.visibility == "private"
    assert world.task(image).code == "keystone_unavailable"


@pytest.mark.parametrize("failure", [errors.ServiceUnavailable("500"), errors.Refused("403")])
def test_a_copy_follows_while_keystone_cannot_tell_where_it_belongs(world, failure):
    image = of_unknown_project(world, failure)
    world.source.change(image.image_id, visibility="private", name="renamed")
    world.changed(image.image_id)
    world.run()
    copy = world.two.image(image.image_id)
    assert copy.metadata.visibility == "private"
    assert copy.metadata.name != "renamed"
    assert world.task(image).code == "keystone_unavailable"


@pytest.mark.parametrize("how", ["private", "deactivated"])
def test_an_owner_who_marks_a_source_as_a_copy_keeps_nothing(world, image, how):
    mark = builders.marks(
        image.image_id, worlds.CASCADING, source_id=OTHER_ID, source_region="RegionNine"
    )
    world.source.change(image.image_id, **mark)
    take_back(world, image, how)
    world.intake.request(image.image_id)
    world.settle()
    assert_taken_back(world, image, how)


@pytest.mark.parametrize("by", ["scan", "event"])
def test_copies_of_remote_data_outlive_a_glance_that_hides_locations(by):
    world = worlds.World()
    for service in world.regions.glances.values():
        service.shows_locations = True
    made = []
    for number in range(3):
        there = world.two.publish(b"snapshot of a user %d" % number, owner="alpha")
        made.append(world.refer(there, owner="alpha", name=f"snapshot {number}"))
        world.changed(made[-1].image_id)
    world.settle()
    before = {image.image_id: world.three.data(image.image_id) for image in made}
    world.source.shows_locations = False
    for image in made:
        world.source.change(image.image_id, name="renamed")
        if by == "event":
            world.changed(image.image_id)
    if by == "scan":
        world.reconciliation.run()
    world.settle()
    assert {image.image_id: world.three.data(image.image_id) for image in made} == before


def test_an_agent_without_rights_deletes_no_copy_of_a_hidden_source(world, monkeypatch):
    image = world.source.publish(b"private", owner="alpha", visibility="private")
    world.changed(image.image_id)
    world.settle()
    read = world.source._read

    def shown(image_id, **kwargs):
        found = read(image_id, **kwargs)
        return None if found is None or found.metadata.visibility == "private" else found

    def refuse_rights():
        raise errors.Refused("not an administrator")

    monkeypatch.setattr(world.source, "_read", shown)
    monkeypatch.setattr(world.source, "require_all_rights", refuse_rights)
    world.intake.request(image.image_id, may_delete=True)
    world.settle()
    assert image.image_id in world.two.ids()


def test_after_a_reactivation_a_later_deactivation_is_somebody_elses(world, image):
    take_back(world, image, "deactivated")
    done = []

    def before(name, _image_id):
        if name == "set_active":
            done.append(name)
        elif done:
            raise errors.ServiceUnavailable("the region is cut off", region=TWO)

    world.two.before = before
    world.source.set_active(image.image_id, active=True)
    world.changed(image.image_id)
    world.run()
    assert world.two.image(image.image_id).status == "active"
    world.clock.advance(3600.0)
    world.two.before = lambda _name, _image_id: None
    world.two.set_active(image.image_id, active=False)
    world.settle()
    assert_taken_back(world, image, "deactivated")


def test_after_a_copy_was_seen_active_a_later_deactivation_is_somebody_elses(world, image):
    take_back(world, image, "deactivated")
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.NONE)
    world.source.set_active(image.image_id, active=True)
    world.two.set_active(image.image_id, active=True)  # by hand, because it is needed there
    world.changed(image.image_id)
    world.settle()
    world.two.set_active(image.image_id, active=False)
    world.policy = strategy.PlacementPolicy()
    world.reconciliation.run()
    world.settle()
    assert_taken_back(world, image, "deactivated")


def read_back(world, image, *, meanwhile):
    """Have the copy read back, and something happen at its first byte."""
    world.two.change(image.image_id, os_hash_algo="sha256", os_hash_value="00")
    reads = at_first_byte_read_back(world, meanwhile)
    world.changed(image.image_id)
    world.clock.advance(1.0)
    world.worker.dispatch()
    world.submitted.pop()()
    assert reads == [image.image_id]


def at_first_byte_read_back(world, meanwhile):
    """Return the ids that are read back from now on, the first one with something happening."""
    reads: list[object] = []

    def before(name, image_id):
        if name == "read" and not reads:
            reads.append(image_id)
            world.clock.advance(2.0)  # longer than between two signs of life
            meanwhile()

    world.two.before = before
    return reads


def test_access_that_was_taken_back_does_not_wait_for_a_read_back(world, image):
    seen = []
    world.source.change(image.image_id, visibility="public")
    world.changed(image.image_id)
    world.run()

    def meanwhile():
        world.source.change(image.image_id, visibility="private", name="renamed")
        world.changed(image.image_id)
        world.two.before = note

    def note(name, _image_id):
        seen.append((name, world.task(image).proven_id))

    read_back(world, image, meanwhile=meanwhile)
    task = world.task(image)
    assert ("update", None) in seen
    assert task.proven_id == image.image_id
    assert task.status == "pending"  # for the request
    assert world.two.image(image.image_id).metadata.visibility == "private"


@pytest.mark.parametrize("failure", [errors.Refused("403"), errors.ServiceUnavailable("500")])
def test_a_read_back_goes_on_although_access_cannot_be_taken_back(world, image, failure, caplog):
    def meanwhile():
        world.source.change(image.image_id, visibility="private")
        world.changed(image.image_id)
        world.two.update = refuse

    def refuse(_changes):
        raise failure

    read_back(world, image, meanwhile=meanwhile)
    assert world.task(image).proven_id == image.image_id
    assert caplog.text.count("cannot follow during the read-back") == 1


def test_a_read_back_changes_no_copy_that_may_not_be_ours(world, image):
    calls = []

    def meanwhile():
        world.source.change(image.image_id, visibility="private")
        world.changed(image.image_id)
        world.two.change(image.image_id, glance_sync_copy_id=None)
        world.two.before = lambda name, _image_id: calls.append(name)

    read_back(world, image, meanwhile=meanwhile)
    assert "update" not in calls


def test_a_read_back_ends_with_its_source(world, image):
    read_back(world, image, meanwhile=lambda: delete(world, image, world.source))
    assert world.task(image).proven_id is None


def test_a_read_back_of_a_copy_that_is_gone_changes_nothing(world, image):
    read_back(world, image, meanwhile=lambda: delete(world, image, world.two))
    assert world.task(image).status == "pending"


def delete(world, image, glance):
    glance.delete_as_user(image.image_id)
    world.changed(image.image_id)


def test_a_read_back_survives_requests_that_change_no_access(world, image):
    """Otherwise one that takes longer than the time between two scans would never end."""
    read_back(world, image, meanwhile=lambda: world.changed(image.image_id))
    task = world.task(image)
    assert task.proven_id == image.image_id
    assert task.status == "pending"  # for the request


def test_a_deactivation_does_not_wait_until_a_copy_without_a_hash_is_proven(world):
    image = world.source.publish(b"ancient", visibility="public")
    world.source.change(image.image_id, os_hash_algo=None, os_hash_value=None)
    world.two.hash_algo = "sha256"
    seen = []

    def meanwhile():
        world.source.set_active(image.image_id, active=False)
        world.changed(image.image_id)
        world.two.before = note

    def note(name, _image_id):
        seen.append((name, world.task(image).proven_id))

    reads = at_first_byte_read_back(world, meanwhile)
    world.changed(image.image_id)
    world.run()
    assert reads == [image.image_id]
    assert ("set_active", None) in seen
    assert world.task(image).proven_id == image.image_id
    assert world.two.image(image.image_id).status == "deactivated"


def test_a_read_back_goes_on_while_the_database_is_away(world, image, monkeypatch):
    def meanwhile():
        monkeypatch.setattr(world.store, "get", lose)

    def lose(_key):
        raise errors.ServiceUnavailable("no database")

    read_back(world, image, meanwhile=meanwhile)
    monkeypatch.undo()
    assert world.task(image).proven_id == image.image_id


def test_a_read_back_without_a_new_request_goes_on(world, image):
    read_back(world, image, meanwhile=lambda: None)
    assert world.task(image).proven_id == image.image_id
