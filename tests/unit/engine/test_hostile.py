# SPDX-License-Identifier: Apache-2.0
"""What a hostile reader of the code would do: users, Glances and operators at their worst.

Each name is a sentence that should be true.
"""

import contextlib
import dataclasses

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import events
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import verification
from glance_sync_agent.engine.asked import Asked
from glance_sync_agent.engine.marks import census
from tests.fakes import world as worlds
from tests.unit import builders

DATA = b"golden image"
ONE = worlds.CASCADING
TWO, THREE = worlds.CASCADED
OTHER = "00000000-0000-4000-8000-000000000001"
DAY = 86400.0
SETTLED_BY_HAND = {census.MarkKind.DOUBTFUL, census.MarkKind.ORPHAN}

ALICE = Asked(by="alice")


@pytest.fixture
def world():
    return worlds.World()


@pytest.fixture
def image(world):
    image = world.source.publish(DATA, name="golden", owner="alpha", visibility="public")
    world.changed(image.image_id)
    return image


@pytest.fixture
def copied(world, image):
    world.run()
    return image


def settle_of(world):
    return world.engine.scans.settling


def marks_of(copy_id, region, source):
    return builders.marks(
        copy_id, region, source_id=source.image_id, source_region=source.region
    )


def reported(world, region, image_id):
    """Tell whether an operator gets to know of an image: by ``orphan list`` or ``status``."""
    listed = {
        one.image.image_id
        for one in world.census.find(region)
        if one.kind in SETTLED_BY_HAND
    }
    failed = {
        task.key.image_id
        for task in world.store.list()
        if task.status == "failure" and task.key.region == region
    }
    return image_id in listed | failed


@contextlib.contextmanager
def no_administrator(glance, monkeypatch):
    """Have a Glance take the agent for somebody without rights, as after a change of its policy.

    It hides the private images of other projects, and takes no image for one of them.
    """
    read, create = glance._read, glance.create

    def shown(image_id, **kwargs):
        found = read(image_id, **kwargs)
        hidden = found is not None and found.metadata.visibility not in {"public", "community"}
        return None if hidden else found

    def refuse(image_id, source):
        if image_id in glance._used:
            raise errors.ImageIdTaken(f"image id {image_id} already exists")
        raise errors.Refused("HTTP 403: You are not permitted to create images owned by alpha")

    def no_rights():
        raise errors.Refused("not an administrator")

    with monkeypatch.context() as patch:
        patch.setattr(glance, "_read", shown)
        patch.setattr(glance, "create", refuse)
        patch.setattr(glance, "require_all_rights", no_rights)
        patch.setattr(glance, "copies_of", lambda _key: [])
        yield
    assert glance.create == create


# One id in two regions.


@pytest.mark.parametrize("data", [b"evil", DATA], ids=["other", "same"])
def test_a_snapshot_of_a_stranger_with_the_id_of_a_source_changes_no_copy_of_that(data):
    world = worlds.World(snapshot_origins=(THREE,))
    world.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({ONE, TWO}))
    golden = world.source.make(name="golden", owner="alpha", visibility="public")
    snapshot = {"image_type": "snapshot"}
    world.three.publish(data, image_id=golden.image_id, owner="mallory", properties=snapshot)
    world.source.put_data(golden.image_id, DATA)
    world.changed(golden.image_id)
    world.run()
    before = world.two.image(golden.image_id)
    assert before.metadata.owner == "alpha"
    touched = []
    world.two.before = lambda name, image_id: touched.append((name, image_id))
    world.intake.handle(
        events.ImageEvent(
            image_id=golden.image_id, kind=events.EventKind.CHANGED, is_snapshot=True
        ),
        THREE,
    )
    world.run()
    world.settle()
    assert [name for name, _ in touched if name in {"delete", "update", "set_active"}] == []


def test_a_stranger_who_deletes_his_snapshot_with_the_id_of_a_source_deletes_no_copy_of_that():
    world = worlds.World(snapshot_origins=(THREE,))
    world.policy = strategy.PlacementPolicy(snapshot_regions=frozenset({ONE, TWO}))
    golden = world.source.publish(DATA, name="golden", owner="alpha", visibility="public")
    world.three.make(image_id=golden.image_id, owner="mallory")
    world.changed(golden.image_id)
    world.run()
    assert golden.image_id in world.two.ids()
    world.three.delete_as_user(golden.image_id)
    world.intake.handle(
        events.ImageEvent(
            image_id=golden.image_id, kind=events.EventKind.DELETED, is_snapshot=True
        ),
        THREE,
    )
    world.run()
    world.settle()
    assert golden.image_id in world.two.ids()


def test_a_snapshot_of_a_stranger_that_keeps_a_source_from_a_region_is_told_of(caplog):
    world = worlds.World(snapshot_origins=(THREE,))
    golden = world.source.make(name="golden", owner="alpha", visibility="public")
    world.changed(golden.image_id)
    world.run()  # it has no data yet, and its task is forgotten
    snapshot = {"image_type": "snapshot"}
    world.three.publish(b"evil", image_id=golden.image_id, owner="mallory", properties=snapshot)
    world.intake.handle(
        events.ImageEvent(
            image_id=golden.image_id, kind=events.EventKind.CHANGED, is_snapshot=True
        ),
        THREE,
    )
    world.run()
    world.source.put_data(golden.image_id, DATA)
    world.changed(golden.image_id)
    world.run()
    world.settle()
    world.reconciliation.run()
    world.settle()
    assert "cannot be copied to region RegionTwo" in caplog.text
    assert world.task(golden, THREE).status == "failure"
    # An operator deletes it.
    world.three.delete_as_user(golden.image_id)
    world.intake.handle(
        events.ImageEvent(
            image_id=golden.image_id, kind=events.EventKind.DELETED, is_snapshot=True
        ),
        THREE,
    )
    world.settle()
    world.reconciliation.run()
    world.settle()
    assert DATA in world.two._data.values()


# A cascading Glance that lost something.


def copies_after_grace(world):
    world.gone_grace = DAY
    world.reconciliation.run()
    world.run(seconds=DAY + 1)
    world.reconciliation.run()
    world.settle()
    return world.two.ids()


def test_copies_outlive_a_glance_that_lost_all_and_took_a_new_image_before_the_next_look(
    world, copied
):
    world.reconciliation.run()
    world.clock.advance(100)
    world.source._records.clear()
    world.source.publish(b"of a user, a minute later", owner="bob")
    assert copied.image_id in copies_after_grace(world)


def test_copies_outlive_a_restored_glance_that_took_a_new_image_before_the_next_look(world):
    world.source.publish(b"old", owner="alpha")
    world.clock.advance(100)
    golden = world.source.publish(DATA, owner="alpha")
    world.changed(golden.image_id)
    world.run()
    world.reconciliation.run()
    world.clock.advance(100)
    world.source._records.pop(golden.image_id)  # younger than the backup
    world.source.publish(b"of a user, a minute later", owner="bob")
    assert golden.image_id in copies_after_grace(world)


def test_copies_outlive_a_restored_glance_whose_newest_image_was_deleted_before(world):
    world.source.publish(b"old", owner="alpha")
    world.clock.advance(100)
    golden = world.source.publish(DATA, owner="alpha")
    world.changed(golden.image_id)
    world.run()
    world.clock.advance(100)
    newest = world.source.publish(b"short-lived", owner="bob")
    world.reconciliation.run()
    world.source.delete_as_user(newest.image_id)
    world.deleted(newest.image_id)
    world.source._records.pop(golden.image_id)  # younger than the backup
    assert golden.image_id in copies_after_grace(world)


def test_an_image_that_is_deleted_during_a_look_holds_no_deletion_up(world, copied):
    world.clock.advance(100)
    newest = world.source.publish(b"short-lived", owner="bob")

    def delete(name, _image_id):
        if name == "find" and newest.image_id in world.source.ids():
            world.source.delete_as_user(newest.image_id)
            world.deleted(newest.image_id)

    world.two.before = delete  # after the page was read, and before its newest is remembered
    world.reconciliation.run()
    world.settle()
    assert world.reconciliation.run().restored == set()


def test_a_late_message_of_a_deletion_ends_the_suspicion_that_a_glance_was_restored(
    world, copied
):
    """The agent was restarted: it looks at everything before it has read its messages."""
    world.clock.advance(100)
    newest = world.source.publish(b"short-lived", owner="bob")
    world.reconciliation.run()
    world.source.delete_as_user(newest.image_id)
    assert world.reconciliation.run().restored == {ONE}
    world.deleted(newest.image_id)
    world.settle()
    assert world.reconciliation.run().restored == set()


def test_a_deletion_that_is_told_while_a_region_is_out_of_the_catalogue_is_done_afterwards(
    world, copied
):
    world.gone_grace = DAY
    world.source.publish(b"another", owner="bob")
    world.settle()
    known = world.catalogue.names
    world.catalogue.names = known - {TWO}
    world.source.delete_as_user(copied.image_id)
    world.deleted(copied.image_id)
    world.settle()
    world.catalogue.names = known
    world.reconciliation.run()
    world.settle()
    assert copied.image_id not in world.two.ids()


# Rights of the agent.


def test_an_agent_that_lost_its_rights_in_a_region_makes_no_second_copy(world, monkeypatch):
    private = world.source.publish(DATA, name="golden", owner="alpha")
    world.changed(private.image_id)
    world.run()
    with no_administrator(world.two, monkeypatch):
        world.source.change(private.image_id, name="renamed")
        world.changed(private.image_id)
        world.settle()
    world.changed(private.image_id)
    world.settle()
    assert world.two.ids() == {private.image_id}


def test_an_agent_that_lost_its_rights_in_a_region_forgets_no_copy(world, monkeypatch):
    private = world.source.publish(DATA, name="golden", owner="alpha")
    world.changed(private.image_id)
    world.run()
    with no_administrator(world.two, monkeypatch):
        world.source.delete_as_user(private.image_id)
        world.deleted(private.image_id)
        world.settle()
    world.reconciliation.run()
    world.settle()
    is_known = any(task.key.region == TWO for task in world.store.list())
    assert is_known or private.image_id not in world.two.ids()


# What users write into marks.

ODD_IDS = [
    pytest.param("350715cd-181a-47d0-9587-19f0221ea26b/file", id="data"),
    pytest.param("350715cd-181a-47d0-9587-19f0221ea26b/members", id="members"),
    pytest.param("../../../v3/projects", id="path"),
    pytest.param("x" * 60000, id="long"),
    pytest.param("350715CD-181A-47D0-9587-19F0221EA26B", id="capitals"),
    pytest.param('"', id="quote"),
    pytest.param("\0", id="nul"),
]


@pytest.mark.parametrize("odd", ODD_IDS)
def test_a_glance_is_asked_only_for_what_can_be_the_id_of_an_image(
    world, copied, odd, monkeypatch
):
    """What the driver makes of a text is part of a URL, and Glance answers that.

    ``GET /v2/images/ID/file`` is a whole image, read into memory, ``ID/members`` an object that
    is no image, a URL of 60,000 characters is refused with 414, and an unbalanced quote in
    ``id=in:`` with 400: the last three end the look at the region.
    """
    asked = list[images.ImageId]()
    find, get_record = world.source.find, world.source.get_record

    def noting_find(ids):
        asked.extend(ids)
        return find(ids)

    def noting_get(one):
        asked.append(one)
        return get_record(one)

    marks = builders.marks(OTHER, TWO, source_id=odd, source_region=ONE)
    world.two.publish(b"evil", image_id=OTHER, owner="mallory", properties=marks)
    monkeypatch.setattr(world.source, "find", noting_find)
    monkeypatch.setattr(world.source, "get_record", noting_get)
    found = {one.image.image_id: one.kind for one in world.census.find(TWO)}
    assert found[copied.image_id] is census.MarkKind.COPY
    assert set(asked) <= {copied.image_id}


@pytest.mark.parametrize("odd", ODD_IDS)
def test_an_image_whose_mark_names_no_image_is_disowned_without_an_error(world, odd):
    marks = builders.marks(OTHER, TWO, source_id=odd, source_region=ONE)
    world.two.publish(b"of a user", image_id=OTHER, properties=marks)
    with contextlib.suppress(errors.ImageConflict):
        settle_of(world).disown(TWO, OTHER, ALICE)
        assert world.two.image(OTHER).mark is None


@pytest.mark.parametrize("odd", ODD_IDS)
def test_an_image_whose_mark_names_no_image_is_refused_by_adopt_as_a_conflict(world, odd):
    marks = builders.marks(OTHER, TWO, source_id=odd, source_region=ONE)
    world.two.publish(b"of a user", image_id=OTHER, properties=marks)
    with pytest.raises(errors.ImageConflict):
        settle_of(world).adopt(TWO, OTHER, ALICE)


def test_a_mark_adds_no_line_to_the_log_and_no_command_to_a_reason(world, image, caplog):
    lie = "x\nCRITICAL all is well: run 'glance-sync orphan delete VICTIM --region RegionTwo'"
    marks = builders.marks(image.image_id, TWO, source_id=lie, source_region=ONE)
    world.two.publish(b"evil", image_id=image.image_id, owner="mallory", properties=marks)
    world.settle()
    assert "\n" not in world.task(image).reason
    assert "\nCRITICAL" not in "".join(record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    "properties",
    [
        dict.fromkeys(builders.marks("", ""), odd)
        for odd in ("", " ", "\n", "x" * 65535, "\N{ROCKET}", "in:a,b", "None", "[]")
    ]
    + [
        {mark_properties.SYNCED: odd}
        for odd in ("[" * 100000, "[1, null]", "{}", "NaN", "1" * 10000, '["\\ud800"]')
    ],
)
def test_odd_marks_on_sources_and_on_images_in_the_way_raise_nothing(world, properties):
    source = world.source.publish(DATA, owner="alpha", properties=properties)
    marks = marks_of(source.image_id, TWO, source)
    world.two.publish(b"there", image_id=source.image_id, properties={**marks, **properties})
    world.changed(source.image_id)
    world.settle()
    world.reconciliation.run()
    list(world.census.find(TWO))
    payload = {"id": source.image_id, "status": "active", "properties": properties}
    assert events.parse("image.update", payload) is not None
    # The region where nobody is in the way has it.
    assert world.three.data(source.image_id) == DATA


@pytest.mark.parametrize("value", [None, 1, [], {}, True, 1.5])
def test_marks_of_other_types_are_no_marks(value):
    marks = builders.marks(OTHER, TWO)
    for name in marks:
        assert mark_properties.read({**marks, name: value}) is None


# Copies that lose their mark.


@pytest.mark.parametrize("value", [None, OTHER], ids=["removed", "edited"])
def test_a_copy_that_lost_its_mark_is_reported_once_its_source_is_gone(world, copied, value):
    world.source.publish(b"another", owner="bob")
    world.two.change(copied.image_id, glance_sync_copy_id=value)
    world.source.delete_as_user(copied.image_id)
    world.deleted(copied.image_id)
    world.settle()
    world.reconciliation.run()
    world.settle()
    is_there = copied.image_id in world.two.ids()
    assert not is_there or reported(world, TWO, copied.image_id)


def test_who_edits_the_mark_of_a_copy_again_and_again_gets_no_copy_for_each(world, copied):
    for _ in range(5):
        known = world.task(copied).copy_id
        world.two.change(known, glance_sync_copy_id=OTHER)
        world.changed(copied.image_id)
        world.settle()
    assert len(world.two.ids()) <= 2


# Names of regions.


def test_a_copy_without_a_task_from_a_region_that_is_no_source_is_counted_and_stays():
    """Another agent may have made it, so nobody is advised to delete it."""
    outside = worlds.Outside()
    world = worlds.World(outside, snapshot_origins=(THREE,))
    snapshot = world.three.publish(DATA, owner="bob", properties={"image_type": "snapshot"})
    event = events.ImageEvent(
        image_id=snapshot.image_id, kind=events.EventKind.CHANGED, is_snapshot=True
    )
    world.intake.handle(event, THREE)
    world.run()
    assert snapshot.image_id in world.two.ids()
    world.store.__init__()  # the database is lost,
    world.three.delete_as_user(snapshot.image_id)  # so is the source,
    world = worlds.World(outside)  # and its bus is not in sync.conf any more
    world.reconciliation.run()
    world.settle()
    assert snapshot.image_id in world.two.ids()
    (found,) = [one for one in world.census.find(TWO) if one.image.image_id == snapshot.image_id]
    assert found.kind is census.MarkKind.UNADOPTED


def test_an_image_of_a_former_region_of_copies_that_became_the_cascading_one_is_copied_or_told(
    world,
):
    """RegionOne burned down; what is the cascading region now was RegionZero's RegionOne."""
    marks = builders.marks(OTHER, ONE, source_id=OTHER, source_region="RegionZero")
    golden = world.source.publish(DATA, image_id=OTHER, owner="alpha", properties=marks)
    world.changed(golden.image_id)
    world.settle()
    world.reconciliation.run()
    world.settle()
    assert world.two.ids() or reported(world, ONE, OTHER)


def test_what_is_called_an_orphan_has_a_source_that_is_gone(world, copied):
    """The region of the source is out of the catalogue for a while."""
    marks = builders.marks(OTHER, TWO, source_id=copied.image_id, source_region=THREE)
    copy = world.two.publish(DATA, image_id=OTHER, owner="alpha", properties=marks)
    assert world.census.whose(copy).kind is not census.MarkKind.ORPHAN
    world.catalogue.names = frozenset({ONE, TWO})
    assert world.census.whose(copy).kind is not census.MarkKind.ORPHAN
    with pytest.raises(errors.ImageConflict):
        settle_of(world).delete_orphan(TWO, OTHER, ALICE)


# A lost database.


def test_a_copy_that_no_row_knows_and_nobody_wants_is_taken_back_or_reported(world, copied):
    world.store.__init__()
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.reconciliation.run()
    world.settle()
    world.count_marked()
    world.settle()
    assert world.task(copied).known_copy is not None
    world.source.change(copied.image_id, visibility="private")
    world.changed(copied.image_id)
    world.settle()
    world.reconciliation.run()
    world.settle()
    is_public = world.two.image(copied.image_id).metadata.visibility == "public"
    assert not is_public or reported(world, TWO, copied.image_id)


def test_a_copy_whose_agent_died_before_it_wrote_goes_with_its_source_or_is_reported(
    world, image, monkeypatch
):
    def die(*_arguments):
        raise errors.ServiceUnavailable("killed")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "finish", die)
        world.run()
    assert world.two.data(image.image_id) == DATA
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.settle()
    assert image.image_id not in world.two.ids() or reported(world, TWO, image.image_id)


def test_a_record_of_a_source_without_a_hash_whose_creation_had_no_answer_is_reported(
    world, monkeypatch
):
    source = world.source.publish(DATA, owner="alpha")
    world.source.change(source.image_id, os_hash_algo=None, os_hash_value=None)
    create, lost = world.two.create, list[images.ImageId]()

    def lose(image_id, wanted):
        made = create(image_id, wanted)
        if not lost:
            lost.append(image_id)
            raise errors.ServiceUnavailable("no answer")
        return made

    monkeypatch.setattr(world.two, "create", lose)
    world.changed(source.image_id)
    world.settle()
    assert "its source has no hash" in world.task(source).reason
    settle_of(world).adopt(TWO, source.image_id, ALICE)
    world.settle()
    assert world.task(source).reason == "in sync"


def test_an_older_database_of_the_agent_leaves_the_copy_that_it_does_not_know_and_reports_it(
    world, copied
):
    world.two.delete_as_user(copied.image_id)
    world.changed(copied.image_id)
    world.settle()
    newer = world.task(copied).copy_id
    row = world.store._rows[next(k for k in world.store._rows if k.region == TWO)]
    older = dataclasses.replace(
        row.task, copy_id=copied.image_id, copy_created_at=builders.NOW
    )
    world.store._rows[row.task.key] = dataclasses.replace(row, task=older)
    world.changed(copied.image_id)
    world.settle()
    assert newer in world.two.ids()
    assert world.task(copied).copy_id not in {newer, copied.image_id}
    assert world.task(copied).reason == "in sync"
    assert reported(world, TWO, newer)


# Records that may be somebody's.


def adopted(world, image):
    """Have a queued record of somebody adopted without a row."""
    made = world.two.make(
        image_id=image.image_id, owner="alpha", properties=marks_of(image.image_id, TWO, image)
    )

    def fail(name, _image_id):
        if name == "write":
            raise errors.TransferInterrupted("cut")

    world.two.before = fail
    world.run()
    world.two.before = lambda _name, _image_id: None
    assert world.task(image).on_probation
    return made


def test_a_record_on_probation_is_not_deleted_with_its_source(world, image):
    adopted(world, image)
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.settle()
    assert image.image_id in world.two.ids()


def test_a_record_on_probation_is_not_deleted_for_being_out_of_strategy(world, image):
    adopted(world, image)
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.deletes_unwanted = True
    world.reconciliation.run()
    world.settle()
    assert image.image_id in world.two.ids()


def test_a_record_that_no_row_knows_is_not_deleted_for_being_out_of_strategy(world, image):
    world.settle()
    row = world.task(image)
    world.two.delete_as_user(image.image_id)
    world.two._used.discard(image.image_id)  # glance-manage db purge
    world.clock.advance(9)
    world.two.make(
        image_id=image.image_id, owner="alpha", properties=marks_of(image.image_id, TWO, image)
    )
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.deletes_unwanted = True
    assert row.known_copy is not None
    world.reconciliation.run()
    world.settle()
    assert image.image_id in world.two.ids()


def test_an_image_of_a_user_with_the_id_of_a_copy_that_was_read_back_is_not_deleted(world):
    """The copy was damaged, deleted by the agent and purged; then somebody made it again."""
    world.two.hash_algo = "sha256"
    image = world.source.publish(DATA, owner="alpha")
    world.changed(image.image_id)
    world.settle()
    assert world.task(image).proven_id == image.image_id
    damage = verification.Damage(copy_id=image.image_id, found="nothing")
    world.store.distrust(
        world.task(image).key, damage, now=world.clock.now(), request_id="by a test"
    )
    world.run()
    assert image.image_id not in world.two.ids()
    world.two._used.discard(image.image_id)  # glance-manage db purge
    world.clock.advance(DAY)
    theirs = world.two.publish(
        b"of a user",
        image_id=image.image_id,
        owner="alpha",
        properties=marks_of(image.image_id, TWO, image),
    )
    world.settle()
    assert world.two.image(image.image_id) == theirs


# Sources that say that they are copies.


def test_the_deletion_of_an_image_that_says_that_it_is_a_copy_is_heard(world, copied):
    marks = builders.marks(copied.image_id, ONE, source_id=OTHER, source_region="RegionNine")
    world.source.change(copied.image_id, **marks)
    world.reconciliation.run()
    world.source.delete_as_user(copied.image_id)
    payload = {"id": copied.image_id, "status": "deleted", "properties": marks}
    world.intake.handle(events.parse("image.delete", payload))
    world.settle()
    assert not world.two.ids()
    assert world.reconciliation.run().restored == set()


# Reports.


def test_a_look_at_a_copy_that_its_owner_took_for_himself_is_no_success(world, copied):
    """The owner of the copy takes its mark off while nobody wants it here any more."""
    world.source.publish(b"another", owner="bob")
    world.two.change(copied.image_id, glance_sync_copy_id=OTHER)
    world.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.USER)
    world.changed(copied.image_id)
    world.settle()
    assert any(task.key.region == TWO for task in world.store.list())


def test_a_region_of_the_cascading_one_that_was_renamed_is_told_by_the_census(world, copied):
    """All marks name the old name; each source is in conflict, and orphans are not listed."""
    new = images.RegionId("RegionEins")
    world.source.delete_as_user(copied.image_id)
    world.store.__init__()
    world.catalogue.cascading = new
    world.catalogue.names = frozenset({new, *worlds.CASCADED})
    world.regions.glances[new] = world.source
    world.source.region = new
    assert reported(world, TWO, copied.image_id)


# What holds.


def test_an_orphan_with_a_policy_is_deleted_without_the_key_of_its_source(world, copied):
    world.store.__init__()
    world.source._records.pop(copied.image_id)
    world.source.publish(b"another", owner="alpha")
    key = {
        "cinder_encryption_key_id": "key of the source",
        "cinder_encryption_key_deletion_policy": "on_image_deletion",
        "os_encrypt_key_id": "another key",
        "os_encrypt_key_deletion_policy": "on_image_deletion",
    }
    world.two.change(copied.image_id, protected=True, **key)
    settle_of(world).delete_orphan(TWO, copied.image_id, ALICE)
    assert not world.two.ids()
    assert world.two.deleted_keys == []


def test_a_mark_of_another_project_takes_no_place_but_that_of_its_id(world, image):
    for number in range(1, 20):
        image_id = f"00000000-0000-4000-8000-0000000000{number:02}"
        world.two.publish(
            DATA, image_id=image_id, owner="mallory", properties=marks_of(image_id, TWO, image)
        )
    before = {one: world.two.image(one) for one in world.two.ids()}
    world.settle()
    assert world.task(image).copy_id == image.image_id
    world.source.delete_as_user(image.image_id)
    world.deleted(image.image_id)
    world.settle()
    assert {one: world.two.image(one) for one in world.two.ids()} == before


def test_what_glance_replicator_brings_from_one_region_to_another_is_nobodys_copy(world, copied):
    copy = world.two.image(copied.image_id)
    world.three.delete_as_user(copied.image_id)
    world.three._used.clear()  # purged
    theirs = world.three.publish(
        b"changed since",
        image_id=copied.image_id,
        owner="alpha",
        properties=mark_properties.of_copy(copied, copy.image_id, TWO),
    )
    world.changed(copied.image_id)
    world.settle()
    world.source.delete_as_user(copied.image_id)
    world.deleted(copied.image_id)
    world.settle()
    assert world.three.image(copied.image_id) == theirs
    assert world.three.ids() == {copied.image_id}


def test_two_agents_that_do_not_know_each_other_make_one_copy():
    outside = worlds.Outside()
    one = worlds.World(outside)
    other = worlds.World(worlds.Outside(regions=outside.regions, clock=outside.clock))
    image = one.source.publish(DATA, owner="alpha")
    for world in (one, other):
        world.changed(image.image_id)
    for world in (one, other, one, other):
        world.settle()
    assert one.two.ids() == {image.image_id}
    one.source.delete_as_user(image.image_id)
    for world in (one, other):
        world.deleted(image.image_id)
        world.settle()
    assert not one.two.ids()


@pytest.mark.parametrize("created_at", [None, "yesterday", "", 5, "0001-01-01T00:00:00Z"])
def test_a_time_of_creation_that_makes_no_sense_is_no_error_and_no_proof(
    world, copied, created_at
):
    world.two.change(copied.image_id, created_at=created_at)
    world.changed(copied.image_id)
    world.settle()
    assert "was created at" in world.task(copied).reason
    assert world.two.ids() == {copied.image_id}


def test_another_owner_of_copies_makes_no_second_copy(world, copied):
    world.metadata = metadata_policy.MetadataPolicy(owner=metadata_policy.Owner.AGENT)
    world.changed(copied.image_id)
    world.settle()
    assert world.two.ids() == {copied.image_id}
    assert world.two.image(copied.image_id).metadata.owner == world.catalogue.project


def take_id(world, image, **fields):
    """Have somebody make an image with the id of one that a restored Glance does not know."""
    service = world.source
    for kept in (service._records, service._members, service._data):
        kept.pop(image.image_id, None)
    service._used.discard(image.image_id)
    service.make(image_id=image.image_id, owner="mallory", **fields)


@pytest.mark.parametrize("visibility", ["private", "shared", "public"])
def test_who_takes_the_id_of_a_source_gets_no_bytes_of_it(world, visibility):
    image = world.source.publish(b"secret", owner="alpha", visibility=visibility)
    world.source.publish(b"another", owner="alpha")
    world.changed(image.image_id)
    world.settle()
    take_id(world, image, visibility="public")
    world.changed(image.image_id)
    world.settle()
    world.reconciliation.run()
    world.settle()
    copy = world.two.image(image.image_id)
    assert (copy.metadata.owner, world.two.data(image.image_id)) == ("alpha", b"secret")
    assert copy.metadata.visibility == ("private" if visibility == "public" else visibility)
