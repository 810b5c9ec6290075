# SPDX-License-Identifier: Apache-2.0
"""The bytes of one image to or from one Glance, over any stream that leads there."""

from collections.abc import Iterable, Iterator
import contextlib
import http.client
import itertools
import re

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.transport import answers
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport import tls_failures

#: Bytes of a chunk that is read.
CHUNK_BYTES = 1024 * 1024

_ANSWER_BYTES = 8 * 1024
_EARLY_ANSWER_SECONDS = 2.0

_BAD_REQUEST = 400
_UNAUTHORIZED = 401
# The record went away under us; the next look at it will tell.
_GONE = frozenset({404, 410})
# The record is not queued any more: another upload is not over yet, or was over just now. Often
# it is our own last one, of which Glance had all when we were killed. The next look tells which
# (glance/domain/__init__.py: InvalidImageStatusTransition).
_CONFLICT = 409
_MOVED_ON = re.compile(r"status transition from \w+ to saving")
_LATER = frozenset({408, 425, 429})
_OTHER_FORMAT = 415
_TOO_LARGE = 413  # also said of a quota and of an image
# Of a policy or a quota; an operator may raise either.
_LIMITS = frozenset({403, _TOO_LARGE})
_FULL = re.compile(r"storage media is full")  # a disk, which somebody will make room on
_SERVER_ERROR = 500
_NO_CONTENT = 204
_PARTIAL_CONTENT = 206


class Connection:
    """HTTP/1.1 with one Glance over a stream that is open already.

    For one thread. After an error, or a download that was not read to its end, it is closed.
    """

    def __init__(
        self,
        stream: streams.Stream,
        endpoint: streams.Endpoint,
        timeouts: streams.Timeouts,
        region: images.RegionId | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        :param region: whose Glance that is, for errors that say that it answers nobody.
        """
        self._stream = stream
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._region = region
        self._http = http.client.HTTPConnection(endpoint.host, endpoint.port)
        self._http.sock = stream
        self._http.auto_open = 0
        self._response: http.client.HTTPResponse | None = None
        self._sent = 0  # bytes of image data
        self.unauthorized = False  # Glance did not take the token

    @property
    def reusable(self) -> bool:
        """Whether one more request can follow."""
        return (
            self._http.sock is not None
            and self._response is None
            and not streams.is_readable(self._stream)
        )

    def close(self) -> None:
        """Cut the connection. Idempotent."""
        if self._response is not None:
            self._response.close()
            self._response = None
        self._http.close()
        self._stream.close()

    def greet(self) -> None:
        """Ask for what nobody needs a token for; any answer of the server will do.

        Only an answer shows that TLS is settled: what a server thinks of our certificate, it
        says after our side of the handshake.

        :raises HandshakeFailed: it does not take us.
        :raises TransferInterrupted: no answer.
        """
        what = f"greeting of {self._endpoint}"
        with contextlib.closing(self):
            self._stream.settimeout(self._timeouts.idle_seconds)
            with self._translated(what, 0):
                self._http.putrequest("GET", f"{self._endpoint.prefix}/versions", skip_host=True)
                self._http.putheader("Host", self._endpoint.host_header)
                self._http.endheaders()
                response = self._http.getresponse()
                text = _explanation(response)
            self._require_certificate(response.status, what, text)

    def put(
        self, image_id: images.ImageId, *, token: str, size: int, chunks: Iterable[bytes]
    ) -> None:
        """Upload the data of an image, all of it or nothing.

        The length is announced first, and the connection is cut as soon as anything goes
        wrong, an error raised by ``chunks`` included: so Glance never takes a part for the
        whole (glance/api/v2/image_data.py: upload).

        :raises ServiceUnavailable: 401, 429, or the storage is full: not now.
        :raises HandshakeFailed: the server wants another client certificate.
        :raises TransferInterrupted: 5xx, the connection broke, stood still, or the record is
            gone or takes no data just now.
        :raises UploadRefused: 403 or 413: a policy, or a quota that may be raised.
        :raises FormatRefused: these are no bytes of the image's ``disk_format``.
        :raises Refused: Glance said no.
        """
        what = f"upload of image {image_id} to {self._endpoint}"
        with self._cut_on_error():
            body = _exactly(size, chunks, what)
            # First, for the head is all there is of an empty image.
            first = next(body)
            self._request("PUT", image_id, token, what, size=size)
            for chunk in itertools.chain((first,), body):
                self._send(chunk, what, size)
            self._answer(what, self._timeouts.idle_seconds)

    def get(
        self, image_id: images.ImageId, *, token: str, size: int | None, offset: int = 0
    ) -> Iterator[bytes]:
        """Ask for the data of an image; return its chunks.

        :param size: bytes that the record says; None if it does not.
        :param offset: bytes to leave out at the beginning.
        :raises ServiceUnavailable: 401, 429 or 5xx: not now.
        :raises HandshakeFailed: the server wants another client certificate.
        :raises NoData: there is a record, and no data behind it.
        :raises TransferInterrupted: the image is gone.
        :raises Refused: Glance said no.
        """
        what = f"download of image {image_id} from {self._endpoint}"
        with self._cut_on_error():
            self._request("GET", image_id, token, what, offset=offset)
            response = self._begin(what, self._timeouts.idle_seconds)
            if response.status == _NO_CONTENT and size:
                raise errors.NoData(
                    f"{what}: Glance has a record of {size} bytes but no data"
                )
        if offset and response.status != _PARTIAL_CONTENT:
            return skipped(self._chunks(response, what, size), offset)
        return self._chunks(response, what, size and size - offset)

    def _chunks(
        self, response: http.client.HTTPResponse, what: str, size: int | None
    ) -> Iterator[bytes]:
        expected = response.length if response.length is not None else size
        done = 0
        with self._cut_on_error():
            while True:
                with self._translated(what, done):
                    chunk = response.read(CHUNK_BYTES)
                if not chunk:
                    break
                done += len(chunk)
                yield chunk
            if expected is not None and done < expected:
                raise errors.TransferInterrupted(f"{what}: ended after {done} of {expected} bytes")
            self._finish(response)

    @contextlib.contextmanager
    def _translated(self, what: str, done: int) -> Iterator[None]:
        try:
            yield
        except TimeoutError as exc:
            raise errors.TransferInterrupted(
                f"{what}: no answer after {done} bytes",
                region=self._region,
                fault=errors.Fault.REQUEST,
            ) from exc
        except (OSError, http.client.HTTPException) as exc:
            if (refusal := self._refusal(exc)) is not None:
                raise tls_failures.failed(what, refusal, region=self._region) from exc
            raise errors.TransferInterrupted(
                f"{what}: the connection broke after {done} bytes: {exc}",
                region=self._region,
                fault=errors.Fault.REQUEST,
            ) from exc

    def _refusal(self, failure: Exception) -> Exception | None:
        """Return what says that the server did not take our certificate; None: nothing does.

        A server may have hung up before our request could be sent. What it said first is still
        there to be read.
        """
        if tls_failures.is_refusal(failure):
            return failure
        if isinstance(failure, streams.HUNG_UP) and streams.is_tls(self._stream):
            try:
                self._stream.settimeout(_EARLY_ANSWER_SECONDS)
                self._stream.makefile("rb").read(1)
            except OSError as exc:
                return exc if tls_failures.is_refusal(exc) else None
        return None

    @contextlib.contextmanager
    def _cut_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _request(
        self,
        method: str,
        image_id: images.ImageId,
        token: str,
        what: str,
        *,
        size: int | None = None,
        offset: int = 0,
    ) -> None:
        self._sent = 0
        self._stream.settimeout(self._timeouts.idle_seconds)
        path = f"{self._endpoint.prefix}/v2/images/{checked(image_id)}/file"
        self._http.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        self._http.putheader("Host", self._endpoint.host_header)
        self._http.putheader("X-Auth-Token", token)
        if offset:
            self._http.putheader("Range", f"bytes={offset}-")
        if size is not None:
            self._http.putheader("Content-Type", "application/octet-stream")
            self._http.putheader("Content-Length", str(size))
            # Glance compares it with what it stored.
            self._http.putheader("x-openstack-image-size", str(size))
        with self._translated(what, 0):
            self._http.endheaders()

    def _send(self, chunk: bytes, what: str, size: int) -> None:
        if streams.has_answer(self._stream):
            self._answer_early(what, size, None)
        view = memoryview(chunk)
        try:
            while view:
                # Not sendall: its timeout is for the whole, and a channel's cuts what is left
                # into a new copy for each packet.
                if not (count := self._stream.send(view)):
                    raise ConnectionResetError("closed by the other side")
                view = view[count:]
                self._sent += count
        except OSError as exc:
            self._answer_early(what, size, exc)

    def _answer_early(self, what: str, size: int, cause: OSError | None) -> None:
        """Raise what Glance said before it had all; a broken pipe only if it said nothing."""
        seen = f"after {self._sent} of {size} bytes"
        try:
            self._answer(what, _EARLY_ANSWER_SECONDS)
        except errors.TransferInterrupted as exc:
            if cause is None or self._response is not None:
                raise
            idle = f"no progress for {self._timeouts.idle_seconds:g} s"
            reason = idle if isinstance(cause, TimeoutError) else f"connection broke: {cause}"
            raise errors.TransferInterrupted(
                f"{what}: {reason} {seen}", region=self._region, fault=errors.Fault.REQUEST
            ) from exc
        raise errors.TransferInterrupted(f"{what}: answered {seen}")

    def _answer(self, what: str, seconds: float) -> None:
        # Glance took the record and not its bytes: the region's fault, or only this image's.
        response = self._begin(
            what, seconds, failure=errors.TransferInterrupted, refused=errors.UploadRefused
        )
        with self._translated(what, self._sent):
            response.read(_ANSWER_BYTES)
        self._finish(response)

    def _begin(
        self,
        what: str,
        seconds: float,
        failure: type[errors.TransientError] = errors.ServiceUnavailable,
        refused: type[errors.SyncError] = errors.Refused,
    ) -> http.client.HTTPResponse:
        """Wait for status and headers; raise what is not a success.

        :param failure: what a 5xx is.
        :param refused: what is a limit or a policy.
        """
        self._stream.settimeout(seconds)
        with self._translated(what, self._sent):
            self._response = response = self._http.getresponse()
        self._stream.settimeout(self._timeouts.idle_seconds)
        self.unauthorized = response.status == _UNAUTHORIZED
        if not 200 <= response.status < 300:
            with self._translated(what, self._sent):
                text = _explanation(response)
            remedy = answers.remedy(text)
            message = f"{what}: {response.status} {response.reason}: {text}{remedy}"
            self._require_certificate(response.status, what, text)
            if response.status >= _SERVER_ERROR:
                after = answers.retry_after(response.headers)
                raise failure(
                    message,
                    retry_after=after,
                    region=self._region,
                    fault=errors.Fault.ANSWER,
                )
            if response.status in _LIMITS and not _FULL.search(message):
                raise refused(message)
            raise _error(response, message)
        return response

    def _require_certificate(self, status: int, what: str, text: str) -> None:
        if status == _BAD_REQUEST and tls_failures.wants_certificate(text):
            raise tls_failures.failed(what, text, region=self._region)

    def _finish(self, response: http.client.HTTPResponse) -> None:
        """Leave the connection ready for one more request, or closed."""
        if response.will_close or not response.isclosed():
            self.close()
        self._response = None


def checked(image_id: images.ImageId) -> images.ImageId:
    """Return an id that may become part of a path, whoever parsed it before.

    :raises Refused: it is none.
    """
    try:
        return images.image_id(image_id)
    except errors.NotificationError as exc:
        raise errors.Refused(str(exc)) from exc


def skipped(chunks: Iterable[bytes], count: int) -> Iterator[bytes]:
    """Leave out the first ``count`` bytes."""
    for chunk in chunks:
        rest = chunk[count:]
        count -= len(chunk) - len(rest)
        if rest:
            yield rest


def _exactly(size: int, chunks: Iterable[bytes], what: str) -> Iterator[bytes]:
    """Pass ``chunks`` on, the last one only if all are of ``size`` bytes; at least one."""
    total = 0
    held = b""
    for chunk in filter(None, chunks):
        total += len(chunk)
        if total > size:
            raise errors.TransferInterrupted(f"{what}: announced {size} bytes, had more")
        if held:
            yield held
        held = chunk
    if total != size:
        raise errors.TransferInterrupted(f"{what}: announced {size} bytes, had {total}")
    yield held


def _error(response: http.client.HTTPResponse, message: str) -> errors.SyncError:
    status = response.status
    is_full = status == _TOO_LARGE and _FULL.search(message)
    if status == _UNAUTHORIZED or status in _LATER or is_full:
        after = answers.retry_after(response.headers)
        return errors.ServiceUnavailable(message, retry_after=after)
    if status in _GONE or (status == _CONFLICT and _MOVED_ON.search(message)):
        return errors.TransferInterrupted(message)
    if status == _OTHER_FORMAT:
        return errors.FormatRefused(message)
    return errors.Refused(message)


def _explanation(response: http.client.HTTPResponse) -> str:
    return answers.explanation(response.read(_ANSWER_BYTES).decode("utf-8", "replace"))
