# SPDX-License-Identifier: Apache-2.0
"""Files on an SSH host, read over SFTP, and the free space there."""

from collections.abc import Callable, Iterator
import contextlib
import stat
import threading

import paramiko

from glance_sync_agent import errors
from glance_sync_agent.drivers.ssh import compat
from glance_sync_agent.drivers.ssh import logins
from glance_sync_agent.drivers.transport import streams

# The largest answer of OpenSSH (limits@openssh.com: 261120).
_REQUEST_BYTES = 255 * 1024
_CHUNK_BYTES = 4 * _REQUEST_BYTES
# Requested at once, so that a round trip costs little; also the limit of memory.
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
    :raises ServiceUnavailable: no such file, or the host is unreachable.
    :raises Refused: it is no regular file, or the account cannot read it or use SFTP.
    """
    what = f"SFTP of {path} from {login}"
    with contextlib.ExitStack() as stack:
        with _translated(what), _deadline(transport, timeouts.connect_seconds):
            sftp = stack.enter_context(_session(transport, what, timeouts.idle_seconds))
            # SFTP has no O_NOFOLLOW.
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
    """Return the first name in a directory that is wanted; None: there is none.

    :raises ServiceUnavailable: no such directory, or the host is unreachable.
    :raises Refused: the account cannot list it or use SFTP.
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
    """Return the free space for files of a directory; None: the host does not report it.

    :raises TransferInterrupted: the connection broke.
    :raises Refused: the account cannot use SFTP.
    """
    what = f"SFTP of the free space of {directory} from {login}"
    with contextlib.ExitStack() as stack:
        stack.enter_context(_translated(what))
        stack.enter_context(_deadline(transport, timeouts.idle_seconds))
        sftp = stack.enter_context(_session(transport, what, timeouts.idle_seconds))
        try:
            return compat.free_bytes(sftp, directory)
        except TimeoutError:
            raise
        except OSError:  # no such directory, or no such extension
            return None


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
    # SFTPError: a shell that refuses log-ins prints its text in place of SFTP's answer.
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
    """Cut the connection after ``seconds``, because some of paramiko's waits have no timeout."""
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
