# SPDX-License-Identifier: Apache-2.0
"""Real servers of PostgreSQL and MariaDB, for tests and benchmarks of the task store.

Each listens on loopback and has a directory of its own. It ends with the process that started
it, even if that process is killed.
"""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import functools
import os
import pathlib
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time

import sqlalchemy as sa

from tools.cloud import planning

ADDRESS = "127.0.0.1"
_NAME = "agent"  # of the user, and of its database
_PROGRAMS = os.pathsep.join([os.defpath, "/usr/sbin", "/sbin"])
_START_SECONDS = 60.0
_USERS_SQL = """\
CREATE DATABASE IF NOT EXISTS {name};
CREATE USER IF NOT EXISTS {name}@{address} IDENTIFIED BY '{password}';
GRANT ALL ON {name}.* TO {name}@{address};
"""


class NoServerError(Exception):
    """A server cannot be started; the message says why."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How to start a server that has its data."""

    command: list[str]
    url: str
    end: signal.Signals  # drops its clients


_Make = Callable[[pathlib.Path, str, int], Plan]


class Server:
    """A server that runs."""

    def __init__(self, plan: Plan, log: pathlib.Path) -> None:
        """Start it.

        :raises NoServerError: it does not start.
        """
        self.url = plan.url
        self._plan = plan
        self._log = log
        self._process = _start(plan, log)

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop it while the context lasts; it drops its clients."""
        self.stop()
        try:
            yield
        finally:
            self._process = _start(self._plan, self._log)

    def stop(self) -> None:
        """End it. Idempotent."""
        if self._process.poll() is None:
            self._process.send_signal(self._plan.end)
            self._process.wait()


def postgresql(*, durable: bool = False) -> contextlib.AbstractContextManager[Server]:
    """Run a PostgreSQL server with one database.

    :param durable: write commits to the disk, as in production.
    :raises NoServerError: it cannot be started.
    """
    return _served(functools.partial(_postgresql, durable=durable))


def mariadb(*, durable: bool = False) -> contextlib.AbstractContextManager[Server]:
    """Run a MariaDB server with one database, in the same way."""
    return _served(functools.partial(_mariadb, durable=durable))


def _postgresql(home: pathlib.Path, password: str, port: int, *, durable: bool) -> Plan:
    # Debian installs them in a directory for each version.
    found = pathlib.Path("/usr/lib/postgresql").glob("*/bin")
    programs = max(found, key=lambda path: float(path.parent.name), default=pathlib.Path())
    (home / "password").write_text(password)
    run(
        program("initdb", str(programs)), "--no-sync", f"--pgdata={home}/data",
        f"--username={_NAME}", "--auth=scram-sha-256", f"--pwfile={home}/password",
        "--encoding=UTF8", "--locale=C.UTF-8",
    )
    return Plan(
        command=[
            program("postgres", str(programs)), "-D", f"{home}/data", "-p", str(port),
            "-c", f"listen_addresses={ADDRESS}", "-c", "unix_socket_directories=",
            "-c", f"fsync={'on' if durable else 'off'}",
        ],
        url=f"postgresql+psycopg://{_NAME}:{password}@{ADDRESS}:{port}/postgres",
        end=signal.SIGINT,
    )


def _mariadb(home: pathlib.Path, password: str, port: int, *, durable: bool) -> Plan:
    make_mariadb(home / "data", home / "users.sql", password)
    return Plan(
        command=[
            *mariadb_command(home, home / "data", port), f"--init-file={home}/users.sql",
            f"--innodb-flush-log-at-trx-commit={int(durable)}",
        ],
        url=mariadb_url(password, port),
        end=signal.SIGTERM,
    )


def make_mariadb(data: pathlib.Path, users: pathlib.Path, password: str) -> None:
    """Make the data of a MariaDB server, and the SQL that makes its user."""
    run(
        program("mariadb-install-db"), "--no-defaults", f"--datadir={data}",
        # Otherwise its root has no password.
        "--auth-root-authentication-method=socket", "--skip-test-db",
    )
    users.write_text(_USERS_SQL.format(name=_NAME, address=ADDRESS, password=password))


def mariadb_command(home: pathlib.Path, data: pathlib.Path, port: int) -> list[str]:
    """Return the command of every MariaDB server."""
    return [
        program("mariadbd"), "--no-defaults", f"--datadir={data}",
        f"--socket={home}/socket-{port}", f"--pid-file={home}/pid-{port}",
        f"--bind-address={ADDRESS}", f"--port={port}", "--skip-name-resolve",
    ]


def mariadb_url(password: str, port: int) -> str:
    """Return the URL of a MariaDB server."""
    # Preparing TLS, which no server here offers, costs each connection 20 ms.
    return f"mysql+pymysql://{_NAME}:{password}@{ADDRESS}:{port}/{_NAME}?ssl_disabled=true"


@contextlib.contextmanager
def _served(make: _Make) -> Iterator[Server]:
    with directory() as home:
        port = planning.free_port(ADDRESS)
        server = Server(make(home, secrets.token_hex(), port), home / "log")
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def directory() -> Iterator[pathlib.Path]:
    """Make a directory for a server's data, and remove it after the server has ended."""
    # The user of the server cannot enter pytest's directory.
    home = pathlib.Path(tempfile.mkdtemp(prefix="glance-sync-"))
    try:
        if user := unprivileged():
            os.chown(home, user.pw_uid, user.pw_gid)
        yield home
    finally:
        shutil.rmtree(home)


def _start(plan: Plan, log: pathlib.Path) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            # The kernel ends the server if its parent is killed.
            ["setpriv", f"--pdeathsig={plan.end.name}", *_as_user(), *plan.command],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )
    engine = sa.create_engine(plan.url, poolclass=sa.NullPool)
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            with engine.connect() as connection:  # a joining node accepts no statement
                connection.exec_driver_sql("SELECT 1")
        except sa.exc.OperationalError as exc:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                raise NoServerError(f"{exc.orig}\n{log.read_text(errors='replace')}") from exc
            time.sleep(0.05)
        else:
            return process


def run(*command: str) -> None:
    """Run a program as the user of the servers.

    :raises NoServerError: it fails.
    """
    done = subprocess.run(
        ["setpriv", *_as_user(), *command],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False,
    )
    if done.returncode:
        raise NoServerError(f"{command[0]}: {done.stdout}")


def _as_user() -> list[str]:
    """Return the setpriv(1) command that gives up root's rights; no server runs as root."""
    user = unprivileged()
    return [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"] if user else []


def unprivileged() -> pwd.struct_passwd | None:
    """Return the user of the servers if root runs this; None: another user does."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def program(name: str, path: str = _PROGRAMS) -> str:
    """Return the path of a program.

    :raises NoServerError: it is not installed.
    """
    found = shutil.which(name, path=path)
    if found is None:
        raise NoServerError(f"{name} is not installed")
    return found
