# SPDX-License-Identifier: Apache-2.0
"""The bytes on their way: counted, hashed, and never completed while they are wrong."""

from collections.abc import Callable, Iterable, Iterator
import hashlib

from glance_sync_agent import errors
from glance_sync_agent.domain import images

#: Hash of sources that were stored before Glance had ``os_hash_value``.
DEFAULT_ALGO = "sha512"


def withheld(
    chunks: Iterable[bytes],
    *,
    image: images.Image,
    progress: Callable[[int], None],
) -> Iterator[bytes]:
    """Pass ``chunks`` on, the last one only after the sum of all is the expected one.

    The receiver was told the whole length, so while the last chunk is missing it cannot take
    what it has for an image. Wrong bytes therefore never become active anywhere.

    :param progress: called with the bytes passed on so far, before each further chunk; what
        it raises ends the transfer.
    :raises DigestMismatch: the bytes are not what ``image`` says.
    :raises TransferInterrupted: there are fewer or more bytes than ``image`` says.
    """
    what = f"data of image {image.image_id} read from region {image.region}"
    digest = hashlib.new(image.multihash.algo if image.multihash else DEFAULT_ALGO)
    done = 0
    held = b""
    for chunk in filter(None, chunks):
        # Before the chunk in hand goes, for what it completes must not be taken for the whole.
        if image.size is not None and done + len(held) + len(chunk) > image.size:
            raise errors.TransferInterrupted(f"{what}: expected {image.size} bytes, got more")
        if held:
            yield held
            done += len(held)
            progress(done)
        digest.update(chunk)
        held = chunk
    done += len(held)
    if image.size is not None and done != image.size:
        raise errors.TransferInterrupted(f"{what}: expected {image.size} bytes, got {done}")
    _check(image, what, digest.hexdigest())
    if held:
        yield held
    progress(done)


def _check(image: images.Image, what: str, value: str) -> None:
    if image.multihash is None:
        return
    actual = images.Multihash(algo=image.multihash.algo, value=value)
    if actual != image.multihash:
        raise errors.DigestMismatch(what=what, expected=str(image.multihash), actual=str(actual))
