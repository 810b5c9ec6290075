# SPDX-License-Identifier: Apache-2.0
"""An HTTP server on loopback that gives the answers of a script."""

from collections.abc import Iterator
import contextlib
import dataclasses
import http.server
import json
import socket
import ssl
import sys
import threading
from typing import Any, cast


@dataclasses.dataclass(frozen=True)
class Reply:
    """One answer; ``status`` 0 closes the connection instead."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, content: object, status: int = 200, **headers: str) -> "Reply":
        """Answer with JSON."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = json.dumps(content).encode()
        return cls(status, body, {"Content-Type": "application/json", **named})

    @classmethod
    def html(cls, status: int, text: str, **headers: str) -> "Reply":
        """Answer as webob does, and so Glance."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = (
            f"<html>\n <head>\n  <title>{status} Title</title>\n </head>\n <body>\n"
            f"  <h1>{status} Title</h1>\n  {text}<br /><br />\n\n </body>\n</html>"
        )
        return cls(status, body.encode(), {"Content-Type": "text/html; charset=UTF-8", **named})


@dataclasses.dataclass(frozen=True)
class Request:
    """A request of a client."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Server(http.server.ThreadingHTTPServer):
    """Gives one reply of the script after the other; the last one for ever."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Conversation)
        self._scheme = "https" if tls else "http"
        if tls:  # the handshake is part of the first read, in the thread of that connection
            self.socket = tls.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False
            )
        self.script: list[Reply] = []
        self.requests: list[Request] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The root of its URLs."""
        return f"{self._scheme}://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that hang up."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def next_reply(self, request: Request) -> Reply:
        """Note a request and choose its answer."""
        with self._lock:
            self.requests.append(request)
            return self.script.pop(0) if len(self.script) > 1 else self.script[0]


class _Conversation(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, dict(self.headers.items()), body)
        reply = cast("Server", self.server).next_reply(request)
        if reply.status == 0:
            self.close_connection = True
            return
        self.send_response_only(reply.status)
        for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_HEAD = do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Log nothing."""


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Serve while the block runs, over TLS if a context is given."""
    server = Server(tls)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def silent() -> Iterator[str]:
    """Give the URL of a server that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
