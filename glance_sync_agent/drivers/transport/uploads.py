# SPDX-License-Identifier: Apache-2.0
"""The bytes of one image into one Glance."""

from collections.abc import Iterable, Iterator
import itertools

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.transport import image_http


def upload(
    connection: image_http.Connection,
    image_id: images.ImageId,
    *,
    token: str,
    size: int,
    chunks: Iterable[bytes],
) -> None:
    """Upload the data of an image, all of it or nothing.

    The length is announced first. Any error cuts the connection, an error raised by ``chunks``
    included. So Glance never takes a part for the whole (glance/api/v2/image_data.py: upload).

    :raises ServiceUnavailable: 401, 429, or the storage is full: not now.
    :raises HandshakeFailed: the server wants another client certificate.
    :raises TransferInterrupted: 5xx, the connection broke or stood still, or the record is gone
        or takes no data now.
    :raises UploadRefused: 403 or 413: a policy, or a quota that an operator may raise.
    :raises FormatRefused: these are no bytes of the image's ``disk_format``.
    :raises Refused: Glance refused it otherwise.
    """
    what = f"upload of image {image_id} to {connection.endpoint}"
    headers = {
        "X-Auth-Token": token,
        "Content-Type": "application/octet-stream",
        "Content-Length": str(size),
        "x-openstack-image-size": str(size),  # Glance compares it with what it stored
    }
    with connection.cut_on_error():
        body = _counted(chunks, size, what)
        # Before the head, which completes an empty image.
        first = next(body, b"")
        connection.request(what, "PUT", image_http.file_path(image_id), headers)
        # An empty chunk sends nothing, so no answer is early because of it.
        for chunk in filter(None, itertools.chain((first,), body)):
            _send(connection, chunk, size)
        response = connection.wait(connection.idle_seconds)
        connection.require_success(response, is_upload=True)
        connection.finish(response)


def _counted(chunks: Iterable[bytes], size: int, what: str) -> Iterator[bytes]:
    """Pass ``chunks`` on, unless they are not of ``size`` bytes together."""
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > size:
            raise errors.TransferInterrupted(f"{what}: announced {size} bytes, had more")
        yield chunk
    if total != size:
        raise errors.TransferInterrupted(f"{what}: announced {size} bytes, had {total}")


def _send(connection: image_http.Connection, chunk: bytes, size: int) -> None:
    if connection.has_answer():
        raise _early_answer(connection, size, None)
    view = memoryview(chunk)
    try:
        while view:
            # Not sendall: its timeout is for the whole, and that of a channel copies the rest
            # for each packet.
            view = view[connection.send(view) :]
    except OSError as exc:
        raise _early_answer(connection, size, exc) from exc


def _early_answer(
    connection: image_http.Connection, size: int, cause: OSError | None
) -> errors.SyncError:
    """Return what Glance answered before it had all, or why the connection broke."""
    seen = f"after {connection.done} of {size} bytes"
    try:
        response = connection.wait(image_http.EARLY_ANSWER_SECONDS)
    except errors.TransferInterrupted as exc:
        if cause is None:
            return exc
        idle = f"no progress for {connection.idle_seconds:g} s"
        reason = idle if isinstance(cause, TimeoutError) else f"connection broke: {cause}"
        return connection.interrupted(f"{reason} {seen}")
    try:
        connection.require_success(response, is_upload=True)
    except errors.SyncError as exc:
        return exc
    return errors.TransferInterrupted(f"{connection.what}: answered {seen}")
