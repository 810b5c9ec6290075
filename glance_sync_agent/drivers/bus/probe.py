# SPDX-License-Identifier: Apache-2.0
"""Asks a message bus whether it would let us listen; consumes nothing and makes nothing."""

from collections.abc import Iterator
import contextlib
import ssl
from typing import Any

from kombu import connection as kombu_connection
from kombu import exceptions as kombu_errors
from oslo_config import cfg
from oslo_config import types
import oslo_messaging

from glance_sync_agent import errors

#: What an operator knows the cascading region's bus by.
NAME = "transport_url"

_AMQP_PORT = 5672
_RABBIT = "oslo_messaging_rabbit"
_NOT_FOUND, _PRECONDITION_FAILED = 404, 406  # AMQP 0-9-1, 1.2
# What the broker says of something that is there with other options.
_REFUSAL = "PRECONDITION_FAILED"
# Ours to compare; the rest of a queue's arguments, a policy may set.
_COMPARED = ("'durable'", "'auto_delete'", "'type'", "'x-queue-type'")


def check(
    conf: cfg.ConfigOpts, text: str | None = None, *, name: str = NAME
) -> oslo_messaging.TransportURL:
    """Read the URL of a bus, by default ``transport_url``; connects to nothing.

    :param name: what an operator knows the URL by.
    :raises ConfigurationError: it is none.
    """
    try:
        url = oslo_messaging.TransportURL.parse(conf, text)
        # Registers the driver's options, and connects to nothing.
        oslo_messaging.get_notification_transport(conf, url=url)
    except (
        ValueError,
        oslo_messaging.InvalidTransportURL,
        oslo_messaging.DriverLoadFailure,
    ) as exc:
        # From None, and without its text: both may quote the URL, which holds a password.
        raise errors.ConfigurationError(
            f"{name} is none that oslo.messaging knows ({type(exc).__name__}); expected "
            "rabbit://USER:PASSWORD@HOST:PORT/VIRTUAL_HOST"
        ) from None
    return url


def address(url: Any) -> str:
    """Return the hosts of a bus without credentials."""
    hosts = ", ".join(f"{host.hostname}:{host.port or _AMQP_PORT}" for host in url.hosts)
    return f"{hosts}/{url.virtual_host or ''}"


def is_refusal(failure: BaseException | None) -> bool:
    """Tell whether a broker has what we need, with other options than ours."""
    return _REFUSAL in str(failure)


def remedy(pool: str) -> str:
    """Return what to do about a refusal."""
    return (
        "copy amqp_durable_queues and rabbit_quorum_queue of [oslo_messaging_rabbit] from that "
        "Glance's glance-api.conf into sync.conf, or, for the bus of one of several regions, "
        "behind its URL (?amqp_durable_queues=true), and restart the agent; if they are the same, "
        f"our queue is older than they are: rabbitmqctl delete_queue {pool}"
    )


def ping(
    conf: cfg.ConfigOpts,
    timeout_seconds: float,
    text: str | None = None,
    *,
    name: str = NAME,
    exchange: str,
    pool: str,
) -> str:
    """Connect once to each host of a bus; return addresses without credentials.

    What is not RabbitMQ is not connected to, and the answer says so.

    :param text: the URL; None: the ``transport_url`` of ``conf``.
    :param name: what an operator knows the URL by.
    :raises ConfigurationError: the URL is none.
    :raises ServiceUnavailable: a host does not answer, or does not let us in.
    :raises Refused: exchange or queue are there with other options than ours.
    """
    url = check(conf, text, name=name)
    if url.transport != "rabbit":
        return f"{url.transport}://, which cannot be checked"
    # As oslo.messaging does it for a URL without hosts
    # (oslo_messaging/_drivers/impl_rabbit.py: Connection).
    hosts = url.hosts or [
        oslo_messaging.TransportHost("localhost", username="guest", password="guest")  # noqa: S106
    ]
    answers = []
    for host in hosts:
        where = f"{host.hostname}:{host.port or _AMQP_PORT}/{url.virtual_host or ''}"
        with _translated(_connection(conf, url, host, timeout_seconds), where) as connection:
            connection.ensure_connection(
                max_retries=1, interval_start=0, timeout=timeout_seconds
            )
            _compare(connection, _Declared(conf, url, exchange, pool), where)
        answers.append(where)
    return ", ".join(answers)


class _Declared:
    """Exchange and queue as oslo.messaging declares them for us.

    (oslo_messaging/_drivers/impl_rabbit.py: Connection.declare_topic_consumer).
    """

    def __init__(self, conf: cfg.ConfigOpts, url: Any, exchange: str, pool: str) -> None:
        def is_set(name: str) -> bool:
            text = url.query.get(name)  # goes before the option
            return bool(conf[_RABBIT][name] if text is None else types.Boolean()(text))

        is_quorum = is_set("rabbit_quorum_queue")
        self._exchange = exchange
        self._pool = pool
        self._options = {
            "durable": is_quorum or is_set("amqp_durable_queues"),
            "auto_delete": is_set("amqp_auto_delete"),
        }
        self._arguments = {"x-queue-type": "quorum"} if is_quorum else None

    def exchange(self, channel: Any, **passive: bool) -> None:
        channel.exchange_declare(self._exchange, "topic", **self._options, **passive)

    def queue(self, channel: Any, **passive: bool) -> None:
        channel.queue_declare(
            self._pool, exclusive=False, arguments=self._arguments, **self._options, **passive
        )


def _compare(connection: Any, declared: _Declared, where: str) -> None:
    """Declare what is there already; what is not, is made by whoever needs it.

    :raises Refused: it is there with other options.
    """
    for declare in (declared.exchange, declared.queue):
        try:
            # A channel does not survive a refusal.
            declare(connection.channel(), passive=True)
            declare(connection.channel())
        except connection.channel_errors as exc:
            code = getattr(exc, "code", None)
            if code == _PRECONDITION_FAILED and any(name in str(exc) for name in _COMPARED):
                raise errors.Refused(f"listen on the message bus {where}: {exc}") from exc
            if code not in {_NOT_FOUND, _PRECONDITION_FAILED}:
                raise


@contextlib.contextmanager
def _translated(connection: Any, where: str) -> Iterator[Any]:
    # A refused log-in counts as an error of a channel.
    failures = (*connection.connection_errors, *connection.channel_errors)
    try:
        yield connection
    except (OSError, kombu_errors.KombuError, *failures) as exc:
        raise errors.ServiceUnavailable(
            f"connect to the message bus {where}: {exc or type(exc).__name__}"
        ) from exc
    finally:
        connection.release()


def _connection(conf: cfg.ConfigOpts, url: Any, host: Any, timeout_seconds: float) -> Any:
    make: Any = kombu_connection.Connection  # has no types
    return make(
        transport="pyamqp",
        hostname=host.hostname,
        port=host.port or _AMQP_PORT,
        userid=host.username or "",
        password=host.password or "",
        virtual_host=url.virtual_host or "",
        connect_timeout=timeout_seconds,
        login_method=conf[_RABBIT].rabbit_login_method,
        ssl=_tls(conf, host.hostname),
    )


def _tls(conf: cfg.ConfigOpts, hostname: str) -> dict[str, Any] | bool:
    """Return what the options say (oslo_messaging/_drivers/impl_rabbit.py: _fetch_ssl_params)."""
    options = conf[_RABBIT]
    if not options.ssl:
        return False
    files = {
        "keyfile": options.ssl_key_file,
        "certfile": options.ssl_cert_file,
        "ca_certs": options.ssl_ca_file,
    }
    found: dict[str, Any] = {name: file for name, file in files.items() if file}
    if options.ssl_ca_file:
        found |= {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": hostname}
    return found or True
