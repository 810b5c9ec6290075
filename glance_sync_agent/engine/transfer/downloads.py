# SPDX-License-Identifier: Apache-2.0
"""The downloads that run, and their readers.

An image that goes to forty regions is read once. A reader that is slower than the others, so that
its next block is no longer kept, continues alone: nobody waits for a slow region.
"""

from collections import Counter
from collections.abc import Iterator
import contextlib
import threading

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.transfer import blocks
from glance_sync_agent.engine.transfer.blocks import Block
from glance_sync_agent.engine.transfer.blocks import Prefix
from glance_sync_agent.engine.transfer.download import Download

#: Blocks that all downloads together keep in memory.
MOST_BLOCKS = 24


class Downloads:
    """Shares downloads among readers. Thread safe."""

    def __init__(self, regions: ports.Regions, *, most_blocks: int = MOST_BLOCKS) -> None:
        """Start with none.

        :param most_blocks: with more of them, a slow reader shares a download for longer.
        """
        self._regions = regions
        self._most_blocks = most_blocks
        self._lock = threading.Lock()
        self._readers: Counter[Download] = Counter()

    @contextlib.contextmanager
    def open(self, image: images.Image) -> Iterator["ImageReader"]:
        """Open the data of an image.

        :raises OriginFailed: the first block cannot be read.
        :raises Refused: this Python cannot compute the hash of the image.
        """
        with contextlib.closing(ImageReader(self, image)) as reader:
            reader.peek()
            yield reader

    def readers(self, region: images.RegionId) -> int:
        """Return how many readers a region serves."""
        with self._lock:
            return sum(n for download, n in self._readers.items() if download.region == region)

    def join(self, image: images.Image, prefix: Prefix) -> Download:
        """Return a download that has the block behind ``prefix``; see :meth:`leave`."""
        with self._lock:
            running = (one for one in self._readers if one.has(image, prefix))
            download = next(running, None) or Download(
                image, prefix, self._regions, self._kept_blocks
            )
            self._readers[download] += 1
            return download

    def leave(self, download: Download) -> None:
        """End a download with its last reader."""
        with self._lock:
            self._readers[download] -= 1
            if self._readers[download]:
                return
            del self._readers[download]
        download.close()

    def _kept_blocks(self) -> int:
        """Return the share of one download; it reads one block ahead."""
        with self._lock:
            return max(1, self._most_blocks // len(self._readers) - 1)


class ImageReader:
    """Takes block after block of one image. For one thread."""

    def __init__(self, downloads: Downloads, image: images.Image) -> None:
        self._downloads = downloads
        self._image = image
        self._download: Download | None = None
        algo = image.multihash.algo if image.multihash else blocks.DEFAULT_ALGO
        #: All bytes that were taken; they are verified once there are no more.
        self.prefix = blocks.empty_prefix(algo)

    def blocks(self) -> Iterator[bytes]:
        """Yield the data.

        :raises OriginFailed: it cannot be read, or is not what the image says.
        """
        is_last = False
        while not is_last:
            block = self.peek()
            self.prefix, is_last = block.after, block.is_last
            if block.data:
                yield block.data

    def peek(self) -> Block:
        """Return the next block.

        :raises OriginFailed: it cannot be read, or is not what the image says.
        """
        try:
            return self._next()
        except errors.SyncError as exc:
            raise errors.OriginFailed(exc, region=self._image.region) from exc

    def close(self) -> None:
        """Stop reading. Idempotent."""
        if self._download is not None:
            self._downloads.leave(self._download)
            self._download = None

    def _next(self) -> Block:
        block = None if self._download is None else self._download.block(self.prefix)
        while block is None:
            self.close()
            self._download = self._downloads.join(self._image, self.prefix)
            block = self._download.block(self.prefix)
        return block
