# SPDX-License-Identifier: Apache-2.0
"""TLS inside of a stream."""

from collections.abc import Callable
import ssl
from typing import BinaryIO, Literal, TypeVar

from glance_sync_agent.drivers.transport import streams

_RECORD_BYTES = 16384
_RECEIVE_BYTES = 64 * 1024

T = TypeVar("T")


class TlsStream:
    """TLS over something that is no socket, such as an SSH channel.

    ``SSLTransport`` of urllib3 does not fit: its files count references in private attributes of
    a socket, which a channel lacks.
    """

    def __init__(
        self, stream: streams.WrappedStream, context: ssl.SSLContext, hostname: str
    ) -> None:
        """Shake hands.

        :raises OSError: one side does not trust the other one, or the stream broke.
        """
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self._run(self._tls.do_handshake)

    def send(self, data: memoryview) -> int:
        """Send one record's worth of ``data``."""
        return self._run(lambda: self._tls.write(data[:_RECORD_BYTES]))

    def sendall(self, data: bytes) -> None:
        """Send all of ``data``."""
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]

    def recv(self, size: int) -> bytes:
        """Return up to ``size`` bytes, none at the end."""
        try:
            return self._run(lambda: self._tls.read(size))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def makefile(self, _mode: Literal["rb"], /) -> BinaryIO:
        """Return a file to read from."""
        return streams.file_of(self)

    def settimeout(self, seconds: float | None) -> None:
        """Set how long a call waits for progress."""
        self._stream.settimeout(seconds)

    def close(self) -> None:
        """Cut the connection, without the farewell of TLS."""
        self._stream.close()

    def _run(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._stream.recv(_RECEIVE_BYTES):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._stream.sendall(data)
