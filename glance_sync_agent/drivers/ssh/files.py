# SPDX-License-Identifier: Apache-2.0
"""A file on an SSH host, read over SFTP, and the space that is left there."""

from collections.abc import Callable, Iterator
import contextlib
import stat
import threading

import paramiko
from paramiko import sftp as protocol

from glance_sync_agent import errors
from glance_sync_agent.drivers.ssh import logins
from glance_sync_agent.drivers.transport import streams

# What OpenSSH answers at most (limits@openssh.com says 261120).
_REQUEST_BYTES = 255 * 1024
_CHUNK_BYTES = 4 * _REQUEST_BYTES
# Asked for at once, so that a round trip costs little; this much memory at most.
_AHEAD_CHUNKS = 8
_WINDOW_BYTES = 8 * 1024 * 1024


@contextlib.contextmanager
def open_file(
    transport: paramiko.Transport,
    login: logins.Login,
    path: str,
    timeouts: streams.Timeouts,
    *,
    offset: int,
) -> Iterator[Iterator[bytes]]:
    """Open a regular file; its chunks are of at most 1 MiB, and a few are read ahead.

    :param offset: of the first byte.
    :raises ServiceUnavailable: no such file, or the host does not answer.
    :raises Refused: it is no regular file, or may not be read, or there is no SFTP.
    """
    what = f"SFTP of {path} from {login}"
    with contextlib.ExitStack() as stack:
        with _translated(what), _deadline(transport, timeouts.connect_seconds):
            sftp = stack.enter_context(_session(transport, what, timeouts.idle_seconds))
            # SFTP knows no O_NOFOLLOW.
            if not stat.S_ISREG(sftp.lstat(path).st_mode or 0):
                raise errors.Refused(f"{what}: it is not a regular file")
            file = stack.enter_context(sftp.open(path, "rb", bufsize=0))
            size = file.stat().st_size or 0
        yield _chunks(file, offset, size, what)


def find_name(
    transport: paramiko.Transport,
    login: logins.Login,
    directory: str,
    is_wanted: Callable[[str], bool],
    timeouts: streams.Timeouts,
) -> str | None:
    """Return a name of a directory; None if it holds none that is wanted.

    :raises ServiceUnavailable: no such directory, or the host does not answer.
    :raises Refused: it may not be listed, or there is no SFTP.
    """
    what = f"SFTP of {directory} from {login}"
    with contextlib.ExitStack() as stack:
        stack.enter_context(_translated(what))
        stack.enter_context(_deadline(transport, timeouts.idle_seconds))
        sftp = stack.enter_context(_session(transport, what, timeouts.idle_seconds))
        names = (entry.filename for entry in sftp.listdir_iter(directory))
        return next(filter(is_wanted, names), None)


def free_bytes(
    transport: paramiko.Transport,
    login: logins.Login,
    directory: str,
    timeouts: streams.Timeouts,
) -> int | None:
    """Return the space that is left for files of a directory; None if the host does not tell.

    :raises TransferInterrupted: the connection broke.
    :raises Refused: there is no SFTP.
    """
    what = f"SFTP of the free space of {directory} from {login}"
    with contextlib.ExitStack() as stack:
        stack.enter_context(_translated(what))
        stack.enter_context(_deadline(transport, timeouts.idle_seconds))
        sftp = stack.enter_context(_session(transport, what, timeouts.idle_seconds))
        try:
            # paramiko has no method for it (OpenSSH's PROTOCOL, "statvfs@openssh.com").
            _kind, answer = sftp._request(  # type: ignore[attr-defined]  # noqa: SLF001
                protocol.CMD_EXTENDED, "statvfs@openssh.com", directory
            )
        except TimeoutError:
            raise
        except OSError:  # no such directory, or no such extension
            return None
        _block, fragment, _blocks, _free, available = (answer.get_int64() for _ in range(5))
        return int(fragment * available)


def _chunks(file: paramiko.SFTPFile, offset: int, size: int, what: str) -> Iterator[bytes]:
    file.MAX_REQUEST_SIZE = _REQUEST_BYTES
    pieces = [(start, _CHUNK_BYTES) for start in range(offset, size, _CHUNK_BYTES)]
    if pieces:
        pieces[-1] = (pieces[-1][0], size - pieces[-1][0])
    for first in range(0, len(pieces), _AHEAD_CHUNKS):
        some = file.readv(pieces[first : first + _AHEAD_CHUNKS])
        while True:
            with _translated(what):
                chunk = next(some, b"")
            if not chunk:
                break
            yield chunk


@contextlib.contextmanager
def _session(
    transport: paramiko.Transport, what: str, idle_seconds: float
) -> Iterator[paramiko.SFTPClient]:
    channel = transport.open_session(window_size=_WINDOW_BYTES)
    channel.settimeout(idle_seconds)
    try:
        channel.invoke_subsystem("sftp")
        client = paramiko.SFTPClient(channel)
    # SFTPError: a shell that lets nobody in says so where SFTP is expected.
    except (EOFError, paramiko.SSHException, paramiko.SFTPError) as exc:
        if transport.is_active():
            raise errors.Refused(f"{what}: the account may not use SFTP") from exc
        raise
    try:
        yield client
    finally:
        client.close()


@contextlib.contextmanager
def _deadline(transport: paramiko.Transport, seconds: float) -> Iterator[None]:
    """Cut the connection after ``seconds``: some of paramiko's waits know no timeout."""
    timer = threading.Timer(seconds, transport.close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except PermissionError as exc:
        raise errors.Refused(f"{what}: {exc}") from exc
    except FileNotFoundError as exc:
        raise errors.ServiceUnavailable(f"{what}: there is no such file") from exc
    except (OSError, EOFError, paramiko.SSHException, paramiko.SFTPError) as exc:
        raise errors.TransferInterrupted(f"{what}: {logins.described(exc)}") from exc
