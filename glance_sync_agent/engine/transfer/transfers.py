# SPDX-License-Identifier: Apache-2.0
"""The bytes on their way: counted, hashed, and never completed while they are wrong."""

from collections.abc import Callable, Iterable, Iterator

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine.transfer import digests


def hashed(
    chunks: Iterable[bytes],
    *,
    image: images.Image,
    digest: digests.SharedDigest,
    first: int = 0,
) -> Iterator[bytes]:
    """Cut ``chunks`` into blocks, and pass those on that ``digest`` took.

    :param first: number of the block that ``chunks`` begin with.
    :raises DigestMismatch: others read other bytes there.
    :raises TransferInterrupted: there are fewer or more bytes than ``image`` says.
    """
    done = first * digests.BLOCK_BYTES
    for number, block in enumerate(_blocks(chunks), first):
        done += len(block)
        # Before a block is hashed that others would find longer.
        _check_size(image, done, is_last=len(block) < digests.BLOCK_BYTES)
        digest.take(number, block)
        yield block
    _check_size(image, done, is_last=True)


def withheld(
    blocks: Iterable[bytes], *, image: images.Image, digest: digests.SharedDigest
) -> Iterator[bytes]:
    """Pass ``blocks`` on, the last one only after the sum of all is the expected one.

    The receiver was told the whole length, so while the last block is missing it cannot take
    what it has for an image. Wrong bytes therefore never become active anywhere.

    :param blocks: what :func:`hashed` gives, with the same ``digest``.
    :raises DigestMismatch: the bytes are not what ``image`` says.
    """
    held = b""
    for block in blocks:
        if held:
            yield held
        held = block
    _check_sum(image, digest.multihash())
    if held:
        yield held


def watched(blocks: Iterable[bytes], progress: Callable[[int], None]) -> Iterator[bytes]:
    """Pass ``blocks`` on, and tell how many bytes that makes so far.

    Apart from :func:`withheld`, so that what ends a transfer is not taken for a fault of what
    is read.

    :param progress: called before each further block and at the end; what it raises ends the
        transfer.
    """
    done = 0
    progress(done)
    for block in blocks:
        yield block
        done += len(block)
        progress(done)


def _blocks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Cut and join to blocks of ``BLOCK_BYTES``, the last one shorter; what fits is not copied."""
    size = digests.BLOCK_BYTES
    rest = bytearray()
    for chunk in chunks:
        if not rest and len(chunk) == size:
            yield chunk
            continue
        rest += chunk
        while len(rest) >= size:
            yield bytes(rest[:size])
            del rest[:size]
    if rest:
        yield bytes(rest)


def _check_size(image: images.Image, seen: int, *, is_last: bool) -> None:
    if image.size is None:
        return
    expected = f"{_what(image)}: expected {image.size} bytes"
    if seen > image.size:
        raise errors.TransferInterrupted(f"{expected}, got more")
    if is_last and seen != image.size:
        raise errors.TransferInterrupted(f"{expected}, got {seen}")


def _check_sum(image: images.Image, actual: images.Multihash) -> None:
    if image.multihash is not None and actual != image.multihash:
        expected = str(image.multihash)
        raise errors.DigestMismatch(what=_what(image), expected=expected, actual=str(actual))


def _what(image: images.Image) -> str:
    return f"data of image {image.image_id} read from region {image.region}"
