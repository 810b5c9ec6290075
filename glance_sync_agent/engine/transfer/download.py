# SPDX-License-Identifier: Apache-2.0
"""One read of an image for all regions that receive it at the same time."""

from collections.abc import Callable, Generator
import threading

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.transfer import blocks


class Download:
    """Reads, hashes and verifies an image from some byte on. Thread safe.

    It has no thread: the reader that first needs a block reads it for all. The last block is
    passed on only after the hash of all data was compared. A receiver knows the whole length, so
    it cannot complete an image without the last block.
    """

    def __init__(
        self,
        image: images.Image,
        start: blocks.Prefix,
        regions: ports.Regions,
        kept_blocks: Callable[[], int],
    ) -> None:
        """Prepare; nothing is opened yet.

        :param start: where to begin; its hash is continued.
        :param kept_blocks: returns how many blocks to keep for later readers.
        """
        self.region = image.region
        self._image = image
        self._regions = regions
        self._kept_blocks = kept_blocks
        # Not a lock for the read: the reader that has just read would take it again and again,
        # and the others would fall behind.
        self._changed = threading.Condition()  # of the next four; never held for long
        self._is_reading = False
        self._kept: dict[blocks.Prefix, blocks.Block] = {}  # by what comes before, in order
        self._end = start  # what comes before the next block to read
        self._failure: BaseException | None = None
        self._blocks = self._read(start)

    def has(self, image: images.Image, prefix: blocks.Prefix) -> bool:
        """Tell whether it can give the block of an image that follows ``prefix``.

        A reader with another hash of the same length has read other bytes. This download does
        not prove those.
        """
        with self._changed:
            if self._failure is not None or _identity(image) != _identity(self._image):
                return False
            return prefix in self._kept or prefix == self._end

    def block(self, prefix: blocks.Prefix) -> blocks.Block | None:
        """Return the block that follows ``prefix``; None: it is no longer kept.

        :raises DigestMismatch: the data is not what the image says.
        :raises TransferInterrupted: there are fewer or more bytes than the image says.
        :raises SyncError: the data cannot be read. All readers get the same failure.
        """
        with self._changed:
            self._changed.wait_for(lambda: not (self._is_reading and self._is_next(prefix)))
            is_ours_to_read = self._is_next(prefix)
            if is_ours_to_read:
                self._is_reading = True
        if is_ours_to_read:
            self._advance()
        with self._changed:
            if self._failure is not None:
                raise self._failure
            return self._kept.get(prefix)

    def close(self) -> None:
        """End the read. Idempotent."""
        self._blocks.close()

    def _is_next(self, prefix: blocks.Prefix) -> bool:
        return self._failure is None and prefix == self._end and prefix not in self._kept

    def _advance(self) -> None:
        try:
            block = next(self._blocks)
        except BaseException as exc:
            with self._changed:
                self._failure = exc
                self._changed.notify_all()
            raise
        limit = self._kept_blocks()
        with self._changed:
            self._is_reading = False
            self._kept[self._end] = block
            self._end = block.after
            while len(self._kept) > limit:
                del self._kept[next(iter(self._kept))]
            self._changed.notify_all()

    def _read(self, start: blocks.Prefix) -> Generator[blocks.Block, None, None]:
        store = self._regions.source_store(self._image.region)
        with store.read(self._image, offset=start.size) as chunks:
            prefix = start
            for data, is_last in blocks.cut(chunks):
                prefix = prefix.plus(data)
                block = blocks.Block(data, prefix, is_last)
                self._check(block)
                if not is_last:
                    yield block
        yield block

    def _check(self, block: blocks.Block) -> None:
        image, size = self._image, block.after.size
        what = f"data of image {image.image_id} read from region {image.region}"
        if image.size is not None:
            # A block that is not the last one has bytes behind it.
            if size > image.size or (size == image.size and not block.is_last):
                raise errors.TransferInterrupted(f"{what}: expected {image.size} bytes, got more")
            if size < image.size and block.is_last:
                raise errors.TransferInterrupted(
                    f"{what}: expected {image.size} bytes, got {size}"
                )
        expected, actual = image.multihash, block.after.multihash
        if block.is_last and expected is not None and expected != actual:
            raise errors.DigestMismatch(what=what, expected=str(expected), actual=str(actual))


def _identity(image: images.Image) -> tuple[str, str, images.Multihash | None]:
    return image.region, image.image_id, image.multihash
