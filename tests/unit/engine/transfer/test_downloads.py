# SPDX-License-Identifier: Apache-2.0
"""One read for all readers of the same bytes, none of whom ever completes wrong bytes."""

import contextlib
import hashlib
import threading
import time

from hypothesis import assume
from hypothesis import given
from hypothesis import strategies as st
import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine.transfer import blocks
from glance_sync_agent.engine.transfer import downloads
from tests.unit import builders

DATA = b"zeroone-two-tri-fourfivesix"
BLOCKS = [b"zero", b"one-", b"two-", b"tri-", b"four", b"five", b"six"]
CHUNKS = st.lists(st.binary(max_size=6), max_size=8)
ALGORITHMS = st.sampled_from(["md5", "sha256", "sha512"])


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(blocks, "BLOCK_BYTES", 4)
        yield


class Store:
    """Holds the same data in all regions, and counts how often and from where it is read."""

    def __init__(self, data=DATA, *, fail_at=None, slow_seconds=0.0, permits=None):
        self.chunks = [data[at : at + 4] for at in range(0, len(data), 4)]
        self.opened_at = []
        self.open = 0
        self.given = 0
        self.fail_at = fail_at
        self._slow_seconds = slow_seconds
        self._permits = permits  # one for each chunk; None: without

    def source_store(self, _region):
        return self

    @contextlib.contextmanager
    def read(self, _image, *, offset=0):
        self.opened_at.append(offset)
        self.open += 1
        try:
            yield self._chunks(offset // 4)
        finally:
            self.open -= 1

    def _chunks(self, first):
        for number, chunk in enumerate(self.chunks[first:], first):
            if number == self.fail_at:
                raise errors.TransferInterrupted(f"broke at {number}")
            if self._permits is not None:
                assert self._permits.acquire(timeout=10)
            time.sleep(self._slow_seconds)
            self.given += 1
            yield chunk


def image(data=DATA, algo="sha512", **fields):
    found = {"size": len(data), "multihash": builders.multihash(data, algo), **fields}
    return builders.source(**found)


def over(store, **settings):
    """Return downloads that read from a store."""
    return downloads.Downloads(store, **settings)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def shared(store):
    """Keeps three blocks, if there is one download."""
    return over(store, most_blocks=4)


@contextlib.contextmanager
def opened(shared, source=None):
    with shared.open(source or image()) as reader:
        yield reader.blocks()


@contextlib.contextmanager
def readers(shared, count, source=None):
    """Give the blocks of several readers that begin at once."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(opened(shared, source)) for _ in range(count)]


def take(found, count):
    return [next(found) for _ in range(count)]


# Sharing.


def test_one_reader_gets_all_blocks_in_one_read(shared, store):
    with opened(shared) as found:
        assert list(found) == BLOCKS
    assert (store.opened_at, store.open) == ([0], 0)


def test_data_without_bytes_has_no_blocks():
    with opened(over(Store(b"")), image(b"")) as found:
        assert list(found) == []


def test_readers_side_by_side_share_one_read(shared, store):
    with readers(shared, 3) as all_blocks:
        for expected in BLOCKS:
            assert [next(found) for found in all_blocks] == [expected] * 3
        assert all(list(found) == [] for found in all_blocks)
    assert (store.opened_at, store.given, store.open) == ([0], len(BLOCKS), 0)


def test_the_readers_of_a_source_without_a_hash_share_a_read_as_well(store):
    shared, source = over(store), image(multihash=None)
    with shared.open(source) as one, shared.open(source) as other:
        for reader in (one, other):
            assert b"".join(reader.blocks()) == DATA
            assert reader.prefix.multihash == builders.multihash(DATA, "sha512")
    assert store.opened_at == [0]


def test_a_reader_that_comes_a_little_later_shares_as_well(shared, store):
    with opened(shared) as first:
        take(first, 3)
        with opened(shared) as second:
            assert take(second, 5) == BLOCKS[:5]
            assert list(first) == BLOCKS[3:]
            assert list(second) == BLOCKS[5:]
    assert store.opened_at == [0]


def test_late_readers_share_a_second_read(shared, store):
    with opened(shared) as first:
        take(first, 4)
        with readers(shared, 2) as (second, third):
            for expected in BLOCKS:
                assert next(second) == next(third) == expected
        assert list(first) == BLOCKS[4:]
    assert store.opened_at == [0, 0]


def test_a_reader_that_falls_behind_continues_with_a_read_of_its_own(shared, store):
    with readers(shared, 2) as (fast, slow):
        take(slow, 2)
        assert take(fast, 6) == BLOCKS[:6]
        assert list(slow) == BLOCKS[2:]
        assert list(fast) == BLOCKS[6:]
    assert (store.opened_at, store.open) == ([0, 8], 0)


def test_a_reader_that_continues_alone_is_verified_with_what_it_had_before(shared, store):
    """Its first block came from a read of which nothing is left."""
    with shared.open(image()) as slow, opened(shared) as fast:
        found = slow.blocks()
        assert next(found) == b"zero"
        take(fast, 6)
        assert b"".join(found) == DATA[4:]
        assert slow.prefix.multihash == builders.multihash(DATA)
    assert store.opened_at == [0, 4]


def test_bytes_that_changed_between_two_reads_are_never_completed(shared, store):
    with readers(shared, 2) as (fast, slow):
        take(slow, 1)
        take(fast, 6)
        store.chunks[1] = b"ONE-"
        assert take(slow, 5) == [b"ONE-", *BLOCKS[2:6]]
        with pytest.raises(errors.OriginFailed) as caught:
            next(slow)
        assert isinstance(caught.value.reason, errors.DigestMismatch)
        assert list(fast) == BLOCKS[6:]


def test_a_reader_of_other_bytes_takes_no_part_in_a_read(shared, store):
    """It would complete its own wrong bytes with the right ones of that read."""
    store.chunks[0] = b"ZERO"
    with opened(shared) as wrong:
        take(wrong, 1)
        store.chunks[0] = b"zero"
        with opened(shared) as other:  # shares the wrong block
            take(other, 1)
            take(wrong, 4)
            with opened(shared) as right:
                take(right, 1)
                assert take(other, 1) == BLOCKS[1:2]
                for found in (wrong, other):
                    with pytest.raises(errors.OriginFailed, match="DigestMismatch"):
                        list(found)
                assert list(right) == BLOCKS[1:]
    assert store.opened_at == [0, 0, 4]


def test_two_that_fall_behind_share_again(shared, store):
    with readers(shared, 3) as (fast, slow, slower):
        take(fast, 6)
        take(slow, 1)
        take(slower, 1)
        assert take(slow, 1) == take(slower, 1) == BLOCKS[1:2]
    assert store.opened_at == [0, 0]


def test_a_read_ends_with_its_last_byte_or_its_last_reader(shared, store):
    with readers(shared, 2) as (first, second):
        take(first, 1)
        with contextlib.closing(second):
            take(second, 1)
        assert store.open == 1
        take(first, 6)
        assert store.open == 0
    with readers(shared, 2) as (first, _second):
        take(first, 1)
        assert store.open == 1
    assert store.open == 0


def test_the_reader_that_opened_it_may_leave_first(shared, store):
    first = shared.open(image())
    first.__enter__()
    with opened(shared) as found:
        first.__exit__(None, None, None)
        assert list(found) == BLOCKS
    assert store.opened_at == [0]


@pytest.mark.parametrize(
    "changes",
    [
        {"image_id": builders.COPY_ID},
        {"region": images.RegionId("RegionNine")},
        {"multihash": builders.multihash(DATA, "sha256")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_other_images_are_not_shared(shared, store, changes):
    with opened(shared) as one, opened(shared, image(**changes)) as other:
        assert list(one) == list(other) == BLOCKS
    assert store.opened_at == [0, 0]


def test_readers_are_counted_by_region(shared):
    elsewhere = image(region=images.RegionId("RegionNine"))
    with readers(shared, 2), opened(shared, elsewhere):
        assert shared.readers(image().region) == 2
        assert shared.readers(elsewhere.region) == 1
    assert shared.readers(image().region) == shared.readers(elsewhere.region) == 0


def test_the_memory_is_for_all_downloads_together(shared, store):
    """With two downloads, one block is kept for each."""
    with opened(shared, image(image_id=builders.COPY_ID)), readers(shared, 2) as (fast, slow):
        take(fast, 2)
        take(slow, 1)
    assert store.opened_at == [0, 0, 0]


def test_more_downloads_than_blocks_keep_the_one_in_hand(store):
    shared = over(store, most_blocks=1)
    with readers(shared, 2) as (one, other), opened(shared, image(image_id=builders.COPY_ID)):
        for expected in BLOCKS:
            assert next(one) == next(other) == expected
    assert store.opened_at == [0, 0]


def test_what_cannot_be_opened_fails_at_once_and_is_opened_anew_by_the_next(shared, store):
    store.fail_at = 0
    with pytest.raises(errors.OriginFailed, match="broke at 0"):
        shared.open(image()).__enter__()
    assert store.open == 0
    store.fail_at = None
    with opened(shared) as found:
        assert list(found) == BLOCKS


def test_a_failure_is_that_of_all_who_share_the_read(shared, store):
    store.fail_at = 2
    with readers(shared, 3) as all_blocks:
        for found in all_blocks:
            with pytest.raises(errors.OriginFailed, match="broke at 2"):
                list(found)
    assert (store.opened_at, store.open) == ([0], 0)


def test_after_a_failure_a_newcomer_reads_for_itself(shared, store):
    store.fail_at = 2
    with opened(shared) as found:
        with pytest.raises(errors.OriginFailed):
            list(found)
        with opened(shared) as others:
            assert next(others) == BLOCKS[0]
    assert store.opened_at == [0, 0]


def test_an_error_that_is_no_failure_of_the_read_comes_through_as_it_is(store):
    class Bug(Exception):
        pass

    def broken(_region):
        raise Bug

    store.source_store = broken
    with pytest.raises(Bug):
        over(store).open(image()).__enter__()


def test_no_reader_waits_for_one_that_stands_still(shared):
    with readers(shared, 2) as (idle, busy):
        take(idle, 1)
        assert list(busy) == BLOCKS
        assert list(idle) == BLOCKS[1:]


def test_while_one_reads_a_block_the_others_wait_for_that_read():
    store = Store(slow_seconds=0.005)  # nothing else shows that the others wait
    shared = over(store)
    started = threading.Barrier(5, timeout=10)
    results = []

    def work():
        started.wait()
        with opened(shared) as found:
            started.wait()
            results.append(list(found))
            started.wait()

    threads = [threading.Thread(target=work) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [BLOCKS] * 5
    assert (store.opened_at, store.given) == ([0], len(BLOCKS))


def test_a_reader_that_waited_gets_its_block_while_another_one_reads_the_next():
    """A lock for the read once went to the same reader again and again."""
    permits = threading.Semaphore(2)
    taken: list[bytes] = []
    with readers(over(Store(permits=permits)), 2) as (one, other):
        take(one, 1)
        take(other, 1)
        ahead = threading.Thread(target=take, args=(one, 2))
        ahead.start()
        waiting = threading.Thread(target=lambda: taken.extend(take(other, 1)))
        waiting.start()
        permits.release()
        waiting.join(10)
        assert taken == BLOCKS[1:2]
        assert ahead.is_alive()
        permits.release()
        ahead.join()


@given(
    most=st.integers(min_value=1, max_value=8),
    steps=st.lists(st.integers(min_value=0, max_value=3), max_size=60),
)
def test_in_whatever_order_they_read_each_gets_every_block(most, steps):
    store = Store()
    with readers(over(store, most_blocks=most), 4) as all_blocks:
        got: list[list[bytes]] = [[] for _ in all_blocks]
        for one in steps:
            got[one] += [block for block in [next(all_blocks[one], None)] if block]
        for one, found in enumerate(all_blocks):
            assert got[one] + list(found) == BLOCKS
    assert store.open == 0
    # Each read is one block ahead, and a reader may have lost the block that it began with.
    assert store.given <= 4 * (len(BLOCKS) + 1) + len(store.opened_at)


def test_a_block_is_hashed_once(monkeypatch):
    hashed, source = [], image()

    class Counting:
        def copy(self):
            return self

        def update(self, block):
            hashed.append(block)

        def hexdigest(self):
            return source.multihash.value

    monkeypatch.setattr(hashlib, "new", lambda _algo: Counting())
    with readers(over(Store()), 3, source) as all_blocks:
        for found in all_blocks:
            list(found)
    assert hashed == BLOCKS


# Nothing wrong is ever complete.


class Receiver:
    """Takes what comes, as Glance does."""

    def __init__(self):
        self.received = b""

    def take(self, chunks, source):
        store = Store()
        store.chunks = chunks
        with over(store).open(source) as reader:
            for block in reader.blocks():
                self.received += block
        return reader


@pytest.fixture
def receiver():
    return Receiver()


@given(CHUNKS, ALGORITHMS)
def test_right_bytes_arrive_as_they_are(chunks, algo):
    receiver, data = Receiver(), b"".join(chunks)
    reader = receiver.take(chunks, image(data, algo))
    assert receiver.received == data
    assert reader.prefix.multihash == builders.multihash(data, algo)


@given(CHUNKS, st.binary(max_size=24))
def test_wrong_bytes_are_never_complete(chunks, wanted):
    assume(b"".join(chunks) != wanted)
    receiver = Receiver()
    with pytest.raises(errors.OriginFailed) as caught:
        receiver.take(chunks, image(wanted))
    assert isinstance(
        caught.value.reason, errors.DigestMismatch | errors.TransferInterrupted
    )
    assert len(receiver.received) < max(len(wanted), 1)
    assert b"".join(chunks).startswith(receiver.received)


@given(CHUNKS, st.integers(min_value=0, max_value=64))
def test_a_source_without_hash_has_at_least_the_right_length(chunks, size):
    data = b"".join(chunks)
    receiver = Receiver()
    old = builders.source(size=size, multihash=None)
    if len(data) == size:
        receiver.take(chunks, old)
        assert receiver.received == data
    else:
        with pytest.raises(errors.OriginFailed, match="TransferInterrupted"):
            receiver.take(chunks, old)
        assert len(receiver.received) < max(size, 1)


def test_bytes_after_an_empty_chunk_are_withheld_as_well(receiver):
    """An empty last chunk once let the whole of a wrong image pass."""
    with pytest.raises(errors.OriginFailed, match="DigestMismatch"):
        receiver.take([b"bad-", b""], image(b"good"))
    assert receiver.received == b""


def test_a_source_that_has_more_than_it_said_completes_nothing(receiver):
    """The chunk that filled the announced length once went before the next was looked at."""
    with pytest.raises(errors.OriginFailed, match="expected 4 bytes, got more"):
        receiver.take([b"head", b"tail"], image(b"head"))
    assert receiver.received == b""


def test_a_source_that_ends_early_says_how_much_there_was(receiver):
    with pytest.raises(errors.OriginFailed, match="expected 8 bytes, got 4"):
        receiver.take([b"head"], image(b"headtail"))


def test_a_mismatch_names_both_hashes(receiver):
    with pytest.raises(errors.OriginFailed) as caught:
        receiver.take([b"wrong"], image(b"right", "sha256"))
    reason = caught.value.reason
    assert isinstance(reason, errors.DigestMismatch)
    assert reason.expected == f"sha256:{hashlib.sha256(b'right').hexdigest()}"
    assert reason.actual == f"sha256:{hashlib.sha256(b'wrong').hexdigest()}"
    assert str(builders.IMAGE_ID) in str(reason)


def test_a_source_of_unknown_size_is_judged_by_its_hash(receiver):
    receiver.take([b"some ", b"data"], image(b"some data", size=None))
    assert receiver.received == b"some data"
    with pytest.raises(errors.OriginFailed, match="DigestMismatch"):
        receiver.take([b"some ", b"date"], image(b"some data", size=None))
