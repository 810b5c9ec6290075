# SPDX-License-Identifier: Apache-2.0
"""A TCP connection that starts on an SSH host."""

from collections.abc import Iterator
import contextlib
from typing import BinaryIO, Literal

import paramiko

from glance_sync_agent import errors
from glance_sync_agent.drivers.ssh import logins
from glance_sync_agent.drivers.transport import streams

_PROHIBITED, _CONNECT_FAILED = 1, 2  # RFC 4254, 5.1


class Channel:
    """A :class:`streams.Stream` over SSH."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def send(self, data: memoryview) -> int:
        """Send one packet's worth of ``data``, straight from its memory."""
        with _as_os_error():
            return self._channel.send(data)  # type: ignore[arg-type]

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``."""
        # paramiko's own sendall copies the whole rest for each packet.
        view = memoryview(data)
        while view:
            if not (count := self.send(view)):
                raise ConnectionResetError("SSH channel closed")
            view = view[count:]

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes; none at the end."""
        with _as_os_error():
            return self._channel.recv(size)

    def recv_ready(self) -> bool:
        """Return whether there is something to read: bytes, or the end."""
        channel = self._channel
        return channel.recv_ready() or channel.closed or bool(channel.eof_received)

    def makefile(self, _mode: Literal["rb"], /) -> BinaryIO:
        """Return a file to read from."""
        return streams.file_of(self)

    def settimeout(self, seconds: float | None) -> None:
        """Set the seconds for which a call waits for progress."""
        self._channel.settimeout(seconds)

    def close(self) -> None:
        """Cut the connection. Idempotent."""
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()


@contextlib.contextmanager
def _as_os_error() -> Iterator[None]:
    try:
        yield
    except (EOFError, paramiko.SSHException) as exc:
        raise ConnectionResetError(f"SSH connection: {logins.described(exc)}") from exc


def forward(transport: paramiko.Transport, login: logins.Login, host: str, port: int) -> Channel:
    """Open a connection from the host of ``transport`` to ``host:port``.

    :raises ServiceUnavailable: one of the two is unreachable.
    :raises Refused: the account must not forward.
    """
    what = f"forwarding from {login} to {host}:{port}"
    try:
        return Channel(transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0)))
    except paramiko.ChannelException as exc:
        if exc.code == _PROHIBITED:
            raise errors.Refused(
                f"{what}: {exc.text}. On that host, sshd_config needs AllowTcpForwarding local,"
                " and the line of the agent's key in authorized_keys must start with"
                f' restrict,port-forwarding,permitopen="{host}:{port}" ssh-ed25519 AAAA...'
            ) from exc
        reason = "that host cannot reach its Glance: " if exc.code == _CONNECT_FAILED else ""
        raise errors.ServiceUnavailable(f"{what}: {reason}{exc.text}") from exc
    except (OSError, EOFError, paramiko.SSHException) as exc:
        raise errors.ServiceUnavailable(f"{what}: {logins.described(exc)}") from exc
