# SPDX-License-Identifier: Apache-2.0
"""A TCP forwarder that a test can shut or slow down in the middle of a transfer."""

import contextlib
import socket
import threading
import time

_BUFFER_BYTES = 64 * 1024


class Valve:
    """Forwards one port to another; can be told to hold what comes after so many bytes."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._changed = threading.Condition()
        self._hold_after: int | None = None
        self._passed = 0
        self._bytes_per_second: float | None = None
        #: When the last bytes went to the target, by the monotonic clock.
        self.passed_at = time.monotonic()
        self._held = threading.Event()
        self._sockets: set[socket.socket] = set()
        # The same address as the target's, for the sake of what known_hosts says of it.
        self._server = socket.create_server((host, 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hold_after(self, count: int) -> None:
        """Stop when ``count`` more bytes went to the target; :meth:`held` tells when."""
        with self._changed:
            self._passed, self._hold_after = 0, count
            self._held.clear()

    def slow_down(self, bytes_per_second: float | None) -> None:
        """Let so many bytes a second through in each connection; None: as many as come."""
        with self._changed:
            self._bytes_per_second = bytes_per_second

    def held(self, timeout_seconds: float = 120.0) -> None:
        """Wait until a transfer stands still."""
        assert self._held.wait(timeout_seconds), f"{self._passed} bytes and no more came through"

    def open(self) -> None:
        """Let everything through."""
        with self._changed:
            self._hold_after = None
            self._changed.notify_all()

    def cut(self) -> None:
        """Break every connection; new ones are possible."""
        with self._changed:
            broken, self._sockets = self._sockets, set()
        for one in broken:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Break every connection and accept no more."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.open()
        self.cut()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(self._target) as other:
            with self._changed:
                self._sockets |= {client, other}
            back = threading.Thread(
                target=self._pump, args=(other, client), kwargs={"counted": False}, daemon=True
            )
            back.start()
            self._pump(client, other, counted=True)
            back.join()

    def _pump(self, source: socket.socket, sink: socket.socket, *, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(_BUFFER_BYTES):
                if counted:
                    self._wait(len(chunk))
                sink.sendall(chunk)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _wait(self, count: int) -> None:
        with self._changed:
            self._passed += count
            while self._hold_after is not None and self._passed > self._hold_after:
                self._held.set()
                self._changed.wait()
            rate = self._bytes_per_second
        if rate is not None:
            time.sleep(count / rate)
        self.passed_at = time.monotonic()
