# SPDX-License-Identifier: Apache-2.0
"""``domain.images``: records of the Images API become images."""

import datetime
import json
from typing import Any
import uuid

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from tests import paths
from tests.unit import builders

SAMPLES = paths.SAMPLES
REGION = builders.REGION
ID = str(builders.IMAGE_ID)

texts = st.text(max_size=20)
junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)


def record(**fields: Any) -> dict[str, Any]:
    """Build a record as ``GET /v2/images/ID`` gives it."""
    return {
        "id": ID,
        "status": "active",
        "name": "cirros",
        "disk_format": "qcow2",
        "container_format": "bare",
        "visibility": "private",
        "size": 3,
        "virtual_size": 4,
        "checksum": "0" * 32,
        "protected": False,
        "min_ram": 0,
        "min_disk": 0,
        "owner": "alpha",
        "os_hidden": False,
        "os_hash_algo": "sha512",
        "os_hash_value": "ab",
        "created_at": "2026-11-22T08:00:00Z",
        "updated_at": "2026-11-22T08:00:00Z",
        "tags": [],
        "self": f"/v2/images/{ID}",
        "file": f"/v2/images/{ID}/file",
        "schema": "/v2/schemas/image",
    } | fields


def properties(**fields: Any) -> dict[str, str]:
    return dict(images.parse(record(**fields), REGION).metadata.properties)


# image_id


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


# parse


def test_a_record_becomes_an_image() -> None:
    parsed = images.parse(
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
    parsed = images.parse(shown, REGION)
    assert parsed.image_id == "c3bb4a5e-b33a-4986-b4ca-4b2707d7e54b"
    assert parsed.size == 3145745
    assert parsed.multihash is not None
    assert str(parsed.multihash).startswith("sha512:7cf8b3d5")
    assert parsed.metadata.visibility == "shared"
    assert parsed.metadata.properties == {}


def test_a_location_is_no_property() -> None:
    shown = json.loads((SAMPLES / "image-show-locations.json").read_text())
    assert {"locations", "direct_url", "stores"} <= set(shown)
    assert images.parse(shown, REGION).metadata.properties == {}


def test_the_least_record_is_read() -> None:
    parsed = images.parse({"id": ID.upper(), "status": "queued"}, REGION)
    assert parsed == images.Image(
        image_id=builders.IMAGE_ID,
        region=REGION,
        status=images.ImageStatus.QUEUED,
        size=None,
        multihash=None,
        metadata=images.Metadata(),
    )


def test_what_nobody_set_has_glance_s_defaults() -> None:
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
    assert images.parse(record(status=status.value), REGION).status is status


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


@pytest.mark.parametrize("status", ["strange", "", "Active", None, 5, ["active"], {}])
def test_an_unknown_status_is_an_error(status: object) -> None:
    with pytest.raises(errors.NotificationError, match=r"image of region RegionTwo: bad status: "):
        images.parse(record(status=status), REGION)


def test_a_record_without_a_status_is_an_error() -> None:
    with pytest.raises(errors.NotificationError, match="bad status: 'status'"):
        images.parse({"id": ID}, REGION)


@pytest.mark.parametrize("image_id", [None, "", "x", 5])
def test_a_record_without_an_id_is_an_error(image_id: object) -> None:
    with pytest.raises(errors.NotificationError, match="is not an image id"):
        images.parse(record(id=image_id), REGION)
    with pytest.raises(errors.NotificationError, match="None is not an image id"):
        images.parse({"status": "active"}, REGION)


@pytest.mark.parametrize("size", [None, 0, 1, 2**63])
def test_no_bytes_and_no_data_are_different(size: int | None) -> None:
    assert images.parse(record(size=size), REGION).size == size


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
    parsed = images.parse(record(os_hash_algo=algo, os_hash_value=value), REGION)
    assert parsed.multihash == expected


def test_a_hash_is_shown_with_its_algorithm() -> None:
    assert str(images.Multihash(algo="sha512", value="ab")) == "sha512:ab"


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
    parsed = images.parse(record(**{name: value}), REGION)
    assert getattr(parsed.metadata, name) == value


def test_tags_may_be_absent() -> None:
    assert images.parse(record(tags=None), REGION).metadata.tags == frozenset()


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
    parsed = images.parse(record(p="1"), REGION)
    for mapping in (parsed.metadata.properties, parsed.members, images.Metadata().properties):
        with pytest.raises(TypeError):
            mapping["p"] = "2"  # type: ignore[index]


# Marks


WHOLE = {
    "glance_sync_source_id": builders.IMAGE_ID,
    "glance_sync_source_region": "b",
    "glance_sync_copy_id": builders.COPY_ID,
    "glance_sync_copy_region": "d" * 255,
}


def test_a_mark_names_the_source_and_the_copy() -> None:
    assert images.parse(record(**WHOLE), REGION).mark == images.Mark(
        source=images.SourceKey(image_id=builders.IMAGE_ID, region="b"),
        copy_id=builders.COPY_ID,
        copy_region="d" * 255,
    )


@pytest.mark.parametrize("name", list(WHOLE))
@pytest.mark.parametrize("value", [None, "", 5, ["a"]])
def test_a_mark_is_whole_or_not_there(name: str, value: object) -> None:
    assert images.parse(record(**{**WHOLE, name: value}), REGION).mark is None


@pytest.mark.parametrize("name", ["glance_sync_source_id", "glance_sync_copy_id"])
@pytest.mark.parametrize(
    "value", ["a", builders.IMAGE_ID.upper(), builders.IMAGE_ID.replace("-", ""), "../../v3/users"]
)
def test_what_is_no_id_of_an_image_makes_no_mark(name: str, value: str) -> None:
    assert images.parse(record(**{**WHOLE, name: value}), REGION).mark is None


@pytest.mark.parametrize("name", ["glance_sync_source_region", "glance_sync_copy_region"])
@pytest.mark.parametrize("value", ["a\nb", "\x1b[2J", "x" * 256])
def test_what_is_no_name_of_a_region_makes_no_mark(name: str, value: str) -> None:
    assert images.parse(record(**{**WHOLE, name: value}), REGION).mark is None


def test_an_image_without_any_part_of_a_mark_has_none() -> None:
    assert images.parse(record(), REGION).mark is None


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
def test_the_list_of_our_properties_may_have_been_edited(text: object, expected: set[str]) -> None:
    parsed = images.parse(record(glance_sync_properties=text), REGION)
    assert parsed.synced_properties == expected


def test_a_copy_names_its_source_by_id_and_region() -> None:
    assert images.key_of(builders.source()) == builders.KEY
    assert str(builders.KEY) == f"image {builders.IMAGE_ID} of region RegionOne"


def test_marks_name_the_source_the_copy_and_what_came_from_the_source() -> None:
    source = builders.source(properties={"b": "1", "a": "", "ü": "2"})
    assert images.marks(source, builders.COPY_ID, builders.REGION) == {
        "glance_sync_source_id": builders.IMAGE_ID,
        "glance_sync_source_region": builders.SOURCE_REGION,
        "glance_sync_copy_id": builders.COPY_ID,
        "glance_sync_copy_region": builders.REGION,
        "glance_sync_properties": '["a", "b", "\\u00fc"]',
    }


@pytest.mark.parametrize("name", sorted(images.KEY_POLICIES))
def test_what_deletes_the_key_of_a_source_is_not_handed_on(name: str) -> None:
    source = builders.source(properties={"a": "1", name: "on_image_deletion"})
    assert images.handed_on(source) == {"a": "1"}
    assert images.synced_properties(source) == '["a"]'


def test_the_properties_that_delete_keys_are_those_of_glance() -> None:
    assert {
        "cinder_encryption_key_deletion_policy",
        "os_encrypt_key_deletion_policy",
    } == images.KEY_POLICIES


def test_new_ids_are_ids_and_never_the_same() -> None:
    ids = [images.new_id() for _ in range(10)]
    assert [images.image_id(one) for one in ids] == ids
    assert len(set(ids)) == len(ids)


@given(st.dictionaries(texts, texts, max_size=5))
def test_marks_are_read_back_as_they_were_written(custom: dict[str, str]) -> None:
    source = builders.source(properties=custom)
    marks = images.marks(source, builders.IMAGE_ID, builders.REGION)
    parsed = images.parse(record() | marks, REGION)
    assert parsed.mark == builders.MARK
    assert parsed.synced_properties == frozenset(custom)
    assert parsed.metadata.properties == {}


@given(st.dictionaries(texts | st.sampled_from(list(record())), junk, max_size=8))
def test_what_is_parsed_is_made_of_the_record_and_nothing_else(fields: dict[str, Any]) -> None:
    whole = record(**{key: value for key, value in fields.items() if key not in record()})
    parsed = images.parse(whole, REGION)
    for name, value in parsed.metadata.properties.items():
        assert whole[name] is value
        assert value is not None
        assert not name.startswith(("os_glance_", "glance_sync_"))


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


# Locations


FILE: dict[str, Any] = {"url": f"file:///srv/images/{ID}", "metadata": {"store": "local"}}
COPY_URL = f"http://glance.two:9292/v2/images/{ID}"
SWIFT = "swift+https://user:secret@host/container/object"


def located(*locations: object) -> images.Image:
    return images.parse(record(locations=list(locations)), REGION)


def test_locations_are_read_where_glance_shows_them() -> None:
    metadata = {"action": "upload", "depth": {"more": ["x"]}}
    assert located(FILE, {"url": COPY_URL, "metadata": metadata}).locations == (
        images.Location(url=FILE["url"], metadata={"store": "local"}),
        images.Location(url=COPY_URL, metadata=metadata),
    )


def test_no_location_and_none_that_is_shown_are_different() -> None:
    assert located().locations == ()
    assert images.parse(record(), REGION).locations is None
    assert builders.source().locations is None


@pytest.mark.parametrize("listed", [None, "x", 5, FILE, (FILE,)])
def test_what_is_no_list_of_locations_shows_none(listed: object) -> None:
    assert images.parse(record(locations=listed), REGION).locations is None


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
def test_a_location_that_makes_no_sense_is_left_out(one: object) -> None:
    assert located(one, FILE, one) == located(FILE)


@given(junk)
def test_junk_in_the_place_of_locations_is_no_crash(value: Any) -> None:
    images.parse(record(locations=value), REGION)
    images.parse(record(locations=[value]), REGION)
    located({"url": COPY_URL, "metadata": value}, {"url": value, "metadata": {}})


def test_the_url_of_a_location_which_may_hold_a_password_is_not_shown() -> None:
    image = located({"url": SWIFT, "metadata": {"store": "objects"}})
    assert image.locations is not None
    assert "swift" not in repr(image)
    assert "locations" not in repr(image)
    assert "swift" not in repr(image.locations)
    assert "objects" in repr(image.locations)


# Remote data

OTHER_ID = str(builders.COPY_ID)


def remote(url: object = COPY_URL, **metadata: object) -> images.RemoteData | None:
    return located({"url": url, "metadata": {"image_from": "snapshot"} | metadata}).remote


@pytest.mark.parametrize("made_of", ["snapshot", "volume"])
def test_the_data_of_a_snapshot_may_lie_in_another_region(made_of: str) -> None:
    assert remote(image_from=made_of, image_id=OTHER_ID.upper()) == images.RemoteData(
        url=COPY_URL, image_id=builders.COPY_ID, image_from=made_of
    )


@pytest.mark.parametrize(
    "url",
    [
        COPY_URL,
        f"https://cloud.example/image/v2/images/{ID.upper()}",
        f"http://[::1]:9292/v2/images/{ID}",
    ],
)
def test_the_url_tells_the_image_if_the_metadata_do_not(url: str) -> None:
    found = remote(url)
    assert found is not None
    assert (found.url, found.image_id) == (url, ID)


@pytest.mark.parametrize("made_of", [None, "", "Snapshot", "image", 5, ["snapshot"], {}])
def test_what_was_made_of_something_else_is_no_remote_data(made_of: object) -> None:
    assert remote(image_from=made_of) is None


def test_a_copy_of_an_upload_is_no_remote_data() -> None:
    metadata = {"image_id": ID, "action": "upload", "region": "RegionTwo"}
    entry = {"url": COPY_URL, "metadata": metadata}
    assert located(entry).remote is None
    snapshot = {"url": COPY_URL.replace(ID, OTHER_ID), "metadata": {"image_from": "snapshot"}}
    assert located(entry, snapshot).remote == located(snapshot).remote
    assert located(snapshot).remote is not None


@pytest.mark.parametrize("told", [None, "", "x", 5, [ID], f"../{ID}", ID.replace("-", "")])
def test_an_id_that_is_none_makes_no_remote_data(told: object) -> None:
    assert remote(image_id=told) is None


@pytest.mark.parametrize(
    "url",
    [
        f"{COPY_URL}/file",
        f"{COPY_URL}/",
        f"{COPY_URL}?x=1",
        f"{COPY_URL}#x",
        f"{COPY_URL}\n",
        COPY_URL[:-1],
        "http://glance.two:9292/v2/images/",
        f"http:///v2/images/{ID}",
        f"http://glance.two?x/v2/images/{ID}",
        f"http://glance.two/x?x/v2/images/{ID}",
        f"http://glance.two#x/v2/images/{ID}",
        f"http://glance.two/x#x/v2/images/{ID}",
        f"http://glance.two/images/{ID}",
        f"http://glance.two/v1/images/{ID}",
        f"http://glance.two/xv2/images/{ID}",
        f"ftp://glance.two/v2/images/{ID}",
        f"swift+https://glance.two/v2/images/{ID}",
        f"x{COPY_URL}",
        f"/v2/images/{ID}",
        "",
    ],
)
def test_a_url_that_leads_to_no_image_record_is_no_remote_data(url: str) -> None:
    assert remote(url, image_id=OTHER_ID) is None
    assert images.url_image_id(url) is None


def test_the_first_remote_data_counts() -> None:
    metadata = {"image_from": "volume"}
    first = {"url": COPY_URL, "metadata": metadata}
    second = {"url": COPY_URL.replace(ID, OTHER_ID), "metadata": metadata}
    assert located(first, second).remote == located(first).remote
    assert located(first).remote != located(second).remote


def test_an_image_with_its_data_here_has_no_remote_data() -> None:
    for image in (located(FILE), located(), images.parse(record(), REGION), builders.source()):
        assert image.remote is None


def test_the_url_of_remote_data_is_not_shown() -> None:
    image = located({"url": COPY_URL, "metadata": {"image_from": "snapshot"}})
    assert "glance.two" not in repr(image)
    assert f"RemoteData(image_id='{ID}', image_from='snapshot', region=None" in repr(image)


@pytest.mark.parametrize("url", [FILE["url"], SWIFT, "x", f"{COPY_URL}/file"])
def test_data_that_is_here_as_well_is_not_looked_for_elsewhere(url: str) -> None:
    snapshot = {"url": COPY_URL, "metadata": {"image_from": "snapshot"}}
    here = {"url": url, "metadata": {}}
    for image in (located(here, snapshot), located(snapshot, here)):
        assert image.remote is None
        assert images.is_snapshot(image)


def test_data_that_nobody_looked_at_is_not_free_to_be_read() -> None:
    found = remote()
    assert found is not None
    assert found.fault == "nobody has looked at the image that holds the data"
    assert (found.region, found.status) == (None, None)


SNAPSHOT = images.Location(url=COPY_URL, metadata={"image_from": "volume"})
ENTRY = images.Location(url=COPY_URL, metadata={"action": "upload"})


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (builders.source(properties={"image_type": "snapshot"}), True),
        (builders.source(properties={"image_type": "snapshot"}, locations=(SNAPSHOT,)), True),
        (builders.source(locations=(ENTRY, SNAPSHOT)), True),
        (builders.source(locations=(ENTRY,)), False),
        (builders.source(locations=()), False),
        (builders.source(properties={"image_type": "backup"}), True),
        (builders.source(properties={"image_type": "base"}), False),
        (builders.source(), False),
    ],
)
def test_a_snapshot_says_so_or_has_its_data_where_it_was_made(
    image: images.Image, expected: bool
) -> None:
    assert images.is_snapshot(image) is expected


OF_SERVER = {"image_type": "snapshot", "instance_uuid": "x"}


@pytest.mark.parametrize(
    ("name", "properties", "expected"),
    [
        ("web-shelved", OF_SERVER, True),
        ("-shelved", OF_SERVER, True),
        ("web-shelved-2", OF_SERVER, False),
        ("shelved", OF_SERVER, False),
        (None, OF_SERVER, False),
        ("web-shelved", {"image_type": "snapshot"}, False),
        ("web-shelved", {"instance_uuid": "x"}, False),
        ("web-shelved", {**OF_SERVER, "image_type": "backup"}, False),
    ],
)
def test_a_shelved_server_is_told_by_the_name_that_nova_gives_its_snapshot(
    name: str | None, properties: dict[str, str], expected: bool
) -> None:
    assert images.is_shelved(builders.source(name=name, properties=properties)) is expected


@pytest.mark.parametrize(
    ("size", "properties", "expected"),
    [
        (0, {"block_device_mapping": "[]"}, True),
        (0, {"block_device_mapping": "", "image_type": "snapshot"}, True),
        (0, {"image_type": "snapshot", "bdm_v2": "True"}, False),
        (0, {}, False),
        (1, {"block_device_mapping": "[]"}, False),
        (None, {"block_device_mapping": "[]"}, False),
    ],
)
def test_a_record_of_volumes_has_no_bytes_and_says_where_they_are(
    size: int | None, properties: dict[str, str], expected: bool
) -> None:
    image = builders.source(size=size, properties=properties)
    assert images.is_volume_backed(image) is expected


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
    assert images.parse(record, builders.REGION).updated_at == expected
