# SPDX-License-Identifier: Apache-2.0
"""Marks, as they are written and read."""

import json

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent.domain import image_records
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from tests.unit import builders
from tests.unit.image_values import record
from tests.unit.image_values import texts

REGION = builders.REGION
WHOLE = {
    "glance_sync_source_id": builders.IMAGE_ID,
    "glance_sync_source_region": "b",
    "glance_sync_copy_id": builders.COPY_ID,
    "glance_sync_copy_region": "d" * 255,
}


def test_a_mark_names_the_source_and_the_copy() -> None:
    assert image_records.parse(record(**WHOLE), REGION).mark == images.Mark(
        source=images.SourceKey(image_id=builders.IMAGE_ID, region="b"),
        copy_id=builders.COPY_ID,
        copy_region="d" * 255,
    )


@pytest.mark.parametrize("name", list(WHOLE))
@pytest.mark.parametrize("value", [None, "", 5, ["a"]])
def test_a_mark_is_whole_or_not_there(name: str, value: object) -> None:
    assert image_records.parse(record(**{**WHOLE, name: value}), REGION).mark is None


@pytest.mark.parametrize("name", ["glance_sync_source_id", "glance_sync_copy_id"])
@pytest.mark.parametrize(
    "value", ["a", builders.IMAGE_ID.upper(), builders.IMAGE_ID.replace("-", ""), "../../v3/users"]
)
def test_what_is_no_id_of_an_image_makes_no_mark(name: str, value: str) -> None:
    assert image_records.parse(record(**{**WHOLE, name: value}), REGION).mark is None


@pytest.mark.parametrize("name", ["glance_sync_source_region", "glance_sync_copy_region"])
@pytest.mark.parametrize("value", ["a\nb", "\x1b[2J", "x" * 256])
def test_what_is_no_name_of_a_region_makes_no_mark(name: str, value: str) -> None:
    assert image_records.parse(record(**{**WHOLE, name: value}), REGION).mark is None


def test_an_image_without_any_part_of_a_mark_has_none() -> None:
    assert image_records.parse(record(), REGION).mark is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('["a", "b"]', {"a", "b"}),
        ('["a", 5, null, ["c"], "b"]', {"a", "b"}),
        ("[]", set()),
        ("{}", set()),
        ('{"a": 1}', set()),
        ('"abc"', set()),
        ("5", set()),
        ("null", set()),
        ("not json", set()),
        pytest.param(json.dumps([f"hw_{number}" for number in range(99)])[:255], set(), id="cut"),
        ("[", set()),
        pytest.param("[" * 100_000, set(), id="deep"),
        pytest.param("9" * 5_000, set(), id="long"),
        ("", set()),
        (None, set()),
        (["a"], set()),
        (5, set()),
    ],
)
def test_users_can_edit_the_list_of_synced_properties(text: object, expected: set[str]) -> None:
    parsed = image_records.parse(record(glance_sync_properties=text), REGION)
    assert parsed.synced_properties == expected


def test_marks_name_the_source_the_copy_and_what_came_from_the_source() -> None:
    source = builders.source(properties={"b": "1", "a": "", "ü": "2"})
    assert mark_properties.of_copy(source, builders.COPY_ID, builders.REGION) == {
        "glance_sync_source_id": builders.IMAGE_ID,
        "glance_sync_source_region": builders.SOURCE_REGION,
        "glance_sync_copy_id": builders.COPY_ID,
        "glance_sync_copy_region": builders.REGION,
        "glance_sync_properties": '["a", "b", "\\u00fc"]',
    }


@pytest.mark.parametrize("name", sorted(mark_properties.KEY_POLICIES))
def test_properties_that_delete_the_key_of_a_source_are_not_replicated(name: str) -> None:
    source = builders.source(properties={"a": "1", name: "on_image_deletion"})
    assert mark_properties.replicated(source) == {"a": "1"}
    assert mark_properties.synced(source) == '["a"]'


def test_the_properties_that_delete_keys_are_those_of_glance() -> None:
    assert {
        "cinder_encryption_key_deletion_policy",
        "os_encrypt_key_deletion_policy",
    } == mark_properties.KEY_POLICIES


@given(st.dictionaries(texts, texts, max_size=5))
def test_marks_are_read_back_as_they_were_written(custom: dict[str, str]) -> None:
    source = builders.source(properties=custom)
    marks = mark_properties.of_copy(source, builders.IMAGE_ID, builders.REGION)
    parsed = image_records.parse(record() | marks, REGION)
    assert parsed.mark == builders.MARK
    assert parsed.synced_properties == frozenset(custom)
    assert parsed.metadata.properties == {}
