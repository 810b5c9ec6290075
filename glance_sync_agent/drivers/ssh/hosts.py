# SPDX-License-Identifier: Apache-2.0
"""One SSH connection to each host, shared by all of its transfers."""

from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import dataclasses
import threading
import time

import paramiko

from glance_sync_agent import errors
from glance_sync_agent.drivers.ssh import channels
from glance_sync_agent.drivers.ssh import files
from glance_sync_agent.drivers.ssh import logins
from glance_sync_agent.drivers.transport import streams

_Entry = futures.Future[paramiko.Transport]  # a log-in, for all who wait for it


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a log-in showed, for an operator to read."""

    host_key: str  # type and fingerprint
    server: str  # its version line
    cipher: str
    seconds: float  # that it took


class SshHosts:
    """The hosts of one process.

    Nothing connects before it is used, so a process may fork after making this.

    :param keep_seconds: a connection that nobody has used for so long is closed.
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
        """Return the host; the same one for the same log-in."""
        with self._lock:
            if login not in self._hosts:
                self._hosts[login] = SshHost(
                    login, self._timeouts, self._keep_seconds, self._closed
                )
            return self._hosts[login]

    def close(self) -> None:
        """Cut all connections, for good; waits for no host. Idempotent."""
        self._closed.set()
        with self._lock:
            hosts = list(self._hosts.values())
        for host in hosts:
            host.cut()


class SshHost:
    """A host that a region's Glance can be reached from. Thread safe.

    :param closed: set when nobody may log in any more.
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
        self._lock = threading.Lock()  # held for moments only, never while we log in
        #: The log-in that is going on, or has worked.
        self._entry: _Entry | None = None
        self._users = 0  # those who wait for it included
        self._idle_since = 0.0  # monotonic seconds
        self._timer: threading.Timer | None = None

    def cut(self) -> None:
        """Cut the connection, whoever uses it; one that is being made ends up unused."""
        with self._lock:
            self._drop()

    @contextlib.contextmanager
    def open_channel(self, host: str, port: int) -> Iterator[channels.Channel]:
        """Open a TCP connection from there to ``host:port``.

        :raises ServiceUnavailable: the host, or the address behind it, does not answer.
        :raises Refused: the log-in or the forwarding is not allowed.
        :raises HostKeyMismatch: the host is not the one that known_hosts knows.
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
        :raises ServiceUnavailable: no such file, or the host does not answer.
        :raises TransferInterrupted: the connection broke.
        :raises Refused: the log-in, SFTP or the file is not allowed.
        :raises HostKeyMismatch: the host is not the one that known_hosts knows.
        :raises Cancelled: all connections were cut for good.
        """
        with self._connection() as transport, contextlib.ExitStack() as stack:
            opened = files.open_file(transport, self.login, path, self._timeouts, offset=offset)
            with self._forgetting_refusals():
                chunks = stack.enter_context(opened)
            yield chunks

    def find_name(self, directory: str, is_wanted: Callable[[str], bool]) -> str | None:
        """Return a name of a directory; None if it holds none that is wanted.

        :raises SyncError: as :meth:`open_file`.
        """
        with self._connection() as transport, self._forgetting_refusals():
            return files.find_name(transport, self.login, directory, is_wanted, self._timeouts)

    def free_bytes(self, directory: str) -> int | None:
        """Return the space that is left for files of a directory; None if the host does not tell.

        :raises SyncError: as :meth:`open_file`.
        """
        with self._connection() as transport, self._forgetting_refusals():
            return files.free_bytes(transport, self.login, directory, self._timeouts)

    def probe(self) -> Found:
        """Log in, if we are not, and tell what was found.

        :raises SyncError: as :meth:`open_channel`.
        """
        started = time.monotonic()
        with self._connection() as transport:
            key = transport.get_remote_server_key()
            return Found(
                host_key=logins.shown(key),
                server=transport.remote_version,
                cipher=transport.remote_cipher,  # type: ignore[attr-defined]
                seconds=time.monotonic() - started,
            )

    def probe_forward(self, host: str, port: int) -> None:
        """Try whether ``host:port`` can be reached from there; nothing is sent.

        :raises SyncError: as :meth:`open_channel`.
        """
        with self.open_channel(host, port):
            pass

    @contextlib.contextmanager
    def _connection(self) -> Iterator[paramiko.Transport]:
        """Lend the connection; a new one if there is none that is alive.

        The first to come logs in, the others wait for that. They share his failure, too: one
        log-in after the other at a host that hangs would outlast their leases.
        """
        with self._lock:
            entry, is_new = self._open_entry()
            self._users += 1
        try:
            if is_new:
                self._log_in(entry)
            yield entry.result()
        finally:
            with self._lock:
                self._users -= 1
                self._idle_since = time.monotonic()
                self._watch(self._keep_seconds)

    def _open_entry(self) -> tuple[_Entry, bool]:
        """Return a log-in, and whether it is for the caller to do it."""
        entry = self._entry
        if entry is not None and (not entry.done() or entry.result().is_active()):
            return entry, False
        self._drop()
        if self._closed.is_set():
            raise self._cancelled()
        self._entry = _Entry()
        return self._entry, True

    def _log_in(self, entry: _Entry) -> None:
        try:
            transport = logins.log_in(self.login, self._timeouts)
        except BaseException as exc:
            with self._lock:  # whoever comes now tries anew
                if self._entry is entry:
                    self._entry = None
            entry.set_exception(exc)
            raise
        with self._lock:
            if self._entry is entry:
                entry.set_result(transport)
                return
        transport.close()
        entry.set_exception(self._cancelled())

    def _cancelled(self) -> errors.Cancelled:
        return errors.Cancelled(f"log-in as {self.login}: the agent is stopping")

    @contextlib.contextmanager
    def _forgetting_refusals(self) -> Iterator[None]:
        """Log out after a refusal, unless others are in the middle of something.

        What an account may do is settled when it logs in, so after whoever mends that we have
        to log in anew.
        """
        try:
            yield
        except errors.Refused:
            with self._lock:
                if self._users == 1:
                    self._drop()
            raise

    def _drop(self) -> None:
        entry, self._entry = self._entry, None
        if entry is not None and entry.done():
            entry.result().close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self, seconds: float) -> None:
        """Look after ``seconds`` whether the connection is in use; at most one timer waits."""
        if self._entry is None or self._users or self._timer is not None:
            return
        self._timer = threading.Timer(seconds, self._drop_if_idle)
        self._timer.daemon = True
        self._timer.start()

    def _drop_if_idle(self) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():
                return  # it was cancelled when it had started already
            self._timer = None
            left = self._idle_since + self._keep_seconds - time.monotonic()
            if left <= 0 and not self._users:
                self._drop()
            else:
                self._watch(left)
