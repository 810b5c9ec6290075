# SPDX-License-Identifier: Apache-2.0
"""The bytes on their way: counted, hashed, and never completed while they are wrong."""

from collections.abc import Callable, Iterable, Iterator

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine import digests


def withheld(
    chunks: Iterable[bytes],
    *,
    image: images.Image,
    digest: digests.SharedDigest | None = None,
) -> Iterator[bytes]:
    """Pass ``chunks`` on, the last one only after the sum of all is the expected one.

    The receiver was told the whole length, so while the last chunk is missing it cannot take
    what it has for an image. Wrong bytes therefore never become active anywhere.

    :param digest: shared with others who read the same image now; None: with nobody.
    :raises DigestMismatch: the bytes are not what ``image`` says.
    :raises TransferInterrupted: there are fewer or more bytes than ``image`` says.
    """
    what = f"data of image {image.image_id} read from region {image.region}"
    digest = digest or digests.SharedDigest(image)
    done = 0
    held = b""
    for number, block in enumerate(_blocks(chunks)):
        # Before the block in hand goes, for what it completes must not be taken for the whole,
        # and before a block is hashed that others would find longer.
        _check_size(image, what, done + len(held) + len(block), last=len(block))
        if held:
            yield held
            done += len(held)
        digest.take(number, block)
        held = block
    done += len(held)
    if image.size is not None and done != image.size:
        raise errors.TransferInterrupted(f"{what}: expected {image.size} bytes, got {done}")
    _check_sum(image, what, digest.multihash())
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


def _check_size(image: images.Image, what: str, seen: int, *, last: int) -> None:
    if image.size is None:
        return
    if seen > image.size:
        raise errors.TransferInterrupted(f"{what}: expected {image.size} bytes, got more")
    if last < digests.BLOCK_BYTES and seen != image.size:
        raise errors.TransferInterrupted(f"{what}: expected {image.size} bytes, got {seen}")


def _check_sum(image: images.Image, what: str, actual: images.Multihash) -> None:
    if image.multihash is not None and actual != image.multihash:
        raise errors.DigestMismatch(what=what, expected=str(image.multihash), actual=str(actual))
