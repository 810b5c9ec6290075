# SPDX-License-Identifier: Apache-2.0
"""Images as files of this machine."""

from collections.abc import Iterator
import contextlib
import errno
import io
import os
import pathlib
import stat

from glance_sync_agent import errors
from glance_sync_agent.domain import images

#: Bytes of a chunk that is read.
CHUNK_BYTES = 1024 * 1024


class FileDenied(errors.Refused):
    """A file is here, and the agent's user may not read it."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(
            f"{path}: user {os.geteuid()} of this machine, which runs this, may not read it. Add "
            "the agent's user to Glance's group, as in: usermod --append --groups glance "
            "glance-sync; then restart the agent"
        )


@contextlib.contextmanager
def read(path: pathlib.Path, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
    """Open a regular file; its chunks are of at most 1 MiB.

    :raises FileDenied: the agent's user may not read it.
    :raises ServiceUnavailable: there is no such file, or the disk fails.
    :raises Refused: it is not a regular file.
    """
    with _open(path) as file:
        file.seek(offset)
        yield _chunks(file, path)


def find(directory: pathlib.Path) -> str | None:
    """Return the name of an image in a directory, after opening it; None: there is none.

    :raises FileDenied: the agent's user may not read the directory, or the image.
    :raises ServiceUnavailable: there is no such directory.
    """
    try:
        with os.scandir(directory) as entries:
            name = next((one.name for one in entries if is_image(one.name)), None)
    except PermissionError as exc:
        raise FileDenied(directory) from exc
    except OSError as exc:
        raise errors.ServiceUnavailable(f"{directory} cannot be read: {exc.strerror}") from exc
    if name is not None:
        _open(directory / name).close()
    return name


def is_image(name: str) -> bool:
    """Tell whether a file of this name is an image."""
    try:
        images.image_id(name)
    except errors.NotificationError:
        return False
    return True


def _open(path: pathlib.Path) -> io.FileIO:
    try:
        # O_NONBLOCK: a FIFO of that name must not block us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as exc:
        raise FileDenied(path) from exc
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise errors.Refused(f"{path} is a symbolic link") from exc
        raise errors.ServiceUnavailable(f"{path} cannot be read: {exc.strerror}") from exc
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise errors.Refused(f"{path} is not a regular file")
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return io.FileIO(descriptor)


def _chunks(file: io.FileIO, path: pathlib.Path) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
    except OSError as exc:
        raise errors.TransferInterrupted(f"{path} cannot be read: {exc.strerror}") from exc
