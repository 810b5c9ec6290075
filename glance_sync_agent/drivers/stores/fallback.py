# SPDX-License-Identifier: Apache-2.0
"""Two ways to the same bytes, the second for when the first does not lead there."""

from collections.abc import Iterable, Iterator
import contextlib
import itertools
import logging
import threading

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import stores
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)


class WithFallback:
    """Reads the first way, or else the second; writes the first. Thread safe.

    :param is_usual: whether nobody has to hear that the first way leads nowhere.
    """

    def __init__(
        self, first: ports.ImageStore, second: ports.ImageStore, *, is_usual: bool = False
    ) -> None:
        self._first = first
        self._second = second
        self._is_usual = is_usual
        self._lock = threading.Lock()
        self._told: set[type[errors.SyncError]] = set()

    @contextlib.contextmanager
    def read(self, image: images.Image, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Open the data of an image; once a byte was read there is no way back."""
        failure: errors.SyncError | None = None
        with contextlib.ExitStack() as stack:
            try:
                chunks = stack.enter_context(self._first.read(image, offset=offset))
                begun = list(itertools.islice(chunks, 1))
            except stores.NO_WAY as exc:
                failure = exc
            # Out here, because oslo.log repeats the error in hand behind every warning.
            if failure is not None:
                stack.close()
                self._tell(image, failure)
                chunks = stack.enter_context(self._second.read(image, offset=offset))
                begun = []
            yield itertools.chain(begun, chunks)

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        """Upload data the first way."""
        self._first.write(image_id, size, chunks)

    def _tell(self, image: images.Image, failure: errors.SyncError) -> None:
        """Say so once for each kind of failure: what stays would be told with every image."""
        with self._lock:
            is_known = self._is_usual or type(failure) in self._told
            self._told.add(type(failure))
        if is_known:
            level = logging.DEBUG
        elif isinstance(failure, errors.PermanentError):
            level = logging.WARNING
        else:
            level = logging.INFO
        LOG.log(
            level,
            "Reading image %s through the image API of region %s, and all that fail alike without "
            "another word: %s",
            image.image_id, image.region, failure,
        )
