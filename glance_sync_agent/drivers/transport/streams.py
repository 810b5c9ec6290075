# SPDX-License-Identifier: Apache-2.0
"""Ways to an HTTP server: where it is, and the streams that lead there.

A stream is a TCP socket, a TLS socket, an SSH channel, or TLS inside of an SSH channel.
"""

from collections.abc import Callable
import dataclasses
import functools
import io
import os
import select
import socket
import ssl
from typing import BinaryIO, Literal, Protocol, TypeVar
import urllib.parse

from glance_sync_agent import errors
from glance_sync_agent.drivers.transport import tls_failures

_DEFAULT_PORTS = {"http": 80, "https": 443}
_TLS_RECORD_BYTES = 16384
_READ_BUFFER_BYTES = 64 * 1024

#: What a stream raises when it is written to after the other side has closed it.
HUNG_UP = (ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)

T = TypeVar("T")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long a transfer waits for the other side."""

    connect_seconds: float = 10.0  # TCP, TLS, SSH banner, log-in, channel: each
    #: Without one byte of progress. The pause that Glance takes after the last byte counts too.
    idle_seconds: float = 60.0


class Stream(Protocol):
    """The part of a socket that HTTP needs.

    Only ``OSError`` comes out of it; ``TimeoutError`` after :meth:`settimeout` seconds without
    progress.
    """

    def send(self, data: memoryview, /) -> int:
        """Send some of ``data``; return how many bytes, 0 if the stream is closed."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of ``data``."""

    def makefile(self, mode: Literal["rb"], /) -> BinaryIO:
        """Return a file to read from."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Set how long a call waits for progress."""

    def close(self) -> None:
        """Cut the connection, without a word more than what was sent."""


class WrappedStream(Protocol):
    """What :class:`TlsStream` and :func:`file_of` build on."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of ``data``."""

    def recv(self, size: int, /) -> bytes:
        """Return up to ``size`` bytes, none at the end."""

    def settimeout(self, seconds: float | None, /) -> None:
        """Set how long a call waits for progress."""

    def close(self) -> None:
        """Cut the connection."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where a Glance is."""

    scheme: str
    host: str
    port: int
    prefix: str = ""  # before /v2

    @property
    def host_header(self) -> str:
        """The value of ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_header}{self.prefix}"


def endpoint(url: str) -> Endpoint:
    """Read an image endpoint as the catalogue or an operator writes it.

    :raises ConfigurationError: it is no http or https URL.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:  # a port that is none, or brackets that do not match
        parts, port = urllib.parse.urlsplit(""), None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username:
        # Not shown whole: it may hold a password.
        raise errors.ConfigurationError(
            f"image endpoint with host {parts.hostname!r}: expected http(s)://HOST[:PORT][/PATH]"
        )
    path = parts.path.rstrip("/")
    return Endpoint(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _DEFAULT_PORTS[parts.scheme],
        prefix=path.removesuffix("/v2"),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Whose certificates are good, and which one is ours."""

    cafile: str | None = None  # None: those of the system
    insecure: bool = False  # the operator's word for "anybody's"
    certfile: str | None = None  # what servers see that want a certificate; None: nothing
    keyfile: str | None = None  # of that certificate; None: certfile has it, too

    def context(self) -> ssl.SSLContext:
        """Return a context for one or more connections.

        :raises ServiceUnavailable: a file cannot be read, or is none of certificates.
        """
        files = (self.cafile, self.certfile, self.keyfile)
        return _context(self, tuple(map(_changed_at, files)))


def _changed_at(file: str | None) -> int | None:
    """Return when a file was changed last, for a certificate is renewed while we run."""
    try:
        return os.stat(file).st_mtime_ns if file else None  # noqa: PTH116 (it may be no path)
    except OSError:
        return None  # whoever reads it tells why


@functools.lru_cache(maxsize=8)
def _context(trust: Trust, _changed: tuple[int | None, ...]) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=trust.cafile)
    except OSError as exc:
        raise errors.ServiceUnavailable(f"certificates of cafile {trust.cafile}: {exc}") from exc
    if trust.certfile:
        _show_ours(context, trust.certfile, trust.keyfile)
    if trust.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _show_ours(context: ssl.SSLContext, certfile: str, keyfile: str | None) -> None:
    try:
        # Without a password, OpenSSL would ask the terminal for that of a key which has one.
        context.load_cert_chain(certfile, keyfile, password="")
    except OSError as exc:
        raise errors.ServiceUnavailable(
            f"client certificate of certfile {certfile}, keyfile {keyfile or certfile}: {exc}"
        ) from exc


def connect(target: Endpoint, trust: Trust, timeouts: Timeouts) -> Stream:
    """Open a TCP connection, with TLS if the endpoint says so.

    :raises ServiceUnavailable: nobody answers there.
    :raises HandshakeFailed: somebody does whom we do not trust, or who does not trust us.
    """
    try:
        sock = socket.create_connection((target.host, target.port), timeouts.connect_seconds)
    except OSError as exc:
        raise errors.ServiceUnavailable(f"connection to {target}: {exc}") from exc
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if target.scheme == "https":
            context = trust.context()
            with tls_failures.shaking_hands(f"connection to {target}"):
                sock = context.wrap_socket(sock, server_hostname=target.host)
    except OSError as exc:
        sock.close()
        raise errors.ServiceUnavailable(f"connection to {target}: {exc}") from exc
    except errors.SyncError:
        sock.close()
        raise
    return sock


def is_readable(stream: object) -> bool:
    """Tell whether there is something to read: bytes, or the end."""
    if isinstance(stream, socket.socket):
        poll = select.poll()
        poll.register(stream, select.POLLIN)
        return bool(poll.poll(0))
    recv_ready = getattr(stream, "recv_ready", None)
    return recv_ready is None or bool(recv_ready())


def is_tls(stream: object) -> bool:
    """Tell whether TLS is spoken."""
    return isinstance(stream, ssl.SSLSocket | TlsStream)


def has_answer(stream: object) -> bool:
    """Tell whether an answer, or the end, came while we were sending.

    "No" is not a proof: TLS has bytes of its own, so what is inside cannot be seen.
    """
    return not is_tls(stream) and is_readable(stream)


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


class TlsStream:
    """TLS over something that is no socket."""

    def __init__(self, stream: WrappedStream, context: ssl.SSLContext, hostname: str) -> None:
        """Shake hands.

        :raises OSError: with whom we do not trust, or not at all.
        """
        self._stream = stream
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self._run(self._tls.do_handshake)

    def send(self, data: memoryview) -> int:
        """Send one record's worth of ``data``."""
        return self._run(lambda: self._tls.write(data[:_TLS_RECORD_BYTES]))

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
        return file_of(self)

    def settimeout(self, seconds: float | None) -> None:
        """Set how long a call waits for progress."""
        self._stream.settimeout(seconds)

    def close(self) -> None:
        """Cut the connection without TLS's farewell."""
        self._stream.close()

    def _run(self, step: Callable[[], T]) -> T:
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._stream.recv(_READ_BUFFER_BYTES):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._stream.sendall(data)
