# SPDX-License-Identifier: Apache-2.0
"""Two ways to the same bytes, the second one for failures of the first one."""

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
    """Reads the first way, or else the second one; writes the first way. Thread safe."""

    def __init__(
        self, first: ports.ImageStore, second: ports.ImageStore, *, is_usual: bool = False
    ) -> None:
        """Start with both ways.

        :param is_usual: the first way is expected to fail, so it is logged for debugging only.
        """
        self._first = first
        self._second = second
        self._is_usual = is_usual
        self._lock = threading.Lock()
        self._logged: set[type[errors.SyncError]] = set()

    @property
    def way(self) -> str:
        """The way of writing."""
        return self._first.way

    @contextlib.contextmanager
    def read(self, image: images.Image, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Open the data of an image; after its first bytes, the way does not change."""
        with contextlib.ExitStack() as stack:
            try:
                chunks = stack.enter_context(self._first.read(image, offset=offset))
                begun = list(itertools.islice(chunks, 1))
            except stores.NO_WAY as exc:
                self._log(image, exc)
                stack.close()
                chunks = stack.enter_context(self._second.read(image, offset=offset))
                begun = []
            yield itertools.chain(begun, chunks)

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        """Upload data the first way."""
        self._first.write(image_id, size, chunks)

    def _log(self, image: images.Image, failure: errors.SyncError) -> None:
        """Log each kind of failure once, because a lasting one comes with every image."""
        with self._lock:
            is_known = self._is_usual or type(failure) in self._logged
            self._logged.add(type(failure))
        if is_known:
            level = logging.DEBUG
        elif isinstance(failure, errors.PermanentError):
            level = logging.WARNING
        else:
            level = logging.INFO
        LOG.log(
            level,
            "The agent reads image %s through the image API of region %s: %s. It does so for all "
            "images that fail alike, and logs them for debugging only",
            image.image_id, image.region, failure,
        )
