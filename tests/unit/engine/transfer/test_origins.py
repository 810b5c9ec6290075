# SPDX-License-Identifier: Apache-2.0
"""Where an image is read: the order of the origins, and what is not one."""

import contextlib
import dataclasses
import threading

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from tests.fakes import world as worlds

ONE = worlds.CASCADING
TWO, THREE = worlds.CASCADED
FOUR = images.RegionId("RegionFour")
DATA = b"golden image"


@pytest.fixture
def world():
    return worlds.World()


@pytest.fixture
def source(world):
    """An image with verified copies in two regions; RegionFour has none."""
    made = world.source.publish(DATA, name="golden", owner="alpha")
    world.changed(made.image_id)
    world.run()
    return world.source.image(made.image_id)


def found(world, source, region=FOUR):
    """Return the regions of the origins for a copy, in order."""
    key = tasks.TaskKey(image_id=source.image_id, region=region)
    return [origin.region for origin in world.origins.of(key, source)]


def origin_in(world, source, region):
    key = tasks.TaskKey(image_id=source.image_id, region=FOUR)
    return next(one for one in world.origins.of(key, source) if one.region == region)


def reading(world, source, region=ONE):
    """Return a context in which an image is being read in a region."""
    origin = origin_in(world, source, region)
    world.origins.check(origin)
    return world.downloads.open(origin)


def read(world, source, region=ONE):
    with reading(world, source, region) as reader:
        return b"".join(reader.blocks())


def fail(world, source, region=ONE):
    """Note that a region failed as an origin."""
    world.origins.shun(origin_in(world, source, region))


def in_use(world, source, *regions):
    """Return a context in which regions are read, each as often as it is named."""
    stack = contextlib.ExitStack()
    for region in regions:
        stack.enter_context(reading(world, source, region))
    return stack


def test_a_source_that_nobody_reads_is_read_without_a_look_for_copies(world, source):
    world.store.is_down = True
    key = tasks.TaskKey(image_id=source.image_id, region=FOUR)
    assert next(world.origins.of(key, source)) is source


def test_copies_come_after_a_source_of_equal_use_in_order_of_their_names(world, source):
    assert found(world, source) == [ONE, THREE, TWO]


@pytest.mark.parametrize(
    ("used", "order"),
    [
        ([ONE], [THREE, TWO, ONE]),
        ([ONE, THREE], [TWO, ONE, THREE]),
        ([ONE, TWO], [THREE, ONE, TWO]),
        ([ONE, TWO, THREE], [ONE, THREE, TWO]),
        ([ONE, THREE, THREE, TWO, TWO, TWO], [ONE, THREE, TWO]),
        ([ONE, ONE, ONE, THREE, THREE, TWO], [TWO, THREE, ONE]),
    ],
    ids=lambda regions: "-".join(region.removeprefix("Region") for region in regions),
)
def test_the_least_used_origin_comes_first(world, source, used, order):
    with in_use(world, source, *used):
        assert found(world, source) == order
    assert found(world, source) == [ONE, THREE, TWO]


def test_a_small_image_is_read_in_its_own_region_however_busy():
    world = worlds.World(small_image_bytes=len(DATA))
    small = world.source.publish(DATA)
    world.changed(small.image_id)
    world.run()
    with in_use(world, small, ONE):
        assert found(world, small) == [ONE, THREE, TWO]
        fail(world, small)
        assert found(world, small) == [THREE, TWO, ONE]


def test_a_copy_is_read_under_its_own_id(world, source):
    world.two.delete_as_user(source.image_id)  # and that id is spent
    world.changed(source.image_id)
    world.run()
    copy_id = world.task(source).copy_id
    assert copy_id != source.image_id
    assert origin_in(world, source, TWO).image_id == copy_id
    assert read(world, source, TWO) == DATA


def test_the_region_of_the_copy_itself_is_no_origin(world, source):
    assert found(world, source, THREE) == [ONE, TWO]


def spoil(world, source, **changes):
    """Change the task of RegionTwo behind everybody's back."""
    key = world.task(source).key
    row = world.store._rows[key]
    world.store._rows[key] = dataclasses.replace(
        row, task=dataclasses.replace(row.task, **changes)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"status": tasks.TaskStatus.PENDING, "copied_from": None},
        {"status": tasks.TaskStatus.PROCESSING, "copied_from": None},
        {"status": tasks.TaskStatus.PENDING, "attempts": 1},
        {"status": tasks.TaskStatus.FAILURE, "attempts": 6},
        {"code": Code.OUT_OF_STRATEGY},
        {"copy_id": None},
    ],
    ids=str,
)
def test_a_copy_that_was_not_verified_is_no_origin(world, source, changes):
    spoil(world, source, **changes)
    assert found(world, source) == [ONE, THREE]


@pytest.mark.parametrize("status", [tasks.TaskStatus.PENDING, tasks.TaskStatus.PROCESSING])
def test_a_copy_that_is_looked_at_anew_is_an_origin_meanwhile(world, source, status):
    spoil(world, source, status=status, reason="")
    assert found(world, source) == [ONE, THREE, TWO]


def test_a_copy_that_was_adopted_is_an_origin(world, source):
    spoil(world, source, copied_from=None)
    assert found(world, source) == [ONE, THREE, TWO]


def test_a_source_without_a_hash_is_the_only_origin(world, source):
    world.source.change(source.image_id, os_hash_value=None)
    unproven = world.source.image(source.image_id)
    with in_use(world, unproven, ONE):
        assert found(world, unproven) == [ONE]


def test_copies_are_no_origins_where_the_operator_says_so(world, source):
    world.copies_as_sources = False
    with in_use(world, source, ONE):
        assert found(world, source) == [ONE]


def test_a_source_is_read_though_the_database_does_not_answer(world, source):
    with in_use(world, source, ONE):
        world.store.is_down = True
        assert found(world, source) == [ONE]


@pytest.mark.parametrize("region", [ONE, TWO, THREE])
def test_what_failed_comes_last_for_ten_minutes(world, source, region):
    fail(world, source, region)
    others = [one for one in (ONE, THREE, TWO) if one != region]
    assert found(world, source) == [*others, region]
    world.clock.advance(599.9)
    assert found(world, source) == [*others, region]
    world.clock.advance(0.1)
    assert found(world, source) == [ONE, THREE, TWO]


def test_one_image_that_cannot_be_read_says_nothing_of_others(world, source):
    other = world.source.publish(DATA)
    fail(world, source)
    assert found(world, other) == [ONE]
    assert found(world, source)[0] != ONE


def test_old_failures_are_not_kept(world, source):
    fail(world, source, TWO)
    world.clock.advance(601.0)
    fail(world, source, THREE)
    assert list(world.origins._shunned) == [(THREE, source.image_id)]


def test_an_origin_is_in_use_until_its_reading_ends_however_that_is(world, source):
    def refuse():
        raise errors.Refused("the target says no")

    with pytest.raises(errors.Refused), reading(world, source):
        refuse()
    assert found(world, source)[0] == ONE


def test_readers_in_many_threads_are_counted_right(world, source):
    start = threading.Barrier(8)

    def work():
        start.wait()
        for _ in range(50):
            read(world, source)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.downloads.readers(ONE) == 0


NO_COPY_ANY_MORE = [
    pytest.param(lambda two, image_id: two.set_active(image_id, active=False), id="deactivated"),
    pytest.param(lambda two, image_id: two.delete_as_user(image_id), id="deleted"),
    pytest.param(lambda two, image_id: two.change(image_id, os_hash_value="00"), id="other-bytes"),
    pytest.param(
        lambda two, image_id: two.change(image_id, **{mark_properties.SOURCE_ID: None}),
        id="not-ours",
    ),
    pytest.param(
        lambda two, image_id: two.change(
            image_id, **{mark_properties.SOURCE_REGION: "RegionNine"}
        ),
        id="of-another-source",
    ),
    pytest.param(
        lambda two, image_id: two.change(image_id, **{mark_properties.COPY_REGION: "RegionNine"}),
        id="inherited",
    ),
    pytest.param(
        lambda two, image_id: two.change(image_id, created_at="2031-01-01T00:00:00Z"),
        id="reused id",
    ),
]


@pytest.mark.parametrize("change", NO_COPY_ANY_MORE)
def test_what_is_no_copy_any_more_is_not_read(world, source, change):
    change(world.two, source.image_id)
    asked = []
    world.two.before = lambda name, _image_id: asked.append(name)
    with pytest.raises(errors.OriginFailed) as caught:
        read(world, source, TWO)
    assert str(caught.value) == (
        f"no data from region RegionTwo: TransferInterrupted: image {source.image_id} of region "
        f"RegionTwo is no longer an active copy of image {source.image_id} of region RegionOne"
    )
    assert asked == ["get_record"]


@pytest.mark.parametrize("algo", ["sha256", None])
def test_a_copy_that_its_glance_hashes_otherwise_is_read_as_well(world, source, algo):
    world.two.change(source.image_id, os_hash_algo=algo, os_hash_value=algo and "00")
    assert read(world, source, TWO) == DATA
    world.two.damage(source.image_id, b"golden imagf")
    with pytest.raises(errors.OriginFailed):
        read(world, source, TWO)


def test_a_region_that_left_the_catalogue_is_no_origin_any_more(world, source):
    del world.regions.glances[TWO]
    with pytest.raises(errors.OriginFailed) as caught:
        read(world, source, TWO)
    assert isinstance(caught.value.reason, errors.UnknownRegion)
    assert caught.value.region == TWO


# Data that is in another region than its record.


@pytest.fixture
def elsewhere(world):
    """A source with its data in RegionTwo and a verified copy in RegionThree."""
    world.source.shows_locations = True
    made = world.refer(world.two.publish(DATA, owner="alpha"), owner="alpha")
    world.changed(made.image_id)
    world.run()
    return world.joining.join(made)


def test_data_is_read_where_it_is_and_at_copies_but_not_where_its_record_is(world, elsewhere):
    assert found(world, elsewhere) == [TWO, THREE]
    origin = origin_in(world, elsewhere, TWO)
    assert elsewhere.remote is not None
    assert (origin.image_id, origin.mark) == (elsewhere.remote.image_id, None)
    assert read(world, elsewhere, TWO) == read(world, elsewhere, THREE) == DATA


def test_a_copy_stands_in_for_data_that_cannot_be_read(world, elsewhere):
    fail(world, elsewhere, TWO)
    assert found(world, elsewhere) == [THREE, TWO]
    with reading(world, elsewhere, THREE):
        assert found(world, elsewhere) == [THREE, TWO]


def test_data_without_a_hash_is_read_where_it_is_only(world, elsewhere):
    unproven = dataclasses.replace(elsewhere, multihash=None)
    assert found(world, unproven) == [TWO]
