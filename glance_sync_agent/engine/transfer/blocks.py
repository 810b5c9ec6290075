# SPDX-License-Identifier: Apache-2.0
"""The data of an image in blocks, each with the hash of all data up to its end."""

from collections.abc import Iterable, Iterator
import dataclasses
import hashlib

from glance_sync_agent import errors
from glance_sync_agent.domain import images

BLOCK_BYTES = 1024 * 1024

#: Hash of sources that were stored before Glance had ``os_hash_value``.
DEFAULT_ALGO = "sha512"


@dataclasses.dataclass(frozen=True, slots=True)
class Prefix:
    """The first bytes of an image. Equal prefixes hold the same bytes."""

    size: int
    multihash: images.Multihash
    _digest: "hashlib._Hash" = dataclasses.field(compare=False, repr=False)  # never updated

    def plus(self, data: bytes) -> "Prefix":
        """Return the prefix that ends behind ``data``."""
        digest = self._digest.copy()
        digest.update(data)
        multihash = dataclasses.replace(self.multihash, value=digest.hexdigest())
        return Prefix(self.size + len(data), multihash, digest)


@dataclasses.dataclass(frozen=True, slots=True)
class Block:
    """Some bytes of an image; none if it is empty."""

    data: bytes
    after: Prefix  # the prefix that ends with them
    is_last: bool


def empty_prefix(algo: str) -> Prefix:
    """Return the prefix of no bytes.

    :raises Refused: this Python cannot compute such a hash.
    """
    try:
        digest = hashlib.new(algo)
    except ValueError:
        raise errors.Refused(f"this Python cannot compute {algo} hashes") from None
    return Prefix(0, images.Multihash(algo=algo, value=digest.hexdigest()), digest)


def cut(chunks: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Cut and join to blocks of ``BLOCK_BYTES``; yield each, and whether it is the last one.

    The last block may be shorter. Data without bytes is one empty block.
    """
    held: bytes | None = None
    for block in _joined(chunks):
        if held is not None:
            yield held, False
        held = block
    yield held or b"", True


def _joined(chunks: Iterable[bytes]) -> Iterator[bytes]:
    size = BLOCK_BYTES
    rest = bytearray()
    for chunk in chunks:
        if not rest and len(chunk) == size:
            yield chunk  # without copying it
            continue
        rest += chunk
        while len(rest) >= size:
            yield bytes(rest[:size])
            del rest[:size]
    if rest:
        yield bytes(rest)
