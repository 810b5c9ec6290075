# SPDX-License-Identifier: Apache-2.0
"""The HTTP server: waitress, which holds no thread for a slow or idle client."""

import logging
import socket
from typing import Any, Final

from waitress import channel
from waitress import parser
from waitress import server as waitress_server
from waitress import wasyncore

from glance_sync_agent import errors
from glance_sync_agent.api.pipeline import Wsgi

LOG = logging.getLogger(__name__)

#: Requests that are worked on at once. Few of them may ask a Glance: see api.application.
_THREADS: Final = 16
#: Others wait. Each takes a file descriptor, of which transfers need most.
_CONNECTIONS: Final = 250
_IDLE_SECONDS: Final = 60
_STOP_SECONDS: Final = 5.0
_HEADER_BYTES: Final = 32 * 1024
_BODY_BYTES: Final = 1024 * 1024  # oslo.middleware answers from its own, lower limit on


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    :param port: 0: any free one.
    :raises ServiceUnavailable: the address is in use, or is none of this host.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, _type, _protocol, _name, address = found[0]
        return socket.create_server(address[:2], family=family)
    except OSError as exc:
        raise errors.ServiceUnavailable(
            f"cannot listen on {host}:{port} (sync_server_host, sync_server_port): {exc}"
        ) from exc


class _Parser(parser.HTTPRequestParser):  # type: ignore[misc] # has no types
    """Answers 400 to a transfer coding that it does not know.

    501, as waitress has it, would count as a failure of the API, of which a client decides.
    """

    def parse_header(self, header_plus: bytes) -> None:
        """Read the header of a request."""
        try:
            super().parse_header(header_plus)
        except parser.TransferEncodingNotImplemented as exc:
            raise parser.ParsingError(str(exc)) from exc


class _Channel(channel.HTTPChannel):  # type: ignore[misc] # has no types
    """A connection."""

    parser_class = _Parser


class Server:
    """Serves an application on one socket."""

    def __init__(self, application: Wsgi, listening: socket.socket) -> None:
        """Answer nothing yet.

        :param listening: as :func:`listen` returns it; is closed with the server.
        """
        self._sockets: dict[int, Any] = {}
        # Its threads wait for requests from here on.
        self._server: Any = waitress_server.create_server(
            application,
            map=self._sockets,
            sockets=[listening],
            threads=_THREADS,
            connection_limit=_CONNECTIONS,
            channel_timeout=_IDLE_SECONDS,
            max_request_header_size=_HEADER_BYTES,
            max_request_body_size=_BODY_BYTES,
            ident=None,
            # oslo.middleware reads them, if [oslo_middleware] enable_proxy_headers_parsing.
            clear_untrusted_proxy_headers=False,
            # select() fails from file descriptor 1024 on.
            asyncore_use_poll=True,
        )
        self._server.channel_class = _Channel
        self.port = int(self._server.effective_port)

    def serve(self) -> None:
        """Answer until :meth:`stop`."""
        self._server.run()

    def stop(self) -> None:
        """Answer what is being worked on, and close all connections."""
        self._server.task_dispatcher.shutdown(timeout=_STOP_SECONDS)
        self._server.trigger.pull_trigger(self._close)

    def _close(self) -> None:
        """Close everything that the loop waits for; runs in its thread."""
        wasyncore.close_all(self._sockets, ignore_all=True)
