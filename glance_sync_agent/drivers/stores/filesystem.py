# SPDX-License-Identifier: Apache-2.0
"""Host to host over SSH, for regions whose Glance keeps images in a directory.

Written is through a channel from the region's host to its own Glance, so that neither a shell
nor a tool nor space is needed there, and Glance does all that it does with an upload. Read is
the file itself.
"""

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import errno
import io
import logging
import os
import pathlib
import shutil
import stat

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import stores
from glance_sync_agent.drivers.host import this_machine
from glance_sync_agent.drivers.ssh import logins
from glance_sync_agent.drivers.transport import image_http
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport import tls_failures

LOG = logging.getLogger(__name__)

_SCHEME = "filesystem"
_REQUIRED = frozenset({"host", "login_user"})
_KNOWN = _REQUIRED | {
    "datadir",
    "image_endpoint",
    "key_filename",
    "known_hosts",
    "login_password",
    "port",
}


class _Denied(errors.Refused):
    """A file is here, and its owner does not let us read it."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__(
            f"{path}: user {os.geteuid()} of this machine, who runs this, may not read it. Put "
            "the agent's user into Glance's group, as in: usermod --append --groups glance "
            "glance-sync; then restart the agent"
        )


class Store:
    """Reads and writes over SSH. Thread safe.

    :param datadir: ``filesystem_store_datadir`` of the region's Glance; None: not for reading.
    :param endpoint: how the host reaches its own Glance.
    """

    def __init__(
        self,
        context: stores.StoreContext,
        *,
        login: logins.Login,
        endpoint: streams.Endpoint,
        datadir: pathlib.Path | None,
    ) -> None:
        self._context = context
        self._login = login
        self._endpoint = endpoint
        self._datadir = datadir
        self._tells_space = datadir is not None

    @classmethod
    def from_parameters(
        cls, parameters: Mapping[str, str], context: stores.StoreContext
    ) -> "Store":
        """Make a store (:class:`stores.Factory`)."""
        stores.check_parameters(
            parameters, context, scheme=_SCHEME, known=_KNOWN, required=_REQUIRED
        )
        where = f"region {context.region}, scheme {_SCHEME}"
        login = logins.Login(
            host=parameters["host"],
            port=_port(parameters.get("port"), where),
            user=parameters["login_user"],
            key_filename=parameters.get("key_filename") or None,
            password=parameters.get("login_password") or None,
            known_hosts=parameters.get("known_hosts") or context.known_hosts,
        )
        return cls(
            context,
            login=login,
            endpoint=streams.endpoint(parameters.get("image_endpoint") or context.endpoint),
            datadir=_directory(parameters.get("datadir"), where),
        )

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        """Upload data into a queued record, all of it or nothing.

        :raises ServiceUnavailable: before anything is sent, if the region's directory has no room
            for it, as far as we may look there.
        """
        context, endpoint = self._context, self._endpoint
        with stores.blaming(context.region):
            free = self._free_bytes()
        if free is not None and free < size:
            raise errors.ServiceUnavailable(
                f"upload of image {image_id} to {endpoint}: {self._datadir} on {self._login.host} "
                f"has {free} bytes free, and the image needs {size}; nothing was sent. It is "
                "tried again; make room there"
            )
        with contextlib.ExitStack() as stack:
            with stores.blaming(context.region):
                stream = self._stream(stack)
            connection = image_http.Connection(
                stream, endpoint, context.timeouts, context.region
            )
            try:
                connection.put(image_id, token=context.token(), size=size, chunks=chunks)
            finally:
                if connection.unauthorized:
                    context.forget_token()

    def _free_bytes(self) -> int | None:
        """Return the space that is left in the directory; None: we may not look."""
        if self._datadir is None or not self._tells_space:
            return None
        if self._is_here():
            with contextlib.suppress(OSError):
                return shutil.disk_usage(self._datadir).free
        try:
            return self._context.ssh.host(self._login).free_bytes(str(self._datadir))
        except errors.Refused as exc:  # an account that only forwards
            self._tells_space = False
            LOG.debug("The space of %s is not looked at any more: %s", self._datadir, exc)
        except errors.TransferInterrupted as exc:
            # Whether that hinders the transfer, it will show itself.
            LOG.debug("The space of %s was not looked at: %s", self._datadir, exc)
        return None

    def _stream(self, stack: contextlib.ExitStack) -> streams.Stream:
        """Open the way from the region's host to its Glance."""
        host, endpoint = self._context.ssh.host(self._login), self._endpoint
        channel = stack.enter_context(host.open_channel(endpoint.host, endpoint.port))
        return self._tls(channel) if endpoint.scheme == "https" else channel

    def probe_write(self) -> str:
        """Log in and connect to the region's Glance from there; tell what was found.

        :raises SyncError: as :meth:`write`.
        """
        host = self._context.ssh.host(self._login)
        found = host.probe()
        if self._endpoint.scheme == "https":
            self._probe_tls()
        else:
            host.probe_forward(self._endpoint.host, self._endpoint.port)
        return f"{self._login}, {found.host_key}, {found.cipher}; reaches {self._endpoint}"

    def _probe_tls(self) -> None:
        with contextlib.ExitStack() as stack:
            image_http.Connection(
                self._stream(stack), self._endpoint, self._context.timeouts, self._context.region
            ).greet()

    def probe_read(self) -> str:
        """Look for an image in the directory, and open it; tell what was found.

        :raises SyncError: as :meth:`read`.
        """
        if self._datadir is None:
            raise self._blind()
        denied = None
        if self._is_here():
            try:
                return f"{self._datadir} on this machine, {_probe_here(self._datadir)}"
            except _Denied as exc:
                denied = exc
        with _beside(denied):
            return self._probe_there(self._datadir)

    def _probe_there(self, directory: pathlib.Path) -> str:
        host = self._context.ssh.host(self._login)
        found = host.probe()
        name = host.find_name(str(directory), _is_image)
        if name is not None:
            with host.open_file(str(directory / name)):
                pass
        where = f"{self._login}, {found.host_key}, {found.cipher}; {directory}"
        return f"{where}, {_seen(name)}"

    def _tls(self, channel: streams.WrappedStream) -> streams.TlsStream:
        context = self._context.trust.context()
        with tls_failures.shaking_hands(f"connection from {self._login} to {self._endpoint}"):
            return streams.TlsStream(channel, context, self._endpoint.host)

    @contextlib.contextmanager
    def read(self, image: images.Image, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Open the file of an image, here or over SFTP; chunks of at most 1 MiB.

        :raises ServiceUnavailable: there is no such file, or the host does not answer.
        :raises TransferInterrupted: the connection broke.
        :raises Refused: the file is no regular one, or may not be read.
        :raises HostKeyMismatch: the host is not the one that known_hosts knows.
        """
        path = self._path(image.image_id)
        with contextlib.ExitStack() as stack:
            yield self._open(path, offset, stack)

    def _open(
        self, path: pathlib.Path, offset: int, stack: contextlib.ExitStack
    ) -> Iterator[bytes]:
        denied = None
        if self._is_here():
            try:
                file = stack.enter_context(_open_here(path))
                file.seek(offset)
                return _chunks(file, path)
            except _Denied as exc:
                denied = exc
        with _beside(denied):
            host = self._context.ssh.host(self._login)
            return stack.enter_context(host.open_file(str(path), offset=offset))

    def _is_here(self) -> bool:
        return this_machine.has_address_of(self._login.host)

    def _blind(self) -> errors.Refused:
        return errors.Refused(
            f"region {self._context.region} has no datadir to read from in the store file"
        )

    def _path(self, image_id: images.ImageId) -> pathlib.Path:
        if self._datadir is None:
            raise self._blind()
        return self._datadir / image_http.checked(image_id)


def _port(text: str | None, where: str) -> int:
    if not text:
        return 22
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise errors.ConfigurationError(f"{where}: port {text!r} is not a TCP port")
    return int(text)


def _directory(text: str | None, where: str) -> pathlib.Path | None:
    if not text:
        return None
    path = pathlib.Path(text)
    if not path.is_absolute() or ".." in path.parts:
        raise errors.ConfigurationError(f"{where}: datadir {text!r} is not an absolute path")
    return path


@contextlib.contextmanager
def _beside(denied: _Denied | None) -> Iterator[None]:
    """Tell a failure over SSH together with what made us try that at all."""
    try:
        yield
    except stores.NO_WAY as exc:
        if denied is None:
            raise
        raise errors.Refused(f"{denied}. Nor is there another way: {exc}") from exc


def _open_here(path: pathlib.Path) -> io.FileIO:
    """Open a regular file."""
    try:
        # O_NONBLOCK: a FIFO of that name must not hold us.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except PermissionError as exc:
        raise _Denied(path) from exc
    except OSError as exc:
        if exc.errno == errno.ELOOP:
            raise errors.Refused(f"{path} is a symbolic link") from exc
        raise errors.ServiceUnavailable(f"{path} cannot be read: {exc.strerror}") from exc
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise errors.Refused(f"{path} is not a regular file")
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_SEQUENTIAL)
    return io.FileIO(descriptor)


def _probe_here(directory: pathlib.Path) -> str:
    try:
        with os.scandir(directory) as entries:
            name = next((one.name for one in entries if _is_image(one.name)), None)
    except PermissionError as exc:
        raise _Denied(directory) from exc
    except OSError as exc:
        raise errors.ServiceUnavailable(f"{directory} cannot be read: {exc.strerror}") from exc
    if name is not None:
        _open_here(directory / name).close()
    return _seen(name)


def _is_image(name: str) -> bool:
    try:
        images.image_id(name)
    except errors.NotificationError:
        return False
    return True


def _seen(name: str | None) -> str:
    return "where no image is yet" if name is None else f"where image {name} can be read"


def _chunks(file: io.FileIO, path: pathlib.Path) -> Iterator[bytes]:
    try:
        while chunk := file.read(image_http.CHUNK_BYTES):
            yield chunk
    except OSError as exc:
        raise errors.TransferInterrupted(f"{path} cannot be read: {exc.strerror}") from exc
