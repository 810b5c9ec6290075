# SPDX-License-Identifier: Apache-2.0
"""The byte paths in memory do what the engine's tests rely on."""

from collections.abc import Iterator

import pytest

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from tests.fakes import glance as fake_glance
from tests.unit import builders

DATA = b"0123456789"


@pytest.fixture
def region() -> fake_glance.FakeGlance:
    return fake_glance.FakeGlance("RegionTwo")


@pytest.fixture
def store(region: fake_glance.FakeGlance) -> fake_glance.FakeImageStore:
    return fake_glance.FakeImageStore(region, chunk_bytes=4)


def test_what_is_written_is_read(
    region: fake_glance.FakeGlance, store: fake_glance.FakeImageStore
) -> None:
    image = region.make()
    store.write(image.image_id, len(DATA), iter([DATA[:3], b"", DATA[3:]]))
    after = region.image(image.image_id)
    assert after.status is images.ImageStatus.ACTIVE
    assert (after.size, after.multihash) == (len(DATA), builders.multihash(DATA))
    with store.read(after) as chunks:
        assert list(chunks) == [b"0123", b"4567", b"89"]


@pytest.mark.parametrize("size", [9, 11, 0])
def test_a_wrong_length_leaves_the_record_queued(
    region: fake_glance.FakeGlance, store: fake_glance.FakeImageStore, size: int
) -> None:
    image = region.make()
    with pytest.raises(errors.TransferInterrupted, match=f"announced {size} bytes, had 10"):
        store.write(image.image_id, size, [DATA])
    assert region.image(image.image_id) == image


def test_an_error_of_the_chunks_comes_through_and_leaves_the_record_queued(
    region: fake_glance.FakeGlance, store: fake_glance.FakeImageStore
) -> None:
    image = region.make()
    seen = []

    def chunks() -> Iterator[bytes]:
        yield DATA
        seen.append(region.image(image.image_id).status)
        raise errors.DigestMismatch(what="data", expected="a", actual="b")

    with pytest.raises(errors.DigestMismatch):
        store.write(image.image_id, len(DATA), chunks())
    assert seen == [images.ImageStatus.SAVING]
    assert region.image(image.image_id) == image


def test_only_a_queued_record_takes_data(
    region: fake_glance.FakeGlance, store: fake_glance.FakeImageStore
) -> None:
    image = region.publish(DATA)
    with pytest.raises(errors.TransferInterrupted, match="active"):
        store.write(image.image_id, 1, [b"x"])
    assert region.data(image.image_id) == DATA


def test_a_record_that_vanishes_takes_no_data(
    region: fake_glance.FakeGlance, store: fake_glance.FakeImageStore
) -> None:
    image = region.make()

    def chunks() -> Iterator[bytes]:
        region.delete_as_user(image.image_id)
        yield DATA

    for source in (chunks(), [DATA]):
        with pytest.raises(errors.TransferInterrupted, match=image.image_id):
            store.write(image.image_id, len(DATA), source)
    assert region.get(image.image_id) is None


def test_an_image_without_data_cannot_be_read(
    region: fake_glance.FakeGlance, store: fake_glance.FakeImageStore
) -> None:
    with pytest.raises(errors.TransferInterrupted), store.read(region.make()):
        pass


def test_a_fault_comes_before_the_operation(
    region: fake_glance.FakeGlance, store: fake_glance.FakeImageStore
) -> None:
    image = region.make(image_id=builders.IMAGE_ID)
    seen = []

    def fail(name: str, image_id: images.ImageId | None) -> None:
        seen.append((name, image_id))
        raise errors.ServiceUnavailable(name)

    region.before = fail
    for name, act in {
        "get": lambda: region.get(image.image_id),
        "delete": lambda: region.delete(image),
        "write": lambda: store.write(image.image_id, 1, [b"x"]),
    }.items():
        with pytest.raises(errors.ServiceUnavailable, match=name):
            act()
    assert seen == [(name, image.image_id) for name in ("get", "delete", "write")]
    assert region.image(image.image_id) == image
