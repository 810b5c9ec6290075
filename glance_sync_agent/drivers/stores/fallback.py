# SPDX-License-Identifier: Apache-2.0
"""Two ways to the same bytes, the second for when the first does not lead there."""

from collections.abc import Iterable, Iterator
import contextlib
import itertools
import logging
import threading

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)

# Not HostKeyMismatch, which an operator must see.
_OTHER_WAY = (errors.ServiceUnavailable, errors.TransferInterrupted, errors.Refused)


class WithFallback:
    """Reads the first way, or else the second; writes the first. Thread safe.

    :param told_at: level of the log at which it is said, once, that the first way is none.
    """

    def __init__(
        self, first: ports.ImageStore, second: ports.ImageStore, *, told_at: int = logging.INFO
    ) -> None:
        self._first = first
        self._second = second
        self._told_at = told_at
        self._lock = threading.Lock()
        self._told = False

    @contextlib.contextmanager
    def read(self, image: images.Image) -> Iterator[Iterator[bytes]]:
        """Open the data of an image; once a byte was read there is no way back."""
        with contextlib.ExitStack() as stack:
            try:
                chunks = stack.enter_context(self._first.read(image))
                begun = list(itertools.islice(chunks, 1))
            except _OTHER_WAY as exc:
                stack.close()
                self._tell(image, exc)
                chunks = stack.enter_context(self._second.read(image))
                begun = []
            yield itertools.chain(begun, chunks)

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        """Upload data the first way."""
        self._first.write(image_id, size, chunks)

    def _tell(self, image: images.Image, exc: errors.SyncError) -> None:
        """Say so once; the cause is mostly one that stays."""
        with self._lock:
            level = logging.DEBUG if self._told else self._told_at
            self._told = True
        LOG.log(level, "Reading image %s through its image API: %s", image.image_id, exc)
