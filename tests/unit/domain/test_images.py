# SPDX-License-Identifier: Apache-2.0
"""Images, their ids and their states."""

import uuid

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from tests.unit import builders
from tests.unit.image_values import junk

ID = str(builders.IMAGE_ID)


@given(st.uuids())
def test_a_dashed_uuid_is_an_image_id_in_lower_case(made: uuid.UUID) -> None:
    assert images.image_id(str(made)) == str(made)
    assert images.image_id(str(made).upper()) == str(made)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ID.replace("-", ""), id="no dashes"),
        pytest.param(f"{{{ID}}}", id="braces"),
        pytest.param(f"urn:uuid:{ID}", id="urn"),
        pytest.param(f" {ID}", id="space before"),
        pytest.param(f"{ID}\n", id="line end"),
        pytest.param(ID[:-1], id="short"),
        pytest.param(f"{ID}0", id="long"),
        pytest.param(f"{ID[:-1]}g", id="no hex"),
        pytest.param("1" + ID.replace("-", "", 1), id="dash moved"),
        pytest.param("../../etc/passwd", id="path"),
        pytest.param(f"../{ID}", id="path to an id"),
        pytest.param("", id="empty"),
        pytest.param(None, id="none"),
        pytest.param(0, id="number"),
        pytest.param(uuid.UUID(ID), id="not a text"),
        pytest.param([ID], id="list"),
        pytest.param(ID.encode(), id="bytes"),
        pytest.param("\N{FULLWIDTH DIGIT ONE}" + ID[1:], id="other digits"),
    ],
)
def test_nothing_else_is_one(text: object) -> None:
    with pytest.raises(errors.NotificationError, match="is not an image id"):
        images.image_id(text)


@given(junk)
def test_junk_is_no_image_id_and_no_crash(value: object) -> None:
    message = ""
    try:
        parsed = images.image_id(value)
        assert str(uuid.UUID(parsed)) == parsed
    except errors.NotificationError as exc:
        message = str(exc)
    assert len(message) <= 100


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("x" * 78, "'" + "x" * 78 + "'"),
        ("x" * 79, "'" + "x" * 79),
        (17, "17"),
    ],
)
def test_a_message_shows_eighty_characters_of_it(text: object, shown: str) -> None:
    with pytest.raises(errors.NotificationError) as caught:
        images.image_id(text)
    assert str(caught.value) == f"{shown} is not an image id"


def test_the_statuses_are_those_of_the_api() -> None:
    assert [str(status) for status in images.ImageStatus] == [
        "queued",
        "saving",
        "uploading",
        "importing",
        "active",
        "deactivated",
        "killed",
        "deleted",
        "pending_delete",
    ]
    assert [str(status) for status in images.MemberStatus] == ["pending", "accepted", "rejected"]


def test_a_hash_is_shown_with_its_algorithm() -> None:
    assert str(images.Multihash(algo="sha512", value="ab")) == "sha512:ab"


def test_a_copy_names_its_source_by_id_and_region() -> None:
    assert images.key_of(builders.source()) == builders.KEY
    assert str(builders.KEY) == f"image {builders.IMAGE_ID} of region RegionOne"


def test_new_ids_are_ids_and_never_the_same() -> None:
    ids = [images.new_id() for _ in range(10)]
    assert [images.image_id(one) for one in ids] == ids
    assert len(set(ids)) == len(ids)


def test_the_attributes_are_those_that_glance_takes() -> None:
    assert images.ATTRIBUTES == (
        "name",
        "disk_format",
        "container_format",
        "min_disk",
        "min_ram",
        "visibility",
        "protected",
        "os_hidden",
        "owner",
    )
