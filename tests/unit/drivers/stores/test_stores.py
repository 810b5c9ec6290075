# SPDX-License-Identifier: Apache-2.0
"""What the store drivers do without a cloud: parameters, local files, a second way."""

from collections.abc import Iterator
import contextlib
import dataclasses
import errno
import logging
import os
import pathlib
import shutil
import socket
import threading
from typing import Any
from unittest import mock

import pytest
import stevedore

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import stores
from glance_sync_agent.drivers.ssh import hosts
from glance_sync_agent.drivers.stores import api
from glance_sync_agent.drivers.stores import fallback
from glance_sync_agent.drivers.stores import filesystem
from glance_sync_agent.drivers.transport import streams
from tests.fakes import glance as fake_glance
from tests.fakes import scripted_http
from tests.unit import builders

MIB = 1024 * 1024


def context(**overrides: Any) -> stores.StoreContext:
    values: dict[str, Any] = {
        "region": builders.REGION,
        "endpoint": "http://127.0.0.1:9292",
        "token": lambda: "secret",
        "ssh": hosts.SshHosts(),
        "known_hosts": "/nowhere/known_hosts",
        "timeouts": streams.Timeouts(connect_seconds=5.0, idle_seconds=5.0),
    }
    return stores.StoreContext(**(values | overrides))


def parameters(**overrides: str) -> dict[str, str]:
    """Return those of a file of 2014."""
    given = {
        "host": "127.0.0.1",
        "datadir": "/var/lib/glance/images/",
        "login_user": "glance",
        "login_password": "glance",
    }
    return given | overrides


def test_the_parameters_of_2014_are_enough() -> None:
    store = filesystem.FilesystemStore.from_parameters(parameters(), context())
    assert store._login.port == 22
    assert store._login.password == "glance"
    assert store._login.known_hosts == "/nowhere/known_hosts"
    assert str(store._endpoint) == "http://127.0.0.1:9292"


def test_new_parameters_are_taken() -> None:
    more = {"port": "2222", "key_filename": "/k", "known_hosts": "/h"}
    given = parameters(**more, image_endpoint="https://localhost:9293/v2")
    store = filesystem.FilesystemStore.from_parameters(given, context())
    login = store._login
    assert (login.port, login.key_filename, login.known_hosts) == (2222, "/k", "/h")
    assert str(store._endpoint) == "https://localhost:9293"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"hots": "x", "colour": "y"}, "unknown parameter 'colour', unknown parameter 'hots'"),
        ({"host": ""}, "parameter 'host' is missing"),
        ({"port": "ssh"}, "port 'ssh' is not a TCP port"),
        ({"port": "65536"}, "port '65536' is not a TCP port"),
        ({"datadir": "images"}, "datadir 'images' is not an absolute path"),
        ({"datadir": "/images/../etc"}, "is not an absolute path"),
        ({"image_endpoint": "glance:9292"}, "expected http"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_region(
    overrides: dict[str, str], message: str
) -> None:
    with pytest.raises(errors.ConfigurationError, match=message):
        filesystem.FilesystemStore.from_parameters(parameters(**overrides), context())


def test_a_password_is_in_no_message() -> None:
    given = parameters(login_password="s3cret", x="y")
    with pytest.raises(errors.ConfigurationError) as caught:
        filesystem.FilesystemStore.from_parameters(given, context())
    assert "s3cret" not in str(caught.value)


def test_the_api_has_no_parameters() -> None:
    with pytest.raises(errors.ConfigurationError, match="unknown parameter 'host'"):
        api.ApiStore.from_parameters({"host": "x"}, context())


def test_drivers_are_found_by_scheme() -> None:
    found: Any = stevedore.ExtensionManager("glance_sync_agent.stores", invoke_on_load=False)
    if not found.names():
        pytest.skip("the package is not installed")
    assert {extension.name: extension.plugin for extension in found} == {
        "api": api.ApiStore,
        "filesystem": filesystem.FilesystemStore,
    }


@pytest.fixture
def image() -> images.Image:
    return builders.source()


@pytest.fixture
def store(tmp_path: pathlib.Path) -> filesystem.FilesystemStore:
    return filesystem.FilesystemStore.from_parameters(parameters(datadir=str(tmp_path)), context())


def read(store: Any, image: images.Image, offset: int = 0) -> list[bytes]:
    with store.read(image, offset=offset) as chunks:
        return list(chunks)


@pytest.mark.parametrize("size", [0, 1, MIB, 2 * MIB + 1])
def test_a_file_of_this_machine_is_read_from_the_disk(
    store: filesystem.FilesystemStore, tmp_path: pathlib.Path, image: images.Image, size: int
) -> None:
    data = os.urandom(size)
    (tmp_path / image.image_id).write_bytes(data)
    chunks = read(store, image)
    assert b"".join(chunks) == data
    assert all(len(chunk) <= MIB for chunk in chunks)
    assert b"".join(read(store, image, size // 2)) == data[size // 2 :]


def test_a_file_that_is_not_there_is_named(
    store: filesystem.FilesystemStore, tmp_path: pathlib.Path, image: images.Image
) -> None:
    with pytest.raises(errors.ServiceUnavailable, match=f"{tmp_path}/{image.image_id}.*No such"):
        read(store, image)


@pytest.mark.parametrize("kind", ["symlink", "directory", "fifo"])
def test_what_is_no_regular_file_is_refused(
    store: filesystem.FilesystemStore, tmp_path: pathlib.Path, image: images.Image, kind: str
) -> None:
    path = tmp_path / image.image_id
    match kind:
        case "symlink":
            path.symlink_to("/etc/passwd")
        case "directory":
            path.mkdir()
        case _:
            os.mkfifo(path)
    with pytest.raises(errors.Refused, match=r"is a symbolic link|is not a regular file"):
        read(store, image)


def test_an_id_that_is_no_uuid_never_becomes_a_path(
    store: filesystem.FilesystemStore, tmp_path: pathlib.Path, image: images.Image
) -> None:
    (tmp_path.parent / "outside").write_text("private")
    forged = dataclasses.replace(image, image_id=images.ImageId("../outside"))
    with pytest.raises(errors.Refused, match="not an image id"):
        read(store, forged)


def test_a_region_without_datadir_is_not_read_from(image: images.Image) -> None:
    given = parameters()
    del given["datadir"]
    with pytest.raises(errors.Refused, match="no datadir"):
        read(filesystem.FilesystemStore.from_parameters(given, context()), image)


def test_a_file_that_is_elsewhere_is_fetched_over_ssh(
    store: filesystem.FilesystemStore, tmp_path: pathlib.Path, image: images.Image
) -> None:
    (tmp_path / image.image_id).write_bytes(b"data")
    store._login = dataclasses.replace(store._login, host="ssh.invalid")
    with pytest.raises(errors.HostKeyMismatch, match="/nowhere/known_hosts"):
        read(store, image)


def test_nothing_is_sent_where_there_is_no_room(
    store: filesystem.FilesystemStore, tmp_path: pathlib.Path
) -> None:
    free = shutil.disk_usage(tmp_path).free
    asked: list[bytes] = []

    def chunks() -> Iterator[bytes]:
        asked.append(b"")
        yield b""

    with pytest.raises(errors.ServiceUnavailable) as caught:
        store.write(builders.IMAGE_ID, free * 2, chunks())

    text = str(caught.value)
    assert f"{tmp_path} on 127.0.0.1 has " in text
    assert f"bytes free, and the image needs {free * 2}; nothing was sent" in text
    assert caught.value.region is None
    assert not asked


def test_a_directory_that_is_not_here_is_looked_for_on_the_host(
    store: filesystem.FilesystemStore, tmp_path: pathlib.Path
) -> None:
    store._datadir = tmp_path / "nowhere"
    with pytest.raises(errors.HostKeyMismatch, match="/nowhere/known_hosts"):
        store.write(builders.IMAGE_ID, 1, [b"x"])


@pytest.fixture
def unreadable(tmp_path: pathlib.Path) -> Iterator[None]:
    """Let no file be opened, because root may read every file. pytest makes its own before."""
    del tmp_path
    denied = PermissionError(errno.EACCES, "Permission denied")
    with mock.patch.object(os, "open", autospec=True, side_effect=denied):
        yield


@pytest.mark.usefixtures("unreadable")
def test_a_file_that_is_here_and_not_ours_to_read_is_no_matter_of_host_keys(
    store: filesystem.FilesystemStore, tmp_path: pathlib.Path, image: images.Image
) -> None:
    with pytest.raises(errors.Refused) as caught:
        read(store, image)
    assert str(tmp_path / image.image_id) in str(caught.value)
    assert "usermod" in str(caught.value)
    assert "/nowhere/known_hosts" in str(caught.value)


@pytest.mark.usefixtures("unreadable")
def test_files_that_are_not_ours_to_read_come_through_the_image_api_with_one_warning(
    store: filesystem.FilesystemStore,
    secondary: tuple[fake_glance.FakeImageStore, images.Image],
    caplog: pytest.LogCaptureFixture,
) -> None:
    by_api, image = secondary
    both = fallback.WithFallback(store, by_api)
    for _ in range(3):
        assert read(both, image) == [builders.DATA]
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "usermod" in record.getMessage()


def test_a_probe_opens_an_image_of_the_directory(
    store: filesystem.FilesystemStore, tmp_path: pathlib.Path, image: images.Image
) -> None:
    (tmp_path / "lost+found").mkdir()
    assert store.probe_read() == f"{tmp_path} on this machine, where no image is yet"
    (tmp_path / image.image_id).touch()
    assert store.probe_read().endswith(f"machine, where image {image.image_id} can be read")


def test_a_probe_names_a_directory_that_is_not_there(
    store: filesystem.FilesystemStore, tmp_path: pathlib.Path
) -> None:
    tmp_path.rmdir()
    with pytest.raises(errors.ServiceUnavailable, match=f"{tmp_path}.*No such file"):
        store.probe_read()


@pytest.mark.parametrize("barred", ["open", "scandir"])
def test_a_probe_finds_that_images_may_not_be_read_and_tries_ssh(
    store: filesystem.FilesystemStore, tmp_path: pathlib.Path, image: images.Image, barred: str
) -> None:
    (tmp_path / image.image_id).touch()
    denied = PermissionError(errno.EACCES, "Permission denied")
    with (
        mock.patch.object(os, barred, autospec=True, side_effect=denied),
        pytest.raises(errors.Refused, match=r"usermod.*/nowhere/known_hosts"),
    ):
        store.probe_read()


def test_a_probe_without_datadir_says_so() -> None:
    given = parameters()
    del given["datadir"]
    with pytest.raises(errors.Refused, match="no datadir"):
        filesystem.FilesystemStore.from_parameters(given, context()).probe_read()


class Broken:
    """A store that fails where it is told to."""

    way = "broken"

    def __init__(self, error: Exception, *, at: str) -> None:
        self.closed = False
        self._error = error
        self._at = at

    @contextlib.contextmanager
    def read(self, _image: images.Image, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        if self._at == "open":
            raise self._error
        yield self._chunks()
        self.closed = True

    def write(self, *_: object) -> None:
        raise self._error

    def _chunks(self) -> Iterator[bytes]:
        if self._at == "second chunk":
            yield b"the"
        raise self._error


@pytest.fixture
def secondary() -> tuple[fake_glance.FakeImageStore, images.Image]:
    fake = fake_glance.FakeGlance(builders.REGION)
    return fake_glance.FakeImageStore(fake), fake.publish(builders.DATA)


@pytest.mark.parametrize("at", ["open", "first chunk"])
@pytest.mark.parametrize(
    "error",
    [
        errors.ServiceUnavailable("down"),
        errors.TransferInterrupted("cut"),
        errors.Refused("no"),
        errors.HostKeyMismatch("who are you"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_one_way_cannot_begin_to_read_comes_the_other_way(
    secondary: tuple[fake_glance.FakeImageStore, images.Image], at: str, error: Exception
) -> None:
    store, image = secondary
    primary = Broken(error, at=at)
    assert read(fallback.WithFallback(primary, store), image) == [builders.DATA]
    assert primary.closed == (at == "first chunk")


def test_after_the_first_chunk_there_is_no_other_way(
    secondary: tuple[fake_glance.FakeImageStore, images.Image],
) -> None:
    store, image = secondary
    primary = Broken(errors.TransferInterrupted("cut"), at="second chunk")
    with pytest.raises(errors.TransferInterrupted, match="cut"):
        read(fallback.WithFallback(primary, store), image)


def test_an_agent_that_is_stopping_tries_no_other_way(
    secondary: tuple[fake_glance.FakeImageStore, images.Image],
) -> None:
    store, image = secondary
    with pytest.raises(errors.Cancelled):
        read(fallback.WithFallback(Broken(errors.Cancelled("stopping"), at="open"), store), image)


def test_the_first_way_is_taken_while_it_works(
    secondary: tuple[fake_glance.FakeImageStore, images.Image],
) -> None:
    store, image = secondary
    second = Broken(errors.Refused("not asked"), at="open")
    both = fallback.WithFallback(store, second)
    assert read(both, image) == [builders.DATA]
    empty = fake_glance.FakeGlance(builders.REGION)
    nothing = empty.publish(b"")
    assert read(fallback.WithFallback(fake_glance.FakeImageStore(empty), second), nothing) == []


def test_writing_takes_the_first_way_only(
    secondary: tuple[fake_glance.FakeImageStore, images.Image],
) -> None:
    store, image = secondary
    both = fallback.WithFallback(Broken(errors.Refused("no way"), at="open"), store)
    with pytest.raises(errors.Refused, match="no way"):
        both.write(image.image_id, 1, [b"x"])


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (errors.ServiceUnavailable("down"), logging.INFO),
        (errors.Refused("no SFTP"), logging.WARNING),
        (errors.HostKeyMismatch("who are you"), logging.WARNING),
    ],
)
@pytest.mark.parametrize("is_usual", [False, True])
def test_the_other_way_is_announced_once_for_each_kind_of_failure_unless_it_is_usual(
    secondary: tuple[fake_glance.FakeImageStore, images.Image],
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    level: int,
    is_usual: bool,
) -> None:
    store, image = secondary
    first = Broken(errors.TransferInterrupted("cut"), at="open")
    both = fallback.WithFallback(first, store, is_usual=is_usual)
    read(both, image)
    caplog.clear()
    first._error = error
    with caplog.at_level(logging.INFO, logger=fallback.__name__):
        for _ in range(3):
            read(both, image)
    if is_usual:
        assert not caplog.records
        return
    (record,) = caplog.records
    assert record.levelno == level
    assert image.image_id in record.getMessage()
    assert str(error) in record.getMessage()


class Server:
    """A Glance that answers every upload, keeps connections open and counts them."""

    def __init__(self) -> None:
        self.connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []
        self._threads[0].start()

    def hang_up(self) -> None:
        """Close the connections that wait, as servers do after a while."""
        for connection in self._open:
            connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()
        for connection in self._open:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection.makefile("rb") as file:
            while line := file.readline():
                if line == b"\r\n":
                    file.read(4)
                    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


@pytest.fixture
def api_store(server: Server) -> Iterator[api.ApiStore]:
    made = api.ApiStore(context(endpoint=server.url))
    yield made
    made.close()


def test_a_region_that_cannot_be_reached_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "known_hosts").write_text("")
    known_hosts = str(tmp_path / "known_hosts")
    nobody = context(endpoint="http://127.0.0.1:1", known_hosts=known_hosts)
    by_ssh = filesystem.FilesystemStore.from_parameters(parameters(port="1"), nobody)
    for store in (api.ApiStore(nobody), by_ssh):
        with pytest.raises(errors.ServiceUnavailable, match="refused") as caught:
            store.write(builders.IMAGE_ID, 4, [b"data"])
        assert caught.value.region == builders.REGION


def test_small_images_share_a_connection(server: Server, api_store: api.ApiStore) -> None:
    for _ in range(5):
        api_store.write(builders.IMAGE_ID, 4, [b"data"])
    assert server.connections == 1


def test_a_connection_that_the_server_closed_is_replaced(
    server: Server, api_store: api.ApiStore
) -> None:
    api_store.write(builders.IMAGE_ID, 4, [b"data"])
    server.hang_up()
    api_store.write(builders.IMAGE_ID, 4, [b"data"])
    assert server.connections == 2


def test_a_connection_that_waited_for_long_is_replaced(
    server: Server, api_store: api.ApiStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api, "_KEEP_SECONDS", 0.0)
    api_store.write(builders.IMAGE_ID, 4, [b"data"])
    api_store.write(builders.IMAGE_ID, 4, [b"data"])
    assert server.connections == 2


def test_uploads_at_the_same_time_have_connections_of_their_own(
    server: Server, api_store: api.ApiStore
) -> None:
    together = threading.Barrier(3)

    def chunks() -> Iterator[bytes]:
        together.wait(10)
        yield b"data"

    def write() -> None:
        api_store.write(builders.IMAGE_ID, 4, chunks())

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.connections == 3


@pytest.fixture
def glance() -> Iterator[scripted_http.Server]:
    with scripted_http.serving() as running:
        yield running


WHOLE = scripted_http.Reply(200, b"0123456789")
TOLD = scripted_http.Reply(503, b"down for maintenance")


@pytest.mark.parametrize(
    ("script", "asked"),
    [
        pytest.param([scripted_http.Reply(206, b"456789")], ["bytes=4-"], id="a part"),
        pytest.param([WHOLE], ["bytes=4-"], id="all instead"),
        pytest.param(
            [scripted_http.Reply.html(400, "No random access"), WHOLE],
            ["bytes=4-", None],
            id="refused",
        ),
        pytest.param([scripted_http.Reply(501), WHOLE], ["bytes=4-", None], id="not there"),
    ],
)
def test_reading_begins_in_the_middle_whatever_store_that_glance_has(
    glance: scripted_http.Server, script: list[scripted_http.Reply], asked: list[str | None]
) -> None:
    glance.script = script
    with contextlib.closing(api.ApiStore(context(endpoint=glance.url))) as store:
        assert b"".join(read(store, builders.source(size=10), 4)) == b"456789"
    assert [one.headers.get("Range") for one in glance.requests] == asked


def test_a_glance_that_gives_neither_a_part_nor_the_whole_is_told(
    glance: scripted_http.Server,
) -> None:
    glance.script = [TOLD]
    with (
        contextlib.closing(api.ApiStore(context(endpoint=glance.url))) as store,
        pytest.raises(errors.ServiceUnavailable, match="down for maintenance"),
    ):
        read(store, builders.source(size=10), 4)


def test_a_part_that_ends_early_is_an_interruption(glance: scripted_http.Server) -> None:
    glance.script = [scripted_http.Reply(206, b"4567", {"Content-Length": "6"})]
    glance.script.append(scripted_http.Reply(0))
    impatient = streams.Timeouts(connect_seconds=5.0, idle_seconds=0.5)
    used = context(endpoint=glance.url, timeouts=impatient)
    with (
        contextlib.closing(api.ApiStore(used)) as store,
        pytest.raises(errors.TransferInterrupted),
    ):
        read(store, builders.source(size=10), 4)
