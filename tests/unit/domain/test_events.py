# SPDX-License-Identifier: Apache-2.0
"""``domain.events``: how notifications are read, those of a real Glance included."""

from collections import Counter
import dataclasses
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import events
from glance_sync_agent.domain import images
from tests import paths
from tests.unit import builders

SAMPLES = paths.SAMPLES
NAMES = sorted(
    path.stem for path in SAMPLES.glob("*.json") if path.stem.startswith(("image.", "task."))
)
ID = builders.IMAGE_ID
CHANGED = events.ImageEvent(image_id=ID, kind=events.EventKind.CHANGED)
DELETED = events.ImageEvent(image_id=ID, kind=events.EventKind.DELETED)

# A sample that is not named here announces an image that may have to be copied, or a change.
OF_NO_INTEREST = {
    "image.create",
    "image.create-q",
    "image.prepare",
    "image.prepare-copy-image",
    "image.prepare-fail-broken",
    "image.prepare-fail-chunked",
    "image.prepare-fail-size",
    "image.prepare-import",
    "image.prepare-webdl",
    "image.send",
    "image.send-post-location",
    "image.update",  # saving
    "image.update-fail-broken",  # saving
    "image.update-fail-chunked",
    "image.update-fail-size",
    "image.update-import",  # importing
    "image.update-stage",  # uploading
    "image.update-webdl",  # importing
    "image.update-webdl-fail",
    "image.upload",
    "image.upload-fail-broken",  # the payload is a text
    "image.upload-fail-chunked",
    "image.upload-fail-size",
    "image.upload-import",
    "image.upload-webdl",
    "task.create-import",
    "task.success-import",
}

junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=5,
)
TYPES = [
    "image.create",
    "image.activate",
    "image.update",
    "image.delete",
    "image.member.create",
    "image.member.update",
    "image.member.delete",
]


def sample(name: str) -> dict[str, Any]:
    """Read a notification."""
    content: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return content


@pytest.mark.parametrize("name", NAMES)
def test_a_real_notification_is_understood(name: str) -> None:
    notification = sample(name)
    payload = notification["payload"]
    event = events.parse(notification["event_type"], payload)
    if name in OF_NO_INTEREST:
        assert event is None
        return
    gone = notification["event_type"] == "image.delete"
    assert event is not None
    assert event.image_id == payload["image_id" if "member" in name else "id"]
    assert event.kind is (events.EventKind.DELETED if gone else events.EventKind.CHANGED)
    assert event.project == payload.get("owner")


def test_the_samples_are_there() -> None:
    kinds = Counter(sample(name)["event_type"] for name in NAMES)
    assert set(TYPES) < set(kinds)
    assert set(NAMES) > OF_NO_INTEREST


@pytest.mark.parametrize("name", ["image.update-deactivate", "image.update-reactivate"])
def test_deactivation_is_a_change(name: str) -> None:
    payload = sample(name)["payload"]
    changed = dataclasses.replace(CHANGED, project=payload["owner"])
    assert events.parse("image.update", payload) == changed


@pytest.mark.parametrize("event_type", ["image.activate", "image.update"])
@pytest.mark.parametrize("status", ["queued", "saving", "uploading", "importing"])
def test_a_step_of_an_upload_is_ignored(event_type: str, status: str) -> None:
    assert events.parse(event_type, {"id": ID, "status": status}) is None


@pytest.mark.parametrize("event_type", ["image.activate", "image.update"])
@pytest.mark.parametrize(
    "status",
    ["active", "deactivated", "killed", "deleted", "pending_delete", "later", "", None, 5, [], {}],
)
def test_every_other_status_is_a_change(event_type: str, status: object) -> None:
    assert events.parse(event_type, {"id": ID, "status": status}) == CHANGED


@pytest.mark.parametrize("status", ["deleted", "pending_delete", "queued", "saving", None, []])
def test_a_deletion_is_one_whatever_the_status_was(status: object) -> None:
    assert events.parse("image.delete", {"id": ID, "status": status}) == DELETED


def test_a_change_need_not_name_a_status() -> None:
    assert events.parse("image.update", {"id": ID}) == CHANGED


@pytest.mark.parametrize("status", ["pending", "accepted", "rejected", "queued", None])
@pytest.mark.parametrize("event", ["create", "update", "delete"])
def test_a_member_changes_its_image_whatever_the_member_s_status(
    event: str, status: str | None
) -> None:
    payload = {"image_id": ID, "id": "another", "member_id": "alpha", "status": status}
    assert events.parse(f"image.member.{event}", payload) == CHANGED


@pytest.mark.parametrize(
    ("event_type", "payload"),
    [
        *((event_type, {}) for event_type in TYPES),
        *((event_type, {"status": "queued"}) for event_type in TYPES),
        *((event_type, {"id": "x", "image_id": "x"}) for event_type in TYPES),
        ("image.update", {"image_id": ID}),
        ("image.delete", {"image_id": ID}),
        ("image.activate", {"image_id": ID}),
        ("image.member.create", {"id": ID}),
        ("image.member.update", {"id": ID}),
        ("image.member.delete", {"id": ID}),
    ],
)
def test_an_event_without_an_image_is_an_error(event_type: str, payload: object) -> None:
    with pytest.raises(errors.NotificationError, match="is not an image id"):
        events.parse(event_type, payload)


@pytest.mark.parametrize("event_type", TYPES)
@pytest.mark.parametrize("payload", ["text", None, 5, [], [("id", ID)], b"x"])
def test_a_payload_that_is_no_object_is_an_error(event_type: str, payload: object) -> None:
    with pytest.raises(errors.NotificationError) as caught:
        events.parse(event_type, payload)
    assert str(caught.value) == f"payload {payload!r} is not an object"


@pytest.mark.parametrize("event_type", [None, 5, b"image.update", ["image.update"], {}])
def test_an_event_type_that_is_no_text_is_an_error(event_type: object) -> None:
    with pytest.raises(errors.NotificationError) as caught:
        events.parse(event_type, {"id": ID})
    assert str(caught.value) == f"event type {event_type!r} is not a string"


@pytest.mark.parametrize(
    "event_type",
    [
        "image.upload",
        "image.prepare",
        "image.send",
        "task.create",
        "task.success",
        "metadef_namespace.create",
        "metadef_tag.delete",
    ],
)
@pytest.mark.parametrize("payload", [{"id": ID}, {}, "text", None])
def test_other_events_are_ignored_whatever_they_hold(
    event_type: str, payload: object
) -> None:
    assert events.parse(event_type, payload) is None


@pytest.mark.parametrize(
    "event_type",
    [
        "",
        "image",
        "image.",
        "image.updates",
        "image.uploads",
        "ximage.update",
        "IMAGE.UPDATE",
        "image.member",
        "image.member.",
        "task",
        "metadef",
        "compute.instance.create.end",
        "image.update\n",
    ],
)
@pytest.mark.parametrize("payload", [{"id": ID}, "text"])
def test_events_that_glance_does_not_send_are_unknown(event_type: str, payload: object) -> None:
    with pytest.raises(errors.UnknownEvent) as caught:
        events.parse(event_type, payload)
    assert str(caught.value) == f"Glance has no events of type {event_type!r}"


@pytest.mark.parametrize(("length", "shown"), [(78, 80), (79, 80), (1000, 80), (10, 12)])
def test_a_message_shows_eighty_characters_of_a_payload(length: int, shown: int) -> None:
    with pytest.raises(errors.NotificationError) as caught:
        events.parse("image.update", "x" * length)
    assert str(caught.value) == f"payload {repr('x' * length)[:shown]} is not an object"


def test_an_id_is_made_canonical() -> None:
    assert events.parse("image.delete", {"id": ID.upper()}) == DELETED


@given(st.sampled_from(TYPES) | junk, junk)
def test_junk_is_an_event_of_an_image_or_nothing_or_an_error(
    event_type: object, payload: object
) -> None:
    event, message = None, ""
    try:
        event = events.parse(event_type, payload)
    except errors.NotificationError as exc:
        message = str(exc)
    assert len(message) < 120
    assert event is None or images.image_id(event.image_id) == event.image_id


@given(
    st.sampled_from(TYPES),
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.uuids().map(str) | junk,
            "image_id": st.uuids().map(str) | junk,
            "status": st.sampled_from(list(images.ImageStatus)) | junk,
        },
    ),
)
def test_an_event_names_the_image_of_its_payload(event_type: str, payload: dict[str, Any]) -> None:
    try:
        event = events.parse(event_type, payload)
    except errors.NotificationError:
        return
    if event is not None:
        assert event.image_id == payload["image_id" if "member" in event_type else "id"].lower()


def snapshot(status, **properties):
    return {"id": ID, "status": status, "properties": {"image_type": "snapshot", **properties}}


def test_a_backup_is_a_snapshot():
    event = events.parse("image.create", snapshot("queued", image_type="backup"))
    assert event is not None
    assert event.is_snapshot


@pytest.mark.parametrize("event_type", ["image.create", "image.update"])
@pytest.mark.parametrize("status", ["queued", "saving", "uploading", "importing", "active"])
def test_a_snapshot_is_a_change_before_it_has_data(event_type, status):
    event = events.parse(event_type, snapshot(status))
    assert event == events.ImageEvent(
        image_id=ID, kind=events.EventKind.CHANGED, is_snapshot=True
    )


def test_a_change_carries_the_mark_and_a_deletion_does_not():
    payload = snapshot("active", **builders.marks(ID, builders.REGION))
    update, deletion = (events.parse(f"image.{one}", payload) for one in ("update", "delete"))
    assert update is not None
    assert update.mark is not None
    assert (update.mark.copy_id, update.mark.copy_region) == (ID, builders.REGION)
    assert deletion is not None
    assert deletion.mark is None


@pytest.mark.parametrize("properties", [None, "text", ["image_type"], {"image_type": "image"}])
def test_properties_that_are_none_make_no_snapshot(properties):
    payload = {"id": ID, "status": "queued", "properties": properties}
    assert events.parse("image.create", payload) is None
    assert events.parse("image.delete", payload) == DELETED


@pytest.mark.parametrize("owner", [None, 7, ["one"]])
def test_an_owner_that_is_no_text_is_not_known(owner: object) -> None:
    event = events.parse("image.update", {"id": builders.IMAGE_ID, "owner": owner})
    assert event is not None
    assert event.project is None
