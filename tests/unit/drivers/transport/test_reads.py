# SPDX-License-Identifier: Apache-2.0
"""One download, against a peer that does as a test says."""

import socket

import pytest

from glance_sync_agent import errors
from tests.unit.drivers.transport import peers


def test_a_download_comes_in_chunks_of_at_most_one_mib(connect: peers.Connect) -> None:
    data = bytes(range(256)) * 10240
    answer = peers.status("200 OK").replace(b": 0", b": %d" % len(data)) + data
    line = connect(peers.answering(answer))
    chunks = line.get(len(data))
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) == peers.MIB
    line.connection.close()
    line.thread.join()
    assert line.heard.startswith(b"GET /image/v2/images/")
    assert b"Content-Length" not in line.heard


@pytest.mark.parametrize(
    ("answer", "size", "message"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", 10, "ended after 5 of 10 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\nshort", 10, "ended after 5 of 10 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nsh", 10, "after"),
        (peers.CREATED, 10, "Glance has a record of 10 bytes but no data"),
        (peers.status("404 Not Found", "no image"), 10, "404 Not Found: no image"),
    ],
)
def test_a_download_that_is_not_whole_is_an_interruption(
    connect: peers.Connect, answer: bytes, size: int, message: str
) -> None:
    line = connect(peers.answering(answer))
    with pytest.raises(errors.TransferInterrupted, match=message):
        line.get(size)
    assert not line.connection.reusable


@pytest.mark.parametrize("size", [0, None])
def test_an_image_without_data_is_empty(connect: peers.Connect, size: int | None) -> None:
    assert connect(peers.answering(peers.CREATED)).get(size) == []


def test_a_download_that_stands_still_is_given_up(connect: peers.Connect) -> None:
    def peer(sock: socket.socket) -> None:
        peers.head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")
        peers.everything(sock)

    with pytest.raises(errors.TransferInterrupted, match="no answer after 0 bytes"):
        connect(peer, idle_seconds=0.05).get(10)
