# SPDX-License-Identifier: Apache-2.0
"""A connection, and a peer at its other end that does as a test says."""

from collections.abc import Callable, Iterable
import contextlib
import socket
import threading
from typing import Any

from glance_sync_agent.drivers.transport import image_endpoints
from glance_sync_agent.drivers.transport import image_http
from glance_sync_agent.drivers.transport import reads
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport import uploads
from tests.unit import builders

ENDPOINT = image_endpoints.parse("http://glance.example:9292/image/")
CREATED = b"HTTP/1.1 204 No Content\r\n\r\n"
MIB = 1024 * 1024

Peer = Callable[[socket.socket], Any]


class Line:
    """A connection and the thread at its other end."""

    def __init__(self, stream: socket.socket, timeouts: streams.Timeouts) -> None:
        self.connection = image_http.Connection(stream, ENDPOINT, timeouts, builders.REGION)
        self.heard: Any = None
        self.thread = threading.Thread(target=lambda: None)

    def put(self, chunks: Iterable[bytes], size: int) -> None:
        uploads.upload(
            self.connection, builders.IMAGE_ID, token="secret", size=size, chunks=chunks
        )

    def get(self, size: int | None) -> list[bytes]:
        return list(reads.read(self.connection, builders.IMAGE_ID, token="secret", size=size))


Connect = Callable[..., Line]


def head(peer: socket.socket) -> bytes:
    received = b""
    while b"\r\n\r\n" not in received:
        received += peer.recv(1)
    return received


def everything(peer: socket.socket) -> bytes:
    """Read to the end of the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while some := peer.recv(MIB):
            received += some
    return received


def answering(answer: bytes, size: int = 0) -> Peer:
    """Read a head and ``size`` bytes, answer, and read what comes then."""

    def peer(sock: socket.socket) -> bytes:
        request = head(sock)
        body = b""
        while len(body) < size:
            body += sock.recv(size - len(body))
        sock.sendall(answer)
        sock.shutdown(socket.SHUT_WR)
        return request + body + everything(sock)

    return peer


def status(line: str, body: str = "", *headers: str) -> bytes:
    fields = [f"HTTP/1.1 {line}", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(fields) + f"\r\n\r\n{body}").encode()
