# SPDX-License-Identifier: Apache-2.0
"""One sum over the bytes of an image, for all who read them at the same time.

An image that goes to regions of different speed is read more than once, and would be hashed more
than once, on cores that Glances need for hashing too. Here whoever reads a block first hashes it;
those who read the same block later only compare a cheap checksum with what was hashed. Nobody
waits for anybody: if the first falls behind or fails, the next one to reach the end goes on.
"""

from collections import OrderedDict
import hashlib
import threading
import zlib

from glance_sync_agent import errors
from glance_sync_agent.domain import images

BLOCK_BYTES = 1024 * 1024

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
        self._checksums: list[int] = []  # of the blocks that were hashed
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


class SharedDigests:
    """The sums of the images that were read last. Thread safe."""

    def __init__(self, *, limit: int = 256) -> None:
        """Start with none.

        :param limit: sums that are kept; each costs 36 bytes for a MiB of its image.
        """
        self._limit = limit
        self._lock = threading.Lock()
        self._digests: OrderedDict[tuple[str, str, str], SharedDigest] = OrderedDict()

    def of(self, image: images.Image) -> SharedDigest:
        """Return the sum that the readers of an image share."""
        if image.multihash is None or image.size is None:
            return SharedDigest(image)  # nothing would tell a wrong sum from a right one
        with self._lock:
            digest = self._digests.setdefault(_key(image), SharedDigest(image))
            self._digests.move_to_end(_key(image))
            while len(self._digests) > self._limit:
                self._digests.popitem(last=False)
            return digest

    def forget(self, image: images.Image) -> None:
        """Begin anew with the next reader, because a sum was wrong."""
        with self._lock:
            self._digests.pop(_key(image), None)


def _key(image: images.Image) -> tuple[str, str, str]:
    # With the region, or who reads a damaged copy would spoil the sum of who reads a good one.
    return image.region, image.image_id, str(image.multihash)
