# SPDX-License-Identifier: Apache-2.0
"""SSH servers on loopback: OpenSSH as the current user, and one of paramiko's that misbehaves."""

from collections.abc import Iterator
import contextlib
import getpass
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from typing import Any, Self

import paramiko
from paramiko import common

from glance_sync_agent.drivers.ssh import logins
from tools.cloud import planning

ADDRESS = "127.0.0.1"
_CONFIG = """\
ListenAddress {address}:{port}
HostKey {home}/host_key
PidFile none
AuthorizedKeysFile {home}/authorized_keys
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowTcpForwarding local
UseDNS no
Subsystem sftp internal-sftp
"""
_START_SECONDS = 10.0
#: The command of README for an account that reads the files of images.
READ_ONLY = "internal-sftp -R"
_FORWARDING = 'restrict,port-forwarding,permitopen="{address}"'
_CONFINED = {
    "confined": f'{_FORWARDING},command="/bin/false"',
    "reading": f'restrict,command="{READ_ONLY}"',
    "both": f'{_FORWARDING},command="{READ_ONLY}"',
}


def program() -> str | None:
    """Return the path of OpenSSH's server, if it is installed."""
    return shutil.which("sshd", path=os.pathsep.join([os.defpath, "/usr/sbin", "/sbin"]))


class Sshd:
    """An OpenSSH server with keys of its own.

    The key ``confined`` can only forward to the address of :meth:`permit`, ``reading`` only read
    files, ``both`` these two, ``unconfined`` everything, and ``unknown`` nothing.

    :param more: lines for the end of its configuration.
    """

    def __init__(self, home: pathlib.Path, more: str = "") -> None:
        self.port = planning.free_port(ADDRESS)
        self.known_hosts = home / "known_hosts"
        self._home = home
        self._server: subprocess.Popen[bytes] | None = None
        for name in ("host_key", *_CONFINED, "unconfined", "unknown"):
            make_key(home / name)
        self.permit(ADDRESS, 1)
        name = logins.Login(host=ADDRESS, port=self.port, user="", known_hosts="").name
        self.known_hosts.write_text(f"{name} {public_key(home / 'host_key')}\n")
        (home / "sshd_config").write_text(
            _CONFIG.format(address=ADDRESS, port=self.port, home=home) + more
        )

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            pathlib.Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers."""
        command = [program() or "sshd", "-D", "-e", "-f", str(self._home / "sshd_config")]
        with (self._home / "log").open("ab") as log:
            self._server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            if _greets(self.port):
                return
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise RuntimeError((self._home / "log").read_text())
            time.sleep(0.02)

    def permit(self, host: str, port: int) -> None:
        """Let those that may forward do so to ``host:port``, from the next log-in on."""
        lines = [
            f"{options.format(address=f'{host}:{port}')} {public_key(self._home / name)}\n"
            for name, options in _CONFINED.items()
        ]
        unconfined = f"{public_key(self._home / 'unconfined')}\n"
        (self._home / "authorized_keys").write_text("".join([*lines, unconfined]))

    def let_read(self, name: str) -> None:
        """Let a key read files and nothing else, from the next log-in on."""
        keys = self._home / "authorized_keys"
        line = f"{_CONFINED['reading']} {public_key(self._home / name)}\n"
        keys.write_text(line + keys.read_text())  # the first line of a key counts

    def login(self, key: str = "confined", **overrides: Any) -> logins.Login:
        """Return how to log in with one of the keys."""
        values: dict[str, Any] = {
            "host": ADDRESS,
            "port": self.port,
            "user": getpass.getuser(),
            "key_filename": str(self._home / key),
            "known_hosts": str(self.known_hosts),
        }
        return logins.Login(**(values | overrides))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the server and all of its sessions."""
        for pid in self._pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self) -> None:
        """End the server and all of its sessions, however they are. Idempotent."""
        if self._server is not None:
            self.signal(signal.SIGKILL)
            self._server.wait()
            self._server = None

    @property
    def sessions(self) -> int:
        """How many processes of sessions there are."""
        return len(self._pids()) - 1

    def _pids(self) -> list[int]:
        assert self._server is not None
        found = [self._server.pid]
        for pid in found:
            with contextlib.suppress(OSError):
                children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
                found.extend(map(int, children.split()))
        return found


def _greets(port: int) -> bool:
    try:
        with socket.create_connection((ADDRESS, port), 1.0) as sock:
            return sock.recv(3) == b"SSH"
    except OSError:
        return False


def make_key(path: pathlib.Path) -> None:
    """Make an Ed25519 key without a passphrase."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)],
        check=True,
        stdin=subprocess.DEVNULL,
    )


def public_key(path: pathlib.Path) -> str:
    """Return type and key, without the comment."""
    return " ".join(path.with_name(f"{path.name}.pub").read_text().split()[:2])


class PasswordServer(paramiko.ServerInterface):
    """A server in this process that takes a password and answers channels as told.

    :param channel_answer: one of paramiko's ``OPEN_`` codes.
    """

    def __init__(
        self,
        password: str,
        *,
        channel_answer: int = common.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED,
    ) -> None:
        self.passwords_seen: list[str] = []
        self._password = password
        self._channel_answer = channel_answer

    def get_allowed_auths(self, _username: str) -> str:
        return "publickey,password"

    def check_auth_password(self, _username: str, password: str) -> int:
        self.passwords_seen.append(password)
        right = password == self._password
        return common.AUTH_SUCCESSFUL if right else common.AUTH_FAILED

    def check_channel_direct_tcpip_request(self, *_: object) -> int:
        return self._channel_answer

    @contextlib.contextmanager
    def listening(self, home: pathlib.Path) -> Iterator[logins.Login]:
        """Serve connections; yield how to log in, without a key or a password."""
        with socket.create_server((ADDRESS, 0)) as listener, contextlib.ExitStack() as stack:
            port = listener.getsockname()[1]
            make_key(home / "password_host_key")
            host_key = paramiko.Ed25519Key(filename=str(home / "password_host_key"))
            known_hosts = home / "password_known_hosts"
            shown = public_key(home / "password_host_key")
            known_hosts.write_text(f"[{ADDRESS}]:{port} {shown}\n")

            def serve() -> None:
                with contextlib.suppress(OSError):
                    while True:
                        transport = paramiko.Transport(listener.accept()[0])
                        stack.callback(transport.close)
                        transport.add_server_key(host_key)
                        transport.start_server(event=threading.Event(), server=self)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            yield logins.Login(
                host=ADDRESS, port=port, user="glance", known_hosts=str(known_hosts)
            )
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
