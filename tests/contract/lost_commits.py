# SPDX-License-Identifier: Apache-2.0
"""A proxy before a database that can lose the answer to a COMMIT."""

from collections.abc import Iterator
import contextlib
import re
import select
import socket
import threading

import sqlalchemy as sa

_BYTES = 65536
_COMMIT = re.compile(rb"COMMIT(?!TED)")  # a transaction begins with READ COMMITTED
_SECONDS = 10


class Way:
    """Relays bytes in both directions, and loses an answer on demand."""

    def __init__(self, url: str) -> None:
        target = sa.make_url(url)
        self._target = (target.host, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_armed = threading.Event()
        #: Of the database, through this proxy.
        self.url = target.set(port=self._listener.getsockname()[1]).render_as_string(
            hide_password=False
        )
        threading.Thread(target=self._serve, daemon=True).start()

    def lose_the_next(self) -> None:
        """Cut the connection that gets the next answer to a COMMIT."""
        self._is_armed.set()

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                data = ready[0].recv(_BYTES)
                if not data:
                    return
                (server if ready[0] is client else client).sendall(data)
                if ready[0] is client and _COMMIT.search(data) and self._is_armed.is_set():
                    self._is_armed.clear()
                    select.select([server], [], [], _SECONDS)  # by then it has committed
                    return


@contextlib.contextmanager
def way(url: str) -> Iterator[Way]:
    """Open a proxy before the database of ``url``."""
    opened = Way(url)
    try:
        yield opened
    finally:
        opened.close()
