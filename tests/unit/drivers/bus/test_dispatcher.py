# SPDX-License-Identifier: Apache-2.0
"""How a delivered message is handled, without a broker."""

import json
import logging
import threading
from typing import Any

import hypothesis
from hypothesis import strategies as st
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import events
from glance_sync_agent.drivers.bus import decoding
from glance_sync_agent.drivers.bus import dispatcher as dispatchers
from glance_sync_agent.drivers.meters import PrometheusMeters
from glance_sync_agent.engine import ports
from tests import paths
from tests.unit import builders

SAMPLES = sorted(paths.SAMPLES.glob("*.*.json"))
LINE_BYTES = 1000
HANDLED, REQUEUE = dispatchers._HANDLED, dispatchers._REQUEUE

#: Any JSON, mixed with words of real notifications so that some messages pass the first checks.
WORDS = st.sampled_from(
    [
        "image.update", "image.activate", "image.delete", "image.member.create", "image.upload",
        "event_type", "payload", "priority", "publisher_id", "message_id", "metadata",
        "id", "image_id", "status", "active", "queued", "INFO", "ERROR", "../../etc/passwd",
        builders.IMAGE_ID, builders.IMAGE_ID.upper(), builders.IMAGE_ID.replace("-", ""),
        f"{{{builders.IMAGE_ID}}}", f"urn:uuid:{builders.IMAGE_ID}", f"{builders.IMAGE_ID}\n",
    ]
)
TEXTS = WORDS | st.text(max_size=20)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
JUNK = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)
PAYLOADS = JUNK | st.fixed_dictionaries(
    {}, optional={"id": JUNK, "image_id": JUNK, "status": JUNK}
)
MESSAGES = JUNK | st.fixed_dictionaries(
    {},
    optional={
        "event_type": WORDS | JUNK,
        "payload": PAYLOADS,
        "priority": JUNK,
        "publisher_id": JUNK,
        "timestamp": JUNK,
        "metadata": JUNK,
    },
)


class Incoming:
    """The message as oslo.messaging passes it; the dispatcher does not acknowledge."""

    def __init__(self, message):
        self.ctxt = {}
        self.message = message


class Handled(list[events.ImageEvent]):
    """Collects events, unless the store is down."""

    failure: Exception | None = None

    def __call__(self, event):
        if self.failure is not None:
            raise self.failure
        self.append(event)


@pytest.fixture
def handled():
    return Handled()


@pytest.fixture
def stopping():
    event = threading.Event()
    event.set()  # no pause before a message goes back
    return event


@pytest.fixture
def dispatcher(handled, stopping):
    return dispatchers.Dispatcher(handled, stopping, ports.NoMeters())


def notification(event_type="image.update", **payload):
    return {
        "event_type": event_type,
        "payload": {"id": builders.IMAGE_ID, "status": "active"} | payload,
        "priority": "INFO",
        "publisher_id": "image.RegionOne",
    }


def test_an_event_is_stored_and_then_acknowledged(dispatcher, handled):
    assert dispatcher.dispatch(Incoming(notification())) == HANDLED
    assert [event.image_id for event in handled] == [builders.IMAGE_ID]
    assert dispatcher.counts == {"handled": 1}


def test_messages_are_counted_by_what_came_of_them(handled, stopping):
    meters = PrometheusMeters()
    dispatcher = dispatchers.Dispatcher(handled, stopping, meters)
    for message in (notification(), notification("task.create"), notification("x.y"), None):
        dispatcher.dispatch(Incoming(message))
    counted = {
        outcome: meters.registry.get_sample_value(
            "glance_sync_messages_total", {"outcome": outcome}
        )
        for outcome in ("handled", "ignored", "unknown", "dropped")
    }
    assert counted == dict.fromkeys(counted, 1.0)


def test_an_event_that_changes_no_image_is_acknowledged_without_a_log_line(
    dispatcher, handled, caplog
):
    assert dispatcher.dispatch(Incoming(notification("task.create"))) == HANDLED
    assert dispatcher.dispatch(Incoming(notification(status="saving"))) == HANDLED
    assert dispatcher.counts == {"ignored": 2}
    assert not handled
    assert not caplog.records


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_notification_of_a_real_glance_is_understood(dispatcher, sample, caplog):
    assert dispatcher.dispatch(Incoming(json.loads(sample.read_text()))) == HANDLED
    assert not dispatcher.counts["dropped"]
    assert not caplog.records


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(None, id="null"),
        pytest.param("image.update", id="text"),
        pytest.param([notification()], id="list"),
        pytest.param({}, id="empty"),
        pytest.param(notification(["image.update"]), id="list-as-event-type"),
        pytest.param(notification() | {"payload": "image"}, id="text-as-payload"),
        pytest.param(notification() | {"payload": None}, id="no-payload"),
        pytest.param(notification(id="../../etc/passwd"), id="path-as-id"),
        pytest.param(notification(id=builders.IMAGE_ID + "\n"), id="id-with-line-break"),
        pytest.param(notification(id=f"{{{builders.IMAGE_ID}}}"), id="id-in-braces"),
        pytest.param(notification(id={"id": builders.IMAGE_ID}), id="dict-as-id"),
        pytest.param(notification(id="x" * 1024 * 1024), id="id-of-a-mebibyte"),
        pytest.param(notification("image.member.create"), id="member-without-image"),
        pytest.param(
            {"event_type": "\n" * 5000, "publisher_id": "\x1b[2J" * 5000, "payload": {}}
            | {"event_type": ["\n" * 5000]},
            id="control-characters",
        ),
    ],
)
def test_a_message_that_is_not_an_image_event_is_dropped_with_one_short_line(
    dispatcher, handled, caplog, message
):
    assert dispatcher.dispatch(Incoming(message)) == HANDLED
    assert dispatcher.counts == {"dropped": 1}
    assert not handled
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "\n" not in record.getMessage()
    assert "\x1b" not in record.getMessage()
    assert len(record.getMessage().encode("utf-8", "backslashreplace")) < LINE_BYTES


@pytest.mark.parametrize("key", ["event_type", "publisher_id", "payload"])
def test_a_deeply_nested_message_does_no_harm(dispatcher, key):
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    message = notification() | {key: deep}
    try:
        dispatcher.dispatch(Incoming(message))
    finally:
        while deep:  # taken apart here, because the interpreter would recurse
            deep = deep.pop()


@pytest.mark.parametrize("key", ["priority", "timestamp", "metadata", "message_id"])
@pytest.mark.parametrize("value", [None, 7, [], {"a": 1}, "\ud800"])
def test_the_rest_of_the_envelope_does_not_matter(dispatcher, handled, key, value):
    assert dispatcher.dispatch(Incoming(notification() | {key: value})) == HANDLED
    assert len(handled) == 1


@hypothesis.given(message=MESSAGES)
@hypothesis.example(message=notification() | {"payload": {"id": builders.IMAGE_ID, "status": []}})
def test_no_message_raises_or_is_requeued_while_the_store_answers(message):
    handled = Handled()
    dispatcher = dispatchers.Dispatcher(handled, threading.Event(), ports.NoMeters())
    assert dispatcher.dispatch(Incoming(message)) == HANDLED
    assert dispatcher.counts.total() == 1
    assert len(handled) == dispatcher.counts["handled"]


@hypothesis.given(body=st.binary() | st.text())
@hypothesis.example(body="[" * 100_000)
@hypothesis.example(body="9" * 5000)
@hypothesis.example(body=b"\xff\xfe")
def test_bytes_that_are_not_a_message_are_dropped(body):
    dispatcher = dispatchers.Dispatcher(Handled(), threading.Event(), ports.NoMeters())
    assert dispatcher.dispatch(Incoming(decoding.decode(body))) == HANDLED
    assert dispatcher.counts == {"dropped": 1}


@hypothesis.given(message=JUNK)
def test_a_message_is_read_as_sent_even_with_keys_of_oslo_messaging(message):
    sent = {"oslo.version": "2.0", "oslo.message": json.dumps(message)}
    for body in (json.dumps(sent), json.dumps(message)):
        decoded = decoding.decode(body)
        # repr, because not a number is not equal to itself
        assert repr(decoding.content(decoded)) == repr(message)
        assert set(decoded) == {"content"}


def test_a_message_that_was_not_json_is_read_as_it_is(dispatcher, handled):
    assert decoding.content(notification()) == notification()
    assert dispatcher.dispatch(Incoming(notification())) == HANDLED
    assert len(handled) == 1


@pytest.mark.parametrize(
    "inner", [pytest.param(None, id="null"), pytest.param({"a": 1}, id="dict"), "{", ""]
)
def test_an_envelope_around_something_else_is_dropped(dispatcher, caplog, inner):
    body = json.dumps({"oslo.version": "2.0", "oslo.message": inner})
    assert dispatcher.dispatch(Incoming(decoding.decode(body))) == HANDLED
    assert "cannot be read" in caplog.text


def test_events_that_glance_does_not_send_are_counted_and_logged_once_for_each_type(
    dispatcher, handled, caplog
):
    caplog.set_level(logging.INFO, dispatchers.LOG.name)
    long = "x\n" * 100_000
    for event_type in ("compute.instance.exists", "\x1b[2J\n", long) * 3:
        assert dispatcher.dispatch(Incoming(notification(event_type))) == HANDLED
    assert dispatcher.counts == {"unknown": 9}
    assert not handled
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert "compute.instance.exists" in lines[0]
    assert not [line for line in lines if "\n" in line or "\x1b" in line]
    assert max(map(len, lines)) < LINE_BYTES


def test_a_sender_that_invents_types_fills_neither_the_log_nor_the_memory(dispatcher, caplog):
    caplog.set_level(logging.INFO, dispatchers.LOG.name)
    for number in range(3 * dispatchers._UNKNOWN_TYPES):
        dispatcher.dispatch(Incoming(notification(f"type {number}")))
    assert len(caplog.records) == len(dispatcher._unknown) == dispatchers._UNKNOWN_TYPES
    assert dispatcher.counts == {"unknown": 3 * dispatchers._UNKNOWN_TYPES}


@pytest.mark.parametrize(
    "failure",
    [
        pytest.param(errors.ServiceUnavailable("database is locked"), id="store-down"),
        # Keystone refuses our log-in: not raised as transient, and no reason for a hot loop.
        pytest.param(errors.Refused("cannot read the catalogue: 401"), id="keystone-refuses"),
        pytest.param(ZeroDivisionError("a bug"), id="bug"),
    ],
)
def test_an_event_that_cannot_be_stored_is_requeued(
    dispatcher, handled, caplog, failure
):
    handled.failure = failure
    assert dispatcher.dispatch(Incoming(notification())) == REQUEUE
    assert dispatcher.counts == {"requeued": 1}
    (record,) = caplog.records
    assert builders.IMAGE_ID in record.getMessage()
    assert str(failure) in record.getMessage() or record.exc_info
    handled.failure = None
    assert dispatcher.dispatch(Incoming(notification())) == HANDLED
    assert len(handled) == 1


def test_a_message_is_requeued_after_a_pause_which_a_stop_ends(handled):
    stopping = threading.Event()
    dispatcher = dispatchers.Dispatcher(handled, stopping, ports.NoMeters())
    handled.failure = errors.ServiceUnavailable("database is locked")
    results: list[str] = []
    thread = threading.Thread(
        target=lambda: results.append(dispatcher.dispatch(Incoming(notification())))
    )
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    stopping.set()
    thread.join(10)
    assert results == [REQUEUE]


def test_many_threads_lose_no_count(dispatcher):
    def send():
        for _ in range(500):
            dispatcher.dispatch(Incoming(notification()))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert dispatcher.counts == {"handled": 2000}
