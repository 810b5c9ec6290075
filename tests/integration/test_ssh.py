# SPDX-License-Identifier: Apache-2.0
"""The SSH driver against a real OpenSSH server, and against one that misbehaves."""

from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import errno
import getpass
import hashlib
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
import types
from typing import Any, NoReturn
from unittest import mock

import paramiko
from paramiko import common
import pytest

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.check import store_checks
from glance_sync_agent.conf import store_file
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import stores
from glance_sync_agent.drivers.ssh import hosts
from glance_sync_agent.drivers.ssh import logins
from glance_sync_agent.drivers.stores import filesystem
from glance_sync_agent.drivers.transport import image_endpoints
from glance_sync_agent.drivers.transport import image_http
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport import uploads
from glance_sync_agent.drivers.transport.trust import Trust
from tests.fakes import certificates
from tests.fakes import locks
from tests.fakes import scripted_http
from tests.fakes import sshd as fakes
from tools.cloud import planning

TIMEOUTS = streams.Timeouts(connect_seconds=10.0, idle_seconds=10.0)
IMAGE_ID = images.ImageId("350715cd-181a-47d0-9587-19f0221ea26b")
IMPATIENT = streams.Timeouts(connect_seconds=2.0, idle_seconds=1.0)
MIB = 1024 * 1024


@pytest.fixture
def sshd(
    tmp_path: pathlib.Path, missing_service: Callable[[str], NoReturn]
) -> Iterator[fakes.Sshd]:
    if fakes.program() is None:
        missing_service("no OpenSSH server")
    home = tmp_path / "sshd"
    home.mkdir()
    with fakes.Sshd(home) as running:
        yield running


@pytest.fixture
def forced(sshd: fakes.Sshd, tmp_path: pathlib.Path) -> Iterator[Callable[[str], logins.Login]]:
    """Give log-ins at servers whose configuration forces a command on everybody."""
    with contextlib.ExitStack() as stack:

        def make(command: str) -> logins.Login:
            home = tmp_path / "forced"
            home.mkdir()
            match = f"Match User {getpass.getuser()}\n AllowTcpForwarding no\n"
            more = f"{match} ForceCommand {command}\n"
            return stack.enter_context(fakes.Sshd(home, more)).login("unconfined")

        yield make


@pytest.fixture(params=["authorized_keys", "sshd_config"])
def reading(
    request: pytest.FixtureRequest,
    sshd: fakes.Sshd,
    forced: Callable[[str], logins.Login],
) -> logins.Login:
    """A log-in that may read files and do nothing else, on the word of one file or the other."""
    if request.param == "authorized_keys":
        return sshd.login("reading")
    return forced(fakes.READ_ONLY)


@pytest.fixture
def connect() -> Iterator[Callable[..., hosts.SshHost]]:
    with contextlib.ExitStack() as stack:

        def make(
            login: logins.Login,
            timeouts: streams.Timeouts = TIMEOUTS,
            *,
            keep_seconds: float = 60.0,
        ) -> hosts.SshHost:
            pool = hosts.SshHosts(timeouts=timeouts, keep_seconds=keep_seconds)
            stack.callback(pool.close)
            return pool.host(login)

        yield make


class Sink:
    """A TCP server that counts the bytes it gets and never answers."""

    def __init__(self) -> None:
        self.received = 0
        self.started = threading.Event()
        self.reading = threading.Event()
        self.reading.set()
        self._listener = socket.create_server((fakes.ADDRESS, 0))
        self.port: int = self._listener.getsockname()[1]
        self._connection: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> "Sink":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.reading.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        if self._connection is not None:  # its other end may be a process that is frozen
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._connection, _ = self._listener.accept()
                with self._connection as connection, contextlib.suppress(ConnectionResetError):
                    while self.reading.wait() and (some := connection.recv(MIB)):
                        self.received += len(some)
                        self.started.set()


@pytest.fixture
def sink() -> Iterator[Sink]:
    with Sink() as running:
        yield running


def upload(channel: streams.Stream, timeouts: streams.Timeouts, mib: int = 4096) -> None:
    """Put an image that is too long to be in any buffer."""
    endpoint = image_endpoints.parse("http://127.0.0.1:9292")
    uploads.upload(
        image_http.Connection(channel, endpoint, timeouts),
        images.ImageId("350715cd-181a-47d0-9587-19f0221ea26b"),
        token="secret",
        size=mib * MIB,
        chunks=(bytes(MIB) for _ in range(mib)),
    )


def test_a_confined_key_reaches_its_one_address(
    sshd: fakes.Sshd, sink: Sink, connect: Callable[..., hosts.SshHost]
) -> None:
    sshd.permit(fakes.ADDRESS, sink.port)
    with connect(sshd.login()).open_channel(fakes.ADDRESS, sink.port) as channel:
        channel.sendall(bytes(MIB))
        assert sink.started.wait(10)


def test_the_fast_cipher_is_chosen(
    sshd: fakes.Sshd, connect: Callable[..., hosts.SshHost]
) -> None:
    found = connect(sshd.login()).probe()
    assert found.cipher == "aes128-gcm@openssh.com"
    assert found.host_key.startswith("ssh-ed25519 SHA256:")
    assert "OpenSSH" in found.server
    assert found.seconds > 0


def test_a_forwarding_elsewhere_is_refused_with_the_line_that_would_allow_it(
    sshd: fakes.Sshd, sink: Sink, connect: Callable[..., hosts.SshHost]
) -> None:
    sshd.permit(fakes.ADDRESS, 1)
    with pytest.raises(errors.Refused) as caught:
        connect(sshd.login()).probe_forward(fakes.ADDRESS, sink.port)
    assert f'permitopen="{fakes.ADDRESS}:{sink.port}"' in str(caught.value)


def test_a_forwarding_works_as_soon_as_it_is_allowed(
    sshd: fakes.Sshd, sink: Sink, connect: Callable[..., hosts.SshHost]
) -> None:
    host = connect(sshd.login())
    with pytest.raises(errors.Refused):
        host.probe_forward(fakes.ADDRESS, sink.port)
    sshd.permit(fakes.ADDRESS, sink.port)
    host.probe_forward(fakes.ADDRESS, sink.port)


def test_a_forwarding_that_is_refused_breaks_no_other(
    sshd: fakes.Sshd, sink: Sink, connect: Callable[..., hosts.SshHost]
) -> None:
    sshd.permit(fakes.ADDRESS, sink.port)
    host = connect(sshd.login())
    with host.open_channel(fakes.ADDRESS, sink.port) as channel:
        with pytest.raises(errors.Refused):
            host.probe_forward(fakes.ADDRESS, sshd.port)
        assert channel.send(memoryview(b"data"))


def test_a_closed_port_behind_the_host_is_worth_a_retry(
    sshd: fakes.Sshd, connect: Callable[..., hosts.SshHost]
) -> None:
    port = planning.free_port(fakes.ADDRESS)
    sshd.permit(fakes.ADDRESS, port)
    with pytest.raises(errors.ServiceUnavailable, match="cannot reach its Glance"):
        connect(sshd.login()).probe_forward(fakes.ADDRESS, port)


def test_an_unknown_host_key_is_refused_with_the_remedy(
    sshd: fakes.Sshd, connect: Callable[..., hosts.SshHost]
) -> None:
    sshd.known_hosts.write_text("")
    with pytest.raises(errors.HostKeyMismatch) as caught:
        connect(sshd.login()).probe()
    scan = f"ssh-keyscan -p {sshd.port} {fakes.ADDRESS} >> {sshd.known_hosts}"
    assert scan in str(caught.value)
    assert "has no host key of" in str(caught.value)
    assert "SHA256:" in str(caught.value)


def test_a_known_hosts_file_that_is_not_there_is_refused_with_the_remedy(
    sshd: fakes.Sshd, connect: Callable[..., hosts.SshHost]
) -> None:
    with pytest.raises(errors.HostKeyMismatch, match=r"/nowhere.*ssh-keyscan"):
        connect(sshd.login(known_hosts="/nowhere")).probe()


def test_a_changed_host_key_is_refused(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    fakes.make_key(tmp_path / "other")
    other = fakes.public_key(tmp_path / "other")
    sshd.known_hosts.write_text(f"[{fakes.ADDRESS}]:{sshd.port} {other}\n")
    with pytest.raises(errors.HostKeyMismatch, match="ssh-keygen -R") as caught:
        connect(sshd.login()).probe()
    assert str(caught.value).count("SHA256:") == 2
    assert f"[{fakes.ADDRESS}]:{sshd.port} shows the host key ssh-" in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"key": "unknown"}, r"not accepted; tried the key .*/unknown$"),
        ({"user": "no-such-user"}, "log-in as no-such-user@"),
        ({"key_filename": "/nowhere"}, "private key /nowhere"),
        ({"key_filename": "/etc/passwd"}, "private key /etc/passwd"),
        ({"key_filename": None}, "neither key_filename nor login_password"),
        ({"key": "unknown", "password": "s3cret"}, "tried the key .* and the password$"),
    ],
    ids=["wrong key", "wrong user", "no file", "no key", "nothing", "wrong password"],
)
def test_a_refused_log_in_names_what_was_tried_but_no_secret(
    sshd: fakes.Sshd,
    connect: Callable[..., hosts.SshHost],
    overrides: dict[str, str],
    message: str,
) -> None:
    login = sshd.login(overrides.pop("key", "confined"), **overrides)
    with pytest.raises(errors.Refused, match=message) as caught:
        connect(login).probe()
    assert "s3cret" not in f"{caught.value} {login}  {login!r}"


def test_an_encrypted_key_is_refused_by_name(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    path = tmp_path / "encrypted"
    paramiko.RSAKey.generate(2048).write_private_key_file(str(path), password="passphrase")
    with pytest.raises(errors.Refused, match="encrypted"):
        connect(sshd.login(key_filename=str(path))).probe()


def test_a_password_is_tried_after_the_key(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    server = fakes.PasswordServer("s3cret")
    with server.listening(tmp_path) as login:
        with_password = dataclasses.replace(login, password="s3cret")
        connect(with_password).probe()
        key = sshd.login().key_filename
        connect(dataclasses.replace(with_password, key_filename=key)).probe()
    assert server.passwords_seen == ["s3cret", "s3cret"]


def test_a_host_without_resources_is_worth_a_retry(
    tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    code = common.OPEN_FAILED_RESOURCE_SHORTAGE
    server = fakes.PasswordServer("s3cret", channel_answer=code)
    with server.listening(tmp_path) as login:
        with_password = dataclasses.replace(login, password="s3cret")
        with pytest.raises(errors.ServiceUnavailable, match="forwarding"):
            connect(with_password).probe_forward(fakes.ADDRESS, 1)


def test_a_host_that_does_not_listen_is_worth_a_retry(
    sshd: fakes.Sshd, connect: Callable[..., hosts.SshHost]
) -> None:
    sshd.kill()
    with pytest.raises(errors.ServiceUnavailable, match="refused"):
        connect(sshd.login()).probe()


def test_a_host_without_a_banner_is_given_up(
    sshd: fakes.Sshd, connect: Callable[..., hosts.SshHost]
) -> None:
    with socket.create_server((fakes.ADDRESS, 0)) as mute:
        login = sshd.login(port=mute.getsockname()[1])
        with pytest.raises(errors.ServiceUnavailable, match="banner"):
            connect(login, IMPATIENT).probe()


def test_a_host_that_freezes_before_the_log_in_is_given_up(
    sshd: fakes.Sshd, connect: Callable[..., hosts.SshHost]
) -> None:
    sshd.signal(signal.SIGSTOP)
    with pytest.raises(errors.ServiceUnavailable):
        connect(sshd.login(), IMPATIENT).probe()


def test_a_log_in_that_works_after_the_end_is_not_used(sshd: fakes.Sshd) -> None:
    pool = hosts.SshHosts(timeouts=TIMEOUTS)
    host = pool.host(sshd.login())
    host._lock = lock = locks.CountedLock()  # type: ignore[assignment]
    sshd.signal(signal.SIGSTOP)
    cancelled = threading.Event()

    def log_in() -> None:
        with pytest.raises(errors.Cancelled):
            host.probe()
        cancelled.set()

    thread = threading.Thread(target=log_in)
    thread.start()
    assert lock.was_left(1)
    pool.close()
    sshd.signal(signal.SIGCONT)
    thread.join()
    assert cancelled.is_set()
    eventually(lambda: sshd.sessions == 0)


def test_a_host_that_freezes_in_the_middle_is_given_up_within_the_idle_timeout(
    sshd: fakes.Sshd, sink: Sink, connect: Callable[..., hosts.SshHost]
) -> None:
    sshd.permit(fakes.ADDRESS, sink.port)

    def freeze() -> None:
        assert sink.started.wait(10)
        sshd.signal(signal.SIGSTOP)

    freezer = threading.Thread(target=freeze)
    freezer.start()
    started = time.monotonic()
    with (
        pytest.raises(errors.TransferInterrupted, match=r"after \d+ of"),
        connect(sshd.login(), IMPATIENT).open_channel(fakes.ADDRESS, sink.port) as channel,
    ):
        upload(channel, IMPATIENT)
    freezer.join()
    assert time.monotonic() - started < 20


def test_a_glance_that_reads_nothing_behind_the_host_is_given_up(
    sshd: fakes.Sshd, sink: Sink, connect: Callable[..., hosts.SshHost]
) -> None:
    sshd.permit(fakes.ADDRESS, sink.port)
    sink.reading.clear()
    with (
        pytest.raises(errors.TransferInterrupted, match="no progress for 1 s"),
        connect(sshd.login(), IMPATIENT).open_channel(fakes.ADDRESS, sink.port) as channel,
    ):
        upload(channel, IMPATIENT)


def test_a_server_killed_in_mid_transfer_is_an_interruption_and_the_next_one_connects_anew(
    sshd: fakes.Sshd, sink: Sink, connect: Callable[..., hosts.SshHost]
) -> None:
    sshd.permit(fakes.ADDRESS, sink.port)
    host = connect(sshd.login())

    def kill() -> None:
        assert sink.started.wait(10)
        sshd.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with (
        pytest.raises(errors.TransferInterrupted, match="upload of image"),
        host.open_channel(fakes.ADDRESS, sink.port) as channel,
    ):
        upload(channel, TIMEOUTS)
    killer.join()
    sshd.start()
    host.probe_forward(fakes.ADDRESS, sink.port)


def test_channels_of_many_threads_share_one_connection(
    sshd: fakes.Sshd, sink: Sink, connect: Callable[..., hosts.SshHost]
) -> None:
    sshd.permit(fakes.ADDRESS, sink.port)
    host = connect(sshd.login())
    together = threading.Barrier(4)

    def use() -> None:
        together.wait()
        with host.open_channel(fakes.ADDRESS, sink.port):
            together.wait()
            counts.append(sshd.sessions)
            together.wait()

    counts: list[int] = []
    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one = counts[0]
    host.cut()
    with contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connect(sshd.login()).open_channel(fakes.ADDRESS, sink.port))
        assert sshd.sessions >= 2 * one


def test_an_idle_connection_is_closed(
    sshd: fakes.Sshd, connect: Callable[..., hosts.SshHost]
) -> None:
    host = connect(sshd.login(), keep_seconds=0.2)
    host.probe()
    eventually(lambda: sshd.sessions == 0)
    host.probe()


def test_a_connection_in_use_is_kept(
    sshd: fakes.Sshd, sink: Sink, connect: Callable[..., hosts.SshHost]
) -> None:
    sshd.permit(fakes.ADDRESS, sink.port)
    host = connect(sshd.login(), keep_seconds=0.0)
    with host.open_channel(fakes.ADDRESS, sink.port) as channel:
        with host.open_channel(fakes.ADDRESS, sink.port):
            pass
        channel.sendall(b"still there")
        assert sink.started.wait(10)
    eventually(lambda: sshd.sessions == 0)


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("size", [0, 1, 255 * 1024, 4 * 255 * 1024 + 1, 20 * MIB + 3])
def test_a_file_comes_over_sftp_in_chunks_of_at_most_one_mib(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost], size: int
) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(size))
    digest = hashlib.sha256()
    with connect(sshd.login("unconfined")).open_file(str(path)) as chunks:
        for chunk in chunks:
            assert len(chunk) <= MIB
            digest.update(chunk)
    assert digest.digest() == hashlib.sha256(path.read_bytes()).digest()


@pytest.mark.parametrize("offset", [1, 4 * 255 * 1024, 9 * MIB + 1, 10 * MIB + 2])
def test_a_file_may_be_read_from_the_middle(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost], offset: int
) -> None:
    data = os.urandom(10 * MIB + 3)
    (tmp_path / "file").write_bytes(data)
    host = connect(sshd.login("unconfined"))
    with host.open_file(str(tmp_path / "file"), offset=offset) as chunks:
        assert b"".join(chunks) == data[offset:]


def test_reading_may_stop_in_the_middle(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(30 * MIB))
    host = connect(sshd.login("unconfined"))
    for _ in range(2):
        with host.open_file(str(path)) as chunks:
            assert next(chunks)


def test_a_file_that_is_not_there_is_named(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    missing = tmp_path / "missing"
    with (
        pytest.raises(errors.ServiceUnavailable, match=f"{missing}.*no such file"),
        connect(sshd.login("unconfined")).open_file(str(missing)),
    ):
        pass


@pytest.mark.parametrize("kind", ["symlink", "directory", "fifo"])
def test_what_is_no_regular_file_is_refused(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost], kind: str
) -> None:
    path = tmp_path / "thing"
    match kind:
        case "symlink":
            path.symlink_to("/etc/passwd")
        case "directory":
            path.mkdir()
        case _:
            os.mkfifo(path)
    with (
        pytest.raises(errors.Refused, match="not a regular file"),
        connect(sshd.login("unconfined")).open_file(str(path)),
    ):
        pass


def test_an_account_whose_shell_refuses_log_ins_reads_no_files(
    forced: Callable[[str], logins.Login], connect: Callable[..., hosts.SshHost]
) -> None:
    host = connect(forced("echo This account is currently not available."))
    with pytest.raises(errors.Refused, match="may not use SFTP"), host.open_file("/etc/passwd"):
        pass


def test_a_key_may_forward_and_read_files_as_well(
    sshd: fakes.Sshd, sink: Sink, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    (tmp_path / "file").write_bytes(b"data")
    sshd.permit(fakes.ADDRESS, sink.port)
    host = connect(sshd.login("both"))

    host.probe_forward(fakes.ADDRESS, sink.port)
    with host.open_file(str(tmp_path / "file")) as chunks:
        assert b"".join(chunks) == b"data"


def test_a_confined_key_reads_no_files(
    sshd: fakes.Sshd, connect: Callable[..., hosts.SshHost]
) -> None:
    host = connect(sshd.login())
    with pytest.raises(errors.Refused, match="may not use SFTP"), host.open_file("/etc/passwd"):
        pass
    with pytest.raises(errors.Refused, match="may not use SFTP"):
        host.find_name("/etc", bool)


def test_a_name_is_found_in_a_directory(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    directory = tmp_path / "images"
    directory.mkdir()
    host = connect(sshd.login("unconfined"))
    assert host.find_name(str(directory), bool) is None
    for number in range(1000):
        (directory / f"{number}").touch()
    assert host.find_name(str(directory), lambda name: name == "777") == "777"
    assert host.find_name(str(directory), bool)
    assert host.find_name(str(directory), lambda name: name == "1000") is None
    with pytest.raises(errors.ServiceUnavailable, match=r"/nowhere.*no such file"):
        host.find_name("/nowhere", bool)


def test_a_file_is_read_as_soon_as_that_is_allowed(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"data")
    host = connect(sshd.login())
    with pytest.raises(errors.Refused), host.open_file(str(path)):
        pass
    with pytest.raises(errors.Refused):
        host.find_name(str(tmp_path), lambda _: True)
    with pytest.raises(errors.Refused):
        host.free_bytes(str(tmp_path))
    sshd.let_read("confined")
    with host.open_file(str(path)) as chunks:
        assert b"".join(chunks) == b"data"


def test_an_account_with_sftp_sees_the_space_of_a_directory(
    reading: logins.Login, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    host = connect(reading)
    found = host.free_bytes(str(tmp_path))
    assert found is not None
    assert found == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)
    assert host.free_bytes("/nowhere") is None


def test_where_there_is_no_room_nothing_is_sent(
    sshd: fakes.Sshd, sink: Sink, tmp_path: pathlib.Path
) -> None:
    sshd.permit(fakes.ADDRESS, sink.port)
    with (
        writer(sshd, tmp_path, "both", sink.port) as store,
        pytest.raises(errors.ServiceUnavailable, match=f"{tmp_path} on .* bytes free.* needs"),
    ):
        store.write(IMAGE_ID, 1 << 60, [b"never sent"])
    assert not sink.started.is_set()


def test_an_account_that_only_forwards_sends_without_checking_the_space(
    sshd: fakes.Sshd, sink: Sink, tmp_path: pathlib.Path
) -> None:
    sshd.permit(fakes.ADDRESS, sink.port)
    with writer(sshd, tmp_path, "confined", sink.port) as store:
        for _ in range(2):
            with pytest.raises(errors.TransferInterrupted, match="had 10"):
                store.write(IMAGE_ID, 1 << 60, [b"ten bytes."])
            assert not store._shows_space


def test_a_host_that_hangs_where_its_space_is_asked_for_is_given_up(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    host = connect(sshd.login("both"), IMPATIENT)
    host.probe()
    sshd.signal(signal.SIGSTOP)
    with pytest.raises(errors.TransientError):
        host.free_bytes(str(tmp_path))


@contextlib.contextmanager
def writer(
    sshd: fakes.Sshd, directory: pathlib.Path, key: str, port: int
) -> Iterator[filesystem.FilesystemStore]:
    """Give a store that does not check the space of this machine itself."""
    login = sshd.login(key)
    endpoint = image_endpoints.parse(f"http://{fakes.ADDRESS}:{port}")
    context = stores.StoreContext(
        region=images.RegionId("RegionTwo"),
        endpoint=str(endpoint),
        token=lambda: "secret",
        ssh=hosts.SshHosts(timeouts=TIMEOUTS),
        known_hosts=login.known_hosts,
    )
    store = filesystem.FilesystemStore(context, login=login, endpoint=endpoint, datadir=directory)
    elsewhere = mock.patch.object(store, "_is_here", autospec=True, return_value=False)
    with elsewhere, contextlib.closing(context.ssh):
        yield store


def test_a_probe_reads_an_image_as_the_agent_would(
    sshd: fakes.Sshd, tmp_path: pathlib.Path
) -> None:
    image_id = IMAGE_ID
    directory = tmp_path / "images"
    directory.mkdir()
    with reader(sshd, directory, "unconfined") as store:
        assert store.probe_read().endswith(f"; {directory}, where no image is yet")
        (directory / image_id).touch()
        assert store.probe_read().endswith(f"; {directory}, where image {image_id} can be read")
        (directory / image_id).unlink()
        (directory / image_id).symlink_to("/etc/passwd")
        with pytest.raises(errors.Refused, match="not a regular file"):
            store.probe_read()
    with (
        reader(sshd, directory, "confined") as store,
        pytest.raises(errors.Refused, match=r"usermod.*may not use SFTP"),
    ):
        store.probe_read()


@contextlib.contextmanager
def reader(
    sshd: fakes.Sshd, directory: pathlib.Path, key: str
) -> Iterator[filesystem.FilesystemStore]:
    """Give a store that may list nothing on this machine itself."""
    login = sshd.login(key)
    endpoint = image_endpoints.parse(f"http://{fakes.ADDRESS}:9292")
    context = stores.StoreContext(
        region=images.RegionId("RegionOne"),
        endpoint=str(endpoint),
        token=lambda: "secret",
        ssh=hosts.SshHosts(timeouts=TIMEOUTS),
        known_hosts=login.known_hosts,
    )
    store = filesystem.FilesystemStore(context, login=login, endpoint=endpoint, datadir=directory)
    denied = PermissionError(errno.EACCES, "Permission denied")
    with (
        mock.patch.object(os, "scandir", autospec=True, side_effect=denied),
        contextlib.closing(context.ssh),
    ):
        yield store


def test_an_account_with_no_other_rights_reads_the_files_of_images(
    reading: logins.Login, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3 * MIB + 1))
    host = connect(reading)

    with host.open_file(str(path)) as chunks:
        assert b"".join(chunks) == path.read_bytes()

    with pytest.raises(errors.Refused, match="permitopen"):
        host.probe_forward(fakes.ADDRESS, reading.port)
    assert openssh(reading, "sftp", "-b", "-", said=f"put {path} {path}.new") != 0
    assert openssh(reading, "sftp", "-b", "-", said=f"rm {path}") != 0
    openssh(reading, "ssh", arguments=["touch", f"{path}.new"])
    assert list(tmp_path.glob("file*")) == [path]


def openssh(
    login: logins.Login, *program: str, arguments: Sequence[str] = (), said: str = ""
) -> int:
    """Run a client of OpenSSH's; return its status."""
    options = {
        "BatchMode": "yes",
        "IdentitiesOnly": "yes",
        "IdentityFile": login.key_filename,
        "Port": login.port,
        "UserKnownHostsFile": login.known_hosts,
    }
    given = [f"-o{name}={value}" for name, value in options.items()]
    command = [*program, *given, f"{login.user}@{login.host}", *arguments]
    return subprocess.run(
        command, input=said.encode(), capture_output=True, check=False
    ).returncode


def test_a_host_that_freezes_before_sftp_answers_is_given_up(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    host = connect(sshd.login("unconfined"), IMPATIENT)
    host.probe()
    sshd.signal(signal.SIGSTOP)
    with pytest.raises(errors.TransferInterrupted), host.open_file(str(tmp_path / "file")):
        pass


def test_a_host_that_freezes_in_the_middle_of_a_file_is_given_up(
    sshd: fakes.Sshd, tmp_path: pathlib.Path, connect: Callable[..., hosts.SshHost]
) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(64 * MIB))
    with connect(sshd.login("unconfined"), IMPATIENT).open_file(str(path)) as chunks:
        next(chunks)
        sshd.signal(signal.SIGSTOP)
        with pytest.raises(errors.TransferInterrupted, match="SFTP of"):
            list(chunks)


def test_a_glance_with_tls_behind_the_host_is_verified(
    sshd: fakes.Sshd, tmp_path: pathlib.Path
) -> None:
    certificates.write(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    data = os.urandom(3 * MIB)
    received: list[bytes] = []

    def serve() -> None:
        for _ in range(2):
            connection, _address = listener.accept()
            with connection, contextlib.suppress(ssl.SSLError):
                tls = context.wrap_socket(connection, server_side=True)
                with tls, tls.makefile("rb") as file:
                    while file.readline() != b"\r\n":
                        pass
                    received.append(file.read(len(data)))
                    tls.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")

    with socket.create_server((fakes.ADDRESS, 0)) as listener:
        port = listener.getsockname()[1]
        sshd.permit(fakes.ADDRESS, port)
        thread = threading.Thread(target=serve)
        thread.start()
        ours = Trust(cafile=str(tmp_path / "certificate.pem"))
        with pytest.raises(errors.HandshakeFailed, match="certificate verify failed"):
            write_to(sshd, port, Trust(), data)
        write_to(sshd, port, ours, data)
        thread.join()
    assert received == [data]


@pytest.fixture
def demanding(
    sshd: fakes.Sshd, tmp_path: pathlib.Path
) -> Iterator[tuple[scripted_http.Server, Trust]]:
    """Give a Glance that wants a client certificate, and what does for it."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for one in (theirs, ours):
        one.mkdir()
        certificates.write(one)
    with scripted_http.serving(certificates.server_context(theirs, clients=ours)) as server:
        server.script = [scripted_http.Reply(204)]
        sshd.permit(fakes.ADDRESS, server.server_address[1])
        yield server, Trust(
            cafile=str(theirs / "certificate.pem"),
            certfile=str(ours / "certificate.pem"),
            keyfile=str(ours / "key.pem"),
        )


def test_a_client_certificate_is_shown_through_the_forwarding(
    sshd: fakes.Sshd, demanding: tuple[scripted_http.Server, Trust]
) -> None:
    server, trust = demanding
    data = os.urandom(3 * MIB)
    write_to(sshd, server.server_address[1], trust, data)
    assert server.requests[-1].body == data


def test_check_settles_tls_through_the_forwarding(
    sshd: fakes.Sshd, demanding: tuple[scripted_http.Server, Trust]
) -> None:
    server, trust = demanding
    found = look_through(sshd, server.server_address[1], trust)
    assert found.verdict is findings.Level.OK
    assert found.detail.endswith(f"reaches {server.url}")
    # Nothing but a question that any Glance answers, without a token.
    (request,) = server.requests
    assert (request.method, request.path) == ("GET", "/versions")
    assert "X-Auth-Token" not in request.headers


@pytest.mark.parametrize(
    ("without", "option"), [(("cafile",), "cafile"), (("certfile", "keyfile"), "certfile")]
)
def test_a_handshake_that_fails_through_the_forwarding_names_the_option_and_the_region(
    sshd: fakes.Sshd,
    demanding: tuple[scripted_http.Server, Trust],
    without: Sequence[str],
    option: str,
) -> None:
    server, trust = demanding
    left_out: dict[str, Any] = dict.fromkeys(without)
    trust = dataclasses.replace(trust, **left_out)
    port = server.server_address[1]
    with pytest.raises(errors.HandshakeFailed, match=option) as caught:
        write_to(sshd, port, trust, b"bytes")
    assert caught.value.region == "RegionTwo"

    found = look_through(sshd, port, trust)
    assert found.verdict is findings.Level.FAIL
    assert "the TLS handshake failed" in found.detail
    assert f"{option} " in found.remedy
    assert "start " not in findings.text(found)


def look_through(
    sshd: fakes.Sshd, port: int, trust: Trust
) -> findings.Finding:
    store = store_behind(sshd, port, trust)
    services: Any = types.SimpleNamespace(
        entry=lambda name: store_file.Entry(name=name, service_ip=None, schemes=()),
        scheme=lambda _: store_file.Scheme(name="filesystem", parameters={}),
        scheme_store=lambda _: store,
    )
    try:
        return store_checks.store(
            images.RegionId("RegionTwo"), services, pathlib.Path("store.yaml"), is_source=False
        )
    finally:
        store._context.ssh.close()


def write_to(sshd: fakes.Sshd, port: int, trust: Trust, data: bytes) -> None:
    store = store_behind(sshd, port, trust)
    try:
        image_id = images.ImageId("350715cd-181a-47d0-9587-19f0221ea26b")
        store.write(image_id, len(data), [data[:MIB], data[MIB:]])
    finally:
        store._context.ssh.close()


def store_behind(
    sshd: fakes.Sshd, port: int, trust: Trust
) -> filesystem.FilesystemStore:
    login = sshd.login()
    context = stores.StoreContext(
        region=images.RegionId("RegionTwo"),
        endpoint=f"https://{fakes.ADDRESS}:{port}",
        token=lambda: "secret",
        ssh=hosts.SshHosts(timeouts=TIMEOUTS),
        known_hosts=login.known_hosts,
        trust=trust,
        timeouts=TIMEOUTS,
    )
    parameters = {
        "host": login.host,
        "port": str(login.port),
        "login_user": login.user,
        "key_filename": login.key_filename or "",
    }
    return filesystem.FilesystemStore.from_parameters(parameters, context)
