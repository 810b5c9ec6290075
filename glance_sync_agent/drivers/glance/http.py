# SPDX-License-Identifier: Apache-2.0
"""One request to one Glance: sent, retried if that is safe, and its answer judged.

This is the only module that knows HTTP status codes as failures. It uses the HTTP layer of
python-glanceclient and not its models: those need a client, and a schema fetched by it, for
each thread, and make three requests of an update.
"""

import dataclasses
import json
import logging
import re
import threading
from typing import Any, Final

import glanceclient
from glanceclient import exc as glance_errors
import tenacity

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.transport import answers
from glance_sync_agent.drivers.transport import tls_failures

LOG = logging.getLogger(__name__)

JSON: Final = "application/json"
JSON_PATCH: Final = "application/openstack-images-v2.1-json-patch"

_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_TRANSIENT_STATUSES: Final = frozenset({_UNAUTHORIZED, 408, 429})
_SHOWN_CHARACTERS: Final = 300
#: Errors of urllib3 and requests that come once there is a connection. By name, for the errors
#: that reach us are others, which keep them as their context.
_AFTER_SENDING: Final = frozenset({"ReadTimeout", "ReadTimeoutError", "ProtocolError"})
_VERSION: Final = re.compile(r"/v\d+(\.\d+)?/?$")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What Glance said."""

    status: int
    body: Any  # parsed JSON; None if there is none, or the status is an error
    explanation: str  # of an error, in Glance's words


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Retries:
    """The short retries of one call, for what passes within seconds."""

    attempts: int = 3
    first_wait_seconds: float = 0.2  # doubled each time, plus as much again by chance
    longest_wait_seconds: float = 5.0
    #: No attempt starts later than this, so that a service that lets us run into time-outs
    #: holds a worker for one of them and not for three.
    give_up_seconds: float = 20.0


class Calls:
    """The HTTP side of one region's Glance. Thread safe."""

    # What glanceclient and keystoneauth1 keep between requests is a token behind a lock and a
    # connection pool; its HTTP client holds nothing of a request. Its ``Client`` with the
    # controllers would not be safe, and is not kept.

    def __init__(
        self,
        *,
        region: images.RegionId,
        session: credentials.Session,
        endpoint: str,
        retries: Retries,
        stop: threading.Event,
    ) -> None:
        """Prepare; asks nobody yet.

        :param endpoint: of the region's Glance, as in the catalogue.
        :param stop: set when no further retry makes sense.
        """
        self._region = region
        self.root = _VERSION.sub("", endpoint).rstrip("/")  # without the version of the API
        # The override keeps keystoneauth1 from looking for the endpoint at every request. Its
        # own retries would repeat a POST whose answer was lost.
        self._http = glanceclient.Client(
            "2",
            session=session,
            region_name=region,
            endpoint_override=self.root,
            connect_retries=0,
        ).http_client
        self._retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_passes_soon),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(retries.attempts),
                tenacity.stop_after_delay(retries.give_up_seconds),
                tenacity.stop_when_event_set(stop),
            ),
            wait=tenacity.wait_exponential_jitter(
                multiplier=retries.first_wait_seconds,
                max=retries.longest_wait_seconds,
                jitter=retries.first_wait_seconds,
            ),
            sleep=tenacity.sleep_using_event(stop),
            before_sleep=tenacity.before_sleep_log(LOG, logging.DEBUG),
            reraise=True,
        )

    def ask(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = JSON,
        expected: frozenset[int] = frozenset(),
    ) -> Answer:
        """Send a request that may be sent twice.

        :param path: below ``/v2``, quoted.
        :param body: is sent as JSON; None: there is none.
        :param expected: error statuses that are an answer to the caller.
        :raises ServiceUnavailable: no answer, or one that means "not now".
        :raises Refused: any other error status.
        """
        return self._retrying(
            self.ask_once, method, path, body=body, content_type=content_type, expected=expected
        )

    def ask_once(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        content_type: str = JSON,
        expected: frozenset[int] = frozenset(),
    ) -> Answer:
        """Send a request that must not be sent twice; otherwise as :meth:`ask`."""
        received: list[Any] = []
        what = f"{method} /v2{path} of region {self._region}"
        try:
            response, content = self._http.request(
                f"/v2{path}",
                method,
                # The type is set even without a body: by default glanceclient streams the
                # answer, and a connection that breaks within it raises past every handler.
                headers={"Content-Type": content_type},
                data=None if body is None else json.dumps(body),
                hooks={"response": lambda answer, *_args, **_kwargs: received.append(answer)},
            )
            return Answer(status=response.status_code, body=content, explanation="")
        except credentials.TLS_FAILURES as exc:
            is_ours = f"{self.root}/" in str(exc)  # else Keystone's
            raise tls_failures.failed(
                what if is_ours else f"{what}: Keystone",
                exc,
                region=self._region if is_ours else None,
            ) from exc
        except (
            glance_errors.CommunicationError,
            glance_errors.InvalidEndpoint,
            *credentials.FAILURES,
        ) as exc:
            is_keystone = isinstance(exc, credentials.FAILURES)
            raise errors.ServiceUnavailable(
                f"{what}: no answer: {_shown(exc)}",
                region=None if is_keystone else self._region,
                fault=errors.Fault.REQUEST if _was_sent(exc) else errors.Fault.CONNECTION,
            ) from exc
        # glanceclient has no exception for some statuses, drops Retry-After, and trips over
        # error bodies that are not what it expects; so the response itself is looked at.
        except (
            glance_errors.HTTPException,
            ValueError,
            AttributeError,
            KeyError,
            TypeError,
            RecursionError,
        ) as exc:
            if not received:
                raise
            return self._judged(received[-1], what, expected, exc)
        except OSError as exc:  # requests cannot read a file of certificates
            raise errors.ServiceUnavailable(f"{what}: {_shown(exc)}") from exc

    def _judged(
        self, response: Any, what: str, expected: frozenset[int], cause: Exception
    ) -> Answer:
        status: int = response.status_code
        if status < 300:
            raise errors.ServiceUnavailable(f"{what}: HTTP {status} and no JSON") from cause
        said = answers.explanation(response.text)
        if status in expected:
            return Answer(status=status, body=None, explanation=said)
        message = f"{what}: HTTP {status}: {said or 'no explanation'}"
        if status == _BAD_REQUEST and tls_failures.wants_certificate(said):
            raise tls_failures.failed(what, said, region=self._region) from cause
        if status >= 500 or status in _TRANSIENT_STATUSES:
            kind = errors.Unauthorized if status == _UNAUTHORIZED else errors.ServiceUnavailable
            raise kind(
                message,
                retry_after=answers.retry_after(response.headers),
                region=self._region if status >= 500 else None,
                fault=errors.Fault.ANSWER,
            ) from cause
        raise errors.Refused(f"{message}{answers.remedy(said)}") from cause


def _shown(failure: Exception) -> str:
    return " ".join(str(failure).split())[:_SHOWN_CHARACTERS]


def _was_sent(error: BaseException | None) -> bool:
    """Tell whether a request reached somebody who then did not answer it."""
    while error is not None:
        if type(error).__name__ in _AFTER_SENDING:
            return True
        error = error.__cause__ or error.__context__
    return False


def _passes_soon(error: BaseException) -> bool:
    return isinstance(error, errors.TransientError) and error.retry_after is None
