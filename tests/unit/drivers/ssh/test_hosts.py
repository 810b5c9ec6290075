# SPDX-License-Identifier: Apache-2.0
"""An unreachable SSH host that several threads share.

``tests/integration/test_ssh.py`` has real hosts.
"""

import contextlib
import dataclasses
import socket
import threading
from typing import Any

import pytest

from glance_sync_agent import errors
from glance_sync_agent.drivers.ssh import hosts
from glance_sync_agent.drivers.ssh import logins
from glance_sync_agent.drivers.transport import streams
from tests.fakes import locks

PATIENT = streams.Timeouts(connect_seconds=20.0, idle_seconds=20.0)


class MuteServer:
    """Accepts connections and sends nothing until it hangs up."""

    def __init__(self):
        self.taken = threading.Semaphore(0)
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._gone = threading.Event()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def hang_up(self):
        """End all connections, and each new one."""
        self._gone.set()

    def close(self):
        self._gone.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                self.taken.release()
                with connection:
                    self._gone.wait()


@pytest.fixture
def server():
    running = MuteServer()
    yield running
    running.close()


@pytest.fixture
def pool():
    made = hosts.SshHosts(timeouts=PATIENT)
    yield made
    made.close()


@pytest.fixture
def host(pool, server, tmp_path):
    (tmp_path / "known_hosts").touch()
    login = logins.Login(
        host="127.0.0.1",
        port=server.port,
        user="glance",
        known_hosts=str(tmp_path / "known_hosts"),
    )
    return pool.host(login)


class Visitors:
    """Threads that log in, and their errors."""

    def __init__(self, host, count):
        self.met: list[Any] = []
        self._host = host
        self._threads = [threading.Thread(target=self._visit) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def leave(self):
        for thread in self._threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in self._threads)
        return self.met

    def _visit(self):
        try:
            self._host.probe()
        except errors.SyncError as exc:
            self.met.append(exc)


def test_threads_that_wait_for_a_log_in_share_its_failure(host, server):
    host._logging_in._lock = lock = locks.CountedLock()
    visitors = Visitors(host, 4)
    assert lock.was_left(4)
    server.hang_up()
    met = visitors.leave()
    assert [type(exc) for exc in met] == [errors.ServiceUnavailable] * 4
    assert len({str(exc) for exc in met}) == 1
    assert server.connections == 1


def test_a_later_thread_logs_in_again_after_a_failure(host, server):
    server.hang_up()
    for _ in range(2):
        with pytest.raises(errors.ServiceUnavailable):
            host.probe()
    assert server.connections == 2


def test_closing_waits_for_no_log_in_and_none_begins_after_it(pool, host, server):
    host._logging_in._lock = lock = locks.CountedLock()
    visitors = Visitors(host, 4)
    assert lock.was_left(4)
    assert server.taken.acquire(timeout=10)
    closing = threading.Thread(target=pool.close)
    closing.start()
    closing.join(5)
    assert not closing.is_alive()
    for one in (host, pool.host(dataclasses.replace(host.login, user="another"))):
        with pytest.raises(errors.Cancelled, match="the agent is stopping"):
            one.probe()
    server.hang_up()
    assert len(visitors.leave()) == 4
    assert server.connections == 1
