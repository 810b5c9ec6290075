# SPDX-License-Identifier: Apache-2.0
"""One upload, against a peer that does as a test says.

What a real Glance makes of it is in ``tests/contract/test_image_store.py``.
"""

from collections.abc import Iterator
import socket
import threading

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.transport import uploads
from tests.unit import builders
from tests.unit.drivers.transport import peers


def test_an_upload_announces_its_length_twice_and_never_waits_for_continue(
    connect: peers.Connect,
) -> None:
    line = connect(peers.answering(peers.CREATED, size=8))
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


def test_the_answer_about_an_empty_image_is_never_early(connect: peers.Connect) -> None:
    has_answered = threading.Event()

    def peer(sock: socket.socket) -> bytes:
        request = peers.head(sock)
        sock.sendall(peers.CREATED)
        has_answered.set()
        return request + peers.everything(sock)

    def source() -> Iterator[bytes]:
        yield b""  # the head follows
        assert has_answered.wait(10)
        yield b""

    line = connect(peer)
    line.put(source(), 0)
    line.connection.close()
    line.thread.join()
    assert line.heard.endswith(b"x-openstack-image-size: 0\r\n\r\n")


def test_an_error_of_the_source_cuts_the_connection_and_comes_through(
    connect: peers.Connect,
) -> None:
    def source() -> Iterator[bytes]:
        yield b"head"
        raise errors.DigestMismatch(what="data", expected="a", actual="b")

    line = connect(peers.everything)
    with pytest.raises(errors.DigestMismatch):
        line.put(source(), 12)
    line.thread.join()  # the peer has seen the end
    assert line.heard.endswith(b"\r\n\r\nhead")


def test_nothing_is_sent_of_an_image_whose_source_fails_at_once(connect: peers.Connect) -> None:
    def source() -> Iterator[bytes]:
        for _ in range(1):
            raise errors.ServiceUnavailable("no source")
        yield b""

    line = connect(peers.everything)
    with pytest.raises(errors.ServiceUnavailable):
        line.put(source(), 0)
    line.thread.join()
    assert line.heard == b""


@pytest.mark.parametrize(
    "chunks", [[b"few"], [b"some", b"more"], [], [b"too many"]]
)
def test_a_wrong_total_is_never_completed(
    connect: peers.Connect, chunks: list[bytes]
) -> None:
    line = connect(peers.everything)
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
    connect: peers.Connect, answer: str, expected: type[Exception]
) -> None:
    line = connect(peers.answering(peers.status(answer, "because"), size=4))
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
    connect: peers.Connect, answer: str, region: str | None, fault: errors.Fault
) -> None:
    with pytest.raises(errors.TransientError) as caught:
        connect(peers.answering(peers.status(answer), size=4)).put([b"data"], 4)
    assert caught.value.region == region
    assert caught.value.fault is fault


@pytest.mark.parametrize("state", ["saving", "importing", "active", "deactivated"])
def test_an_upload_that_is_not_over_yet_or_was_over_just_now_is_no_refusal(
    connect: peers.Connect, state: str
) -> None:
    text = f"Image status transition from {state} to saving is not allowed"
    with pytest.raises(errors.TransferInterrupted, match=f"from {state} to saving"):
        connect(peers.answering(peers.status("409 Conflict", text), size=4)).put([b"data"], 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Image storage media is full: no space left", errors.StorageFull),
        ("The incoming image is too large: quota", errors.UploadRefused),
    ],
)
def test_a_full_disk_is_no_refusal(
    connect: peers.Connect, text: str, expected: type[Exception]
) -> None:
    answer = peers.status("413 Request Entity Too Large", text)
    with pytest.raises(expected):
        connect(peers.answering(answer, size=4)).put([b"data"], 4)


def test_only_an_answer_401_is_about_the_token(connect: peers.Connect) -> None:
    for answer, unauthorized in (("401 Unauthorized", True), ("403 Forbidden", False)):
        line = connect(peers.answering(peers.status(answer), size=4))
        with pytest.raises(errors.SyncError):
            line.put([b"data"], 4)
        assert line.connection.unauthorized is unauthorized


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7.0), ("Sun, 22 Nov 2026", None), ("9" * 9, 3600.0), ("9" * 400, 3600.0)],
)
def test_the_wait_that_glance_asks_for_is_passed_on(
    connect: peers.Connect, value: str, seconds: float | None
) -> None:
    answer = peers.status("503 Service Unavailable", "", f"Retry-After: {value}")
    line = connect(peers.answering(answer, size=4))
    with pytest.raises(errors.TransferInterrupted) as caught:
        line.put([b"data"], 4)
    assert caught.value.retry_after == seconds


def test_an_explanation_is_one_line_of_words(connect: peers.Connect) -> None:
    page = (
        "<html><head><title>413 Too Large</title></head>\r\n<body><h1>Quota</h1>\n"
        "Image storage &gt; 5\x1b[31m TiB.<br/></body></html>" + "x" * 9000
    )
    line = connect(peers.answering(peers.status("413 Too Large", page), size=4))
    with pytest.raises(errors.UploadRefused) as caught:
        line.put([b"data"], 4)
    text = str(caught.value).partition("413 Too Large: ")[2]
    assert text.startswith("Image storage > 5[31m TiB. xxx")
    assert len(text) == 300


@pytest.mark.parametrize("ending", ["hangs", "hangs up"])
def test_an_early_answer_is_reported_rather_than_what_became_of_the_connection(
    connect: peers.Connect, ending: str
) -> None:
    def peer(sock: socket.socket) -> None:
        peers.head(sock)
        sock.recv(peers.MIB)
        sock.sendall(peers.status("413 Too Large", "over quota"))
        if ending == "hangs":
            done.wait()

    done = threading.Event()
    line = connect(peer, idle_seconds=0.1)
    try:
        with pytest.raises(errors.UploadRefused, match="over quota"):
            line.put((bytes(peers.MIB) for _ in range(64)), 64 * peers.MIB)
    finally:
        done.set()


def test_an_image_that_is_deleted_during_the_upload_is_no_broken_pipe(
    connect: peers.Connect,
) -> None:
    def peer(sock: socket.socket) -> None:
        peers.head(sock)
        sock.recv(peers.MIB)
        sock.sendall(peers.status("410 Gone", "deleted"))

    with pytest.raises(errors.TransferInterrupted, match="410 Gone: deleted"):
        connect(peer).put((bytes(peers.MIB) for _ in range(64)), 64 * peers.MIB)


def test_an_answer_is_seen_while_the_source_is_slow(connect: peers.Connect) -> None:
    answered = threading.Event()

    def peer(sock: socket.socket) -> None:
        peers.head(sock)
        sock.sendall(peers.status("409 Conflict", "not queued"))
        answered.set()
        peers.everything(sock)

    def source() -> Iterator[bytes]:
        yield b"x"
        assert answered.wait(10)
        yield from (b"x" for _ in range(100))
        raise AssertionError("the answer was not seen")

    with pytest.raises(errors.Refused, match="not queued"):
        connect(peer).put(source(), 1000)


def test_a_success_before_all_was_sent_is_none(connect: peers.Connect) -> None:
    def peer(sock: socket.socket) -> None:
        peers.head(sock)
        sock.sendall(peers.CREATED)
        answered.set()
        peers.everything(sock)

    def source() -> Iterator[bytes]:
        yield b"some"
        assert answered.wait(10)
        yield b"more"

    answered = threading.Event()
    with pytest.raises(errors.TransferInterrupted, match=r"answered after \d of 100 bytes"):
        connect(peer).put(source(), 100)


def test_a_broken_connection_says_how_far_it_came(connect: peers.Connect) -> None:
    line = connect(peers.head)  # and hangs up
    with pytest.raises(
        errors.TransferInterrupted,
        match=r"to http://glance.example:9292/image: (the )?connection broke.* after \d+",
    ):
        line.put((bytes(peers.MIB) for _ in range(64)), 64 * peers.MIB)


def test_a_peer_that_takes_nothing_is_given_up(connect: peers.Connect) -> None:
    given_up = threading.Event()
    line = connect(lambda _sock: given_up.wait(), idle_seconds=0.05)
    try:
        with pytest.raises(errors.TransferInterrupted, match=r"no progress for 0\.05 s after"):
            line.put((bytes(peers.MIB) for _ in range(64)), 64 * peers.MIB)
    finally:
        given_up.set()


def test_a_peer_that_never_answers_is_given_up(connect: peers.Connect) -> None:
    line = connect(peers.everything, idle_seconds=0.05)
    with pytest.raises(errors.TransferInterrupted, match="no answer after 4 bytes"):
        line.put([b"data"], 4)


def test_an_answer_that_is_not_http_is_an_interruption(connect: peers.Connect) -> None:
    line = connect(peers.answering(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", size=4))
    with pytest.raises(errors.TransferInterrupted):
        line.put([b"data"], 4)


def test_an_id_that_is_no_uuid_never_becomes_a_path(connect: peers.Connect) -> None:
    line = connect(peers.everything)
    with pytest.raises(errors.Refused, match="not an image id"):
        uploads.upload(
            line.connection,
            images.ImageId("../../v3/users"),
            token="secret",
            size=1,
            chunks=[b"x"],
        )
    line.thread.join()
    assert line.heard == b""
