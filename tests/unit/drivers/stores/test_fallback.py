# SPDX-License-Identifier: Apache-2.0
"""Two ways to the same bytes."""

import contextlib

import pytest

from glance_sync_agent import errors
from glance_sync_agent.drivers.stores import fallback
from tests.unit import builders

IMAGE = builders.source()


class Store:
    """An image store that yields, and fails where it is told to."""

    def __init__(self, *chunks, way="store"):
        self.way = way
        self._chunks = chunks
        self.opened = 0
        self.is_open = False
        self.written = []

    @contextlib.contextmanager
    def read(self, image, *, offset=0):
        assert image is IMAGE
        self.opened += 1
        self.is_open = True
        try:
            yield self._read()
        finally:
            self.is_open = False

    def _read(self):
        for chunk in self._chunks:
            if isinstance(chunk, Exception):
                raise chunk
            yield chunk

    def write(self, image_id, size, chunks):
        self.written.append((image_id, size, b"".join(chunks)))


class Shut(Store):
    """An image store that does not even open."""

    def read(self, image, *, offset=0):
        self.opened += 1
        raise errors.Refused("no such file")


def read(store):
    with store.read(IMAGE) as chunks:
        return list(chunks)


def test_the_first_way_is_taken_if_it_opens():
    first, second = Store(b"a", b"b"), Store(b"c")
    assert read(fallback.WithFallback(first, second)) == [b"a", b"b"]
    assert (first.opened, second.opened) == (1, 0)
    assert not first.is_open


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(Shut(), id="does-not-open"),
        pytest.param(Store(errors.ServiceUnavailable("no route")), id="no-first-byte"),
        pytest.param(Store(errors.Refused("no such file")), id="refused-at-first-byte"),
    ],
)
def test_the_second_way_is_taken_if_the_first_gives_no_byte(first):
    second = Store(b"c", b"d")
    with fallback.WithFallback(first, second).read(IMAGE) as chunks:
        assert not first.is_open
        assert list(chunks) == [b"c", b"d"]
    assert not second.is_open


def test_an_image_without_bytes_needs_no_second_way():
    second = Store(b"c")
    assert read(fallback.WithFallback(Store(), second)) == []
    assert second.opened == 0


def test_after_the_first_byte_there_is_no_way_back():
    second = Store(b"c")
    first = Store(b"a", errors.TransferInterrupted("broken off"))
    with pytest.raises(errors.TransferInterrupted, match="broken off"):
        read(fallback.WithFallback(first, second))
    assert not first.is_open
    assert second.opened == 0


def test_what_the_reader_raises_is_not_taken_for_a_closed_way():
    first, second = Store(b"a"), Store(b"c")
    with pytest.raises(errors.Cancelled), fallback.WithFallback(first, second).read(IMAGE):
        raise errors.Cancelled("stop")
    assert not first.is_open
    assert second.opened == 0


def test_an_error_of_the_second_way_is_the_one_that_is_told():
    with pytest.raises(errors.ServiceUnavailable, match="503"):
        read(fallback.WithFallback(Shut(), Store(errors.ServiceUnavailable("503"))))


def test_a_bug_in_the_first_way_is_not_hidden():
    second = Store(b"c")
    with pytest.raises(ZeroDivisionError):
        read(fallback.WithFallback(Store(ZeroDivisionError()), second))
    assert second.opened == 0


def test_data_is_written_the_first_way():
    first, second = Store(way="filesystem"), Store(way="api")
    store = fallback.WithFallback(first, second)
    assert store.way == "filesystem"
    store.write(IMAGE.image_id, 2, [b"a", b"b"])
    assert first.written == [(IMAGE.image_id, 2, b"ab")]
    assert second.written == []
