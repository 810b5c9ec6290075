# SPDX-License-Identifier: Apache-2.0
"""The plain image API: straight to the region's Glance."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
import contextlib
import logging
import threading
import time

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import stores
from glance_sync_agent.drivers.transport import connections
from glance_sync_agent.drivers.transport import image_endpoints
from glance_sync_agent.drivers.transport import image_http
from glance_sync_agent.drivers.transport import reads
from glance_sync_agent.drivers.transport import uploads

LOG = logging.getLogger(__name__)

# Apache closes after 5 s; the agent should close first.
_KEEP_SECONDS = 4.0
_KEEP_CONNECTIONS = 8


class ApiStore:
    """Reads and writes through a region's Glance. Thread safe.

    It keeps connections for a moment, because many images are small.
    """

    way = "api"

    def __init__(self, context: stores.StoreContext) -> None:
        """Prepare; nothing connects yet.

        :raises ConfigurationError: the endpoint is no URL.
        """
        self._context = context
        self._endpoint = image_endpoints.parse(context.endpoint)
        self._lock = threading.Lock()
        self._idle: deque[tuple[float, image_http.Connection]] = deque()

    @classmethod
    def from_parameters(
        cls, parameters: Mapping[str, str], context: stores.StoreContext
    ) -> "ApiStore":
        """Make a store (:class:`stores.Factory`)."""
        stores.check_parameters(parameters, context, scheme=cls.way, known=())
        return cls(context)

    @contextlib.contextmanager
    def read(self, image: images.Image, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Open the data of an image; chunks of at most 1 MiB."""
        with contextlib.ExitStack() as stack:
            yield (self._rest if offset else self._get)(image, offset, stack)

    def _get(
        self, image: images.Image, offset: int, stack: contextlib.ExitStack
    ) -> Iterator[bytes]:
        connection = stack.enter_context(self._connection())
        token = self._context.token()
        return reads.read(
            connection, image.image_id, token=token, size=image.size, offset=offset
        )

    def _rest(
        self, image: images.Image, offset: int, stack: contextlib.ExitStack
    ) -> Iterator[bytes]:
        """Read a part, or the whole if Glance's store cannot begin in the middle."""
        try:
            return self._get(image, offset, stack)
        except (errors.Refused, errors.ServiceUnavailable) as exc:
            # The status depends on the store. Other failures come again with the whole.
            LOG.debug("Reading image %s from the start: %s", image.image_id, exc)
        return reads.skipped(self._get(image, 0, stack), offset)

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        """Upload data into a queued record, all of it or nothing."""
        with self._connection() as connection:
            token = self._context.token()
            uploads.upload(connection, image_id, token=token, size=size, chunks=chunks)

    def close(self) -> None:
        """Close the connections that wait. Idempotent."""
        while (connection := self._waiting()) is not None:
            connection.close()

    @contextlib.contextmanager
    def _connection(self) -> Iterator[image_http.Connection]:
        connection = self._waiting() or self._connect()
        try:
            yield connection
        finally:
            if connection.unauthorized:
                self._context.forget_token()
            self._keep(connection)

    def _connect(self) -> image_http.Connection:
        timeouts, region = self._context.timeouts, self._context.region
        with stores.blaming(region):
            stream = connections.connect(self._endpoint, self._context.trust, timeouts)
        return image_http.Connection(stream, self._endpoint, timeouts, region)

    def _waiting(self) -> image_http.Connection | None:
        """Take the connection that was used last; close those that waited too long."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                since, connection = self._idle.pop()
            if time.monotonic() - since < _KEEP_SECONDS and connection.reusable:
                return connection
            connection.close()

    def _keep(self, connection: image_http.Connection) -> None:
        with self._lock:
            if connection.reusable and len(self._idle) < _KEEP_CONNECTIONS:
                self._idle.append((time.monotonic(), connection))
                return
        connection.close()
