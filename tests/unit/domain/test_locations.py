# SPDX-License-Identifier: Apache-2.0
"""``domain.locations``: which entries a source should have, and which the agent removes."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent.domain import actions
from glance_sync_agent.domain import image_records
from glance_sync_agent.domain import images
from glance_sync_agent.domain import locations
from glance_sync_agent.domain.codes import Code
from tests.unit import builders

REGION = builders.REGION
OTHER = images.RegionId("RegionThree")
URL = f"http://glance.two:9292/v2/images/{builders.IMAGE_ID}"
NEW_URL = f"http://glance.two:9292/v2/images/{builders.COPY_ID}"
FILE = images.Location(url=f"file:///srv/{builders.IMAGE_ID}", metadata={"store": "local"})
COPY = builders.copy()
ENTRY = locations.entry(URL, COPY)


def changed(location: images.Location, **metadata: object) -> images.Location:
    """Return a location with other metadata; None removes."""
    merged = {**location.metadata, **metadata}
    kept = {key: value for key, value in merged.items() if value is not None}
    return dataclasses.replace(location, metadata=kept)


def test_an_entry_names_the_copy_as_the_manager_of_2014_did_and_its_region() -> None:
    copy = builders.copy(image_id=builders.COPY_ID)
    entry = locations.entry(NEW_URL, copy)
    assert entry.url == NEW_URL
    assert entry.metadata == {
        "image_id": builders.COPY_ID,
        "action": "upload",
        "region": REGION,
    }


def test_an_entry_is_no_remote_data() -> None:
    listed = [{"url": ENTRY.url, "metadata": {**ENTRY.metadata, "store": "web"}}]
    record = {"id": builders.IMAGE_ID, "status": "active", "locations": listed}
    assert image_records.parse(record, builders.SOURCE_REGION).remote is None


# may_change


@pytest.mark.parametrize("status", images.ImageStatus)
def test_only_active_images_get_entries(status: images.ImageStatus) -> None:
    source = builders.source(status=status)
    assert locations.may_change(source) is (status is images.ImageStatus.ACTIVE)


@pytest.mark.parametrize(("size", "expected"), [(None, False), (0, False), (1, True)])
def test_an_image_without_bytes_gets_no_entry_because_it_would_get_a_size(
    size: int | None, expected: bool
) -> None:
    assert locations.may_change(builders.source(size=size)) is expected


def test_a_copy_gets_no_entry() -> None:
    assert not locations.may_change(builders.source(mark=builders.ITSELF_A_COPY))
    assert locations.may_change(builders.source(mark=builders.MARK))


# has_entry


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (actions.Settled(code=Code.IN_SYNC, text="in sync"), True),
        (actions.Settled(code=Code.OUT_OF_STRATEGY, text="not wanted here"), False),
        (actions.Settled(code=Code.ABSENT, text="absent"), False),
        (actions.CopyData(source=builders.source(), into=None), False),
        (actions.DeleteCopy(copy=COPY, reason="wrong"), False),
        (actions.Conflict(reason="not ours"), False),
        (actions.Wait(code=Code.COPY_BUSY, reason="busy"), None),
        (actions.AwaitSource(reason="queued"), None),
        (actions.ReadBack(copy=COPY, expected=builders.multihash(), reason="other hash"), None),
        (actions.SetActive(copy=COPY, active=False), None),
        (
            actions.UpdateMetadata(copy=COPY, attributes={}, tags=None, properties={}, members={}),
            None,
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_copy_has_an_entry_while_it_is_one(
    action: actions.Action, expected: bool | None
) -> None:
    assert locations.has_entry(action) is expected


# changes


def test_a_copy_without_an_entry_gets_one() -> None:
    change = locations.changes([FILE], REGION, ENTRY)
    assert change == locations.Changes(wrong=[], missing=ENTRY)
    assert change


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(ENTRY, id="ours"),
        pytest.param(changed(ENTRY, store="web"), id="with Glance's store"),
        pytest.param(changed(ENTRY, region=None), id="of 2014"),
        pytest.param(changed(ENTRY, region=OTHER), id="of a region that was renamed"),
    ],
)
def test_a_copy_with_an_entry_keeps_it(there: images.Location) -> None:
    change = locations.changes([FILE, there], REGION, ENTRY)
    assert change == locations.Changes(wrong=[], missing=None)
    assert not change


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(dataclasses.replace(ENTRY, url=NEW_URL), id="another URL"),
        pytest.param(changed(ENTRY, image_id=builders.COPY_ID), id="another copy"),
        pytest.param(changed(ENTRY, image_id=None), id="no copy"),
    ],
)
def test_a_wrong_entry_is_replaced(there: images.Location) -> None:
    assert locations.changes([FILE, there], REGION, ENTRY) == locations.Changes(
        wrong=[there], missing=ENTRY
    )


def test_a_location_of_another_purpose_does_not_count_as_the_entry() -> None:
    snapshot = changed(ENTRY, action=None, image_from="snapshot")
    assert locations.changes([snapshot], REGION, ENTRY).missing == ENTRY


def test_without_a_copy_all_entries_of_its_region_go() -> None:
    old = dataclasses.replace(ENTRY, url=NEW_URL)
    change = locations.changes([old, FILE, ENTRY], REGION, None)
    assert change == locations.Changes(wrong=[old, ENTRY], missing=None)
    assert change


@pytest.mark.parametrize(
    "there",
    [
        pytest.param(FILE, id="data"),
        pytest.param(changed(FILE, **ENTRY.metadata), id="data that says it is an entry"),
        pytest.param(
            dataclasses.replace(ENTRY, url=f"swift+http://h/v2/images/{builders.IMAGE_ID}"),
            id="a store that can delete",
        ),
        pytest.param(changed(ENTRY, region=OTHER), id="another region"),
        pytest.param(changed(ENTRY, region=None), id="no region"),
        pytest.param(changed(ENTRY, action=None), id="no action"),
        pytest.param(changed(ENTRY, action="download"), id="another action"),
    ],
)
def test_what_is_not_the_entry_of_the_region_stays(there: images.Location) -> None:
    assert not locations.changes([there], REGION, None)


some_locations = st.builds(
    images.Location,
    url=st.sampled_from([URL, NEW_URL, FILE.url, "http://elsewhere/"]),
    metadata=st.fixed_dictionaries(
        {},
        optional={
            "image_id": st.sampled_from([builders.IMAGE_ID, builders.COPY_ID, 5]),
            "action": st.sampled_from(["upload", "download"]),
            "region": st.sampled_from([REGION, OTHER]),
            "store": st.just("web"),
        },
    ),
)


@given(st.lists(some_locations, max_size=6), st.sampled_from([None, ENTRY]))
def test_one_change_is_enough_and_touches_nothing_else(
    known: list[images.Location], wanted: images.Location | None
) -> None:
    change = locations.changes(known, REGION, wanted)
    after = [one for one in known if one not in change.wrong]
    if change.missing is not None:
        after.append(change.missing)
    assert not locations.changes(after, REGION, wanted)
    for one in change.wrong:
        assert one.metadata["region"] == REGION
        assert one.url.startswith("http://glance.two")
