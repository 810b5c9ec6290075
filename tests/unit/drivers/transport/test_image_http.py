# SPDX-License-Identifier: Apache-2.0
"""One request on one connection, against a peer that does as told.

What a real Glance makes of it is in ``tests/contract/test_image_store.py``.
"""

from collections.abc import Callable, Iterable, Iterator
import contextlib
import socket
import threading
from typing import Any

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.transport import image_http
from glance_sync_agent.drivers.transport import streams
from tests.unit import builders

ENDPOINT = streams.endpoint("http://glance.example:9292/image/")
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
        self.connection.put(builders.IMAGE_ID, token="secret", size=size, chunks=chunks)

    def get(self, size: int | None) -> list[bytes]:
        return list(self.connection.get(builders.IMAGE_ID, token="secret", size=size))


@pytest.fixture
def connect() -> Iterator[Callable[..., Line]]:
    with contextlib.ExitStack() as stack:

        def make(peer: Peer, *, idle_seconds: float = 10.0) -> Line:
            ours, theirs = socket.socketpair()
            line = Line(ours, streams.Timeouts(idle_seconds=idle_seconds))

            def run() -> None:
                with theirs:
                    line.heard = peer(theirs)

            line.thread = threading.Thread(target=run)
            line.thread.start()
            stack.callback(line.thread.join)
            stack.callback(line.connection.close)
            return line

        yield make


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


def test_an_upload_announces_its_length_twice_and_never_waits_for_continue(
    connect: Callable[..., Line],
) -> None:
    line = connect(answering(CREATED, size=8))
    line.put([b"some", b"", b"data"], 8)
    line.connection.close()
    line.thread.join()
    request, _, body = line.heard.partition(b"\r\n\r\n")
    first, *headers = request.decode().split("\r\n")
    assert first == f"PUT /image/v2/images/{builders.IMAGE_ID}/file HTTP/1.1"
    assert sorted(headers) == [
        "Content-Length: 8",
        "Content-Type: application/octet-stream",
        "Host: glance.example:9292",
        "X-Auth-Token: secret",
        "x-openstack-image-size: 8",
    ]
    assert body == b"somedata"


def test_an_error_of_the_source_cuts_the_connection_and_comes_through(
    connect: Callable[..., Line],
) -> None:
    def source() -> Iterator[bytes]:
        yield b"head"
        yield b"held"
        raise errors.DigestMismatch(what="data", expected="a", actual="b")

    line = connect(everything)
    with pytest.raises(errors.DigestMismatch):
        line.put(source(), 12)
    line.thread.join()  # the peer has seen the end
    assert line.heard.endswith(b"\r\n\r\nhead")


def test_nothing_is_sent_of_an_image_whose_source_fails_at_once(
    connect: Callable[..., Line],
) -> None:
    def source() -> Iterator[bytes]:
        for _ in range(1):
            raise errors.ServiceUnavailable("no source")
        yield b""

    line = connect(everything)
    with pytest.raises(errors.ServiceUnavailable):
        line.put(source(), 0)
    line.thread.join()
    assert line.heard == b""


@pytest.mark.parametrize(
    "chunks", [[b"few"], [b"some", b"more"], [], [b"too many"], [b"exactl", b"y"]]
)
def test_a_wrong_total_is_never_completed(
    connect: Callable[..., Line], chunks: list[bytes]
) -> None:
    line = connect(everything)
    with pytest.raises(errors.TransferInterrupted, match="announced 6 bytes"):
        line.put(chunks, 6)
    line.thread.join()
    assert len(line.heard.partition(b"\r\n\r\n")[2]) < 6


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("400 Bad Request", errors.Refused),
        ("401 Unauthorized", errors.ServiceUnavailable),
        ("403 Forbidden", errors.UploadRefused),
        ("404 Not Found", errors.TransferInterrupted),
        ("409 Conflict", errors.Refused),
        ("410 Gone", errors.TransferInterrupted),
        ("413 Request Entity Too Large", errors.UploadRefused),
        ("415 Unsupported Media Type", errors.FormatRefused),
        ("429 Too Many Requests", errors.ServiceUnavailable),
        ("500 Internal Server Error", errors.TransferInterrupted),
        ("503 Service Unavailable", errors.TransferInterrupted),
        ("302 Found", errors.Refused),
    ],
)
def test_an_answer_that_is_no_success_is_told_apart(
    connect: Callable[..., Line], answer: str, expected: type[Exception]
) -> None:
    line = connect(answering(status(answer, "because"), size=4))
    with pytest.raises(expected, match=f"{answer}: because") as caught:
        line.put([b"data"], 4)
    assert type(caught.value) is expected
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "region", "fault"),
    [
        ("401 Unauthorized", None, errors.Fault.CONNECTION),
        ("404 Not Found", None, errors.Fault.CONNECTION),
        ("429 Too Many Requests", None, errors.Fault.CONNECTION),
        ("413 storage media is full", None, errors.Fault.CONNECTION),
        ("500 Internal Server Error", builders.REGION, errors.Fault.ANSWER),
        ("503 Service Unavailable", builders.REGION, errors.Fault.ANSWER),
        ("no HTTP at all", builders.REGION, errors.Fault.REQUEST),
    ],
)
def test_an_answer_that_any_image_may_get_names_the_region(
    connect: Callable[..., Line], answer: str, region: str | None, fault: errors.Fault
) -> None:
    with pytest.raises(errors.TransientError) as caught:
        connect(answering(status(answer), size=4)).put([b"data"], 4)
    assert caught.value.region == region
    assert caught.value.fault is fault


@pytest.mark.parametrize("state", ["saving", "importing", "active", "deactivated"])
def test_an_upload_that_is_not_over_yet_or_was_over_just_now_is_no_refusal(
    connect: Callable[..., Line], state: str
) -> None:
    text = f"Image status transition from {state} to saving is not allowed"
    with pytest.raises(errors.TransferInterrupted, match=f"from {state} to saving"):
        connect(answering(status("409 Conflict", text), size=4)).put([b"data"], 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Image storage media is full: no space left", errors.ServiceUnavailable),
        ("The incoming image is too large: quota", errors.UploadRefused),
    ],
)
def test_a_full_disk_is_no_refusal(
    connect: Callable[..., Line], text: str, expected: type[Exception]
) -> None:
    answer = status("413 Request Entity Too Large", text)
    with pytest.raises(expected):
        connect(answering(answer, size=4)).put([b"data"], 4)


def test_only_an_answer_401_is_about_the_token(connect: Callable[..., Line]) -> None:
    for answer, unauthorized in (("401 Unauthorized", True), ("403 Forbidden", False)):
        line = connect(answering(status(answer), size=4))
        with pytest.raises(errors.SyncError):
            line.put([b"data"], 4)
        assert line.connection.unauthorized is unauthorized


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("Sun, 22 Nov 2026", None), ("9" * 9, 3600.0), ("9" * 400, 3600.0)],
)
def test_the_wait_that_glance_asks_for_is_passed_on(
    connect: Callable[..., Line], value: str, seconds: float | None
) -> None:
    answer = status("503 Service Unavailable", "", f"Retry-After: {value}")
    line = connect(answering(answer, size=4))
    with pytest.raises(errors.TransferInterrupted) as caught:
        line.put([b"data"], 4)
    assert caught.value.retry_after == seconds


def test_an_explanation_is_one_line_of_words(connect: Callable[..., Line]) -> None:
    page = (
        "<html><head><title>413 Too Large</title></head>\r\n<body><h1>Quota</h1>\n"
        "Image storage &gt; 5\x1b[31m TiB.<br/></body></html>" + "x" * 9000
    )
    line = connect(answering(status("413 Too Large", page), size=4))
    with pytest.raises(errors.UploadRefused) as caught:
        line.put([b"data"], 4)
    text = str(caught.value).partition("413 Too Large: ")[2]
    assert text.startswith("Image storage > 5[31m TiB. xxx")
    assert len(text) == 300


@pytest.mark.parametrize("ending", ["hangs", "hangs up"])
def test_an_early_answer_is_reported_rather_than_what_became_of_the_connection(
    connect: Callable[..., Line], ending: str
) -> None:
    def peer(sock: socket.socket) -> None:
        head(sock)
        sock.recv(MIB)
        sock.sendall(status("413 Too Large", "over quota"))
        if ending == "hangs":
            done.wait()

    done = threading.Event()
    line = connect(peer, idle_seconds=0.1)
    try:
        with pytest.raises(errors.UploadRefused, match="over quota"):
            line.put((bytes(MIB) for _ in range(64)), 64 * MIB)
    finally:
        done.set()


def test_an_image_that_is_deleted_during_the_upload_is_no_broken_pipe(
    connect: Callable[..., Line],
) -> None:
    def peer(sock: socket.socket) -> None:
        head(sock)
        sock.recv(MIB)
        sock.sendall(status("410 Gone", "deleted"))

    with pytest.raises(errors.TransferInterrupted, match="410 Gone: deleted"):
        connect(peer).put((bytes(MIB) for _ in range(64)), 64 * MIB)


def test_an_answer_is_seen_while_the_source_is_slow(connect: Callable[..., Line]) -> None:
    answered = threading.Event()

    def peer(sock: socket.socket) -> None:
        head(sock)
        sock.sendall(status("409 Conflict", "not queued"))
        answered.set()
        everything(sock)

    def source() -> Iterator[bytes]:
        yield from (b"x", b"x")  # the second is held back
        assert answered.wait(10)
        yield from (b"x" for _ in range(100))
        raise AssertionError("the answer was not seen")

    with pytest.raises(errors.Refused, match="not queued"):
        connect(peer).put(source(), 1000)


def test_a_success_before_all_was_sent_is_none(connect: Callable[..., Line]) -> None:
    def peer(sock: socket.socket) -> None:
        head(sock)
        sock.sendall(CREATED)
        answered.set()
        everything(sock)

    def source() -> Iterator[bytes]:
        yield from (b"some", b"data")
        assert answered.wait(10)
        yield b"more"

    answered = threading.Event()
    with pytest.raises(errors.TransferInterrupted, match=r"answered after \d of 100 bytes"):
        connect(peer).put(source(), 100)


def test_a_broken_connection_says_how_far_it_came(connect: Callable[..., Line]) -> None:
    line = connect(head)  # and hangs up
    with pytest.raises(
        errors.TransferInterrupted,
        match=r"to http://glance.example:9292/image: (the )?connection broke.* after \d+",
    ):
        line.put((bytes(MIB) for _ in range(64)), 64 * MIB)


def test_a_peer_that_takes_nothing_is_given_up(connect: Callable[..., Line]) -> None:
    given_up = threading.Event()
    line = connect(lambda _sock: given_up.wait(), idle_seconds=0.05)
    try:
        with pytest.raises(errors.TransferInterrupted, match=r"no progress for 0\.05 s after"):
            line.put((bytes(MIB) for _ in range(64)), 64 * MIB)
    finally:
        given_up.set()


def test_a_peer_that_never_answers_is_given_up(connect: Callable[..., Line]) -> None:
    line = connect(everything, idle_seconds=0.05)
    with pytest.raises(errors.TransferInterrupted, match="no answer after 4 bytes"):
        line.put([b"data"], 4)


def test_an_answer_that_is_not_http_is_an_interruption(connect: Callable[..., Line]) -> None:
    line = connect(answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", size=4))
    with pytest.raises(errors.TransferInterrupted):
        line.put([b"data"], 4)


def test_an_id_that_is_no_uuid_never_becomes_a_path(connect: Callable[..., Line]) -> None:
    line = connect(everything)
    with pytest.raises(errors.Refused, match="not an image id"):
        line.connection.put(
            images.ImageId("../../v3/users"), token="secret", size=1, chunks=[b"x"]
        )
    line.thread.join()
    assert line.heard == b""


def test_a_download_comes_in_chunks_of_at_most_one_mib(connect: Callable[..., Line]) -> None:
    data = bytes(range(256)) * 10240
    line = connect(answering(status("200 OK").replace(b": 0", b": %d" % len(data)) + data))
    chunks = line.get(len(data))
    assert b"".join(chunks) == data
    assert max(map(len, chunks)) == MIB
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
        (CREATED, 10, "Glance has a record of 10 bytes but no data"),
        (status("404 Not Found", "no image"), 10, "404 Not Found: no image"),
    ],
)
def test_a_download_that_is_not_whole_is_an_interruption(
    connect: Callable[..., Line], answer: bytes, size: int, message: str
) -> None:
    line = connect(answering(answer))
    with pytest.raises(errors.TransferInterrupted, match=message):
        line.get(size)
    assert not line.connection.reusable


@pytest.mark.parametrize("size", [0, None])
def test_an_image_without_data_is_empty(connect: Callable[..., Line], size: int | None) -> None:
    assert connect(answering(CREATED)).get(size) == []


def test_a_download_that_stands_still_is_given_up(connect: Callable[..., Line]) -> None:
    def peer(sock: socket.socket) -> None:
        head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort")
        everything(sock)

    with pytest.raises(errors.TransferInterrupted, match="no answer after 0 bytes"):
        connect(peer, idle_seconds=0.05).get(10)


def test_a_connection_serves_one_request_after_another(connect: Callable[..., Line]) -> None:
    def peer(sock: socket.socket) -> None:
        head(sock)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndata")
        head(sock)
        sock.recv(4)
        sock.sendall(CREATED)
        everything(sock)

    line = connect(peer)
    assert line.get(4) == [b"data"]
    assert line.connection.reusable
    line.put([b"more"], 4)
    assert line.connection.reusable


def test_a_connection_is_not_used_again_in_the_middle_of_a_download(
    connect: Callable[..., Line],
) -> None:
    line = connect(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsomedata"))
    line.connection.get(builders.IMAGE_ID, token="secret", size=8)
    assert not line.connection.reusable


def test_a_connection_that_the_peer_closed_is_not_used_again(
    connect: Callable[..., Line],
) -> None:
    line = connect(answering(CREATED, size=4))
    line.put([b"data"], 4)
    line.connection._stream.recv(0)  # type: ignore[attr-defined]
    while streams.is_readable(line.connection._stream) is False:
        pass
    assert not line.connection.reusable


def test_a_peer_that_wants_to_close_gets_no_second_request(connect: Callable[..., Line]) -> None:
    def peer(sock: socket.socket) -> None:
        head(sock)
        sock.recv(4)
        sock.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        everything(sock)

    line = connect(peer)
    line.put([b"data"], 4)
    assert not line.connection.reusable
