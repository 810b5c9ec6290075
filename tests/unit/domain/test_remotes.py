# SPDX-License-Identifier: Apache-2.0
"""Sources whose data is an image of another region."""

import dataclasses

import pytest

from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from tests.unit import builders

Status = images.ImageStatus
TWO = builders.REGION
GONE = (Status.DELETED, Status.PENDING_DELETE)
UNFINISHED = (Status.QUEUED, Status.SAVING, Status.UPLOADING, Status.IMPORTING)


def joined(source=None, there=None, *, region=TWO):
    return remotes.with_remote_data(source or builders.elsewhere(), region, there)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (builders.source(), False),
        (builders.elsewhere(), True),
        (builders.elsewhere(mark=builders.ITSELF_A_COPY), False),
    ],
)
def test_the_data_of_an_image_is_elsewhere_if_it_says_so_and_is_no_copy(source, expected):
    assert remotes.is_elsewhere(source) is expected


def test_size_and_hash_come_from_the_image_that_holds_the_data():
    source = builders.elsewhere(name="of the source", properties={"a": "1"})
    there = builders.snapshot(name="of the data", properties={"b": "2"}, size=7)
    found = joined(source, there)
    assert found == dataclasses.replace(
        source,
        size=7,
        multihash=there.multihash,
        remote=dataclasses.replace(builders.REMOTE, region=TWO, status=Status.ACTIVE, fault=None),
    )
    assert remotes.fault(found) is None
    assert remotes.loss(found) is None


def test_a_source_with_local_data_stays_as_it_is():
    source = builders.source()
    assert joined(source, builders.snapshot(size=7)) is source


#: Of the record, of the image that holds the data (None: there is none), and of both together.
STATUSES = [
    (Status.ACTIVE, Status.ACTIVE, Status.ACTIVE),
    *[(Status.ACTIVE, there, there) for there in UNFINISHED],
    (Status.ACTIVE, Status.DEACTIVATED, Status.DEACTIVATED),
    (Status.ACTIVE, Status.KILLED, Status.KILLED),
    *[(Status.ACTIVE, there, Status.KILLED) for there in (*GONE, None)],
    (Status.DEACTIVATED, Status.ACTIVE, Status.DEACTIVATED),
    (Status.DEACTIVATED, Status.DEACTIVATED, Status.DEACTIVATED),
    (Status.DEACTIVATED, Status.QUEUED, Status.DEACTIVATED),
    (Status.DEACTIVATED, None, Status.DEACTIVATED),
    *[
        (here, there, here)
        for here in (*UNFINISHED, *GONE, Status.KILLED)
        for there in (Status.ACTIVE, Status.SAVING, Status.KILLED, None)
    ],
]


@pytest.mark.parametrize(("here", "there", "both"), STATUSES)
def test_a_source_is_as_far_as_its_record_and_its_data(here, there, both):
    holder = None if there is None else builders.snapshot(status=there)
    found = joined(builders.elsewhere(status=here), holder)
    assert found.status is both
    assert found.remote is not None
    assert found.remote.status is there


def test_without_the_image_that_held_the_data_size_and_hash_are_unknown():
    found = joined()
    assert (found.size, found.multihash) == (None, None)


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (None, "snapshot was deleted in region RegionTwo"),
        *[(builders.snapshot(status=one), "snapshot was deleted in region RegionTwo")
          for one in GONE],
        (builders.snapshot(status=Status.KILLED), "snapshot was killed in region RegionTwo"),
        *[(builders.snapshot(status=one), None)
          for one in (*UNFINISHED, Status.ACTIVE, Status.DEACTIVATED)],
    ],
)
def test_the_loss_of_data_is_named(there, expected):
    assert remotes.loss(joined(None, there)) == expected


def test_nothing_is_lost_if_the_data_was_never_read():
    assert remotes.loss(builders.source()) is None
    assert remotes.loss(builders.elsewhere()) is None
    assert remotes.loss(joined(region=None)) is None


NOWHERE = (
    "the image's data is at 'two.example:9292', which is not the image endpoint of exactly "
    "one region in Keystone's catalogue; correct the location of the image or the endpoint"
)


@pytest.mark.parametrize(
    "before", ["", "admin:secret@", "admin:sec@ret@", "a%40b:c@"]
)
def test_a_location_that_leads_to_no_region_is_named_by_its_host_alone(before):
    url = f"https://{before}two.example:9292/v2/images/{builders.COPY_ID}"
    remote = dataclasses.replace(builders.REMOTE, url=url)
    source = builders.elsewhere(remote=remote)
    found = joined(source, region=None)
    assert remotes.fault(found) == NOWHERE
    unread = dataclasses.replace(remote, fault=NOWHERE)
    assert found == dataclasses.replace(source, remote=unread)


def test_an_invalid_host_is_shown_escaped_and_cut():
    url = "http://a\x1b[31m\n" + "b" * 80 + f"/v2/images/{builders.COPY_ID}"
    source = builders.elsewhere(remote=dataclasses.replace(builders.REMOTE, url=url))
    shown = "'a\\x1b[31m\\n" + "b" * 68
    assert len(shown) == 80
    assert remotes.fault(joined(source, region=None)) == NOWHERE.replace(
        "'two.example:9292'", shown
    )


@pytest.mark.parametrize(
    ("owner", "visibility", "is_free"),
    [
        ("alpha", "private", True),
        ("alpha", "shared", True),
        ("beta", "public", True),
        ("beta", "community", True),
        ("beta", "shared", False),
        ("beta", "private", False),
        (None, "private", False),
        (None, "public", True),
    ],
)
def test_naming_an_image_of_another_project_does_not_give_its_data(owner, visibility, is_free):
    there = builders.snapshot(owner=owner, visibility=visibility)
    found = remotes.fault(joined(builders.elsewhere(owner="alpha"), there))
    assert found == (
        None
        if is_free
        else f"the image's data is image {builders.COPY_ID} of region RegionTwo, which "
        f"belongs to project {owner}, but the image belongs to alpha; give both to the same "
        "project"
    )


def test_waiting_for_another_project_s_image_is_a_fault_as_well():
    there = builders.snapshot(status=Status.SAVING, owner="beta")
    assert remotes.fault(joined(None, there)) is not None


def test_remote_data_that_was_not_read_yet_has_a_fault():
    assert remotes.fault(builders.elsewhere()) == builders.REMOTE.fault is not None


def test_images_with_data_of_their_own_and_copies_have_no_fault():
    assert remotes.fault(builders.source()) is None
    assert remotes.fault(builders.elsewhere(mark=builders.ITSELF_A_COPY)) is None


def test_the_data_has_a_home_with_another_id():
    there = builders.snapshot()
    found = joined(None, there)
    assert remotes.home(found) == dataclasses.replace(
        found, region=TWO, image_id=builders.COPY_ID, remote=None
    )


@pytest.mark.parametrize("source", [builders.source(), builders.elsewhere()])
def test_other_data_is_at_home_with_its_record(source):
    assert remotes.home(source) == source


def test_a_location_names_its_image_by_metadata_before_its_url():
    in_url, named = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
    url = f"http://two.example/v2/images/{in_url}"
    for metadata, expected in (({"image_id": named}, named), ({}, in_url)):
        location = images.Location(url=url, metadata={"image_from": "snapshot", **metadata})
        found = remotes.remote_data(location)
        assert found is not None
        assert (found.image_id, found.image_from, found.url) == (expected, "snapshot", url)
