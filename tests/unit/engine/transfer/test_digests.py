# SPDX-License-Identifier: Apache-2.0
"""One sum for all who read the same bytes."""

import hashlib
import os
import threading

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import pytest

from glance_sync_agent import errors
from glance_sync_agent.engine.transfer import digests
from glance_sync_agent.engine.transfer import transfers
from tests.fakes import clock as clocks
from tests.unit import builders

MIB = digests.BLOCK_BYTES
DATA = os.urandom(3 * MIB + 17)
EXPECTED = builders.multihash(DATA)
SOURCE = builders.source(size=len(DATA), multihash=EXPECTED)


def blocks(data, size=MIB):
    return [data[start : start + size] for start in range(0, len(data), size)]


def read(chunks, digest, source=SOURCE):
    hashed = transfers.hashed(chunks, image=source, digest=digest)
    return b"".join(transfers.withheld(hashed, image=source, digest=digest))


@settings(max_examples=10)
@given(st.lists(st.integers(min_value=MIB // 9, max_value=2 * MIB), min_size=1, max_size=9))
def test_readers_of_any_chunk_size_share_one_sum(sizes):
    digest = digests.SharedDigest(SOURCE)
    for size in sizes:
        assert read(blocks(DATA, size), digest) == DATA
    assert digest.multihash() == SOURCE.multihash


def test_a_block_is_hashed_once(monkeypatch):
    hashed = []

    class Counting:
        def update(self, block):
            hashed.append(len(block))

        def hexdigest(self):
            return EXPECTED.value

    monkeypatch.setattr(hashlib, "new", lambda _algo: Counting())
    digest = digests.SharedDigest(SOURCE)
    for _ in range(3):
        read(blocks(DATA), digest)
    assert hashed == [MIB, MIB, MIB, 17]


def test_a_reader_takes_over_where_the_first_one_ended():
    digest = digests.SharedDigest(SOURCE)

    def broken():
        yield from blocks(DATA)[:2]
        raise errors.TransferInterrupted("gone")

    with pytest.raises(errors.TransferInterrupted):
        read(broken(), digest)
    assert read(blocks(DATA), digest) == DATA


@pytest.mark.parametrize("number", [0, 2, 3])
def test_a_reader_that_finds_other_bytes_is_told(number):
    digest = digests.SharedDigest(SOURCE)
    read(blocks(DATA), digest)
    damaged = bytearray(DATA)
    damaged[number * MIB] ^= 1
    with pytest.raises(errors.DigestMismatch, match=f"block {number} of {MIB} bytes, read twice"):
        read(blocks(bytes(damaged)), digest)


def test_a_reader_that_ends_early_spoils_nothing():
    digest = digests.SharedDigest(SOURCE)
    for length in (5, MIB, MIB + 5, len(DATA) - 1):
        with pytest.raises(errors.TransferInterrupted):
            read(blocks(DATA[:length]), digest)
    assert read(blocks(DATA), digest) == DATA


def test_readers_in_many_threads_agree():
    digest = digests.SharedDigest(SOURCE)
    results = []
    start = threading.Barrier(6)

    def work():
        start.wait()
        results.append(read(blocks(DATA, 700_001), digest) == DATA)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 6


def test_the_same_image_has_the_same_sum_until_it_is_forgotten():
    shared = digests.SharedDigests(clocks.FakeClock())
    first = shared.of(SOURCE)
    assert shared.of(SOURCE) is first
    shared.forget(SOURCE)
    assert shared.of(SOURCE) is not first
    shared.forget(builders.source(image_id=builders.COPY_ID))  # was never asked for


def test_other_bytes_have_another_sum():
    shared = digests.SharedDigests(clocks.FakeClock())
    other = builders.source(size=len(DATA), multihash=builders.multihash(b"other"))
    assert shared.of(SOURCE) is not shared.of(other)


@pytest.mark.parametrize("missing", ["size", "multihash"])
def test_what_cannot_be_proven_is_not_shared(missing):
    shared = digests.SharedDigests(clocks.FakeClock())
    source = builders.source(**{missing: None})
    assert shared.of(source) is not shared.of(source)


def sources(count, size=1):
    return [
        builders.source(image_id=f"00000000-0000-4000-8000-00000000000{n}", size=size)
        for n in range(count)
    ]


def test_the_sums_used_last_are_kept_as_far_as_the_memory_goes():
    one, two, three = sources(3)
    shared = digests.SharedDigests(clocks.FakeClock(), limit_bytes=2 * 2048)
    first, second = shared.of(one), shared.of(two)
    shared.of(one)
    shared.of(three)
    assert shared.of(one) is first
    assert shared.of(two) is not second


def test_the_memory_of_a_sum_is_that_of_the_whole_image():
    assert digests.SharedDigest(builders.source(size=0)).most_bytes == 2048
    assert digests.SharedDigest(builders.source(size=None)).most_bytes == 2048
    assert digests.SharedDigest(builders.source(size=1024**4)).most_bytes == 2048 + 4 * MIB


def test_a_sum_alone_is_kept_however_large_its_image():
    small, large = sources(1)[0], sources(2, size=8 * 1024**4)[1]
    shared = digests.SharedDigests(clocks.FakeClock())
    before, first = shared.of(small), shared.of(large)
    assert shared.of(large) is first
    assert shared.of(small) is not before
    assert shared.of(large) is not first


def test_a_sum_that_nobody_asked_for_is_kept_for_an_hour():
    clock = clocks.FakeClock()
    shared = digests.SharedDigests(clock)
    one, two = sources(2)
    first, second = shared.of(one), shared.of(two)
    clock.advance(1800.0)
    assert shared.of(two) is second
    clock.advance(1800.0)
    assert shared.of(one) is first
    clock.advance(1800.1)
    assert shared.of(two) is not second
    assert shared.of(one) is first


def test_a_source_without_a_hash_is_summed_by_the_default():
    digest = digests.SharedDigest(builders.source(multihash=None))
    digest.take(0, b"x")
    assert digest.multihash() == builders.multihash(b"x", "sha512")
