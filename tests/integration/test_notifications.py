# SPDX-License-Identifier: Apache-2.0
"""The listener on a real RabbitMQ, in a virtual host where nothing else listens."""

from collections import Counter
from collections.abc import Callable, Iterator
import contextlib
import functools
import gc
import io
import itertools
import json
import logging
import os
import pathlib
import pickle
import threading
import time
from typing import Any
import uuid
import warnings

import amqp
from kombu import connection as kombu_connection
from kombu import exceptions as kombu_errors
from oslo_config import cfg
from oslo_log import formatters
from oslo_log import log
import oslo_messaging
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import events
from glance_sync_agent.drivers.bus import dispatcher
from glance_sync_agent.drivers.bus import listeners
from glance_sync_agent.drivers.bus import probe
from glance_sync_agent.engine import ports
from glance_sync_agent.wiring import log_records
from tests import paths
from tests.integration import junk
from tools import cloud as clouds

REGION = "RegionFour"  # no agent listens there
PREFETCH = 16
SAMPLES = paths.SAMPLES
SEED = "GLANCE_SYNC_TEST_SEED"
FUZZED = 2000
GOOD_EVERY = 100
LINE_BYTES = 1000

pytestmark = pytest.mark.cloud


class Handled:
    """Keeps the image ids of events; fails while told to, waits while told to."""

    def __init__(self) -> None:
        self.ids: Counter[str] = Counter()
        self.failing = threading.Event()
        self.going = threading.Event()
        self.going.set()
        self._lock = threading.Lock()

    def __call__(self, event: events.ImageEvent) -> None:
        self.going.wait()
        if self.failing.is_set():
            raise errors.ServiceUnavailable("the database does not answer")
        with self._lock:
            self.ids[event.image_id] += 1


class Bus:
    """One exchange and topic of one virtual host, as Glance and strangers use them."""

    def __init__(self, cloud: clouds.Cloud, directory: pathlib.Path) -> None:
        described = cloud.describe()
        region = described.region(REGION)
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.broker = described.rabbitmq
        self.vhost = region.vhost
        self.url = region.transport_url
        self._directory = directory
        self.conf = self.configured()

    def configured(self, **rabbit: Any) -> cfg.ConfigOpts:
        """Return a configuration, with these options of RabbitMQ's driver."""
        path = self._directory / "bus.conf"
        lines = [f"{name} = {value}" for name, value in rabbit.items()]
        path.write_text(
            f"[DEFAULT]\ntransport_url = {self.url}\ncontrol_exchange = {self.name}\n"
            + "\n".join(["[oslo_messaging_rabbit]", *lines, ""])
        )
        conf = cfg.ConfigOpts()
        conf(["--config-file", str(path)], project="test")
        return conf

    def listener(self, handle: Callable[[events.ImageEvent], None], **other: Any):
        """Return a listener as the agent makes it."""
        values: dict[str, Any] = {
            "topics": [self.name],
            "exchange": self.name,
            "pool": f"{self.name}-pool",
            "prefetch": PREFETCH,
        }
        subscription = listeners.Subscription(**(values | other))
        return listeners.Listener(self.conf, subscription, handle, ports.NoMeters())

    def ping(self, conf: cfg.ConfigOpts | None = None, url: str | None = None) -> str:
        """Ask as ``check`` does."""
        pool = f"{self.name}-pool"
        return probe.ping(conf or self.conf, 10, url, exchange=self.name, pool=pool)

    def declare(self, *, durable: bool) -> None:
        """Make the exchange, as a Glance does with its first notification."""
        with self.channel() as channel:
            channel.exchange_declare(self.name, "topic", durable=durable, auto_delete=False)

    def notify(self, event_type: str, payload: dict[str, Any]) -> None:
        """Send a notification as Glance does."""
        transport = oslo_messaging.get_notification_transport(self.conf)
        notifier = oslo_messaging.Notifier(
            transport, publisher_id="image.test", driver="messagingv2", topics=[self.name]
        )
        notifier.info({}, event_type, payload)
        transport.cleanup()

    @contextlib.contextmanager
    def channel(self) -> Iterator[Any]:
        """Open a channel of kombu's."""
        broker = self.broker
        make: Any = kombu_connection.Connection  # has no types
        with make(
            hostname=broker.host,
            port=broker.port,
            userid=broker.user,
            password=broker.password,
            virtual_host=self.vhost,
        ) as connection:
            yield connection.channel()

    def publish(self, *messages: junk.Message) -> None:
        """Send bodies as they are."""
        with self.channel() as channel:
            for message in messages:
                channel.basic_publish(
                    channel.prepare_message(
                        message.body,
                        content_type=message.content_type,
                        content_encoding=message.content_encoding,
                        headers=message.headers,
                    ),
                    exchange=self.name,
                    routing_key=f"{self.name}.info",
                )

    def ready(self, pool: str | None = None) -> int:
        """Return how many messages wait that nobody has in hand."""
        with self.channel() as channel:
            return int(channel.queue_declare(pool or f"{self.name}-pool", passive=True)[1])

    def remove(self, *pools: str) -> None:
        """Remove the queues and the exchange."""
        with self.channel() as channel:
            for queue in (f"{self.name}-pool", f"{self.name}.info", *pools):
                channel.queue_delete(queue)
            channel.exchange_delete(self.name)


def good(image_id: str | None = None) -> junk.Message:
    return junk.Message(body=junk.envelope(junk.notification(image_id or new_id())))


def new_id() -> str:
    return str(uuid.uuid4())


def is_handled(handled: Handled, image_id: str) -> bool:
    return handled.ids[image_id] == 1


def eventually(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def bus(cloud, tmp_path):
    made = Bus(cloud, tmp_path)
    yield made
    made.remove(f"{made.name}-other")


@pytest.fixture
def handled():
    return Handled()


@pytest.fixture
def listen(bus):
    """Start listeners; they end with the test."""
    with contextlib.ExitStack() as stack:

        def start(handle, **other):
            listener = bus.listener(handle, **other)
            stack.callback(listener.stop)
            listener.start()
            return listener

        yield start


@pytest.fixture
def agent_log(caplog):
    """Give the lines of the agent's log, with its formatter and its records."""
    caplog.set_level(logging.INFO)
    factory = logging.getLogRecordFactory()
    logging.setLogRecordFactory(log_records.PlainRecord)
    conf = cfg.ConfigOpts()
    log.register_options(conf)
    conf([], project="test", default_config_files=[], default_config_dirs=[])
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatters.ContextFormatter(config=conf, datefmt="%Y-%m-%d %H:%M:%S"))
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)
    logging.setLogRecordFactory(factory)


@pytest.fixture
def broker_away():
    """Forgive the library that it does not close the sockets of a broker that went away."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def test_an_event_of_glance_is_handled_once_and_acknowledged(bus, listen, handled):
    listener = listen(handled)
    sample = json.loads((SAMPLES / "image.activate.json").read_text())
    bus.notify(sample["event_type"], sample["payload"])
    eventually(lambda: handled.ids[sample["payload"]["id"]] == 1)
    listener.stop()
    assert handled.ids.total() == 1
    assert bus.ready() == 0


@pytest.mark.parametrize("first", ["glance", "agent"])
def test_whoever_comes_first_to_the_bus_glance_and_agent_get_along(bus, listen, handled, first):
    image_id = new_id()
    payload = {"id": image_id, "status": "active"}
    if first == "glance":
        bus.notify("image.update", payload)  # before anybody listens, so it is lost
        listen(handled)
    else:
        listen(handled)
    bus.notify("image.update", payload)
    eventually(lambda: handled.ids[image_id] == 1)
    # As Glance's own default is. A durable exchange would make every Glance of that default
    # lose its notifications, and no user would see it.
    with bus.channel() as channel:
        channel.exchange_declare(bus.name, "topic", durable=False, auto_delete=False)
        channel.queue_declare(f"{bus.name}-pool", durable=False, auto_delete=False)
    with pytest.raises(amqp.PreconditionFailed), bus.channel() as channel:
        channel.exchange_declare(bus.name, "topic", durable=True, auto_delete=False)


DURABLE = {"amqp_durable_queues": "true"}
QUORUM = {"rabbit_quorum_queue": "true"}


@pytest.mark.parametrize("options", [{}, DURABLE, QUORUM], ids=["default", "durable", "quorum"])
def test_a_bus_that_nobody_used_yet_is_left_as_it_is(bus, options):
    assert bus.ping(bus.configured(**options)).endswith(f"/{bus.vhost}")
    with pytest.raises(amqp.NotFound), bus.channel() as channel:
        channel.exchange_declare(bus.name, "topic", passive=True)
    with pytest.raises(amqp.NotFound), bus.channel() as channel:
        channel.queue_declare(f"{bus.name}-pool", passive=True)


@pytest.mark.parametrize("options", [{}, DURABLE, QUORUM], ids=["default", "durable", "quorum"])
@pytest.mark.parametrize("is_in_url", [False, True], ids=["file", "url"])
def test_a_glance_whose_options_are_ours_is_heard(bus, listen, handled, options, is_in_url):
    bus.conf = bus.configured(**options)
    bus.declare(durable=bool(options))
    if is_in_url:
        query = "&".join(f"{name}={value}" for name, value in options.items())
        url = f"{bus.url}?{query}"
        bus.notify("image.update", {"id": new_id(), "status": "active"})
        bus.conf = bus.configured()
        listen(handled, url=url)
        bus.ping(url=url)
        bus.conf = bus.configured(**options)
    else:
        listen(handled)
    bus.ping()
    image_id = new_id()
    bus.notify("image.update", {"id": image_id, "status": "active"})
    eventually(lambda: handled.ids[image_id] == 1)


def test_a_glance_with_durable_queues_is_an_error_that_says_what_to_do(bus, handled, agent_log):
    bus.declare(durable=True)
    with pytest.raises(errors.Refused, match=r"'durable' for exchange .*received 'false'"):
        bus.ping()
    listener = bus.listener(handled)
    waiting = threading.Thread(target=listener.start)
    waiting.start()
    try:
        eventually(lambda: ", which refused: " in agent_log.getvalue())
        (first, *_) = [
            line for line in agent_log.getvalue().splitlines() if ", which refused: " in line
        ]
        assert " ERROR glance_sync_agent.drivers.bus.listeners " in first
        assert "copy amqp_durable_queues and rabbit_quorum_queue of [oslo_mess" in first
        assert f"rabbitmqctl delete_queue {bus.name}-pool" in first
        assert bus.broker.password not in first
        bus.remove()  # whoever made it durable has thought better of it
        waiting.join(60)
        assert not waiting.is_alive()
        image_id = new_id()
        bus.notify("image.update", {"id": image_id, "status": "active"})
        eventually(lambda: handled.ids[image_id] == 1)
    finally:
        listener.stop()
        waiting.join(60)


def test_our_own_queue_from_before_the_options_changed_is_found(bus):
    bus.declare(durable=True)
    with bus.channel() as channel:
        channel.queue_declare(f"{bus.name}-pool", durable=False, auto_delete=False)
    for options in (DURABLE, QUORUM):
        with pytest.raises(errors.Refused, match="for queue"):
            bus.ping(bus.configured(**options))


def test_what_came_while_no_agent_ran_is_handled_by_the_next(bus, listen, handled):
    listen(handled).stop()
    bus.publish(*(good() for _ in range(50)))
    assert not handled.ids
    listen(handled)
    eventually(lambda: len(handled.ids) == 50)


def test_an_event_comes_again_until_the_store_takes_it(bus, listen, handled, monkeypatch):
    monkeypatch.setattr(dispatcher, "_REQUEUE_PAUSE_SECONDS", 0.2)
    handled.failing.set()
    listener = listen(handled)
    ids = {new_id() for _ in range(5)}
    started = time.monotonic()
    bus.publish(*(good(image_id) for image_id in ids))
    eventually(lambda: listener._dispatcher.counts["requeued"] > 12)
    # Four threads pause 0.2 s each: no hot loop.
    assert listener._dispatcher.counts["requeued"] < 8 + 20 * (time.monotonic() - started)
    handled.failing.clear()
    eventually(lambda: set(handled.ids) == ids)
    listener.stop()
    assert set(handled.ids.values()) == {1}
    assert bus.ready() == 0


def test_agents_of_one_pool_share_the_events(bus, listen):
    one, two = Handled(), Handled()
    listen(one)
    listen(two)
    bus.publish(*(good() for _ in range(100)))
    eventually(lambda: len(one.ids) + len(two.ids) == 100)
    assert one.ids
    assert two.ids
    assert (one.ids + two.ids).total() == 100
    assert len(one.ids + two.ids) == 100


def test_agents_of_two_pools_get_all_events_each(bus, listen):
    one, two = Handled(), Handled()
    listen(one)
    listen(two, pool=f"{bus.name}-other")
    bus.publish(*(good() for _ in range(100)))
    eventually(lambda: len(one.ids) == len(two.ids) == 100)


def test_the_broker_hands_out_no_more_than_prefetch(bus, listen, handled):
    handled.going.clear()
    listen(handled)
    bus.publish(*(good() for _ in range(100)))
    eventually(lambda: bus.ready() == 100 - PREFETCH)
    handled.going.set()
    eventually(lambda: len(handled.ids) == 100)


def test_all_events_that_an_ended_agent_had_in_hand_come_to_the_next(bus, listen, handled):
    stuck = Handled()
    stuck.failing.set()
    first = listen(stuck)
    bus.publish(*(good() for _ in range(40)))
    eventually(lambda: bus.ready() == 40 - PREFETCH)
    first.stop()
    listen(handled)
    eventually(lambda: len(handled.ids) == 40)
    assert handled.ids.total() == 40


def test_a_broker_that_restarts_is_listened_to_again(
    broker_away, cloud, bus, listen, handled
):
    idle = Handled()
    listen(idle, pool=f"{bus.name}-other", topics=[f"{bus.name}-idle"])
    listen(handled)
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError, amqp.AMQPError, kombu_errors.KombuError):
                bus.publish(*(good() for _ in range(50)))

    publisher = threading.Thread(target=load)
    publisher.start()
    eventually(lambda: len(handled.ids) > 200)
    cloud.restart_service("rabbitmq")
    before = len(handled.ids)
    eventually(lambda: len(handled.ids) > before + 200, 60)
    stop.set()
    publisher.join()
    image_id = new_id()

    def heard() -> bool:
        with bus.channel() as channel:
            message = channel.prepare_message(
                good(image_id).body, content_type="application/json", content_encoding="utf-8"
            )
            channel.basic_publish(message, bus.name, f"{bus.name}-idle.info")
        return image_id in idle.ids

    eventually(heard)


def test_a_broker_that_is_away_is_waited_for_and_does_not_hold_up_the_end(
    broker_away, cloud, bus, listen, handled
):
    first = listen(handled)
    cloud.stop_service("rabbitmq")
    try:
        started = time.monotonic()
        first.stop()
        assert time.monotonic() - started < listeners._STOP_SECONDS + 5
        never, later = bus.listener(handled), bus.listener(handled)
        waiting = [threading.Thread(target=one.start, daemon=True) for one in (never, later)]
        for thread in waiting:
            thread.start()
        never.stop()
    finally:
        cloud.start_service("rabbitmq")
    waiting[1].join(60)
    bus.publish(good())
    eventually(lambda: handled.ids.total() == 1)
    waiting[0].join(60)
    assert not any(thread.is_alive() for thread in waiting)
    later.stop()
    # Nobody listens any more, not even the one that was stopped before it had begun.
    bus.publish(good())
    assert bus.ready() == 1


def test_messages_of_one_id_do_not_make_the_listener_deaf(bus, listen, handled):
    listener = listen(handled)
    same = junk.notification(new_id())
    bus.publish(junk.Message(body=junk.envelope(same)))
    eventually(lambda: handled.ids.total() == 1)
    bus.publish(*[junk.Message(body=junk.envelope(same))] * (5 * PREFETCH))
    image_id = new_id()
    bus.publish(good(image_id))
    eventually(lambda: handled.ids[image_id] == 1)
    listener.stop()


def test_messages_that_are_no_json_are_counted_as_others_are(bus, listen, handled, agent_log):
    listener = listen(handled)
    body = json.dumps(junk.notification(new_id())).encode()
    odd = [
        junk.Message(body=body, content_type="text/plain"),
        junk.Message(body=pickle.dumps({"a": 1}), content_type="application/x-python-serialize"),
        junk.Message(body=b"\x81\xa1a\x01", content_type="application/x-msgpack"),
        junk.Message(body=b"a: 1", content_type="application/x-yaml"),
        junk.Message(body=body, content_type="application/x-unheard-of"),
        junk.Message(body=b"\xff", content_type="text/plain"),
        junk.Message(body=b"{"),
    ]
    bus.publish(*odd)
    eventually(lambda: listener._dispatcher.counts["dropped"] == len(odd))
    listener.stop()
    assert bus.ready() == 0
    assert agent_log.getvalue().count("Dropped a message (") == len(odd)


@pytest.mark.timeout(240)
def test_no_message_of_a_stranger_stops_the_agent_or_fills_its_log(
    bus, listen, handled, agent_log, record_property
):
    seed = int(os.environ.get(SEED, "20261122"))
    record_property("seed", seed)
    listener = listen(handled)
    stream = junk.messages(seed)
    goods = 0
    for _ in range(FUZZED // GOOD_EVERY):
        image_id = new_id()
        bus.publish(*itertools.islice(stream, GOOD_EVERY), good(image_id))
        goods += 1
        eventually(functools.partial(is_handled, handled, image_id))
    eventually(lambda: bus.ready() == 0)
    lines = agent_log.getvalue().split("\n")[:-1]
    listener.stop()
    assert bus.ready() == 0  # nothing was in hand and unacknowledged but duplicates
    counts = listener._dispatcher.counts
    assert counts["requeued"] == 0
    assert FUZZED + goods <= counts.total() <= FUZZED + goods + PREFETCH
    assert len(lines) <= FUZZED + goods + 1  # and the one that says where it listens
    assert not [line for line in lines if not line.startswith("2") or "\x1b" in line]
    assert max(len(line.encode("utf-8", "backslashreplace")) for line in lines) < LINE_BYTES
