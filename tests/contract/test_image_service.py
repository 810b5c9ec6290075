# SPDX-License-Identifier: Apache-2.0
"""``engine.ports.ImageService``: one suite over the fake and the real Glance."""

from concurrent import futures
import dataclasses
import datetime
import itertools
from typing import Any

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import images
from glance_sync_agent.domain import mark_properties
from tests.contract.conftest import ImageRegion
from tests.contract.conftest import new_id
from tests.unit import builders

ACCEPTED = images.MemberStatus.ACCEPTED
PENDING = images.MemberStatus.PENDING
REJECTED = images.MemberStatus.REJECTED
DATA = b"some bytes"


def changes(copy: images.Image, **fields: Any) -> actions.UpdateMetadata:
    """Build the changes to a copy; what is not named stays."""
    nothing: dict[str, Any] = {"attributes": {}, "tags": None, "properties": {}, "members": {}}
    return actions.UpdateMetadata(copy=copy, **(nothing | fields))


def key_of(source: images.Image) -> images.SourceKey:
    """Return what the copies of ``source`` name."""
    return images.SourceKey(image_id=source.image_id, region=source.region)


# get, get_record


def test_an_image_that_is_not_there_is_none(region: ImageRegion) -> None:
    unknown = new_id()
    assert region.service.get(unknown) is None
    assert region.service.get_record(unknown) is None


def test_an_image_that_was_deleted_is_none(region: ImageRegion) -> None:
    image = region.publish()
    region.users.delete_as_user(image.image_id)
    assert region.service.get(image.image_id) is None
    assert region.service.get_record(image.image_id) is None


def test_an_image_is_read_with_what_its_data_is(region: ImageRegion) -> None:
    published = region.publish(data=DATA)
    image = region.service.get(published.image_id)
    assert image is not None
    assert image.region == region.service.region
    assert image.status is images.ImageStatus.ACTIVE
    assert image.size == len(DATA)
    assert image.multihash == builders.multihash(DATA)
    assert image.mark is None


def test_a_queued_image_has_neither_size_nor_hash(region: ImageRegion) -> None:
    image = region.users.make(owner=region.owner)
    assert image.status is images.ImageStatus.QUEUED
    assert (image.size, image.multihash) == (None, None)


def test_members_are_read_by_get_and_not_by_get_record(region: ImageRegion) -> None:
    image = region.publish(visibility="shared")
    region.users.share(image.image_id, "alpha", "accepted")
    region.users.share(image.image_id, "beta")
    read = region.service.get(image.image_id)
    assert read is not None
    assert read.members == {"alpha": ACCEPTED, "beta": PENDING}
    assert region.service.members(image) == read.members
    assert region.service.get_record(image.image_id) == dataclasses.replace(read, members={})


def test_only_a_shared_image_has_members(region: ImageRegion) -> None:
    image = region.publish(visibility="shared")
    region.users.share(image.image_id, "alpha", "accepted")
    region.users.change(image.image_id, visibility="private")
    read = region.service.get(image.image_id)
    assert read is not None
    assert read.members == {}
    assert region.service.members(read) == {}


def test_members_of_an_image_that_is_not_shared_any_more_are_none(region: ImageRegion) -> None:
    image = region.publish(visibility="shared")
    region.users.change(image.image_id, visibility="private")
    assert region.service.members(image) == {}


def test_members_of_an_image_that_is_gone_are_none(region: ImageRegion) -> None:
    image = region.publish(visibility="shared")
    region.users.delete_as_user(image.image_id)
    assert region.service.members(image) == {}


@pytest.mark.parametrize("member", ["..", "a/b", "a b", "é", "?"])
def test_a_member_that_can_be_no_project_is_left_out(region: ImageRegion, member: str) -> None:
    image = region.publish(visibility="shared")
    region.users.share(image.image_id, member)
    region.users.share(image.image_id, "alpha")
    assert region.service.members(image) == {"alpha": PENDING}


# find


def test_find_reads_those_that_exist(region: ImageRegion) -> None:
    visible = region.publish(visibility="shared")
    hidden = region.publish(os_hidden=True, visibility="community")
    region.publish()
    region.users.share(visible.image_id, "alpha")
    found = region.service.find([visible.image_id, new_id(), hidden.image_id])
    assert found == {visible.image_id: visible, hidden.image_id: hidden}


def test_nothing_is_found_of_nothing(region: ImageRegion) -> None:
    region.publish()
    assert region.service.find([]) == {}


def test_find_takes_a_hundred_ids_and_no_more(region: ImageRegion) -> None:
    image = region.publish()
    ids = [image.image_id, *(new_id() for _ in range(99))]
    assert set(region.service.find(ids)) == {image.image_id}
    with pytest.raises(ValueError, match="101"):
        region.service.find([*ids, new_id()])


# copies_of


def test_copies_are_found_by_their_mark_wherever_they_are(region: ImageRegion) -> None:
    source = region.source(visibility="private")
    same_id = region.service.create(source.image_id, source)
    of_own_id = region.source(image_id=source.image_id, os_hidden=True)
    hidden = region.service.create(new_id(), of_own_id)
    region.publish()
    region.service.create(new_id(), region.source())
    # Nova gives a snapshot the properties of the image that its server was booted from.
    snapshot = region.users.make(
        owner=region.owner,
        properties=mark_properties.of_copy(source, same_id.image_id, region.service.region),
    )
    found = region.service.copies_of(key_of(source))
    assert {one.image_id for one in found} == {same_id.image_id, hidden.image_id}
    assert region.service.get_record(snapshot.image_id) is not None


def test_a_copy_of_another_region_s_image_is_no_copy_of_this_one(region: ImageRegion) -> None:
    source = region.source()
    made = region.service.create(new_id(), source)
    elsewhere = dataclasses.replace(key_of(source), region="RegionNine")
    assert region.service.copies_of(elsewhere) == []
    assert [one.image_id for one in region.service.copies_of(key_of(source))] == [made.image_id]


# what is too much


def test_more_properties_than_glance_allows_are_refused_with_the_option_that_allows_more(
    region: ImageRegion,
) -> None:
    many = {f"property_{number}": "x" for number in range(128)}  # image_property_quota
    # A quota of a new record may be raised while the agent tries again.
    with pytest.raises(errors.UploadRefused, match="raise image_property_quota"):
        region.service.create(new_id(), region.source(properties=many))

    made = region.service.create(new_id(), region.source())
    with pytest.raises(errors.Refused, match="raise image_property_quota"):
        region.service.update(changes(made, properties=many))
    left = region.service.get(made.image_id)
    assert left is not None
    assert left.metadata.properties == made.metadata.properties


# referring_to


def test_images_are_found_by_their_kernel_and_their_ramdisk(region: ImageRegion) -> None:
    kernel, other = new_id(), new_id()
    booted = region.publish(properties={"kernel_id": kernel, "ramdisk_id": other})
    hidden = region.publish(properties={"kernel_id": other, "ramdisk_id": kernel}, os_hidden=True)
    both = region.publish(properties={"kernel_id": kernel, "ramdisk_id": kernel})
    region.publish(properties={"base_image_ref": kernel})
    region.publish(properties={"kernel_id": other})
    found = [one.image_id for one in region.service.referring_to(kernel)]
    assert sorted(found) == sorted([booted.image_id, hidden.image_id, both.image_id])
    assert region.service.referring_to(new_id()) == []


# pages


@pytest.mark.parametrize("page_size", [1, 2, 1000])
def test_a_walk_shows_every_image_once(region: ImageRegion, page_size: int) -> None:
    made = [
        region.publish(visibility=visibility, os_hidden=hidden)
        for visibility in ("private", "shared", "community", "public")
        for hidden in (False, True)
    ]
    region.users.share(made[2].image_id, "alpha")
    made.append(region.users.make(owner=region.owner))
    pages = list(region.service.pages(page_size))
    assert all(1 <= len(page) <= page_size for page in pages)
    walked = [image for page in pages for image in page if image.metadata.owner == region.owner]
    assert len(walked) == len(made)
    assert {image.image_id: image for image in walked} == {one.image_id: one for one in made}


def test_a_walk_survives_the_deletion_of_the_image_that_it_stands_on(
    region: ImageRegion,
) -> None:
    made = [region.publish(os_hidden=True) for _ in range(5)]
    last = max(image.image_id for image in made)
    seen: set[images.ImageId] = set()
    deleted: set[images.ImageId] = set()
    for page in region.service.pages(2):
        ours = [one.image_id for one in page if one.metadata.owner == region.owner]
        seen.update(ours)
        if ours and not deleted and ours[-1] != last and len(page) == len(ours) == 2:
            region.users.delete_as_user(ours[-1])
            deleted.add(ours[-1])
    assert deleted
    assert seen == {image.image_id for image in made}


def test_a_walk_over_marked_images_shows_copies_and_what_inherited_their_mark(
    region: ImageRegion,
) -> None:
    source = region.source()
    copy = region.service.create(new_id(), source)
    heir = region.users.make(
        owner=region.owner,
        os_hidden=True,
        properties=mark_properties.of_copy(source, copy.image_id, region.service.region),
    )
    region.publish()
    elsewhere = dataclasses.replace(region.source(), region=images.RegionId("RegionNine"))
    region.service.create(new_id(), elsewhere)
    found = {
        image.image_id
        for page in region.service.pages(100, marked_from=source.region)
        for image in page
        if image.metadata.owner == region.owner
    }
    assert found == {copy.image_id, heir.image_id}


def test_a_walk_over_the_copies_of_a_region_shows_them_whatever_their_source(
    region: ImageRegion,
) -> None:
    elsewhere = dataclasses.replace(region.source(), region=images.RegionId("RegionNine"))
    copy = region.service.create(new_id(), elsewhere)
    region.users.make(
        owner=region.owner,
        properties=mark_properties.of_copy(
            elsewhere, copy.image_id, images.RegionId("RegionEight")
        ),
    )
    found = [
        image.image_id
        for page in region.service.pages(100, marked_in=region.service.region)
        for image in page
        if image.metadata.owner == region.owner
    ]
    assert found == [copy.image_id]


# create


def test_a_record_is_made_queued_with_id_mark_and_metadata(region: ImageRegion) -> None:
    source = region.source(
        tags=frozenset({"golden", "zwölf"}),
        properties={"hw_disk_bus": "virtio", "empty": "", "a/b~c": "yes", "text": "ß\n"},
        protected=True,
        os_hidden=True,
        visibility="public",
    )
    made = region.service.create(source.image_id, source)
    assert made.image_id == source.image_id
    assert made.status is images.ImageStatus.QUEUED
    assert made.metadata == dataclasses.replace(source.metadata, visibility="private")
    assert made.mark == images.Mark(
        source=key_of(source), copy_id=source.image_id, copy_region=region.service.region
    )
    assert made.synced_properties == frozenset(source.metadata.properties)
    assert region.service.get_record(made.image_id) == made


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"name": None}, id="no name"),
        pytest.param({"name": ""}, id="empty name"),
        pytest.param({"min_disk": 0, "min_ram": 0}, id="zeros"),
        pytest.param({"disk_format": None, "container_format": None}, id="no formats"),
        pytest.param({"tags": frozenset(), "properties": {}}, id="nothing custom"),
    ],
)
def test_a_value_that_looks_like_none_is_a_value(
    region: ImageRegion, fields: dict[str, Any]
) -> None:
    source = region.source(**fields)
    assert region.service.create(new_id(), source).metadata == source.metadata


def test_a_record_tells_when_it_was_made(region: ImageRegion) -> None:
    source = region.source()
    made = region.service.create(new_id(), source)
    assert made.created_at is not None
    assert made.created_at.tzinfo is not None
    again = region.service.get_record(made.image_id)
    assert again is not None
    assert again.created_at == made.created_at


@pytest.mark.parametrize("name", sorted(mark_properties.KEY_POLICIES))
def test_what_deletes_the_key_of_a_source_does_not_reach_its_copy(
    region: ImageRegion, name: str
) -> None:
    made = region.service.create(new_id(), region.source(properties={name: "on_image_deletion"}))
    assert name not in made.metadata.properties


def test_an_id_in_use_is_taken_and_its_image_stays(region: ImageRegion) -> None:
    theirs = region.publish(name="theirs")
    with pytest.raises(errors.ImageIdTaken, match=theirs.image_id):
        region.service.create(theirs.image_id, region.source(image_id=theirs.image_id))
    assert region.service.get(theirs.image_id) == theirs


def test_an_id_that_was_used_once_is_taken_for_ever(region: ImageRegion) -> None:
    source = region.source()
    made = region.service.create(source.image_id, source)
    region.service.delete(made)
    for _ in range(2):
        with pytest.raises(errors.ImageIdTaken, match=source.image_id):
            region.service.create(source.image_id, source)
    assert region.service.get(source.image_id) is None


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"properties": {"p": 1}}, "not of type 'string'", id="number"),
        pytest.param({"properties": {"os_glance_x": "1"}}, "reserved", id="reserved"),
    ],
)
def test_a_refusal_says_why(region: ImageRegion, fields: dict[str, Any], words: str) -> None:
    source = region.source(**fields)
    with pytest.raises(errors.Refused, match=words):
        region.service.create(source.image_id, source)
    assert region.service.get(source.image_id) is None


# update


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", "other"),
        ("name", None),
        ("name", ""),
        ("min_disk", 0),
        ("min_ram", 4096),
        ("visibility", "public"),
        ("protected", True),
        ("os_hidden", True),
        ("disk_format", "vmdk"),
        ("container_format", "ovf"),
    ],
)
def test_an_attribute_is_changed_and_nothing_else(
    region: ImageRegion, name: str, value: Any
) -> None:
    made = region.service.create(new_id(), region.source(visibility="private"))
    region.service.update(changes(made, attributes={name: value}))
    expected = dataclasses.replace(made.metadata, **{name: value})
    assert region.service.get(made.image_id) == dataclasses.replace(made, metadata=expected)


def test_the_owner_is_changed(region: ImageRegion) -> None:
    made = region.service.create(new_id(), region.source(owner="someone-else"))
    region.service.update(changes(made, attributes={"owner": region.owner}))
    after = region.service.get_record(made.image_id)
    assert after is not None
    assert after.metadata.owner == region.owner


@pytest.mark.parametrize("tags", [frozenset(), frozenset({"golden", "new"}), frozenset({"a"})])
def test_tags_are_replaced_as_a_whole(region: ImageRegion, tags: frozenset[str]) -> None:
    made = region.service.create(new_id(), region.source(tags=frozenset({"golden", "old"})))
    region.service.update(changes(made, tags=tags))
    after = region.service.get_record(made.image_id)
    assert after is not None
    assert after.metadata == dataclasses.replace(made.metadata, tags=tags)


def test_properties_are_set_and_removed_and_others_stay(region: ImageRegion) -> None:
    source = region.source(properties={"keep": "1", "change": "1", "drop": "1", "x/y~z": "1"})
    made = region.service.create(new_id(), source)
    region.users.change(made.image_id, theirs="1")
    wanted = {"change": "2", "drop": None, "x/y~z": None, "~1/": "new", "empty": ""}
    region.service.update(changes(made, properties=wanted))
    after = region.service.get_record(made.image_id)
    assert after is not None
    assert after.metadata.properties == {
        "keep": "1",
        "change": "2",
        "~1/": "new",
        "empty": "",
        "theirs": "1",
    }
    assert after.mark == made.mark


def test_an_update_may_come_twice(region: ImageRegion) -> None:
    made = region.service.create(new_id(), region.source(properties={"a": "1", "b": "1"}))
    shared = dataclasses.replace(
        made, metadata=dataclasses.replace(made.metadata, visibility="shared")
    )
    wanted = changes(
        shared,
        attributes={"name": "other"},
        tags=frozenset({"t"}),
        properties={"a": None, "b": "2"},
        members={"alpha": ACCEPTED, "beta": None},
    )
    region.service.update(wanted)
    once = region.service.get(made.image_id)
    region.service.update(wanted)
    assert once is not None
    assert region.service.get(made.image_id) == once
    assert once.metadata.properties == {"b": "2"}
    assert once.metadata.name == "other"
    assert once.members == {"alpha": ACCEPTED}


def test_removing_only_what_is_gone_is_no_error(region: ImageRegion) -> None:
    made = region.service.create(new_id(), region.source())
    region.service.update(changes(made, properties={"never": None}))
    assert region.service.get_record(made.image_id) == made


def test_no_change_changes_nothing(region: ImageRegion) -> None:
    made = region.service.create(new_id(), region.source())
    region.service.update(changes(made))
    assert region.service.get_record(made.image_id) == made


def test_members_get_every_status_there_is(region: ImageRegion) -> None:
    made = region.service.create(new_id(), region.source(visibility="shared"))
    wanted = {"alpha": ACCEPTED, "beta": PENDING, "gamma": REJECTED}
    for first, second in itertools.pairwise([*wanted.values(), ACCEPTED]):
        region.service.update(changes(made, members={**wanted, "delta": first}))
        region.service.update(changes(made, members={"delta": second}))
        assert region.service.members(made) == {**wanted, "delta": second}


def test_a_member_is_removed(region: ImageRegion) -> None:
    made = region.service.create(new_id(), region.source(visibility="shared"))
    region.service.update(changes(made, members={"alpha": ACCEPTED, "beta": ACCEPTED}))
    region.service.update(changes(made, members={"alpha": None}))
    assert region.service.members(made) == {"beta": ACCEPTED}


def test_a_copy_that_becomes_shared_gets_its_members(region: ImageRegion) -> None:
    made = region.service.create(new_id(), region.source(visibility="private"))
    wanted = changes(made, attributes={"visibility": "shared"}, members={"alpha": ACCEPTED})
    region.service.update(wanted)
    after = region.service.get(made.image_id)
    assert after is not None
    assert (after.metadata.visibility, after.members) == ("shared", {"alpha": ACCEPTED})


def test_a_copy_that_was_shared_loses_its_members_first(region: ImageRegion) -> None:
    made = region.service.create(new_id(), region.source(visibility="shared"))
    region.service.update(changes(made, members={"alpha": ACCEPTED}))
    wanted = changes(made, attributes={"visibility": "private"}, members={"alpha": None})
    region.service.update(wanted)
    region.users.change(made.image_id, visibility="shared")
    assert region.service.members(made) == {}


def test_an_image_that_vanished_is_looked_at_again(region: ImageRegion) -> None:
    made = region.service.create(new_id(), region.source(visibility="shared"))
    region.service.delete(made)
    for fields in ({"attributes": {"name": "x"}}, {"members": {"alpha": ACCEPTED}}):
        with pytest.raises(errors.TransientError, match=made.image_id):
            region.service.update(changes(made, **fields))
    with pytest.raises(errors.TransientError, match=made.image_id):
        region.service.set_active(made.image_id, active=True)


def test_the_format_of_data_that_is_there_cannot_be_changed(region: ImageRegion) -> None:
    image = region.publish()
    with pytest.raises(errors.Refused):
        region.service.update(changes(image, attributes={"disk_format": "vmdk"}))


VISIBILITIES = ["public", "community", "shared", "private"]


@pytest.mark.parametrize("visibility", VISIBILITIES)
def test_a_record_is_seen_by_its_owner_alone_whoever_sees_its_source(
    region: ImageRegion, visibility: str
) -> None:
    source = region.source(visibility=visibility, members={"alpha": ACCEPTED})
    made = region.service.create(new_id(), source)
    assert made.metadata.visibility == ("shared" if visibility == "shared" else "private")
    assert region.service.members(made) == {}


@pytest.mark.parametrize("visibility", VISIBILITIES)
def test_an_update_returns_the_changed_image_if_the_answers_show_it(
    region: ImageRegion, visibility: str
) -> None:
    made = region.service.create(new_id(), region.source(visibility="public"))
    fields = {"attributes": {"visibility": visibility, "name": "new"}, "tags": frozenset({"t"})}
    updated = region.service.update(changes(made, **fields))
    after = region.service.get(made.image_id)
    assert updated == (None if visibility == "shared" else after)
    assert after is not None
    assert (after.metadata.visibility, after.metadata.name) == (visibility, "new")


# set_active


def test_an_image_is_deactivated_and_reactivated_however_often(region: ImageRegion) -> None:
    image = region.publish(data=DATA)
    expected = {True: images.ImageStatus.ACTIVE, False: images.ImageStatus.DEACTIVATED}
    for active in (True, False, False, True, True):
        region.service.set_active(image.image_id, active=active)
        after = region.service.get(image.image_id)
        assert after == dataclasses.replace(image, status=expected[active])


@pytest.mark.parametrize("active", [True, False])
def test_an_image_without_data_cannot_be_activated(region: ImageRegion, active: bool) -> None:
    made = region.service.create(new_id(), region.source())
    with pytest.raises(errors.Refused):
        region.service.set_active(made.image_id, active=active)


# delete


@pytest.mark.parametrize("protected", [False, True])
def test_an_image_is_deleted_protected_or_not(region: ImageRegion, protected: bool) -> None:
    image = region.publish(protected=protected)
    region.service.delete(image)
    assert region.service.get(image.image_id) is None
    region.service.delete(image)  # again: no error


def test_an_image_that_was_protected_since_it_was_read_is_deleted(region: ImageRegion) -> None:
    image = region.publish()
    region.users.change(image.image_id, protected=True)
    region.service.delete(image)
    assert region.service.get(image.image_id) is None


# all of it


def test_many_threads_may_share_one_service(region: ImageRegion) -> None:
    sources = [region.source() for _ in range(24)]

    def live(source: images.Image) -> images.Image | None:
        made = region.service.create(source.image_id, source)
        region.service.update(changes(made, attributes={"name": source.image_id}))
        return region.service.get(made.image_id)

    with futures.ThreadPoolExecutor(8) as pool:
        after = list(pool.map(live, sources))
    assert [one and one.metadata.name for one in after] == [one.image_id for one in sources]


def test_a_walk_may_be_over_snapshots_only(region: ImageRegion) -> None:
    snapshots = [
        region.publish(properties={"image_type": kind}, os_hidden=hidden)
        for kind in ("snapshot", "backup")
        for hidden in (False, True)
    ]
    region.publish(properties={"image_type": "image"})
    region.publish()
    walked = [
        image.image_id
        for page in region.service.pages(10, snapshots_only=True)
        for image in page
        if image.metadata.owner == region.owner
    ]
    assert sorted(walked) == sorted(one.image_id for one in snapshots)


def test_a_walk_may_be_over_what_changed_lately(region: ImageRegion) -> None:
    image = region.publish()
    hidden = region.publish(os_hidden=True)
    assert image.updated_at is not None
    assert hidden.updated_at is not None
    just_then = min(image.updated_at, hidden.updated_at)
    afterwards = max(image.updated_at, hidden.updated_at) + datetime.timedelta(seconds=1)

    def walked(since: datetime.datetime) -> set[images.ImageId]:
        pages = region.service.pages(10, changed_since=since)
        return {one.image_id for page in pages for one in page}

    assert {image.image_id, hidden.image_id} <= walked(just_then)
    in_another_zone = just_then.astimezone(datetime.timezone(datetime.timedelta(hours=5)))
    assert {image.image_id, hidden.image_id} <= walked(in_another_zone)
    assert {image.image_id, hidden.image_id}.isdisjoint(walked(afterwards))


def test_an_administrator_is_shown_everything(region: ImageRegion) -> None:
    region.service.require_all_rights()
