# SPDX-License-Identifier: Apache-2.0
"""A region's new name reaches the marks of our copies, and no other image."""

import dataclasses

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.engine.marks import renaming
from tests.fakes import marks as fake

ONE, OLD, NEW, THIRD = map(images.RegionId, ("One", "Old", "New", "Third"))
IDS = [images.ImageId(f"{number}0000000-0000-4000-8000-000000000000") for number in range(1, 6)]


def marked(number, region, **changes):
    image = region_names.Marked(
        image_id=IDS[number],
        region=region,
        copy_id=IDS[number],
        copy_region=region,
        source_region=ONE,
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
def of(regions):
    return renaming.Renaming(
        region_names.Renaming(old=OLD, new=NEW), regions.__getitem__, regions
    )


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


def test_a_second_run_finds_nothing_to_do(of):
    of.change()
    assert of.count() == {ONE: 0, NEW: 0, THIRD: 0}
    assert of.change() == 0


class Late(fake.MemoryMarks):
    """Marks that change between the listing and the look at one image."""

    now: region_names.Marked | None = None

    def get(self, image_id):
        return self.now


@pytest.mark.parametrize(
    "now", [None, marked(0, NEW, copy_region=OLD, copy_id="another")], ids=["gone", "foreign"]
)
def test_an_image_that_is_no_copy_of_ours_any_more_is_left_alone(now):
    listed = marked(0, NEW, copy_region=OLD)
    late = Late(listed)
    late.now = now
    names = region_names.Renaming(old=OLD, new=NEW)
    assert renaming.Renaming(names, lambda _: late, [NEW]).change() == 0
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
