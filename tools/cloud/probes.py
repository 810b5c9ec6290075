# SPDX-License-Identifier: Apache-2.0
"""Check that services answer in their own protocol."""

from collections.abc import Callable
import http.client
import socket

Probe = Callable[[], bool]

_TIMEOUT_SECONDS = 2.0


def http_get(host: str, port: int, path: str) -> Probe:
    """Answers when GET ``path`` gets a status below 400."""

    def probe() -> bool:
        connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().status < http.HTTPStatus.BAD_REQUEST
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return probe


def amqp(host: str, port: int) -> Probe:
    """Answers when the broker opens an AMQP 0-9-1 handshake (connection.start)."""
    # Frame type 1, channel 0, 4 bytes of size, class 10, method 10.
    return _exchange(
        host,
        port,
        b"AMQP\x00\x00\x09\x01",
        lambda answer: answer[:3] == b"\x01\x00\x00" and answer[7:11] == b"\x00\x0a\x00\x0a",
    )


def ssh(host: str, port: int) -> Probe:
    """Answers when the server sends its SSH identification line."""
    return _exchange(host, port, b"", lambda answer: answer.startswith(b"SSH-2.0-"))


def epmd(host: str, port: int) -> Probe:
    """Answers when Erlang's port mapper lists its names (NAMES_REQ)."""
    return _exchange(host, port, b"\x00\x01n", lambda answer: len(answer) >= 4)


def _exchange(host: str, port: int, hello: bytes, is_right: Callable[[bytes], bool]) -> Probe:
    def probe() -> bool:
        try:
            with socket.create_connection((host, port), timeout=_TIMEOUT_SECONDS) as connection:
                connection.sendall(hello)
                return is_right(connection.recv(64))
        except OSError:
            return False

    return probe
