# SPDX-License-Identifier: Apache-2.0
"""The new name of a region reaches the marks of known copies, and no other image."""

import dataclasses
import datetime

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.engine.marks import renaming
from tests.fakes import marks as fake

ONE, OLD, NEW, THIRD = map(images.RegionId, ("One", "Old", "New", "Third"))
NOW = datetime.datetime(2026, 11, 22, 8, 0, tzinfo=datetime.UTC)
IDS = [images.ImageId(f"{number}0000000-0000-4000-8000-000000000000") for number in range(1, 6)]


def marked(number, region, **changes):
    image = region_names.MarkedRecord(
        image_id=IDS[number],
        region=region,
        copy_id=IDS[number],
        copy_region=region,
        source_region=ONE,
        created_at=NOW,
    )
    return dataclasses.replace(image, **changes)


@pytest.fixture
def regions():
    """RegionTwo has the new name; a user made a snapshot of a server booted from a copy."""
    return {
        ONE: fake.MemoryMarks(),
        NEW: fake.MemoryMarks(
            marked(0, NEW, copy_region=OLD),
            marked(1, NEW, copy_region=OLD, copy_id=IDS[0]),
        ),
        THIRD: fake.MemoryMarks(marked(2, THIRD, source_region=OLD), marked(3, THIRD)),
    }


@pytest.fixture
def known():
    """Return the copies that tasks know by the name of their region."""
    return {OLD: {IDS[0]}, THIRD: {IDS[2]}}


@pytest.fixture
def of(regions, known):
    def known_in(names):
        return {(one, NOW) for name in names for one in known.get(name, ())}

    names = region_names.Renaming(old=OLD, new=NEW)
    return renaming.RegionRenaming(names, regions.__getitem__, regions, known_in)


def test_copies_in_the_region_and_copies_of_its_images_are_counted_and_nothing_is_written(
    of, regions
):
    before = {region: dict(one.images) for region, one in regions.items()}
    assert of.count() == {ONE: 0, NEW: 1, THIRD: 1}
    assert {region: one.images for region, one in regions.items()} == before


def test_their_marks_get_the_new_name_and_other_images_stay_as_they_are(of, regions):
    assert of.change() == 2
    assert regions[NEW].images[IDS[0]] == marked(0, NEW)
    assert regions[NEW].images[IDS[1]] == marked(1, NEW, copy_region=OLD, copy_id=IDS[0])
    assert regions[THIRD].images[IDS[2]] == marked(2, THIRD, source_region=NEW)
    assert regions[THIRD].images[IDS[3]] == marked(3, THIRD)


def test_a_replicated_image_does_not_change(of, regions, known):
    """It has the id and the properties of a copy, and no task of its region knows it."""
    known[THIRD] = known.pop(OLD)
    assert of.count() == {ONE: 0, NEW: 0, THIRD: 0}
    assert of.change() == 0
    assert regions[NEW].images[IDS[0]] == marked(0, NEW, copy_region=OLD)


def test_a_copy_that_a_task_knows_by_the_new_name_already_is_changed_as_well(of, known):
    known[NEW] = known.pop(OLD)
    assert of.count() == {ONE: 0, NEW: 1, THIRD: 1}


def test_a_second_run_finds_nothing_to_do(of):
    of.change()
    assert of.count() == {ONE: 0, NEW: 0, THIRD: 0}
    assert of.change() == 0


class Late(fake.MemoryMarks):
    """Marks that change between the listing and the second reading."""

    now: region_names.MarkedRecord | None = None

    def get(self, image_id):
        return self.now


@pytest.mark.parametrize(
    "now",
    [
        None,
        marked(0, NEW, copy_region=OLD, copy_id="another"),
        marked(0, NEW, copy_region=OLD, created_at=NOW + datetime.timedelta(seconds=1)),
    ],
    ids=["gone", "foreign", "another one of this id"],
)
def test_an_image_that_is_no_longer_a_known_copy_does_not_change(now):
    listed = marked(0, NEW, copy_region=OLD)
    late = Late(listed)
    late.now = now
    names = region_names.Renaming(old=OLD, new=NEW)
    of = renaming.RegionRenaming(names, lambda _: late, [NEW], lambda _: {(IDS[0], NOW)})
    assert of.change() == 0
    assert late.images == {IDS[0]: listed}


def test_a_region_that_fails_ends_it_and_the_next_run_does_the_rest(of, regions, monkeypatch):
    def fail(*_arguments):
        raise errors.ServiceUnavailable("no answer")

    with monkeypatch.context() as broken:
        broken.setattr(regions[THIRD], "change", fail)
        with pytest.raises(errors.ServiceUnavailable):
            of.change()
    assert of.change() == 1
    assert of.count() == {ONE: 0, NEW: 0, THIRD: 0}
