# SPDX-License-Identifier: Apache-2.0
"""The bytes of one image from one Glance."""

from collections.abc import Iterable, Iterator
import http.client

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.transport import image_http

#: Bytes of a chunk that is read.
CHUNK_BYTES = 1024 * 1024


def read(
    connection: image_http.Connection,
    image_id: images.ImageId,
    *,
    token: str,
    size: int | None,
    offset: int = 0,
) -> Iterator[bytes]:
    """Ask for the data of an image; return its chunks.

    :param size: of the image by its record; None: unknown.
    :param offset: bytes to leave out at the beginning.
    :raises ServiceUnavailable: 401, 429 or 5xx: not now.
    :raises HandshakeFailed: the server wants another client certificate.
    :raises NoData: there is a record, and no data behind it.
    :raises TransferInterrupted: the image is gone, or the connection broke.
    :raises Refused: Glance refused it.
    """
    what = f"download of image {image_id} from {connection.endpoint}"
    headers = {"X-Auth-Token": token}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    with connection.cut_on_error():
        connection.request(what, "GET", image_http.file_path(image_id), headers)
        response = connection.wait(connection.idle_seconds)
        connection.require_success(response)
        if response.status == http.HTTPStatus.NO_CONTENT and size:
            raise errors.NoData(f"{what}: Glance has a record of {size} bytes but no data")
    if offset and response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return skipped(_chunks(connection, response, size), offset)
    return _chunks(connection, response, size and size - offset)


def skipped(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Leave out the first ``count`` bytes."""
    for chunk in chunks:
        rest = chunk[count:]
        count -= len(chunk) - len(rest)
        if rest:
            yield rest


def _chunks(
    connection: image_http.Connection, response: http.client.HTTPResponse, size: int | None
) -> Iterator[bytes]:
    expected = response.length if response.length is not None else size
    with connection.cut_on_error():
        while True:
            with connection.translated():
                chunk = response.read(CHUNK_BYTES)
            if not chunk:
                break
            connection.done += len(chunk)
            yield chunk
        if expected is not None and connection.done < expected:
            seen = f"ended after {connection.done} of {expected} bytes"
            raise errors.TransferInterrupted(f"{connection.what}: {seen}")
        connection.finish(response)
