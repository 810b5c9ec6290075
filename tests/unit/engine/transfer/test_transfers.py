# SPDX-License-Identifier: Apache-2.0
"""Bytes on their way: nothing wrong is ever complete."""

from collections.abc import Iterable, Sequence
import hashlib

import hypothesis
from hypothesis import strategies as st
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine.transfer import digests
from glance_sync_agent.engine.transfer import transfers
from tests.unit import builders

CHUNKS = st.lists(st.binary(max_size=4), max_size=8)
ALGORITHMS = st.sampled_from(["md5", "sha256", "sha512"])


class Receiver:
    """Takes what comes, as Glance does."""

    def __init__(self) -> None:
        self.received = b""
        self.progress: list[int] = []

    def take(self, chunks: Iterable[bytes], image: images.Image) -> None:
        digest = digests.SharedDigest(image)
        blocks = transfers.hashed(chunks, image=image, digest=digest)
        checked = transfers.withheld(blocks, image=image, digest=digest)
        for chunk in transfers.watched(checked, self.progress.append):
            self.received += chunk


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def image(data: bytes, algo: str = "sha512") -> images.Image:
    return builders.source(size=len(data), multihash=builders.multihash(data, algo))


@hypothesis.given(CHUNKS, ALGORITHMS)
def test_right_bytes_arrive_as_they_are(chunks: Sequence[bytes], algo: str) -> None:
    receiver = Receiver()
    data = b"".join(chunks)
    receiver.take(chunks, image(data, algo))
    assert receiver.received == data


@hypothesis.given(CHUNKS)
def test_progress_tells_what_was_passed_on_and_ends_with_all(chunks: Sequence[bytes]) -> None:
    receiver = Receiver()
    receiver.take(chunks, image(b"".join(chunks)))
    assert receiver.progress == sorted(set(receiver.progress))
    assert receiver.progress[-1] == len(b"".join(chunks))


@hypothesis.given(CHUNKS, st.binary(max_size=24))
def test_wrong_bytes_are_never_complete(chunks: Sequence[bytes], wanted: bytes) -> None:
    hypothesis.assume(b"".join(chunks) != wanted)
    receiver = Receiver()
    with pytest.raises((errors.DigestMismatch, errors.TransferInterrupted)):
        receiver.take(chunks, image(wanted))
    assert len(receiver.received) < max(len(wanted), 1)
    assert b"".join(chunks).startswith(receiver.received)


@hypothesis.given(CHUNKS, st.integers(min_value=0, max_value=64))
def test_a_source_without_hash_has_at_least_the_right_length(
    chunks: Sequence[bytes], size: int
) -> None:
    data = b"".join(chunks)
    receiver = Receiver()
    old = builders.source(size=size, multihash=None)
    if len(data) == size:
        receiver.take(chunks, old)
        assert receiver.received == data
    else:
        with pytest.raises(errors.TransferInterrupted):
            receiver.take(chunks, old)
        assert len(receiver.received) < max(size, 1)


def test_bytes_after_an_empty_chunk_are_withheld_as_well(receiver: Receiver) -> None:
    """An empty last chunk once let the whole of a wrong image pass."""
    with pytest.raises(errors.DigestMismatch):
        receiver.take([b"wrong", b""], image(b"right"))
    assert receiver.received == b""


def test_a_source_that_has_more_than_it_said_completes_nothing(receiver: Receiver) -> None:
    """The chunk that filled the announced length once went before the next was looked at."""
    with pytest.raises(errors.TransferInterrupted, match="expected 4 bytes, got more"):
        receiver.take([b"head", b"tail"], image(b"head"))
    assert receiver.received == b""


def test_a_source_that_ends_early_says_how_much_there_was(receiver: Receiver) -> None:
    with pytest.raises(errors.TransferInterrupted, match="expected 8 bytes, got 4"):
        receiver.take([b"head"], image(b"headtail"))


def test_a_mismatch_names_both_hashes(receiver: Receiver) -> None:
    with pytest.raises(errors.DigestMismatch) as caught:
        receiver.take([b"wrong"], image(b"right", "sha256"))
    assert caught.value.expected == f"sha256:{hashlib.sha256(b'right').hexdigest()}"
    assert caught.value.actual == f"sha256:{hashlib.sha256(b'wrong').hexdigest()}"
    assert str(builders.IMAGE_ID) in str(caught.value)


def test_a_source_of_unknown_size_is_judged_by_its_hash(receiver: Receiver) -> None:
    unknown = builders.source(size=None, multihash=builders.multihash(b"some data"))
    receiver.take([b"some ", b"data"], unknown)
    assert receiver.received == b"some data"


def test_an_error_of_the_source_comes_through(receiver: Receiver) -> None:
    def broken() -> Iterable[bytes]:
        yield b"head"
        raise errors.ServiceUnavailable("gone")

    with pytest.raises(errors.ServiceUnavailable, match="gone"):
        receiver.take(broken(), image(b"headtail"))


def test_what_progress_raises_ends_the_transfer() -> None:
    def stop(done: int) -> None:
        if done:
            raise errors.Cancelled("stopping")

    passed = transfers.watched([b"a", b"b", b"c"], stop)
    assert next(passed) == b"a"
    with pytest.raises(errors.Cancelled):
        next(passed)
