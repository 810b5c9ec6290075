# SPDX-License-Identifier: Apache-2.0
"""One sum over the bytes of an image, for all who read them at the same time.

An image that goes to regions of different speed is read more than once, and would be hashed more
than once, on cores that Glances need for hashing too. Here whoever reads a block first hashes it;
those who read the same block later only compare a cheap checksum with what was hashed. Nobody
waits for anybody: if the first falls behind or fails, the next one to reach the end goes on.
"""

import array
from collections import OrderedDict
from collections.abc import Callable
import dataclasses
import hashlib
import threading
import zlib

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports

BLOCK_BYTES = 1024 * 1024

_EMPTY_BYTES = 2048  # of a sum without a block

#: Hash of sources that were stored before Glance had ``os_hash_value``.
DEFAULT_ALGO = "sha512"


def new(algo: str) -> "hashlib._Hash":
    """Return an empty sum.

    :raises Refused: this Python makes none of the kind.
    """
    try:
        return hashlib.new(algo)
    except ValueError:
        raise errors.Refused(f"hashes of this kind cannot be made here: {algo}") from None


class SharedDigest:
    """The multihash of an image's data, block by block. Thread safe."""

    def __init__(self, image: images.Image) -> None:
        self.algo = image.multihash.algo if image.multihash else DEFAULT_ALGO
        self._digest = new(self.algo)
        self._checksums = array.array("I")  # of the blocks that were hashed
        #: Of memory once the whole image was read, roughly.
        self.most_bytes = _EMPTY_BYTES + 4 * ((image.size or 0) // BLOCK_BYTES)
        self._lock = threading.Lock()

    def take(self, number: int, block: bytes) -> None:
        """Add a block, or compare it with the one that was added in its place.

        Every reader brings its blocks in order, each of ``BLOCK_BYTES`` but for the last.

        :param number: of the block, from 0.
        :raises DigestMismatch: another reader found other bytes there.
        """
        checksum = zlib.crc32(block)
        with self._lock:
            if number == len(self._checksums):
                self._digest.update(block)
                self._checksums.append(checksum)
                return
            expected = self._checksums[number]
        if checksum != expected:
            raise errors.DigestMismatch(
                what=f"block {number} of {BLOCK_BYTES} bytes, read twice",
                expected=f"crc32:{expected:08x}",
                actual=f"crc32:{checksum:08x}",
            )

    def multihash(self) -> images.Multihash:
        """Return the sum of all blocks so far; of the whole for a reader who brought them all."""
        with self._lock:
            return images.Multihash(algo=self.algo, value=self._digest.hexdigest())


@dataclasses.dataclass(slots=True)
class _Kept:
    digest: SharedDigest
    used_at: float  # monotonic seconds


class SharedDigests:
    """The sums of the images that were read last. Thread safe."""

    def __init__(
        self,
        clock: ports.Clock,
        *,
        limit_bytes: int = 16 * 1024 * 1024,
        max_age_seconds: float = 3600.0,
    ) -> None:
        """Start with none.

        :param limit_bytes: of memory for all sums; an image of 1 TiB takes 4 MiB.
        :param max_age_seconds: after which a sum that nobody has asked for goes.
        """
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._max_age = max_age_seconds
        self._lock = threading.Lock()
        #: The one that was asked for last is the last one.
        self._kept: OrderedDict[tuple[str, str, str], _Kept] = OrderedDict()

    def of(self, image: images.Image) -> SharedDigest:
        """Return the sum that the readers of an image share."""
        if image.multihash is None or image.size is None:
            return SharedDigest(image)  # nothing would tell a wrong sum from a right one
        now, key = self._clock.monotonic(), _key(image)
        with self._lock:
            self._drop(lambda oldest: now - oldest.used_at > self._max_age)
            kept = self._kept.setdefault(key, _Kept(SharedDigest(image), now))
            kept.used_at = now
            self._kept.move_to_end(key)
            # Its readers still have one that is dropped; others will begin a sum of their own.
            self._drop(lambda _: len(self._kept) > 1 and self._bytes() > self._limit_bytes)
            return kept.digest

    def _drop(self, is_too_much: Callable[[_Kept], bool]) -> None:
        while self._kept and is_too_much(next(iter(self._kept.values()))):
            self._kept.popitem(last=False)

    def _bytes(self) -> int:
        return sum(kept.digest.most_bytes for kept in self._kept.values())

    def forget(self, image: images.Image) -> None:
        """Begin anew with the next reader, because a sum was wrong."""
        with self._lock:
            self._kept.pop(_key(image), None)


def _key(image: images.Image) -> tuple[str, str, str]:
    # With the region, or who reads a damaged copy would spoil the sum of who reads a good one.
    return image.region, image.image_id, str(image.multihash)
