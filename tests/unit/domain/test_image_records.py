# SPDX-License-Identifier: Apache-2.0
"""Records of the Images API become images."""

import datetime
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import image_records
from glance_sync_agent.domain import images
from tests import paths
from tests.unit import builders
from tests.unit.image_values import COPY_URL
from tests.unit.image_values import FILE
from tests.unit.image_values import junk
from tests.unit.image_values import located
from tests.unit.image_values import record
from tests.unit.image_values import SWIFT
from tests.unit.image_values import texts

SAMPLES = paths.SAMPLES
REGION = builders.REGION
ID = str(builders.IMAGE_ID)


def properties(**fields: Any) -> dict[str, str]:
    return dict(image_records.parse(record(**fields), REGION).metadata.properties)


def test_a_record_becomes_an_image() -> None:
    parsed = image_records.parse(
        record(
            visibility="public",
            protected=True,
            os_hidden=True,
            min_disk=1,
            min_ram=64,
            tags=["b", "a", "b"],
            hw_disk_bus="virtio",
        ),
        REGION,
    )
    assert parsed == images.Image(
        image_id=builders.IMAGE_ID,
        region=REGION,
        status=images.ImageStatus.ACTIVE,
        size=3,
        multihash=images.Multihash(algo="sha512", value="ab"),
        metadata=images.Metadata(
            name="cirros",
            disk_format="qcow2",
            container_format="bare",
            min_disk=1,
            min_ram=64,
            visibility="public",
            protected=True,
            os_hidden=True,
            owner="alpha",
            tags=frozenset({"a", "b"}),
            properties={"hw_disk_bus": "virtio"},
        ),
        members={},
        mark=None,
        synced_properties=frozenset(),
        created_at=datetime.datetime(2026, 11, 22, 8, 0, tzinfo=datetime.UTC),
    )


def test_a_record_of_a_real_glance_is_read() -> None:
    shown = json.loads((SAMPLES / "image-show.json").read_text())
    parsed = image_records.parse(shown, REGION)
    assert parsed.image_id == "c3bb4a5e-b33a-4986-b4ca-4b2707d7e54b"
    assert parsed.size == 3145745
    assert parsed.multihash is not None
    assert str(parsed.multihash).startswith("sha512:7cf8b3d5")
    assert parsed.metadata.visibility == "shared"
    assert parsed.metadata.properties == {}


def test_a_location_is_no_property() -> None:
    shown = json.loads((SAMPLES / "image-show-locations.json").read_text())
    assert {"locations", "direct_url", "stores"} <= set(shown)
    assert image_records.parse(shown, REGION).metadata.properties == {}


def test_the_least_record_is_read() -> None:
    parsed = image_records.parse({"id": ID.upper(), "status": "queued"}, REGION)
    assert parsed == images.Image(
        image_id=builders.IMAGE_ID,
        region=REGION,
        status=images.ImageStatus.QUEUED,
        size=None,
        multihash=None,
        metadata=images.Metadata(),
    )


def test_unset_attributes_have_glance_s_defaults() -> None:
    assert images.Metadata() == images.Metadata(
        name=None,
        disk_format=None,
        container_format=None,
        min_disk=0,
        min_ram=0,
        visibility="shared",
        protected=False,
        os_hidden=False,
        owner=None,
        tags=frozenset(),
        properties={},
    )


@pytest.mark.parametrize("status", list(images.ImageStatus))
def test_every_status_is_known(status: images.ImageStatus) -> None:
    assert image_records.parse(record(status=status.value), REGION).status is status


@pytest.mark.parametrize("status", ["strange", "", "Active", None, 5, ["active"], {}])
def test_an_unknown_status_is_an_error(status: object) -> None:
    with pytest.raises(errors.NotificationError, match=r"image of region RegionTwo: bad status: "):
        image_records.parse(record(status=status), REGION)


def test_a_record_without_a_status_is_an_error() -> None:
    with pytest.raises(errors.NotificationError, match="bad status: 'status'"):
        image_records.parse({"id": ID}, REGION)


@pytest.mark.parametrize("image_id", [None, "", "x", 5])
def test_a_record_without_an_id_is_an_error(image_id: object) -> None:
    with pytest.raises(errors.NotificationError, match="is not an image id"):
        image_records.parse(record(id=image_id), REGION)
    with pytest.raises(errors.NotificationError, match="None is not an image id"):
        image_records.parse({"status": "active"}, REGION)


@pytest.mark.parametrize("size", [None, 0, 1, 2**63])
def test_no_bytes_and_no_data_are_different(size: int | None) -> None:
    assert image_records.parse(record(size=size), REGION).size == size


@pytest.mark.parametrize(
    ("algo", "value", "expected"),
    [
        ("sha512", "AB", images.Multihash(algo="sha512", value="ab")),
        ("SHA512", "ab", images.Multihash(algo="SHA512", value="ab")),
        (None, "ab", None),
        ("sha512", None, None),
        ("", "ab", None),
        ("sha512", "", None),
        (None, None, None),
    ],
)
def test_a_hash_is_whole_or_not_there(
    algo: str | None, value: str | None, expected: images.Multihash | None
) -> None:
    parsed = image_records.parse(record(os_hash_algo=algo, os_hash_value=value), REGION)
    assert parsed.multihash == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", ""),
        ("name", None),
        ("owner", None),
        ("disk_format", None),
        ("container_format", None),
        ("min_disk", 0),
        ("min_ram", 0),
        ("protected", False),
        ("os_hidden", False),
        ("visibility", "community"),
    ],
)
def test_what_looks_like_nothing_is_a_value(name: str, value: object) -> None:
    parsed = image_records.parse(record(**{name: value}), REGION)
    assert getattr(parsed.metadata, name) == value


def test_tags_may_be_absent() -> None:
    assert image_records.parse(record(tags=None), REGION).metadata.tags == frozenset()


@pytest.mark.parametrize(
    "name",
    "id status size virtual_size checksum os_hash_algo os_hash_value created_at updated_at tags"
    " self file schema locations direct_url stores deleted deleted_at name disk_format"
    " container_format min_disk min_ram visibility protected os_hidden owner".split(),
)
def test_what_glance_knows_is_no_custom_property(name: str) -> None:
    assert properties(**{name: record().get(name, "x"), "mine": "1"}) == {"mine": "1"}


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("hw_disk_bus", True),
        ("os_type", True),
        ("os_glanc", True),
        ("os_glance", True),
        ("glance_sync", True),
        ("my_glance_sync_x", True),
        ("my_os_glance_x", True),
        ("sync_regions", True),
        ("a/b~c", True),
        ("virtual_size_", True),
        ("os_glance_", False),
        ("os_glance_importing_to_stores", False),
        ("glance_sync_", False),
        ("glance_sync_source_id", False),
        ("glance_sync_source_region", False),
        ("glance_sync_properties", False),
        ("glance_sync_later", False),
    ],
)
def test_custom_properties_are_those_of_users(name: str, kept: bool) -> None:
    assert properties(**{name: "v"}) == ({name: "v"} if kept else {})


@pytest.mark.parametrize(("value", "kept"), [("", True), ("0", True), (None, False)])
def test_an_empty_property_is_one(value: str | None, kept: bool) -> None:
    assert properties(p=value) == ({"p": value} if kept else {})


def test_properties_cannot_be_changed_by_accident() -> None:
    parsed = image_records.parse(record(p="1"), REGION)
    for mapping in (parsed.metadata.properties, parsed.members, images.Metadata().properties):
        with pytest.raises(TypeError):
            mapping["p"] = "2"  # type: ignore[index]


@given(st.dictionaries(texts | st.sampled_from(list(record())), junk, max_size=8))
def test_what_is_parsed_is_made_of_the_record_and_nothing_else(fields: dict[str, Any]) -> None:
    whole = record(**{key: value for key, value in fields.items() if key not in record()})
    parsed = image_records.parse(whole, REGION)
    for name, value in parsed.metadata.properties.items():
        assert whole[name] is value
        assert value is not None
        assert not name.startswith(("os_glance_", "glance_sync_"))


def test_locations_are_read_if_glance_shows_them() -> None:
    metadata = {"action": "upload", "depth": {"more": ["x"]}}
    assert located(FILE, {"url": COPY_URL, "metadata": metadata}).locations == (
        images.Location(url=FILE["url"], metadata={"store": "local"}),
        images.Location(url=COPY_URL, metadata=metadata),
    )


def test_no_location_and_none_that_is_shown_are_different() -> None:
    assert located().locations == ()
    assert image_records.parse(record(), REGION).locations is None
    assert builders.source().locations is None


@pytest.mark.parametrize("listed", [None, "x", 5, FILE, (FILE,)])
def test_what_is_no_list_of_locations_shows_none(listed: object) -> None:
    assert image_records.parse(record(locations=listed), REGION).locations is None


@pytest.mark.parametrize(
    "one",
    [
        None,
        "url",
        ["url", "metadata"],
        {},
        {"url": COPY_URL},
        {"metadata": {}},
        {"url": None, "metadata": {}},
        {"url": COPY_URL, "metadata": None},
        {"url": COPY_URL, "metadata": [["a", "b"]]},
    ],
)
def test_an_invalid_location_is_left_out(one: object) -> None:
    assert located(one, FILE, one) == located(FILE)


@given(junk)
def test_junk_instead_of_locations_is_no_crash(value: Any) -> None:
    image_records.parse(record(locations=value), REGION)
    image_records.parse(record(locations=[value]), REGION)
    located({"url": COPY_URL, "metadata": value}, {"url": value, "metadata": {}})


def test_the_url_of_a_location_which_may_hold_a_password_is_not_shown() -> None:
    image = located({"url": SWIFT, "metadata": {"store": "objects"}})
    assert image.locations is not None
    assert "swift" not in repr(image)
    assert "locations" not in repr(image)
    assert "swift" not in repr(image.locations)
    assert "objects" in repr(image.locations)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-22T08:00:07Z", datetime.datetime(2026, 11, 22, 8, 0, 7, tzinfo=datetime.UTC)),
        ("2026-11-22T08:00:07", datetime.datetime(2026, 11, 22, 8, 0, 7, tzinfo=datetime.UTC)),
        (
            "2026-11-22T09:00:07+01:00",
            datetime.datetime(2026, 11, 22, 8, 0, 7, tzinfo=datetime.UTC),
        ),
        ("yesterday", None),
        ("", None),
        (1732262407, None),
        (None, None),
    ],
)
def test_a_time_is_utc_and_nonsense_is_none(text: object, expected: object) -> None:
    record = {"id": builders.IMAGE_ID, "status": "active", "updated_at": text}
    assert image_records.parse(record, builders.REGION).updated_at == expected
