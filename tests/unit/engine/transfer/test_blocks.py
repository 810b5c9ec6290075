# SPDX-License-Identifier: Apache-2.0
"""Blocks and the hashes that go with them."""

import os

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
import pytest

from glance_sync_agent import errors
from glance_sync_agent.engine.transfer import blocks
from tests.unit import builders

MIB = blocks.BLOCK_BYTES
DATA = os.urandom(3 * MIB + 17)
CUT = [(DATA[:MIB], False), (DATA[MIB : 2 * MIB], False), (DATA[2 * MIB : 3 * MIB], False)]


def chunks(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


@settings(max_examples=10)
@given(st.integers(min_value=MIB // 9, max_value=2 * MIB))
def test_chunks_of_any_size_make_the_same_blocks(size):
    assert list(blocks.cut(chunks(DATA, size))) == [*CUT, (DATA[3 * MIB :], True)]


def test_a_whole_block_may_be_the_last_one():
    assert list(blocks.cut(chunks(DATA[: 2 * MIB], MIB))) == [CUT[0], (CUT[1][0], True)]


@pytest.mark.parametrize("nothing", [[], [b""], [b"", b""]])
def test_no_data_is_one_empty_block(nothing):
    assert list(blocks.cut(nothing)) == [(b"", True)]


def test_a_chunk_of_the_size_of_a_block_is_not_copied():
    whole = bytes(MIB)
    assert next(blocks.cut([whole, b"x"]))[0] is whole


def test_a_prefix_grows_and_stays_as_it_was():
    nothing = blocks.empty_prefix("sha256")
    some = nothing.plus(b"some")
    more = some.plus(b", it")
    assert [one.size for one in (nothing, some, more)] == [0, 4, 8]
    assert nothing.multihash == builders.multihash(b"", "sha256")
    assert some.multihash == builders.multihash(b"some", "sha256")
    assert more.multihash == builders.multihash(b"some, it", "sha256")


def test_prefixes_of_the_same_bytes_are_equal():
    nothing = blocks.empty_prefix("sha256")
    assert nothing.plus(b"some").plus(b", it") == nothing.plus(b"some, it")
    assert nothing.plus(b"some") != nothing.plus(b"sume")
    assert nothing != blocks.empty_prefix("sha512")


def test_a_hash_that_nobody_can_compute_is_refused():
    with pytest.raises(errors.Refused, match="cannot compute crc0 hashes"):
        blocks.empty_prefix("crc0")
