# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 with one Glance, over any stream that leads there."""

from collections.abc import Iterator, Mapping
import contextlib
import http.client

from glance_sync_agent import errors
from glance_sync_agent import request_ids
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.transport import answers
from glance_sync_agent.drivers.transport import connections
from glance_sync_agent.drivers.transport import image_endpoints
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport import tls_failures

#: Within which Glance explains why it hung up.
EARLY_ANSWER_SECONDS = 2.0
_ANSWER_BYTES = 8 * 1024


class Connection:
    """One request after another on an open stream. For one thread.

    It is closed after an error, or after a download that was not read to its end.
    """

    def __init__(
        self,
        stream: streams.Stream,
        endpoint: image_endpoints.Endpoint,
        timeouts: streams.Timeouts,
        region: images.RegionId | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        :param region: named by errors that mean that its Glance is unreachable.
        """
        self.endpoint = endpoint
        self.idle_seconds = timeouts.idle_seconds
        self.unauthorized = False  # Glance refused the token
        self.done = 0  # bytes of image data in the current request
        self._region = region
        self._stream = stream
        self._http = http.client.HTTPConnection(endpoint.host, endpoint.port)
        self._http.sock = stream
        self._http.auto_open = 0
        self._response: http.client.HTTPResponse | None = None
        self.what = ""  # the current request, for messages

    @property
    def reusable(self) -> bool:
        """Whether one more request can follow."""
        return (
            self._http.sock is not None
            and self._response is None
            and not connections.is_readable(self._stream)
        )

    def close(self) -> None:
        """Cut the connection. Idempotent."""
        if self._response is not None:
            self._response.close()
            self._response = None
        self._http.close()
        self._stream.close()

    @contextlib.contextmanager
    def cut_on_error(self) -> Iterator[None]:
        """Close the connection if the body of the ``with`` raises anything."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def greet(self) -> None:
        """Send a request that needs no token; any answer will do.

        Only an answer shows that the TLS handshake succeeded: a server judges the certificate of
        its client later.

        :raises HandshakeFailed: the server refuses our certificate.
        :raises TransferInterrupted: no answer.
        """
        with contextlib.closing(self):
            self.request(f"greeting of {self.endpoint}", "GET", "/versions", {})
            response = self.wait(self.idle_seconds)
            text = self._explanation(response)
            if answers.wants_certificate(response.status, text):
                raise tls_failures.failed(self.what, text, region=self._region)

    def request(self, what: str, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Send the head of a request.

        :param what: the request, for messages.
        """
        self.what, self.done = what, 0
        self._stream.settimeout(self.idle_seconds)
        self._http.putrequest(
            method, f"{self.endpoint.prefix}{path}", skip_host=True, skip_accept_encoding=True
        )
        sent = {"Host": self.endpoint.host_header, **headers}
        if (served := request_ids.current()) is not None:
            sent[request_ids.HEADER] = served.global_id
        for name, value in sent.items():
            self._http.putheader(name, value)
        with self.translated():
            self._http.endheaders()

    def send(self, data: memoryview) -> int:
        """Send some of ``data``; return how many bytes.

        :raises OSError: the stream is closed, or broke.
        """
        if not (count := self._stream.send(data)):
            raise ConnectionResetError("closed by the other side")
        self.done += count
        return count

    def has_answer(self) -> bool:
        """Tell whether an answer came while we were sending, as far as that can be seen."""
        return connections.has_answer(self._stream)

    def wait(self, seconds: float) -> http.client.HTTPResponse:
        """Wait for status and headers of the answer.

        :raises TransferInterrupted: no answer.
        """
        self._stream.settimeout(seconds)
        with self.translated():
            self._response = response = self._http.getresponse()
        self._stream.settimeout(self.idle_seconds)
        return response

    def require_success(
        self, response: http.client.HTTPResponse, *, is_upload: bool = False
    ) -> None:
        """Raise the error that an answer means.

        :param is_upload: a limit or an error 5xx may be about this image alone.
        """
        self.unauthorized = response.status == http.HTTPStatus.UNAUTHORIZED
        if not 200 <= response.status < 300:
            text = self._explanation(response)
            raise answers.error(
                response, text, what=self.what, region=self._region, is_upload=is_upload
            )

    def finish(self, response: http.client.HTTPResponse) -> None:
        """Read what is left of an answer; leave the connection ready for a request, or closed."""
        with self.translated():
            response.read(_ANSWER_BYTES)
        if response.will_close or not response.isclosed():
            self.close()
        self._response = None

    def interrupted(self, reason: str) -> errors.TransferInterrupted:
        """Return the error of a connection that broke or stood still."""
        return errors.TransferInterrupted(
            f"{self.what}: {reason}", region=self._region, fault=errors.Fault.REQUEST
        )

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """Raise errors of the stream as ours.

        :raises HandshakeFailed: the server refused our certificate.
        :raises TransferInterrupted: all other errors.
        """
        try:
            yield
        except TimeoutError as exc:
            raise self.interrupted(f"no answer after {self.done} bytes") from exc
        except (OSError, http.client.HTTPException) as exc:
            if (refusal := self._refusal(exc)) is not None:
                raise tls_failures.failed(self.what, refusal, region=self._region) from exc
            raise self.interrupted(
                f"the connection broke after {self.done} bytes: {exc}"
            ) from exc

    def _refusal(self, failure: Exception) -> Exception | None:
        """Return the error that shows that the server refused our certificate, if there is one.

        A server may hang up before our request was sent. Its reason can still be read.
        """
        if tls_failures.is_refusal(failure):
            return failure
        if isinstance(failure, connections.HUNG_UP) and connections.is_tls(self._stream):
            try:
                self._stream.settimeout(EARLY_ANSWER_SECONDS)
                self._stream.makefile("rb").read(1)
            except OSError as exc:
                return exc if tls_failures.is_refusal(exc) else None
        return None

    def _explanation(self, response: http.client.HTTPResponse) -> str:
        with self.translated():
            body = response.read(_ANSWER_BYTES)
        return answers.explanation(body.decode("utf-8", "replace"))


def file_path(image_id: images.ImageId) -> str:
    """Return the path of the data of an image.

    :raises Refused: this is no image id.
    """
    return f"/v2/images/{checked(image_id)}/file"


def checked(image_id: images.ImageId) -> images.ImageId:
    """Return an image id that may become part of a path.

    :raises Refused: this is no image id.
    """
    try:
        return images.image_id(image_id)
    except errors.NotificationError as exc:
        raise errors.Refused(str(exc)) from exc
