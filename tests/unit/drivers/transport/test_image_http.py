# SPDX-License-Identifier: Apache-2.0
"""When a connection serves another request."""

import socket

from glance_sync_agent import request_ids
from glance_sync_agent.drivers.transport import connections
from glance_sync_agent.drivers.transport import reads
from tests.unit import builders
from tests.unit.drivers.transport import peers


def test_a_connection_serves_one_request_after_another(connect: peers.Connect) -> None:
    def peer(sock: socket.socket) -> None:
        peers.head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata")
        peers.head(sock)
        sock.recv(4)
        sock.sendall(peers.CREATED)
        peers.everything(sock)

    line = connect(peer)
    assert line.get(4) == [b"data"]
    assert line.connection.reusable
    line.put([b"more"], 4)
    assert line.connection.reusable


def test_glance_gets_the_id_of_the_request(connect: peers.Connect) -> None:
    heads: list[bytes] = []

    def peer(sock: socket.socket) -> None:
        for _ in range(2):
            heads.append(peers.head(sock))
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata")
        peers.everything(sock)

    line = connect(peer)
    own = "req-0f9a3c52-1d6e-4b7a-8c21-5e4d3f2a1b00"
    with request_ids.serving(own):
        line.get(4)
    line.get(4)
    sent = f"\r\nX-OpenStack-Request-ID: {own}\r\n".encode()
    assert [sent in one for one in heads] == [True, False]


def test_a_connection_is_not_used_again_in_the_middle_of_a_download(
    connect: peers.Connect,
) -> None:
    line = connect(peers.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsomedata"))
    reads.read(line.connection, builders.IMAGE_ID, token="secret", size=8)
    assert not line.connection.reusable


def test_a_connection_that_the_peer_closed_is_not_used_again(connect: peers.Connect) -> None:
    line = connect(peers.answering(peers.CREATED, size=4))
    line.put([b"data"], 4)
    line.connection._stream.recv(0)
    while connections.is_readable(line.connection._stream) is False:
        pass
    assert not line.connection.reusable


def test_a_peer_that_wants_to_close_gets_no_second_request(connect: peers.Connect) -> None:
    def peer(sock: socket.socket) -> None:
        peers.head(sock)
        sock.recv(4)
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        peers.everything(sock)

    line = connect(peer)
    line.put([b"data"], 4)
    assert not line.connection.reusable
