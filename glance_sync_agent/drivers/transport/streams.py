# SPDX-License-Identifier: Apache-2.0
"""The ways to an HTTP server: a TCP socket, a TLS socket, an SSH channel, or TLS in a channel."""

from collections.abc import Callable
import dataclasses
import io
from typing import BinaryIO, Literal, Protocol

_READ_BUFFER_BYTES = 64 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long a transfer waits for the other side."""

    connect_seconds: float = 10.0  # TCP, TLS, SSH banner, log-in, channel: each
    #: Without one byte of progress, the pause that Glance makes after the last byte included.
    idle_seconds: float = 60.0


class WrappedStream(Protocol):
    """What TLS and :func:`file_of` build on.

    It raises ``OSError`` only; ``TimeoutError`` after :meth:`settimeout` seconds without progress.
    """

    def sendall(self, data: bytes, /) -> None:
        """Send all of ``data``."""

    def recv(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Set how long a call waits for progress."""

    def close(self) -> None:
        """Cut the connection, without any farewell."""


class Stream(WrappedStream, Protocol):
    """The part of a socket that HTTP needs."""

    def send(self, data: memoryview, /) -> int:
        """Send some of ``data``; return how many bytes, 0 if the stream is closed."""

    def makefile(self, mode: Literal["rb"], /) -> BinaryIO:
        """Return a file to read from."""


class _Reader(io.RawIOBase):
    def __init__(self, recv: Callable[[int], bytes]) -> None:
        self._recv = recv

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview", /) -> int:  # type: ignore[override]
        data = self._recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def file_of(stream: WrappedStream) -> BinaryIO:
    """Return a buffered file that reads from a stream; closing it does not close the stream."""
    return io.BufferedReader(_Reader(stream.recv), _READ_BUFFER_BYTES)
