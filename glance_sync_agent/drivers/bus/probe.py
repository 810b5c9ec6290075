# SPDX-License-Identifier: Apache-2.0
"""Checks whether the agent could listen on a message bus; consumes and creates nothing."""

from collections.abc import Iterator, Sequence
import contextlib
import ssl
from typing import Any

from kombu import connection as kombu_connection
from kombu import exceptions as kombu_errors
from oslo_config import cfg
from oslo_config import types
import oslo_messaging

from glance_sync_agent import errors

#: The option with the URL of the cascading region's bus.
NAME = "transport_url"

_AMQP_PORT = 5672
_RABBIT = "oslo_messaging_rabbit"
_NOT_FOUND, _PRECONDITION_FAILED = 404, 406  # AMQP 0-9-1, 1.2
# Policies of the broker may set all other arguments. A refusal names the argument in its text.
_COMPARED = ("'durable'", "'auto_delete'", "'type'", "'x-queue-type'")


def check(
    conf: cfg.ConfigOpts, text: str | None = None, *, name: str = NAME
) -> oslo_messaging.TransportURL:
    """Read the URL of a bus; connects to nothing.

    :param text: the URL; None: the ``transport_url`` of ``conf``.
    :param name: the option with the URL.
    :raises ConfigurationError: it is not a URL of a message bus.
    """
    try:
        url = oslo_messaging.TransportURL.parse(conf, text)
        # This registers the driver's options.
        oslo_messaging.get_notification_transport(conf, url=url)
    except (
        ValueError,
        oslo_messaging.InvalidTransportURL,
        oslo_messaging.DriverLoadFailure,
    ) as exc:
        # From None and without its text, because both may quote the URL with its password.
        raise errors.ConfigurationError(
            f"{name} is not a URL that oslo.messaging knows ({type(exc).__name__}); expected "
            "rabbit://USER:PASSWORD@HOST:PORT/VIRTUAL_HOST"
        ) from None
    return url


def address(url: Any) -> str:
    """Return the hosts of a bus without credentials."""
    hosts = ", ".join(f"{host.hostname}:{host.port or _AMQP_PORT}" for host in url.hosts)
    return f"{hosts}/{url.virtual_host or ''}"


def is_refusal(failure: BaseException | None) -> bool:
    """Return whether the broker has the exchange or the queue with other options."""
    while failure is not None:
        if getattr(failure, "code", None) == _PRECONDITION_FAILED:
            return True
        # oslo.messaging raises its own error while it handles the one of the broker.
        failure = failure.__cause__ or failure.__context__
    return False


def remedy(pool: str) -> str:
    """Return how to correct a refusal."""
    return (
        "copy amqp_durable_queues and rabbit_quorum_queue of [oslo_messaging_rabbit] from that "
        "Glance's glance-api.conf into sync.conf and restart the agent. For the bus of another "
        "region, append them to its URL (?amqp_durable_queues=true). If they are the same "
        f"already, delete the agent's older queue: rabbitmqctl delete_queue {pool}"
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

    If the bus is not RabbitMQ, the answer says that it cannot be checked.

    :param text: the URL; None: the ``transport_url`` of ``conf``.
    :param name: the option with the URL.
    :raises ConfigurationError: it is not a URL of a message bus.
    :raises ServiceUnavailable: a host is unreachable, or rejects the credentials.
    :raises Refused: the exchange or the queue exists with other options.
    """
    url = check(conf, text, name=name)
    if url.transport != "rabbit":
        return f"{url.transport}://, which cannot be checked"
    # oslo.messaging does the same for a URL without hosts (Connection in impl_rabbit.py).
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


def silent_topics(
    conf: cfg.ConfigOpts,
    timeout_seconds: float,
    text: str | None = None,
    *,
    topics: Sequence[str],
) -> Sequence[str]:
    """Return the topics to which nothing was ever sent, as far as the broker shows it.

    oslo.messaging makes a queue for each topic and priority with its first notification, so that
    none is lost (``Connection.notify_send`` in impl_rabbit.py).

    :param text: the URL; None: the ``transport_url`` of ``conf``.
    :raises ServiceUnavailable: the bus is unreachable.
    """
    url = check(conf, text)
    if url.transport != "rabbit" or not url.hosts:
        return ()
    host = url.hosts[0]
    with _translated(_connection(conf, url, host, timeout_seconds), host.hostname) as connection:
        connection.ensure_connection(max_retries=1, interval_start=0, timeout=timeout_seconds)
        return [topic for topic in topics if not _exists(connection, f"{topic}.info")]


def _exists(connection: Any, queue: str) -> bool:
    try:
        connection.channel().queue_declare(queue, passive=True)
    except connection.channel_errors as exc:
        if getattr(exc, "code", None) == _NOT_FOUND:
            return False
        raise
    return True


class _Declared:
    """The exchange and the queue as oslo.messaging declares them for the agent.

    See ``Connection.declare_topic_consumer`` in impl_rabbit.py.
    """

    def __init__(self, conf: cfg.ConfigOpts, url: Any, exchange: str, pool: str) -> None:
        def is_set(name: str) -> bool:
            text = url.query.get(name)  # it overrides the option
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
    """Declare the exchange and the queue, if they exist.

    :raises Refused: one exists with other options.
    """
    for declare in (declared.exchange, declared.queue):
        try:
            # The broker closes a channel when it refuses, so each try has its own.
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
    # Rejected credentials count as an error of a channel.
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
    """Return the parameters of TLS, like ``_fetch_ssl_params`` in impl_rabbit.py."""
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
