# SPDX-License-Identifier: Apache-2.0
"""Connections to a server, and TLS over something that is no socket."""

from collections.abc import Iterator
import contextlib
import pathlib
import socket
import ssl
import threading

import pytest

from glance_sync_agent import errors
from glance_sync_agent.drivers.transport import connections
from glance_sync_agent.drivers.transport import image_endpoints
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport import tls
from glance_sync_agent.drivers.transport.trust import Trust
from tests.fakes import certificates

TIMEOUTS = streams.Timeouts(connect_seconds=5.0, idle_seconds=5.0)


class TlsPeer:
    """A TLS server that returns what it gets, in capitals."""

    def __init__(self, directory: pathlib.Path) -> None:
        self.cafile = str(directory / "certificate.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificates.write(directory)
        context.load_cert_chain(self.cafile, directory / "key.pem")
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.endpoint = image_endpoints.parse(f"https://127.0.0.1:{port}")
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        try:
            with self._context.wrap_socket(connection, server_side=True) as tls:
                while data := tls.recv(65536):
                    tls.sendall(data.upper())
        except OSError:
            return


@pytest.fixture
def peer(tmp_path: pathlib.Path) -> Iterator[TlsPeer]:
    running = TlsPeer(tmp_path)
    yield running
    running.close()


def shout(stream: streams.Stream, data: bytes) -> bytes:
    """Send in pieces as they are taken, and read as much back."""
    file = stream.makefile("rb")
    back = b""
    view = memoryview(data)
    while view:
        sent = stream.send(view[:4096])
        back += file.read(sent)
        view = view[sent:]
    file.close()
    return back


def test_a_trusted_certificate_is_accepted(peer: TlsPeer) -> None:
    trust = Trust(cafile=peer.cafile)
    stream = connections.connect(peer.endpoint, trust, TIMEOUTS)
    assert shout(stream, b"abc" * 10000) == b"ABC" * 10000
    assert not connections.has_answer(stream)
    stream.close()


def test_a_certificate_that_nobody_vouches_for_is_not_accepted(peer: TlsPeer) -> None:
    with pytest.raises(errors.ServiceUnavailable, match="certificate verify failed"):
        connections.connect(peer.endpoint, Trust(), TIMEOUTS)


def test_the_operator_may_turn_verification_off(peer: TlsPeer) -> None:
    stream = connections.connect(peer.endpoint, Trust(insecure=True), TIMEOUTS)
    assert shout(stream, b"abc") == b"ABC"
    stream.close()


def test_a_cafile_that_cannot_be_read_is_named(peer: TlsPeer) -> None:
    trust = Trust(cafile="/nowhere.pem")
    with pytest.raises(errors.ServiceUnavailable, match=r"/nowhere\.pem"):
        connections.connect(peer.endpoint, trust, TIMEOUTS)


def test_nobody_there_is_worth_a_retry() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    endpoint = image_endpoints.parse(f"http://127.0.0.1:{port}")
    with pytest.raises(errors.ServiceUnavailable, match=f"127.0.0.1:{port}.*refused"):
        connections.connect(endpoint, Trust(), TIMEOUTS)


def test_tls_works_over_any_stream(peer: TlsPeer) -> None:
    with socket.create_connection((peer.endpoint.host, peer.endpoint.port), 5) as sock:
        context = Trust(cafile=peer.cafile).context()
        stream = tls.TlsStream(sock, context, "127.0.0.1")
        stream.settimeout(5.0)
        assert shout(stream, b"abc" * 10000) == b"ABC" * 10000
        stream.sendall(b"x" * 40000)
        back = b""
        while len(back) < 40000:
            back += stream.recv(65536)
        assert back == b"X" * 40000
        assert not connections.has_answer(stream)
        stream.close()


def test_tls_over_any_stream_trusts_the_right_host_only(peer: TlsPeer) -> None:
    context = Trust(cafile=peer.cafile).context()
    with (
        socket.create_connection((peer.endpoint.host, peer.endpoint.port), 5) as sock,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        tls.TlsStream(sock, context, "glance.example")


@pytest.mark.parametrize("polite", [True, False])
def test_tls_over_any_stream_sees_the_end(tmp_path: pathlib.Path, polite: bool) -> None:
    certificates.write(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    ours, theirs = socket.socketpair()

    def hang_up() -> None:
        with theirs, server.wrap_socket(theirs, server_side=True) as tls:
            tls.sendall(b"last words")
            if polite:
                with contextlib.suppress(OSError):  # we are not as polite
                    tls.unwrap()

    thread = threading.Thread(target=hang_up)
    thread.start()
    context = Trust(cafile=str(tmp_path / "certificate.pem")).context()
    with ours:
        stream = tls.TlsStream(ours, context, "127.0.0.1")
        assert stream.recv(100) == b"last words"
        assert stream.recv(100) == b""
    thread.join()
