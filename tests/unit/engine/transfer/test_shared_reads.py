# SPDX-License-Identifier: Apache-2.0
"""One read for all who want the same bytes at the same time."""

import contextlib
import threading
import time

from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent import errors
from glance_sync_agent.engine.transfer import digests
from glance_sync_agent.engine.transfer import shared_reads
from tests.unit import builders

BLOCKS = [b"zero", b"one", b"two", b"three", b"four", b"five", b"six"]


class Origin:
    """Data that counts how often, and from where, it is read."""

    def __init__(self, blocks=BLOCKS, *, fail_at=None, slow_seconds=0.0):
        self.digest = digests.SharedDigest(builders.source())
        self.opened_at = []
        self.open = 0
        self.given = 0
        self._blocks = blocks
        self._fail_at = fail_at
        self._slow_seconds = slow_seconds

    @contextlib.contextmanager
    def open_at(self, number):
        self.opened_at.append(number)
        self.open += 1
        try:
            yield self._read(number)
        finally:
            self.open -= 1

    def _read(self, first):
        for number, block in enumerate(self._blocks[first:], first):
            if number == self._fail_at:
                raise errors.TransferInterrupted(f"broke at {number}")
            time.sleep(self._slow_seconds)
            self.given += 1
            yield block


@pytest.fixture
def origin():
    return Origin()


@pytest.fixture
def shared():
    return shared_reads.SharedReads(kept_blocks=3)


@contextlib.contextmanager
def readers(shared, origin, count):
    """Give the blocks of several readers that began at once."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(shared.open(origin.digest, origin.open_at)) for _ in range(count)
        ]


def take(blocks, count):
    return [next(blocks) for _ in range(count)]


def test_one_reader_gets_all_blocks_in_one_read(shared, origin):
    with shared.open(origin.digest, origin.open_at) as blocks:
        assert list(blocks) == BLOCKS
    assert origin.opened_at == [0]
    assert origin.open == 0


def test_data_without_bytes_has_no_blocks(shared):
    with shared.open(digests.SharedDigest(builders.source()), Origin([]).open_at) as blocks:
        assert list(blocks) == []


def test_readers_side_by_side_share_one_read(shared, origin):
    with readers(shared, origin, 3) as all_blocks:
        for expected in BLOCKS:
            assert [next(blocks) for blocks in all_blocks] == [expected] * 3
        assert all(list(blocks) == [] for blocks in all_blocks)
    assert origin.opened_at == [0]
    assert origin.given == len(BLOCKS)
    assert origin.open == 0


def test_one_that_comes_a_little_later_shares_as_well(shared, origin):
    with shared.open(origin.digest, origin.open_at) as first:
        take(first, 3)
        with shared.open(origin.digest, origin.open_at) as second:
            assert take(second, 5) == BLOCKS[:5]
            assert list(first) == BLOCKS[3:]
            assert list(second) == BLOCKS[5:]
    assert origin.opened_at == [0]


def test_one_that_comes_too_late_reads_for_itself(shared, origin):
    with shared.open(origin.digest, origin.open_at) as first:
        take(first, 4)
        with shared.open(origin.digest, origin.open_at) as second:
            assert list(second) == BLOCKS
        assert list(first) == BLOCKS[4:]
    assert origin.opened_at == [0, 0]


def test_one_that_falls_behind_goes_on_from_there_with_a_read_of_its_own(shared, origin):
    with readers(shared, origin, 2) as (fast, slow):
        take(slow, 2)
        assert take(fast, 6) == BLOCKS[:6]
        assert list(slow) == BLOCKS[2:]
        assert list(fast) == BLOCKS[6:]
    assert origin.opened_at == [0, 2]
    assert origin.open == 0


def test_two_that_fall_behind_share_again(shared, origin):
    with readers(shared, origin, 3) as (fast, slow, slower):
        take(fast, 6)
        take(slow, 1)
        take(slower, 1)
        assert take(slow, 1) == take(slower, 1) == BLOCKS[1:2]
    assert origin.opened_at == [0, 0]


def test_a_read_ends_with_its_last_reader(shared, origin):
    with readers(shared, origin, 2) as (first, second):
        take(first, 1)
        with contextlib.closing(second):
            take(second, 1)
        assert origin.open == 1
    assert origin.open == 0


def test_the_reader_who_opened_it_may_leave_first(shared, origin):
    first = shared.open(origin.digest, origin.open_at)
    second = shared.open(origin.digest, origin.open_at)
    first.__enter__()
    with second as blocks:
        first.__exit__(None, None, None)
        assert list(blocks) == BLOCKS
    assert origin.opened_at == [0]


def test_others_bytes_are_not_shared(shared, origin):
    other = Origin([b"other"])
    with (
        shared.open(origin.digest, origin.open_at) as blocks,
        shared.open(other.digest, other.open_at) as others,
    ):
        assert list(others) == [b"other"]
        assert list(blocks) == BLOCKS


def test_the_memory_is_for_all_reads_together(shared, origin):
    """With three reads, one block is kept for each."""
    others = [Origin(), Origin()]
    with contextlib.ExitStack() as stack:
        for other in others:
            stack.enter_context(shared.open(other.digest, other.open_at))
        with readers(shared, origin, 2) as (fast, slow):
            take(fast, 2)
            take(slow, 1)
    assert origin.opened_at == [0, 0]


def test_more_reads_than_blocks_keep_the_one_in_hand():
    shared = shared_reads.SharedReads(kept_blocks=1)
    one, other = Origin(), Origin()
    with (
        shared.open(one.digest, one.open_at) as blocks,
        shared.open(other.digest, other.open_at) as others,
    ):
        for expected in BLOCKS:
            assert next(blocks) == next(others) == expected
    assert one.opened_at == other.opened_at == [0]


def test_what_cannot_be_opened_is_told_at_once_and_opened_anew_by_the_next(shared, origin):
    broken = Origin(fail_at=0)
    opening = shared.open(origin.digest, broken.open_at)
    with pytest.raises(errors.TransferInterrupted, match="broke at 0"):
        opening.__enter__()
    assert broken.open == 0
    with shared.open(origin.digest, origin.open_at) as blocks:
        assert list(blocks) == BLOCKS


def test_a_failure_is_that_of_all_who_share_the_read(shared):
    origin = Origin(fail_at=2)
    with readers(shared, origin, 3) as all_blocks:
        for blocks in all_blocks:
            with pytest.raises(errors.TransferInterrupted, match="broke at 2"):
                list(blocks)
    assert origin.opened_at == [0]
    assert origin.open == 0


def test_after_a_failure_a_newcomer_reads_for_itself(shared):
    origin = Origin(fail_at=1)
    with shared.open(origin.digest, origin.open_at) as blocks:
        with pytest.raises(errors.TransferInterrupted):
            list(blocks)
        with shared.open(origin.digest, origin.open_at) as others:
            assert next(others) == BLOCKS[0]
    assert origin.opened_at == [0, 0]


def test_nobody_waits_for_one_who_does_not_go_on(shared, origin):
    with readers(shared, origin, 2) as (idle, busy):
        take(idle, 1)
        assert list(busy) == BLOCKS
        assert list(idle) == BLOCKS[1:]


def test_while_one_reads_a_block_the_others_wait_for_that_read():
    shared = shared_reads.SharedReads()
    origin = Origin(slow_seconds=0.005)  # nothing else tells that the others wait
    started = threading.Barrier(5, timeout=10)
    results = []

    def work():
        started.wait()
        with shared.open(origin.digest, origin.open_at) as blocks:
            started.wait()
            results.append(list(blocks))
            started.wait()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [BLOCKS] * 5
    assert origin.opened_at == [0]
    assert origin.given == len(BLOCKS)


@given(
    kept=st.integers(min_value=1, max_value=8),
    steps=st.lists(st.integers(min_value=0, max_value=3), max_size=60),
)
def test_in_whatever_order_they_read_each_gets_every_block(kept, steps):
    shared = shared_reads.SharedReads(kept_blocks=kept)
    origin = Origin()
    with readers(shared, origin, 4) as all_blocks:
        got: list[list[bytes]] = [[] for _ in all_blocks]
        for one in steps:
            got[one] += [block for block in [next(all_blocks[one], None)] if block]
        for one, blocks in enumerate(all_blocks):
            assert got[one] + list(blocks) == BLOCKS
    assert origin.open == 0
    assert origin.given <= 4 * len(BLOCKS)
