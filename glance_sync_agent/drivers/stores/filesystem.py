# SPDX-License-Identifier: Apache-2.0
"""Host to host over SSH, for regions whose Glance keeps images in a directory.

A write goes through a channel from the region's host to its own Glance. So the host needs no
shell, tool or space for it, and Glance does all that it does with an upload. A read takes the
file itself.
"""

from collections.abc import Iterable, Iterator, Mapping
import contextlib
import logging
import pathlib
import shutil

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import stores
from glance_sync_agent.drivers.host import image_files
from glance_sync_agent.drivers.host import this_machine
from glance_sync_agent.drivers.ssh import logins
from glance_sync_agent.drivers.transport import image_endpoints
from glance_sync_agent.drivers.transport import image_http
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport import tls
from glance_sync_agent.drivers.transport import tls_failures
from glance_sync_agent.drivers.transport import uploads

LOG = logging.getLogger(__name__)

_SCHEME = "filesystem"
_REQUIRED = frozenset({"host", "login_user"})
_KNOWN = _REQUIRED | frozenset(
    {"datadir", "image_endpoint", "key_filename", "known_hosts", "login_password", "port"}
)


class FilesystemStore:
    """Reads and writes over SSH. Thread safe."""

    way = _SCHEME

    def __init__(
        self,
        context: stores.StoreContext,
        *,
        login: logins.Login,
        endpoint: image_endpoints.Endpoint,
        datadir: pathlib.Path | None,
    ) -> None:
        """Prepare; nothing connects yet.

        :param endpoint: by which the host reaches its own Glance.
        :param datadir: ``filesystem_store_datadir`` of that Glance; None: no reads.
        """
        self._context = context
        self._login = login
        self._endpoint = endpoint
        self._datadir = datadir
        self._shows_space = datadir is not None

    @classmethod
    def from_parameters(
        cls, parameters: Mapping[str, str], context: stores.StoreContext
    ) -> "FilesystemStore":
        """Make a store (:class:`stores.Factory`)."""
        stores.check_parameters(
            parameters, context, scheme=_SCHEME, known=_KNOWN, required=_REQUIRED
        )
        where = f"region {context.region}, scheme {_SCHEME}"
        login = logins.Login(
            host=parameters["host"],
            port=stores.tcp_port(parameters.get("port") or "22", where),
            user=parameters["login_user"],
            key_filename=parameters.get("key_filename") or None,
            password=parameters.get("login_password") or None,
            known_hosts=parameters.get("known_hosts") or context.known_hosts,
        )
        return cls(
            context,
            login=login,
            endpoint=image_endpoints.parse(parameters.get("image_endpoint") or context.endpoint),
            datadir=stores.absolute_path(parameters.get("datadir"), where),
        )

    def write(self, image_id: images.ImageId, size: int, chunks: Iterable[bytes]) -> None:
        """Upload data into a queued record, all of it or nothing.

        :raises StorageFull: the region's directory has no room for it, as far as we may
            check that; nothing was sent.
        """
        context, endpoint = self._context, self._endpoint
        with stores.blaming(context.region):
            free = self._free_bytes()
        if free is not None and free < size:
            raise errors.StorageFull(
                f"upload of image {image_id} to {endpoint}: {self._datadir} on {self._login.host} "
                f"has {free} bytes free, and the image needs {size}; nothing was sent. The agent "
                "tries again; make room there"
            )
        with contextlib.ExitStack() as stack:
            with stores.blaming(context.region):
                connection = self._connection(stack)
            try:
                uploads.upload(
                    connection, image_id, token=context.token(), size=size, chunks=chunks
                )
            finally:
                if connection.unauthorized:
                    context.forget_token()

    def _free_bytes(self) -> int | None:
        """Return the free space of the directory; None: unknown."""
        if self._datadir is None or not self._shows_space:
            return None
        if self._is_here():
            with contextlib.suppress(OSError):
                return shutil.disk_usage(self._datadir).free
        try:
            return self._context.ssh.host(self._login).free_bytes(str(self._datadir))
        except errors.Refused as exc:  # an account that only forwards
            self._shows_space = False
            LOG.debug("Uploads no longer check the free space of %s: %s", self._datadir, exc)
        except errors.TransferInterrupted as exc:
            # If the cause hinders the transfer too, that will fail with the right error.
            LOG.debug("Could not check the free space of %s: %s", self._datadir, exc)
        return None

    def _connection(self, stack: contextlib.ExitStack) -> image_http.Connection:
        stream, context = self._stream(stack), self._context
        return image_http.Connection(stream, self._endpoint, context.timeouts, context.region)

    def _stream(self, stack: contextlib.ExitStack) -> streams.Stream:
        """Open a stream from the region's host to its Glance."""
        host, endpoint = self._context.ssh.host(self._login), self._endpoint
        channel = stack.enter_context(host.open_channel(endpoint.host, endpoint.port))
        if endpoint.scheme != "https":
            return channel
        context = self._context.trust.context()
        with tls_failures.shaking_hands(f"connection from {self._login} to {endpoint}"):
            return tls.TlsStream(channel, context, endpoint.host)

    def probe_write(self) -> str:
        """Log in, connect to the region's Glance from there, and return what was found.

        :raises SyncError: as :meth:`write`.
        """
        host = self._context.ssh.host(self._login)
        found = host.probe()
        if self._endpoint.scheme == "https":
            with contextlib.ExitStack() as stack:
                self._connection(stack).greet()
        else:
            host.probe_forward(self._endpoint.host, self._endpoint.port)
        return f"{self._login}, {found.host_key}, {found.cipher}; reaches {self._endpoint}"

    def probe_read(self) -> str:
        """Open an image of the directory, and return what was found.

        :raises SyncError: as :meth:`read`.
        """
        if self._datadir is None:
            raise self._no_datadir()
        denied = None
        if self._is_here():
            try:
                found = _seen(image_files.find(self._datadir))
            except image_files.FileDenied as exc:
                denied = exc
            else:
                return f"{self._datadir} on this machine, {found}"
        with _beside(denied):
            return self._probe_there(self._datadir)

    def _probe_there(self, directory: pathlib.Path) -> str:
        host = self._context.ssh.host(self._login)
        found = host.probe()
        name = host.find_name(str(directory), image_files.is_image)
        if name is not None:
            with host.open_file(str(directory / name)):
                pass
        where = f"{self._login}, {found.host_key}, {found.cipher}; {directory}"
        return f"{where}, {_seen(name)}"

    @contextlib.contextmanager
    def read(self, image: images.Image, *, offset: int = 0) -> Iterator[Iterator[bytes]]:
        """Open the file of an image, here or over SFTP; chunks of at most 1 MiB.

        :raises ServiceUnavailable: there is no such file, or the host is unreachable.
        :raises TransferInterrupted: the connection broke.
        :raises Refused: it is not a regular file, or we may not read it.
        :raises HostKeyMismatch: the host has another key than known_hosts says.
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
                return stack.enter_context(image_files.read(path, offset=offset))
            except image_files.FileDenied as exc:
                denied = exc
        with _beside(denied):
            host = self._context.ssh.host(self._login)
            return stack.enter_context(host.open_file(str(path), offset=offset))

    def _is_here(self) -> bool:
        return this_machine.has_address_of(self._login.host)

    def _no_datadir(self) -> errors.Refused:
        return errors.Refused(
            f"region {self._context.region} has no datadir to read from in the store file"
        )

    def _path(self, image_id: images.ImageId) -> pathlib.Path:
        if self._datadir is None:
            raise self._no_datadir()
        return self._datadir / image_http.checked(image_id)


@contextlib.contextmanager
def _beside(denied: image_files.FileDenied | None) -> Iterator[None]:
    """Raise a failure over SSH together with the reason to try SSH at all."""
    try:
        yield
    except stores.NO_WAY as exc:
        if denied is None:
            raise
        raise errors.Refused(f"{denied}. Reading it over SSH failed as well: {exc}") from exc


def _seen(name: str | None) -> str:
    return "where no image is yet" if name is None else f"where image {name} can be read"
