# SPDX-License-Identifier: Apache-2.0
"""Logging in: host key, account and proof.

known_hosts must have the host key; no option accepts an unknown one.
"""

from collections.abc import Callable
import contextlib
import dataclasses
import socket
from typing import Any, NoReturn

import paramiko
from paramiko import pkey

from glance_sync_agent import errors
from glance_sync_agent.drivers.transport import streams

_SSH_PORT = 22
# paramiko prefers other ciphers, although GCM is three times as fast.
_FAST_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
_KEEPALIVE_SECONDS = 15


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Login:
    """A host, an account and its proofs."""

    host: str
    port: int = _SSH_PORT
    user: str
    key_filename: str | None = None  # tried first
    password: str | None = dataclasses.field(default=None, repr=False)
    known_hosts: str  # file name

    @property
    def name(self) -> str:
        """The host as known_hosts spells it."""
        return self.host if self.port == _SSH_PORT else f"[{self.host}]:{self.port}"

    def __str__(self) -> str:
        return f"{self.user}@{self.name}"


def log_in(login: Login, timeouts: streams.Timeouts) -> paramiko.Transport:
    """Return a connection that is logged in.

    :raises ServiceUnavailable: the host is unreachable.
    :raises HostKeyMismatch: known_hosts has another key for the host, or none.
    :raises Refused: the host refuses the log-in.
    """
    with contextlib.ExitStack() as stack:
        client = paramiko.SSHClient()
        stack.callback(client.close)
        client.set_missing_host_key_policy(_RejectPolicy())
        try:
            client.load_host_keys(login.known_hosts)
        except (OSError, UnicodeDecodeError) as exc:
            raise errors.HostKeyMismatch(
                f"log-in as {login}: known_hosts file {login.known_hosts}: {exc}. {_remedy(login)}"
            ) from exc
        try:
            transport = _connect(client, login, timeouts)
        except (OSError, EOFError, paramiko.SSHException) as exc:
            raise _error(login, exc) from exc
        stack.pop_all()
    return transport


def _connect(
    client: paramiko.SSHClient, login: Login, timeouts: streams.Timeouts
) -> paramiko.Transport:
    seconds = timeouts.connect_seconds
    sock = socket.create_connection((login.host, login.port), seconds)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # paramiko waits for ever if the host reads no more; the kernel does not.
        sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeouts.idle_seconds * 1000)
        )
        client.connect(
            login.host,
            login.port,
            sock=sock,
            timeout=2 * seconds,  # of banner and key exchange together
            banner_timeout=seconds,
            auth_timeout=seconds,
            channel_timeout=seconds,
            auth_strategy=_Authentication(login),  # type: ignore[arg-type]
            transport_factory=_transport,  # type: ignore[arg-type]
        )
    except BaseException:
        sock.close()
        raise
    transport = client.get_transport()
    if transport is None:
        raise EOFError
    transport.set_keepalive(_KEEPALIVE_SECONDS)
    return transport


def _transport(sock: socket.socket, **options: Any) -> paramiko.Transport:
    transport = paramiko.Transport(sock, **options)
    security = transport.get_security_options()
    others = [cipher for cipher in security.ciphers if cipher not in _FAST_CIPHERS]
    security.ciphers = [*_FAST_CIPHERS, *others]
    return transport


class _UnknownHostKey(paramiko.SSHException):
    pass


class _RejectPolicy(paramiko.RejectPolicy):
    """Raises an exception of its own for an unknown host key."""

    def missing_host_key(
        self, _client: paramiko.SSHClient, _hostname: str, key: paramiko.PKey
    ) -> NoReturn:
        raise _UnknownHostKey(shown(key))


class _Authentication:
    """The key, then the password; no SSH agent and no keys of a home directory."""

    def __init__(self, login: Login) -> None:
        self._login = login

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Log in (paramiko: ``AuthStrategy.authenticate``).

        :raises Refused: the host accepts neither.
        """
        login = self._login
        tried = []
        if login.key_filename:
            tried.append(f"the key {login.key_filename}")
            key = self._key(login.key_filename)
            if _accepted(transport, transport.auth_publickey, login.user, key):
                return
        if login.password is not None:
            tried.append("the password")
            if _accepted(transport, transport.auth_password, login.user, login.password):
                return
        how = " and ".join(tried) or "nothing: there is neither key_filename nor login_password"
        raise errors.Refused(f"log-in as {login}: not accepted; tried {how}")

    def _key(self, name: str) -> paramiko.PKey:
        try:
            return paramiko.PKey.from_path(name)
        # TypeError: it is encrypted.
        except (OSError, ValueError, TypeError, paramiko.SSHException, pkey.UnknownKeyType) as exc:
            raise errors.Refused(
                f"log-in as {self._login}: private key {name}: {described(exc)}"
            ) from exc


def _accepted(
    transport: paramiko.Transport, way: Callable[..., list[str]], user: str, proof: object
) -> bool:
    try:
        return not way(user, proof)  # the steps that are left
    except paramiko.AuthenticationException as exc:
        # paramiko raises the same if the host vanishes meanwhile.
        if not transport.is_active() or "timeout" in str(exc).lower():
            raise
        return False


def _error(login: Login, exc: Exception) -> errors.SyncError:
    what = f"log-in as {login}"
    match exc:
        case _UnknownHostKey():
            return errors.HostKeyMismatch(
                f"{what}: {login.known_hosts} has no host key of {login.name},"
                f" whose key is {exc}. {_remedy(login)}"
            )
        case paramiko.BadHostKeyException():
            return errors.HostKeyMismatch(
                f"{what}: {login.name} shows the host key {shown(exc.key)}, but"
                f" {login.known_hosts} has {shown(exc.expected_key)}: the host was reinstalled,"
                " or somebody intercepts the connection."
                f" If you know why: ssh-keygen -R '{login.name}' -f {login.known_hosts}."
                f" {_remedy(login)}"
            )
        case _:
            return errors.ServiceUnavailable(f"{what}: {described(exc)}")


def _remedy(login: Login) -> str:
    return (
        f"Add it with: ssh-keyscan -p {login.port} {login.host} >> {login.known_hosts},"
        " and compare it with the key on the host itself"
    )


def shown(key: paramiko.PKey) -> str:
    """Return type and fingerprint, as ssh shows them."""
    return f"{key.get_name()} {key.fingerprint}"


def described(exc: Exception) -> str:
    """Return the message of an exception, or its type if it has none."""
    return str(exc) or type(exc).__name__
