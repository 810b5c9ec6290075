# SPDX-License-Identifier: Apache-2.0
"""The map on the source: it follows the copies, comes to rest, and makes no task fail."""

from concurrent import futures
import contextlib
import logging
import threading

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain.codes import Code
from tests.fakes import world as worlds
from tests.unit import builders

TWO, THREE = worlds.CASCADED


class Map:
    """A world whose cascading Glance announces each change of the map, as the real one does."""

    def __init__(self):
        self.world = worlds.World()
        self.world.record_locations = True
        self.world.source.shows_locations = True
        for region in worlds.CASCADED:
            self.world.regions.glances[region].tells_size = True
        self.world.source.before = self._before
        self.failure = None

    def _before(self, name, _image_id):
        if self.failure is not None and name in {"add_location", "remove_location"}:
            raise self.failure

    def run(self):
        """Work until all is at rest, the changes of the map announced; return how many."""
        count = 0
        known = self._locations()
        for _ in range(10):
            self.world.settle()
            before, known = known, self._locations()
            changes = before ^ known
            if not changes:
                return count
            count += len(changes)
            for image_id in {image_id for image_id, _url, _region in changes}:
                self.world.changed(image_id)
        raise AssertionError("the map does not come to rest")

    def _locations(self):
        return {
            (image_id, one.url, one.metadata.get("region"))
            for image_id in self.world.source.ids()
            for one in self.world.source.image(image_id).locations or ()
        }

    def publish(self, **metadata):
        image = self.world.source.publish(b"golden", **metadata)
        self.world.changed(image.image_id)
        return image

    def changed(self, image):
        self.world.changed(image.image_id)
        return self.run()

    def of(self, image):
        """Return the copies that the map names, by region."""
        shown = self.world.source.image(image.image_id).locations
        entries = [one for one in shown or () if "action" in one.metadata]
        for one in entries:
            service = self.world.regions.glances[one.metadata["region"]]
            assert one.url == service.image_url(one.metadata["image_id"])
        found = {one.metadata["region"]: one.metadata["image_id"] for one in entries}
        assert len(found) == len(entries)
        return found

    def assert_in_sync(self, image):
        for region in worlds.CASCADED:
            task = self.world.task(image, region)
            assert (task.status, task.reason) == ("success", "in sync")


@pytest.fixture
def recorded():
    return Map()


@pytest.fixture
def image(recorded):
    """Copied, and on the map."""
    made = recorded.publish()
    recorded.run()
    return made


def test_each_finished_copy_is_recorded_once_and_then_there_is_rest(recorded):
    image = recorded.publish()
    assert recorded.run() == 2
    assert recorded.of(image) == {TWO: image.image_id, THREE: image.image_id}
    recorded.assert_in_sync(image)
    assert recorded.changed(image) == 0


def test_the_data_of_the_source_stays_where_it_is(recorded, image):
    first = recorded.world.source.image(image.image_id).locations[0]
    assert first.url == f"file:///images/{image.image_id}"


def test_what_is_recorded_is_no_change_of_the_source(recorded, image):
    before = recorded.world.two.image(image.image_id)
    recorded.changed(image)
    assert recorded.world.two.image(image.image_id) == before
    assert recorded.world.source.image(image.image_id).size == len(b"golden")


def test_a_record_in_step_costs_no_request(recorded, image):
    asked = []
    recorded.world.source.before = lambda name, _id: asked.append(name)
    recorded.world.two.before = lambda name, _id: asked.append(name)
    recorded.world.changed(image.image_id)
    recorded.world.settle()
    assert sorted(asked) == ["get", "get"]


def test_a_copy_that_was_made_anew_takes_the_place_of_the_old(recorded, image):
    recorded.world.two.delete_as_user(image.image_id)
    assert recorded.changed(image) == 2
    new = recorded.world.task(image).copy_id
    assert new != image.image_id
    assert recorded.of(image) == {TWO: new, THREE: image.image_id}


def test_a_copy_with_wrong_bytes_is_off_the_map_before_it_is_deleted(recorded, image):
    recorded.world.two.change(image.image_id, os_hash_value="ab")
    seen = []

    def look(name, _image_id):
        if name == "delete":
            seen.append(recorded.of(image))

    recorded.world.two.before = look
    recorded.changed(image)
    assert seen == [{THREE: image.image_id}]
    assert recorded.of(image)[TWO] == recorded.world.task(image).copy_id
    recorded.assert_in_sync(image)


def test_a_copy_that_somebody_took_the_mark_off_is_off_the_map(recorded, image):
    recorded.world.two.change(image.image_id, glance_sync_source_id=None)
    assert recorded.changed(image) == 1
    assert recorded.of(image) == {THREE: image.image_id}
    assert recorded.world.task(image).status == "failure"


def test_a_copy_that_is_kept_in_step_no_more_is_off_the_map(recorded, image):
    recorded.world.source.change(image.image_id, sync_regions="none")
    assert recorded.changed(image) == 2
    assert recorded.of(image) == {}
    assert image.image_id in recorded.world.two.ids()


def test_changed_metadata_leave_the_map_alone(recorded, image):
    recorded.world.source.change(image.image_id, name="renamed")
    assert recorded.changed(image) == 0
    assert recorded.world.two.image(image.image_id).metadata.name == "renamed"


def test_the_map_of_a_deactivated_source_stays_and_is_made_good_later(recorded, image):
    source = recorded.world.source
    source.set_active(image.image_id, active=False)
    assert recorded.changed(image) == 0
    recorded.world.two.delete_as_user(image.image_id)
    assert recorded.changed(image) == 0
    source.set_active(image.image_id, active=True)
    assert recorded.changed(image) == 2
    assert recorded.of(image)[TWO] == recorded.world.task(image).copy_id


def test_a_source_that_is_deleted_takes_its_map_along(recorded, image):
    recorded.world.source.delete_as_user(image.image_id)
    recorded.world.deleted(image.image_id)
    recorded.run()
    assert not recorded.world.two.ids()


def test_an_image_without_bytes_is_copied_and_not_recorded(recorded):
    image = recorded.world.source.publish(b"")
    assert recorded.changed(image) == 0
    recorded.assert_in_sync(image)
    assert recorded.world.source.image(image.image_id).size == 0


def test_a_copy_in_the_cascading_region_is_no_source_and_gets_no_map(recorded):
    marks = builders.marks(builders.IMAGE_ID, worlds.CASCADING)
    image = recorded.publish(image_id=builders.IMAGE_ID, properties=marks)
    assert recorded.run() == 0
    assert recorded.of(image) == {}


def test_a_source_in_another_region_has_no_map(recorded):
    two, three = recorded.world.two, recorded.world.three
    two.shows_locations = True
    image = two.publish(b"golden")
    three.publish(b"golden")
    source = two.image(image.image_id)
    in_sync = actions.Settled(code=Code.IN_SYNC, text="in sync")
    assert not recorded.world.location_map.differs(source, three, source)
    recorded.world.location_map.follow(source, three, source, in_sync)
    assert two.image(image.image_id) == source


def test_an_entry_that_was_lost_is_put_there_again(recorded, image):
    # Glance writes an image back as a whole, so one who renames it may undo an entry.
    shown = recorded.world.source.image(image.image_id).locations
    kept = [
        {"url": one.url, "metadata": dict(one.metadata)}
        for one in shown
        if one.metadata.get("region") != TWO
    ]
    recorded.world.source.change(image.image_id, locations=kept)
    assert recorded.changed(image) == 1
    assert recorded.of(image) == {TWO: image.image_id, THREE: image.image_id}


def test_what_others_recorded_is_neither_doubled_nor_removed(recorded, image):
    source, two = recorded.world.source, recorded.world.two
    other = source.publish(b"other")
    url = two.image_url(other.image_id)
    source.locate(other.image_id, url, {"image_id": other.image_id, "action": "upload"})
    source.locate(other.image_id, "http://else/x", {"region": TWO, "action": "upload"})
    before = source.image(other.image_id).locations
    recorded.changed(other)
    after = source.image(other.image_id).locations
    assert after[: len(before)] == before
    assert [one.metadata["region"] for one in after[len(before) :]] == [THREE]


# The option


def test_off_nothing_is_recorded_and_what_is_there_stays(recorded, image):
    recorded.world.record_locations = False
    before = recorded.of(image)
    recorded.world.two.delete_as_user(image.image_id)
    assert recorded.changed(image) == 0
    assert recorded.of(image) == before
    later = recorded.publish()
    assert recorded.run() == 0
    assert recorded.of(later) == {}
    recorded.assert_in_sync(later)


def test_turned_on_it_finds_the_copies_that_are_there_already(recorded):
    recorded.world.record_locations = False
    image = recorded.publish()
    recorded.run()
    assert recorded.world.reconciliation.run().requested == 0
    recorded.world.record_locations = True
    assert recorded.world.reconciliation.run().requested == 2
    assert recorded.run() == 2
    assert recorded.of(image) == {TWO: image.image_id, THREE: image.image_id}
    assert recorded.world.reconciliation.run().requested == 0


def test_turned_on_again_it_makes_good_what_changed_meanwhile(recorded, image):
    recorded.world.record_locations = False
    recorded.world.two.delete_as_user(image.image_id)
    recorded.world.source.change(image.image_id, sync_regions="none")
    recorded.changed(image)
    assert recorded.of(image) == {TWO: image.image_id, THREE: image.image_id}
    recorded.world.record_locations = True
    assert recorded.world.reconciliation.run().requested == 2
    assert recorded.run() == 2
    assert recorded.of(image) == {}
    assert recorded.world.reconciliation.run().requested == 0


# Where it cannot be done


def fail(recorded, cause):
    match cause:
        case "invisible":
            recorded.world.source.shows_locations = False
        case "no http store":
            recorded.world.source.has_http_store = False
        case "no size":
            recorded.world.two.tells_size = recorded.world.three.tells_size = False
        case _:
            recorded.failure = errors.ServiceUnavailable("no answer")


@pytest.mark.parametrize("cause", ["invisible", "no http store", "no size", "no answer"])
def test_if_it_fails_the_copies_are_in_sync_and_one_warning_appears(
    recorded, caplog, cause
):
    caplog.set_level(logging.WARNING)
    fail(recorded, cause)
    made = [recorded.publish() for _ in range(3)]
    recorded.run()
    for image in made:
        recorded.assert_in_sync(image)
    lines = [line.getMessage() for line in caplog.records]
    assert len(lines) == 2
    for region in worlds.CASCADED:
        (line,) = [line for line in lines if f" copies in region {region} " in line]
        assert "in sync without that" in line
        assert "glance-sync-manage check" in line
        assert "://" not in line


def test_a_region_that_tells_no_size_is_not_asked_for_by_the_cascading_glance(recorded):
    recorded.world.two.tells_size = False
    image = recorded.publish()
    assert recorded.run() == 1
    assert recorded.of(image) == {THREE: image.image_id}


def test_a_wrong_entry_goes_also_where_no_new_one_can_be_put(recorded, image):
    recorded.world.two.tells_size = False
    recorded.world.two.delete_as_user(image.image_id)
    assert recorded.changed(image) == 1
    assert recorded.of(image) == {THREE: image.image_id}


def test_a_new_failure_after_a_success_is_reported(recorded, caplog):
    caplog.set_level(logging.WARNING)
    for tells_size in (False, True, False):
        recorded.world.two.tells_size = tells_size
        recorded.publish()
        recorded.run()
    assert [line.getMessage().split()[6] for line in caplog.records] == [TWO, TWO]


def test_where_no_locations_are_shown_a_look_finds_nothing_to_do(recorded):
    recorded.world.source.shows_locations = False
    recorded.publish()
    recorded.run()
    assert recorded.world.reconciliation.run().requested == 0


def test_the_next_look_makes_good_what_could_not_be_done(recorded):
    recorded.failure = errors.ServiceUnavailable("no answer")
    image = recorded.publish()
    recorded.run()
    assert recorded.of(image) == {}
    recorded.failure = None
    recorded.world.reconciliation.run()
    assert recorded.run() == 2
    assert set(recorded.of(image)) == {TWO, THREE}


def test_a_bug_in_it_is_seen(recorded):
    recorded.failure = ZeroDivisionError()
    image = recorded.publish()
    recorded.world.run()
    assert recorded.world.task(image).reason.startswith("ZeroDivisionError")


def test_two_regions_do_not_change_the_map_of_one_image_at_once(recorded):
    recorded.world.record_locations = False
    image = recorded.publish()
    recorded.run()
    recorded.world.record_locations = True
    both = threading.Barrier(2)
    met = []

    def meet(name, _image_id):
        if name == "add_location":
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(0.2)
                met.append(name)

    recorded.world.source.before = meet
    source = recorded.world.source.image(image.image_id)
    with futures.ThreadPoolExecutor(2) as pool:
        for region in worlds.CASCADED:
            service = recorded.world.regions.glances[region]
            copy = service.image(image.image_id)
            in_sync = actions.Settled(code=Code.IN_SYNC, text="in sync")
            pool.submit(recorded.world.location_map.follow, source, service, copy, in_sync)
    assert not met
    assert set(recorded.of(image)) == {TWO, THREE}
