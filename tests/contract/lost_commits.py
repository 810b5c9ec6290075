# SPDX-License-Identifier: Apache-2.0
"""A way to a database on which the answer to a COMMIT can be lost."""

from collections.abc import Iterator
import contextlib
import re
import select
import socket
import threading

import sqlalchemy as sa

_BYTES = 65536
_COMMIT = re.compile(rb"COMMIT(?!TED)")  # READ COMMITTED is what a transaction begins with
_SECONDS = 10


class Way:
    """Hands bytes on in both directions, until it is told to lose an answer."""

    def __init__(self, url: str) -> None:
        target = sa.make_url(url)
        self._target = (target.host, target.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._is_armed = threading.Event()
        #: Of the database at the other end.
        self.url = target.set(port=self._listener.getsockname()[1]).render_as_string(
            hide_password=False
        )
        threading.Thread(target=self._serve, daemon=True).start()

    def lose_the_next(self) -> None:
        """Cut the connection on which a COMMIT is answered next."""
        self._is_armed.set()

    def close(self) -> None:
        """Take nobody any more."""
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
                    select.select([server], [], [], _SECONDS)  # by then it has taken place
                    return


@contextlib.contextmanager
def way(url: str) -> Iterator[Way]:
    """Open a way to the database of ``url``."""
    opened = Way(url)
    try:
        yield opened
    finally:
        opened.close()
