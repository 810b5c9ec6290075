# SPDX-License-Identifier: Apache-2.0
"""One SSH connection to each host, shared by all of its transfers."""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import threading
import time

import paramiko

from glance_sync_agent import errors
from glance_sync_agent import single_flight
from glance_sync_agent.drivers.ssh import channels
from glance_sync_agent.drivers.ssh import compat
from glance_sync_agent.drivers.ssh import files
from glance_sync_agent.drivers.ssh import logins
from glance_sync_agent.drivers.transport import streams


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LoginReport:
    """What a log-in showed, for an operator."""

    host_key: str  # type and fingerprint
    server: str  # version line
    cipher: str
    seconds: float  # that the log-in took


class SshHosts:
    """The hosts of one process.

    A host connects when it is first used, so a process may fork before that.

    :param keep_seconds: a connection that is idle for so long is closed.
    """

    def __init__(
        self, *, timeouts: streams.Timeouts | None = None, keep_seconds: float = 120.0
    ) -> None:
        self._timeouts = timeouts or streams.Timeouts()
        self._keep_seconds = keep_seconds
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._hosts: dict[logins.Login, SshHost] = {}

    def host(self, login: logins.Login) -> "SshHost":
        """Return the host of a log-in, always the same one."""
        with self._lock:
            if login not in self._hosts:
                self._hosts[login] = SshHost(
                    login, self._timeouts, self._keep_seconds, self._closed
                )
            return self._hosts[login]

    def close(self) -> None:
        """Cut all connections for good, without waiting for a host. Idempotent."""
        self._closed.set()
        with self._lock:
            hosts = list(self._hosts.values())
        for host in hosts:
            host.cut()


class SshHost:
    """A host that can reach a region's Glance. Thread safe.

    :param closed: set when no log-in may begin any more.
    """

    def __init__(
        self,
        login: logins.Login,
        timeouts: streams.Timeouts,
        keep_seconds: float,
        closed: threading.Event,
    ) -> None:
        self.login = login
        self._timeouts = timeouts
        self._keep_seconds = keep_seconds
        self._closed = closed
        self._logging_in = single_flight.SingleFlight()
        self._lock = threading.Lock()  # never held during a log-in
        self._transport: paramiko.Transport | None = None
        self._users = 0  # those that wait for a log-in included
        self._idle_since = 0.0  # monotonic seconds
        self._timer: threading.Timer | None = None

    def cut(self) -> None:
        """Cut the connection, even if it is in use."""
        with self._lock:
            self._drop()

    @contextlib.contextmanager
    def open_channel(self, host: str, port: int) -> Iterator[channels.Channel]:
        """Open a TCP connection from there to ``host:port``.

        :raises ServiceUnavailable: the host, or the address behind it, is unreachable.
        :raises Refused: the log-in or the forwarding is not allowed.
        :raises HostKeyMismatch: known_hosts has another key for the host, or none.
        :raises Cancelled: all connections were cut for good.
        """
        with self._connection() as transport:
            with self._forgetting_refusals():
                channel = channels.forward(transport, self.login, host, port)
            channel.settimeout(self._timeouts.idle_seconds)
            try:
                yield channel
            finally:
                channel.close()

    @contextlib.contextmanager
    def open_file(self, path: str, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Open a regular file; chunks of at most 1 MiB.

        :param offset: of the first byte.
        :raises ServiceUnavailable: no such file, or the host is unreachable.
        :raises TransferInterrupted: the connection broke.
        :raises Refused: the log-in, SFTP or the file is not allowed.
        :raises HostKeyMismatch: known_hosts has another key for the host, or none.
        :raises Cancelled: all connections were cut for good.
        """
        with self._connection() as transport, contextlib.ExitStack() as stack:
            opened = files.open_file(transport, self.login, path, self._timeouts, offset=offset)
            with self._forgetting_refusals():
                chunks = stack.enter_context(opened)
            yield chunks

    def find_name(self, directory: str, is_wanted: Callable[[str], bool]) -> str | None:
        """Return the first name in a directory that is wanted; None: there is none.

        :raises SyncError: as :meth:`open_file`.
        """
        with self._connection() as transport, self._forgetting_refusals():
            return files.find_name(transport, self.login, directory, is_wanted, self._timeouts)

    def free_bytes(self, directory: str) -> int | None:
        """Return the free space for files of a directory; None: the host does not report it.

        :raises SyncError: as :meth:`open_file`.
        """
        with self._connection() as transport, self._forgetting_refusals():
            return files.free_bytes(transport, self.login, directory, self._timeouts)

    def probe(self) -> LoginReport:
        """Log in, if we are not, and report what the host showed.

        :raises SyncError: as :meth:`open_channel`.
        """
        started = time.monotonic()
        with self._connection() as transport:
            key = transport.get_remote_server_key()
            return LoginReport(
                host_key=logins.shown(key),
                server=transport.remote_version,
                cipher=compat.cipher(transport),
                seconds=time.monotonic() - started,
            )

    def probe_forward(self, host: str, port: int) -> None:
        """Try whether the host can reach ``host:port``; sends nothing.

        :raises SyncError: as :meth:`open_channel`.
        """
        with self.open_channel(host, port):
            pass

    @contextlib.contextmanager
    def _connection(self) -> Iterator[paramiko.Transport]:
        """Lend the connection; log in first if there is none that is alive."""
        if self._closed.is_set():
            raise self._cancelled()
        with self._lock:
            self._users += 1
        try:
            yield self._logging_in.run(self.login, self._alive)
        finally:
            with self._lock:
                self._users -= 1
                self._idle_since = time.monotonic()
                self._watch(self._keep_seconds)

    def _alive(self) -> paramiko.Transport:
        with self._lock:
            if self._transport is not None and self._transport.is_active():
                return self._transport
            self._drop()
        transport = logins.log_in(self.login, self._timeouts)
        with self._lock:
            if not self._closed.is_set():
                self._transport = transport
                return transport
        transport.close()
        raise self._cancelled()

    def _cancelled(self) -> errors.Cancelled:
        return errors.Cancelled(f"log-in as {self.login}: the agent is stopping")

    @contextlib.contextmanager
    def _forgetting_refusals(self) -> Iterator[None]:
        """Log out after a refusal, unless others use the connection.

        The rights of an account are those at its log-in, so corrected rights need a new one.
        """
        try:
            yield
        except errors.Refused:
            with self._lock:
                if self._users == 1:
                    self._drop()
            raise

    def _drop(self) -> None:
        if self._transport is not None:
            self._transport.close()
            self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, seconds: float) -> None:
        """Check after ``seconds`` whether the connection is idle; at most one timer waits."""
        if self._transport is None or self._users or self._timer is not None:
            return
        self._timer = threading.Timer(seconds, self._drop_if_idle)
        self._timer.daemon = True
        self._timer.start()

    def _drop_if_idle(self) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():
                return  # it was cancelled after it had started
            self._timer = None
            left = self._idle_since + self._keep_seconds - time.monotonic()
            if left <= 0 and not self._users:
                self._drop()
            else:
                self._watch(left)
