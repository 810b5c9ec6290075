# SPDX-License-Identifier: Apache-2.0
"""How renaming a region changes the properties of an image."""

import dataclasses
import datetime

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from glance_sync_agent.domain import region_names

IMAGE = images.ImageId("10000000-0000-4000-8000-000000000001")
OTHER = "20000000-0000-4000-8000-000000000002"
OLD, NEW, THIRD = map(images.RegionId, ("Old", "New", "Third"))
NOW = datetime.datetime(2026, 11, 22, 8, 0, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(seconds=7)
RENAMING = region_names.Renaming(old=OLD, new=NEW)

COPY, SOURCE = "glance_sync_copy_region", "glance_sync_source_region"


@pytest.mark.parametrize(
    ("region", "copy_id", "copy_region", "source_region", "changes"),
    [
        pytest.param(NEW, IMAGE, OLD, THIRD, {COPY: "New"}, id="a copy in it"),
        pytest.param(NEW, IMAGE, OLD, OLD, {COPY: "New", SOURCE: "New"}, id="a copy of its own"),
        pytest.param(THIRD, IMAGE, THIRD, OLD, {SOURCE: "New"}, id="a copy of its image"),
        pytest.param(NEW, IMAGE, NEW, OLD, {SOURCE: "New"}, id="half done before"),
        pytest.param(NEW, IMAGE, NEW, THIRD, {}, id="done before"),
        pytest.param(THIRD, IMAGE, THIRD, NEW, {}, id="its image, done before"),
        pytest.param(THIRD, IMAGE, THIRD, THIRD, {}, id="nothing to do with it"),
        # Marks that were handed on with an image's properties.
        pytest.param(NEW, OTHER, OLD, OLD, {}, id="a snapshot in it"),
        pytest.param(THIRD, OTHER, THIRD, OLD, {}, id="a snapshot elsewhere"),
        pytest.param(NEW, None, OLD, OLD, {}, id="no id"),
        pytest.param(THIRD, IMAGE, OLD, THIRD, {}, id="the copy in another region"),
        pytest.param(THIRD, IMAGE, OLD, OLD, {}, id="the copy in another region, of its image"),
        pytest.param(NEW, IMAGE, THIRD, OLD, {}, id="a copy of a third region"),
        pytest.param(NEW, IMAGE, None, OLD, {}, id="no region"),
        pytest.param(OLD, IMAGE, OLD, THIRD, {}, id="a region that keeps its name"),
    ],
)
def test_only_a_mark_that_names_its_own_image_gets_the_new_name(
    region, copy_id, copy_region, source_region, changes
):
    image = region_names.MarkedRecord(
        image_id=IMAGE,
        region=region,
        copy_id=copy_id,
        copy_region=copy_region,
        source_region=source_region,
        created_at=NOW,
    )
    assert RENAMING.changes(image, {(IMAGE, NOW)}) == changes
    assert RENAMING.changes(image, {(OTHER, NOW), (IMAGE, LATER)}) == {}


def test_no_task_knows_an_image_without_creation_time():
    image = region_names.MarkedRecord(
        image_id=IMAGE,
        region=NEW,
        copy_id=IMAGE,
        copy_region=OLD,
        source_region=THIRD,
        created_at=NOW,
    )
    assert RENAMING.changes(image, {(IMAGE, NOW)}) == {COPY: "New"}
    assert RENAMING.changes(dataclasses.replace(image, created_at=None), {(IMAGE, NOW)}) == {}


@pytest.mark.parametrize(("region", "names"), [(NEW, {OLD, NEW}), (THIRD, {THIRD})])
def test_tasks_know_the_renamed_region_by_both_names(region, names):
    assert RENAMING.names_of(region) == names


def test_a_copy_names_itself_by_these_properties():
    assert mark_properties.COPY_ID == "glance_sync_copy_id"
    assert mark_properties.COPY_REGION == "glance_sync_copy_region"
