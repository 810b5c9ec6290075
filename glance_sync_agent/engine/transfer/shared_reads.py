# SPDX-License-Identifier: Apache-2.0
"""One read of an image for all regions that it goes to at the same time.

An image that goes to forty regions is not read forty times from a Glance, or a disk, that has
other things to do. Who is first at a block reads it, and the next ones find it in memory. One
that is slower than the others, so that what it needs is not kept any more, goes on with a read of
its own from there; so nobody waits for a region that is slow.
"""

from collections import deque
from collections.abc import Callable, Iterator
import contextlib
import threading

from glance_sync_agent.engine.transfer import digests

#: Blocks that are kept for those who come later, in all reads together.
KEPT_BLOCKS = 24

#: Opens the data of an image at a block; what it yields are blocks, that one first.
Open = Callable[[int], contextlib.AbstractContextManager[Iterator[bytes]]]


class SharedReads:
    """The reads that run. Thread safe."""

    def __init__(self, *, kept_blocks: int = KEPT_BLOCKS) -> None:
        """Start with none.

        :param kept_blocks: the more, the longer a slow reader shares; each is of
            ``digests.BLOCK_BYTES``.
        """
        self._kept_blocks = kept_blocks
        self._lock = threading.Lock()
        self._reads: dict[digests.SharedDigest, list[_Read]] = {}

    @contextlib.contextmanager
    def open(self, digest: digests.SharedDigest, open_at: Open) -> Iterator[Iterator[bytes]]:
        """Open the data of an image; its blocks.

        A failure to read is shared as well: else each would wait for one of his own.

        :param digest: who has the same one reads the same bytes.
        :param open_at: used if nobody else reads what is needed.
        :raises SyncError: what ``open_at`` raises; the blocks raise it, too.
        """
        with contextlib.closing(_Place(self, digest, open_at)) as place:
            place.block(0)  # so that what cannot be read at all is told here
            yield place.blocks()

    def join(self, digest: digests.SharedDigest, number: int, open_at: Open) -> "_Read":
        """Return a read that can give a block, a new one if there is none; see :meth:`leave`."""
        with self._lock:
            running = self._reads.setdefault(digest, [])
            read = next((one for one in running if one.can_give(number)), None)
            if read is None:
                read = _Read(number, open_at, self._window)
                running.append(read)
            read.users += 1
            return read

    def leave(self, digest: digests.SharedDigest, read: "_Read") -> None:
        """End a read with its last user."""
        with self._lock:
            read.users -= 1
            if read.users:
                return
            self._reads[digest].remove(read)
            if not self._reads[digest]:
                del self._reads[digest]
        read.close()

    def _window(self) -> int:
        with self._lock:
            return max(1, self._kept_blocks // sum(map(len, self._reads.values())))


class _Place:
    """Where one reader is. For one thread."""

    def __init__(self, reads: SharedReads, digest: digests.SharedDigest, open_at: Open) -> None:
        self._reads = reads
        self._digest = digest
        self._open_at = open_at
        self._read: _Read | None = None

    def blocks(self) -> Iterator[bytes]:
        number = 0
        while block := self.block(number):
            yield block
            number += 1

    def block(self, number: int) -> bytes:
        """Return a block; empty after the last one."""
        block = None if self._read is None else self._read.block(number)
        while block is None:
            self.close()
            self._read = self._reads.join(self._digest, number, self._open_at)
            block = self._read.block(number)
        return block

    def close(self) -> None:
        if self._read is not None:
            self._reads.leave(self._digest, self._read)
            self._read = None


class _Read:
    """One read from some block on, and the blocks that it gave last."""

    def __init__(self, first: int, open_at: Open, window: Callable[[], int]) -> None:
        """Prepare; nothing is opened yet.

        :param window: tells how many blocks are kept.
        """
        self.users = 0  # guarded by SharedReads
        self._window = window
        self._lock = threading.Lock()  # of the next four; never held for long
        self._first = first  # number of the oldest block that is kept
        self._kept: deque[bytes] = deque()
        self._is_over = False
        self._failure: BaseException | None = None
        self._reading = threading.Lock()  # of the next two
        self._stack = contextlib.ExitStack()
        self._source: Iterator[bytes] | None = None
        self._open_at = open_at

    def can_give(self, number: int) -> bool:
        with self._lock:
            return self._failure is None and 0 <= number - self._first <= len(self._kept)

    def block(self, number: int) -> bytes | None:
        """Return a block; empty after the last one, None if it is not kept any more."""
        if self._is_next(number):
            with self._reading:
                if self._is_next(number):  # nobody was faster
                    self._advance()
        with self._lock:
            if self._failure is not None:
                raise self._failure
            if number < self._first:
                return None
            return self._kept[number - self._first] if self._has(number) else b""

    def close(self) -> None:
        self._stack.close()

    def _has(self, number: int) -> bool:
        return number - self._first < len(self._kept)

    def _is_next(self, number: int) -> bool:
        with self._lock:
            return not (self._has(number) or self._is_over)

    def _advance(self) -> None:
        try:
            if self._source is None:
                self._source = self._stack.enter_context(self._open_at(self._first))
            block = next(self._source, b"")
        except BaseException as exc:
            with self._lock:
                self._is_over, self._failure = True, exc
            raise
        limit = self._window()
        with self._lock:
            if block:
                self._kept.append(block)
            else:
                self._is_over = True
            while len(self._kept) > limit:
                self._kept.popleft()
                self._first += 1
