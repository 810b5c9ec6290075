# SPDX-License-Identifier: Apache-2.0
"""One attempt and several places to read from: what moves it on to the next, and what ends it."""

import contextlib
import logging

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine.transfer import blocks
from tests.fakes import glance as fake_glance
from tests.fakes import world as worlds
from tests.unit import builders

Status = images.ImageStatus
ONE = worlds.CASCADING
TWO, THREE = worlds.CASCADED
FOUR = images.RegionId("RegionFour")
DATA = b"golden image"
DAMAGED = b"gilded image"


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Blocks of four bytes, so that the target has got some before the last one."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 4)


@pytest.fixture
def world():
    """A cloud in which RegionFour is new and has no copy yet."""
    world = worlds.World()
    world.regions.glances[FOUR] = fake_glance.FakeGlance(FOUR)
    return world


def four(world):
    return world.regions.glances[FOUR]


@pytest.fixture
def image(world):
    made = world.source.publish(DATA, name="golden", owner="alpha")
    world.changed(made.image_id)
    world.run()
    return made


def open_region_four(world, image):
    """Have the image copied to RegionFour."""
    world.catalogue.names |= {FOUR}
    world.changed(image.image_id)


def broken(world, region, *, after):
    """Have reading in a region break off after so many blocks."""
    original = world.regions.source_store

    @contextlib.contextmanager
    def read(image, *, offset=0):
        with original(region).read(image, offset=offset) as chunks:
            yield cut(chunks)

    def cut(chunks):
        for number, chunk in enumerate(chunks):
            if number == after:
                break
            yield chunk
        raise errors.TransferInterrupted(f"{region} broke off")

    def source_store(name):
        store = original(name)
        if name == region:
            store.read = read
        return store

    world.regions.source_store = source_store


def closed(world, region):
    """Have a region refuse to be read."""

    def refuse(name, _image_id):
        if name == "read":
            raise errors.HostKeyMismatch(f"{region} shows another key")

    world.regions.glances[region].before = refuse


def hold(world, region, data):
    """Have a region hold other bytes than it says."""
    glance = world.regions.glances[region]
    for image_id in glance.ids():
        glance._data[image_id] = data


FAULTS = [
    pytest.param(closed, "HostKeyMismatch: {} shows another key", id="closed"),
    pytest.param(
        lambda world, region: broken(world, region, after=0),
        "TransferInterrupted: {} broke off",
        id="at-the-first-byte",
    ),
    pytest.param(
        lambda world, region: broken(world, region, after=2),
        "TransferInterrupted: {} broke off",
        id="in-the-middle",
    ),
    pytest.param(
        lambda world, region: hold(world, region, DATA[:-1]),
        "expected 12 bytes, got 11",
        id="short",
    ),
    pytest.param(
        lambda world, region: hold(world, region, DATA + b"!"),
        "expected 12 bytes, got more",
        id="long",
    ),
    pytest.param(
        lambda world, region: hold(world, region, DAMAGED), "DigestMismatch: ", id="damaged"
    ),
]


def assert_copied(world, image, origin):
    """Assert that the first attempt put the right bytes into RegionFour, and whence."""
    task = world.task(image, FOUR)
    assert (task.status, task.reason, task.attempts) == ("success", "in sync", 0)
    assert task.copied_from == origin
    copy = four(world).image(task.copy_id)
    assert (copy.status, copy.multihash) == (Status.ACTIVE, builders.multihash(DATA))
    assert four(world).data(copy.image_id) == DATA


def attempts(world):
    """Work once and return how many attempts there were in RegionFour."""
    asked = []
    before = four(world).before

    def count(name, image_id):
        if name == "create":
            asked.append(image_id)
        before(name, image_id)

    four(world).before = count
    world.run()
    return len(asked)


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_a_source_that_fails_makes_way_for_a_copy_in_the_same_attempt(
    world, image, caplog, fault, said
):
    fault(world, ONE)
    open_region_four(world, image)
    assert attempts(world) == 1
    assert_copied(world, image, THREE)
    assert said.format(ONE) in caplog.text
    assert (
        f"image {image.image_id} in region RegionFour: no data from region RegionOne:"
        in caplog.text
    )
    assert "reading region RegionThree" in caplog.text


@pytest.mark.parametrize(("fault", "said"), FAULTS)
def test_a_copy_that_fails_makes_way_for_the_next(world, image, caplog, fault, said):
    closed(world, ONE)
    fault(world, THREE)
    open_region_four(world, image)
    assert attempts(world) == 1
    assert_copied(world, image, TWO)
    assert said.format(THREE) in caplog.text


def test_damage_at_rest_is_told_with_both_hashes(world, image, caplog):
    hold(world, ONE, DAMAGED)
    open_region_four(world, image)
    world.run()
    assert_copied(world, image, THREE)
    (line,) = [one for one in caplog.messages if "DigestMismatch" in one]
    assert f"expected {builders.multihash(DATA)}, got {builders.multihash(DAMAGED)}" in line
    assert f"data of image {image.image_id} read from region RegionOne" in line


@pytest.mark.parametrize(("fault", "_said"), FAULTS)
def test_if_all_fail_the_task_tells_what_is_wrong_with_the_source(
    world, image, caplog, fault, _said
):
    closed(world, TWO)
    closed(world, THREE)
    hold(world, ONE, DATA[:3])
    fault(world, THREE)
    open_region_four(world, image)
    world.run()
    task = world.task(image, FOUR)
    assert (task.status, task.attempts, task.copied_from) == ("pending", 1, None)
    assert task.reason == (
        f"TransferInterrupted: data of image {image.image_id} read from region RegionOne: "
        "expected 12 bytes, got 3"
    )
    for region in (ONE, TWO, THREE):
        assert caplog.text.count(f"no data from region {region}:") == 1
    assert four(world).image(image.image_id).status is Status.QUEUED


def test_the_last_block_of_damaged_data_is_never_sent(world, image, caplog):
    hold(world, ONE, DATA[:4] + b"x" + DATA[5:])
    sent = []
    during_transfer(world, lambda: sent.append(1))
    open_region_four(world, image)
    world.run()
    assert_copied(world, image, THREE)
    (line,) = [one for one in caplog.messages if "DigestMismatch" in one]
    assert "no data from region RegionOne: DigestMismatch: data of image" in line
    assert len(sent) == 2 + 3


def test_what_failed_everywhere_is_copied_once_one_is_mended(world, image):
    for region in (ONE, TWO, THREE):
        hold(world, region, DAMAGED)
    open_region_four(world, image)
    world.run()
    assert world.task(image, FOUR).reason.startswith("DigestMismatch: data of image")
    hold(world, TWO, DATA)
    world.settle()
    assert world.task(image, FOUR).copied_from == TWO
    assert four(world).data(image.image_id) == DATA


def test_a_source_that_failed_is_not_read_first_for_the_next_region(world, image):
    hold(world, ONE, DAMAGED)
    world.three.delete_as_user(image.image_id)
    asked = []
    world.source.before = lambda name, _image_id: asked.append(name)
    open_region_four(world, image)
    world.run()
    assert world.task(image, FOUR).copied_from == TWO
    assert world.task(image, THREE).copied_from == FOUR
    assert asked.count("read") == 1


def watch_copies(world):
    """Return the list of what is read in the regions of the copies."""
    read = []
    for region in (TWO, THREE):
        world.regions.glances[region].before = lambda name, _image_id: read.append(name)
    return read


def test_a_target_that_fails_is_not_tried_from_elsewhere(world, image):
    read = watch_copies(world)

    def refuse(name, _image_id):
        if name == "write":
            raise errors.TransferInterrupted("RegionFour broke off")

    four(world).before = refuse
    open_region_four(world, image)
    world.run()
    assert "read" not in read
    assert world.task(image, FOUR).reason == "TransferInterrupted: RegionFour broke off"


def during_transfer(world, deed):
    """Do something before each block that goes to RegionFour."""
    original = world.regions.store

    def store(region, size):
        made = original(region, size)
        write = made.write

        def watched(image_id, size, chunks):
            def each():
                for chunk in chunks:
                    deed()
                    yield chunk

            write(image_id, size, each())

        if region == FOUR:
            made.write = watched
        return made

    world.regions.store = store


def lose_lease(world):
    now = world.clock.now()
    world.clock.advance(100.0)
    world.store.claim(FOUR, 1, owner="other", now=world.clock.now(), until=now)


@pytest.mark.parametrize(
    ("deed", "status", "reason"),
    [
        (lambda world: world.stop.set(), "pending", ""),
        (lambda world: world.clock.advance(60.0), "pending", "TransferTimedOut: "),
        (lose_lease, "processing", ""),
    ],
    ids=["stopping", "too-slow", "lease-lost"],
)
def test_what_ends_a_transfer_ends_it_for_all_origins(world, image, deed, status, reason):
    read = watch_copies(world)
    open_region_four(world, image)
    world.clock.advance(1.0)
    world.limits = type(world.limits)(transfer=100.0, lease=10.0)
    during_transfer(world, lambda: deed(world))
    for lease in world.store.claim(
        FOUR, 1, owner="agent", now=world.clock.now(), until=world.clock.now()
    ):
        world.worker.work(lease)
    task = world.task(image, FOUR)
    assert task.status == status
    assert task.reason.startswith(reason)
    assert "read" not in read
    assert four(world).image(image.image_id).status is Status.QUEUED


def test_an_agent_that_stops_reads_no_other_origin(world, image):
    broken(world, ONE, after=2)
    during_transfer(world, world.stop.set)
    read = watch_copies(world)
    open_region_four(world, image)
    world.clock.advance(1.0)
    for lease in world.store.claim(
        FOUR, 1, owner="agent", now=world.clock.now(), until=world.clock.now()
    ):
        world.worker.work(lease)
    task = world.task(image, FOUR)
    assert (task.status, task.attempts, task.reason) == ("pending", 0, "")
    assert "read" not in read


def slow_to_notice(world, seconds, status="saving"):
    """Have RegionFour show its record in an upload for a while after one broke off."""
    until = []

    def look(name, image_id):
        if name == "write":
            until.append(world.clock.monotonic() + seconds)
        if name == "get_record" and four(world).image(image_id).status is not Status.ACTIVE:
            is_over = world.clock.monotonic() >= until[-1]
            four(world).change(image_id, status="queued" if is_over else status)

    four(world).before = look


@pytest.mark.parametrize("seconds", [0.05, 1.0, 4.9])
def test_a_target_that_is_slow_to_notice_is_waited_for(world, image, seconds):
    broken(world, ONE, after=2)
    slow_to_notice(world, seconds)
    open_region_four(world, image)
    assert attempts(world) == 1
    assert_copied(world, image, THREE)


def test_a_target_that_never_notices_fails_the_attempt_and_the_next_reads_elsewhere(
    world, image
):
    broken(world, ONE, after=2)
    slow_to_notice(world, 60.0)
    read = watch_copies(world)
    open_region_four(world, image)
    started = world.clock.monotonic()
    world.run(seconds=0.5)
    assert world.clock.monotonic() - started == pytest.approx(5.5, abs=0.2)
    task = world.task(image, FOUR)
    assert (task.attempts, task.reason) == (1, "TransferInterrupted: RegionOne broke off")
    assert "read" not in read
    four(world).change(image.image_id, status="queued")
    four(world).before = lambda _name, _image_id: None
    world.settle()
    assert world.task(image, FOUR).copied_from == THREE


def test_an_agent_that_stops_does_not_wait_for_a_target(world, image):
    broken(world, ONE, after=2)
    slow_to_notice(world, 60.0)
    world.stop.wait = lambda _seconds: world.stop.set()
    open_region_four(world, image)
    world.clock.advance(1.0)
    for lease in world.store.claim(
        FOUR, 1, owner="agent", now=world.clock.now(), until=world.clock.now()
    ):
        world.worker.work(lease)
    task = world.task(image, FOUR)
    assert (task.status, task.attempts) == ("pending", 0)


def test_a_record_that_somebody_took_away_meanwhile_ends_the_attempt(world, image):
    broken(world, ONE, after=2)

    def remove(name, image_id):
        if name == "get_record":
            four(world).before = lambda _name, _image_id: None
            four(world).delete_as_user(image_id)

    four(world).before = remove
    read = watch_copies(world)
    open_region_four(world, image)
    world.run()
    assert world.task(image, FOUR).attempts == 1
    assert "read" not in read
    world.settle()
    assert world.task(image, FOUR).copied_from == THREE


# What the task tells.


def test_a_task_tells_where_its_copy_came_from(world, image):
    assert world.task(image, TWO).copied_from == ONE
    closed(world, ONE)
    open_region_four(world, image)
    world.run()
    assert world.task(image, FOUR).copied_from == THREE


def test_a_later_look_keeps_where_a_copy_came_from(world, image):
    closed(world, ONE)
    open_region_four(world, image)
    world.run()
    world.source.change(image.image_id, name="renamed")
    world.changed(image.image_id)
    world.run()
    assert_copied(world, image, THREE)
    assert world.task(image, TWO).copied_from == ONE


def test_a_copy_that_was_removed_came_from_nowhere(world, image, caplog):
    world.two.change(image.image_id, os_hash_value="00")
    world.changed(image.image_id)
    world.run()
    assert (world.task(image).copy_id, world.task(image).copied_from) == (None, None)


def test_where_a_copy_came_from_is_told_though_the_first_look_at_it_failed(world, image):
    def fail_once(name, image_id):
        if name == "get_record" and four(world).image(image_id).status is Status.ACTIVE:
            four(world).before = lambda _name, _image_id: None
            raise errors.ServiceUnavailable("no answer")

    closed(world, ONE)
    four(world).before = fail_once
    open_region_four(world, image)
    world.run()
    assert world.task(image, FOUR).attempts == 1
    assert world.task(image, FOUR).copied_from == THREE
    world.settle()
    assert world.task(image, FOUR).copied_from == THREE


def test_an_adopted_copy_came_from_nobody_knows_where(world, image):
    world.store.__init__()
    world.changed(image.image_id)
    world.run()
    assert world.task(image).reason == "in sync"
    assert world.task(image).copied_from is None


def test_a_busy_source_leaves_the_next_image_to_a_copy(world, image, caplog):
    caplog.set_level(logging.WARNING)
    source = world.source.image(image.image_id)
    open_region_four(world, image)
    with world.downloads.open(source):
        world.run()
    assert_copied(world, image, THREE)
    assert not caplog.messages
