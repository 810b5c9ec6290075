# SPDX-License-Identifier: Apache-2.0
"""Opening a stream, and what its state is."""

import contextlib
import select
import socket
import ssl

from glance_sync_agent import errors
from glance_sync_agent.drivers.transport import image_endpoints
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport import tls
from glance_sync_agent.drivers.transport import tls_failures
from glance_sync_agent.drivers.transport.trust import Trust

#: What a stream raises if the other side has closed it before a write.
HUNG_UP = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)


def connect(
    target: image_endpoints.Endpoint, trust: Trust, timeouts: streams.Timeouts
) -> streams.Stream:
    """Open a TCP connection, with TLS if the endpoint says so.

    :raises ServiceUnavailable: the endpoint is unreachable.
    :raises HandshakeFailed: one side does not trust the other one.
    """
    with contextlib.ExitStack() as stack:
        try:
            address = (target.host, target.port)
            sock = socket.create_connection(address, timeouts.connect_seconds)
            stack.enter_context(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if target.scheme == "https":
                context = trust.context()
                with tls_failures.shaking_hands(f"connection to {target}"):
                    sock = context.wrap_socket(sock, server_hostname=target.host)
        except OSError as exc:
            raise errors.ServiceUnavailable(f"connection to {target}: {exc}") from exc
        stack.pop_all()
    return sock


def is_readable(stream: object) -> bool:
    """Tell whether there is something to read: bytes, or the end."""
    if isinstance(stream, socket.socket):
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        return bool(poll.poll(0))
    recv_ready = getattr(stream, "recv_ready", None)
    return recv_ready is None or bool(recv_ready())


def is_tls(stream: object) -> bool:
    """Tell whether the stream uses TLS."""
    return isinstance(stream, ssl.SSLSocket | tls.TlsStream)


def has_answer(stream: object) -> bool:
    """Tell whether an answer, or the end, came while we were sending.

    "No" is not a proof: TLS hides whether its bytes are part of an answer.
    """
    return not is_tls(stream) and is_readable(stream)
