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
    digest = hashlib.new(image.multihash.algo if image.multihash else DEFAULT_ALGO)
    done = 0
    held = b""
    for chunk in chunks:
        if held:
            yield held
            done += len(held)
            progress(done)
        digest.update(chunk)
        held = chunk
        if image.size is not None and done + len(held) > image.size:
            break
    _check(image, done + len(held), digest.hexdigest())
    if held:
        yield held
    progress(done + len(held))


def _check(image: images.Image, size: int, value: str) -> None:
    what = f"data of image {image.image_id} read from region {image.region}"
    if image.size is not None and size != image.size:
        raise errors.TransferInterrupted(f"{what}: expected {image.size} bytes, got {size}")
    if image.multihash is None:
        return
    actual = images.Multihash(algo=image.multihash.algo, value=value)
    if actual != image.multihash:
        raise errors.DigestMismatch(what=what, expected=str(image.multihash), actual=str(actual))
