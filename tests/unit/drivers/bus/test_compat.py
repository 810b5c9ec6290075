# SPDX-License-Identifier: Apache-2.0
"""The undocumented parts of oslo.messaging and kombu are still what the agent uses them for."""

import json
import logging
import os
import threading
import types
from typing import Any

from amqp import exceptions as amqp_errors
from kombu import serialization
from oslo_config import cfg
import oslo_messaging
from oslo_messaging._drivers import impl_rabbit
import pytest

from glance_sync_agent.drivers.bus import compat
from glance_sync_agent.drivers.bus import decoding
from glance_sync_agent.drivers.bus import dispatcher as dispatchers
from glance_sync_agent.drivers.bus import probe
from glance_sync_agent.engine import ports
from tests.unit import builders

LINE_BYTES = 1000
NOTIFICATION = {"event_type": "image.update", "payload": {"id": builders.IMAGE_ID}}


@pytest.fixture
def handled():
    return threading.Event()


@pytest.fixture
def dispatcher(handled):
    return dispatchers.Dispatcher(
        lambda _event: handled.set(), threading.Event(), ports.NoMeters()
    )


@pytest.fixture
def decoder():
    compat.install_decoder()
    compat.install_decoder()
    yield
    register: Any = serialization.register_json  # has no types
    register()


@pytest.mark.usefixtures("decoder")
def test_kombu_reads_all_json_with_our_decoder():
    for body in (json.dumps(NOTIFICATION).encode(), b"[", b"\xff"):
        loaded = serialization.loads(body, "application/json", "utf-8")
        assert loaded == decoding.decode(body)


def test_a_server_hands_each_message_to_our_dispatcher(dispatcher, handled):
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    transport = oslo_messaging.get_notification_transport(conf, url="fake://")
    targets = [oslo_messaging.Target(topic="notifications", exchange=conf.control_exchange)]
    server = compat.make_server(transport, targets, dispatcher, "pool")
    server.start(override_pool_size=1)
    notifier = oslo_messaging.Notifier(
        transport, "image.RegionOne", driver="messaging", topics=["notifications"]
    )
    notifier.info({}, "image.update", {"id": builders.IMAGE_ID, "status": "active"})
    assert handled.wait(10)
    server.stop()
    server.wait()
    assert dispatcher.counts == {"handled": 1}


def test_the_driver_logs_a_message_that_it_cannot_read_where_the_filter_sees_it(
    filtered, dispatcher, caplog
):
    del filtered
    rejected = []
    consumer: Any = types.SimpleNamespace(
        rabbit_stream_fanout=False,
        queue=types.SimpleNamespace(channel=None),
        callback=lambda _message: json.loads("{"),
    )
    message = types.SimpleNamespace(payload={}, headers={}, reject=lambda: rejected.append(1))
    impl_rabbit.Consumer._callback(consumer, message)
    assert rejected
    assert dispatcher.counts == {"dropped": 1}
    assert "Dropped a message (1 so far): it cannot be read: JSONDecodeError" in caplog.text


def test_the_refusal_of_a_broker_is_found_behind_the_error_of_the_driver():
    def refuse(_channel: Any) -> None:
        raise amqp_errors.PreconditionFailed("inequivalent arg 'durable'")

    def autoretry(function: Any, **_: Any) -> Any:
        return lambda: function(None)

    connection: Any = types.SimpleNamespace(
        _initial_pid=os.getpid(),
        _set_current_channel=lambda _channel: None,
        channel=None,
        connection=types.SimpleNamespace(
            autoretry=autoretry, info=lambda: {"hostname": "broker", "port": 5672}
        ),
        interval_start=1, interval_stepping=1, interval_max=1,
    )
    with pytest.raises(oslo_messaging.MessageDeliveryFailure) as caught:
        impl_rabbit.Connection.ensure(connection, lambda: refuse(None))
    assert probe.is_refusal(caught.value)
    assert not probe.is_refusal(oslo_messaging.MessageDeliveryFailure("no answer"))
    assert not probe.is_refusal(None)


@pytest.fixture
def driver_log(caplog):
    log = logging.getLogger("oslo.messaging._drivers.impl_rabbit")
    caplog.set_level(logging.INFO, log.name)
    return log


@pytest.fixture
def filtered(dispatcher):
    messages = compat.UnreadableMessages(dispatcher.drop)
    messages.start()
    messages.start()
    yield messages
    messages.stop()
    messages.stop()


def fail(driver_log, text="\n\x1b" * 10_000):
    """Log as the driver does of a message that it cannot read."""
    try:
        raise ValueError(text)
    except ValueError:
        driver_log.exception("Failed to process message ... skipping it.")


@pytest.mark.usefixtures("filtered")
def test_a_driver_s_error_is_one_short_line_and_other_records_stay(driver_log, caplog):
    fail(driver_log)
    driver_log.error("AMQP server is unreachable")
    driver_log.info("Reconnected")
    first, *others = caplog.records
    assert "\n" not in logging.Formatter().format(first)
    assert len(first.getMessage()) < LINE_BYTES
    assert [record.getMessage() for record in others] == [
        "AMQP server is unreachable", "Reconnected",
    ]


def test_a_message_that_fails_in_the_driver_is_counted_with_those_that_are_dropped(
    dispatcher, driver_log, caplog, filtered
):
    dispatcher.drop()
    fail(driver_log, "no JSON")
    driver_log.error("AMQP server is unreachable")
    assert dispatcher.counts == {"dropped": 2}
    assert "Dropped a message (2 so far): it cannot be read: ValueError: 'no JSON'" in caplog.text
    filtered.stop()
    fail(driver_log)
    assert dispatcher.counts == {"dropped": 2}


@pytest.mark.usefixtures("filtered")
def test_a_message_that_fails_is_counted_once_however_many_listen(dispatcher, driver_log):
    other = compat.UnreadableMessages(dispatcher.drop)
    other.start()
    fail(driver_log)
    other.stop()
    assert dispatcher.counts == {"dropped": 1}
