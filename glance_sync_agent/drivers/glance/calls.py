# SPDX-License-Identifier: Apache-2.0
"""Requests to one Glance: sent, repeated if that is safe, and their answers judged.

Only this module takes HTTP status codes for failures. It uses the session of keystoneauth1 and
not python-glanceclient, whose exceptions lose statuses and ``Retry-After``.
"""

from collections.abc import Collection
import dataclasses
import json
import logging
import threading
from typing import Any, Final

import tenacity
from urllib3 import exceptions as urllib3_errors

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.glance import roots
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.transport import answers
from glance_sync_agent.drivers.transport import tls_failures

LOG = logging.getLogger(__name__)

_JSON: Final = "application/json"
_JSON_PATCH: Final = "application/openstack-images-v2.1-json-patch"
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401
_TRANSIENT_STATUSES: Final = frozenset({_UNAUTHORIZED, 408, 429})
_SHOWN_CHARACTERS: Final = 300
#: What urllib3 raises after it has connected.
_AFTER_SENDING: Final = (urllib3_errors.ReadTimeoutError, urllib3_errors.ProtocolError)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer of Glance."""

    status: int
    body: Any  # parsed JSON; None if there is none, or the status is an error
    explanation: str = ""  # of an error, in Glance's words


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Retries:
    """How often one call is repeated if it fails for a moment."""

    attempts: int = 3
    first_wait_seconds: float = 0.2  # doubles each time, plus as much again by chance
    longest_wait_seconds: float = 5.0
    #: No attempt starts later, so that a service that times out holds a worker only once.
    give_up_seconds: float = 20.0


class Calls:
    """The HTTP side of one region's Glance. Thread safe."""

    def __init__(
        self,
        *,
        region: images.RegionId,
        session: credentials.Session,
        endpoint: str,
        retries: Retries,
        stop: threading.Event,
    ) -> None:
        """Prepare; sends nothing yet.

        :param endpoint: of the region's Glance, as in the catalogue.
        :param stop: set when no further retry makes sense.
        """
        self._region = region
        self._session = session
        self.root = roots.root(endpoint)
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
        content_type: str | None = None,
        expected: Collection[int] = (),
    ) -> Answer:
        """Send a request that may be sent twice.

        :param path: below ``/v2``, quoted.
        :param body: is sent as JSON; None: the request has none.
        :param content_type: None: JSON, or that of Glance's JSON patches for a PATCH.
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
        content_type: str | None = None,
        expected: Collection[int] = (),
    ) -> Answer:
        """Send a request that must not be sent twice; otherwise as :meth:`ask`."""
        what = f"{method} /v2{path} of region {self._region}"
        by_method = _JSON_PATCH if method == "PATCH" else _JSON
        try:
            response = self._session.request(
                f"{self.root}/v2{path}",
                method,
                headers={"Content-Type": content_type or by_method},
                data=None if body is None else json.dumps(body),
                raise_exc=False,
                connect_retries=0,
            )
        except credentials.FAILURES as exc:
            raise self._unanswered(what, exc) from exc
        except OSError as exc:  # requests cannot read a file of certificates
            raise errors.ServiceUnavailable(f"{what}: {_shown(exc)}") from exc
        return self._judged(response, what, expected)

    def _unanswered(self, what: str, failure: Exception) -> errors.ServiceUnavailable:
        is_ours = f"{self.root}/" in str(failure)  # else Keystone's
        region = self._region if is_ours else None
        if isinstance(failure, credentials.TLS_FAILURES):
            return tls_failures.failed(
                what if is_ours else f"{what}: Keystone", failure, region=region
            )
        return errors.ServiceUnavailable(
            f"{what}: no answer: {_shown(failure)}",
            region=region,
            fault=errors.Fault.REQUEST if _was_sent(failure) else errors.Fault.CONNECTION,
        )

    def _judged(self, response: Any, what: str, expected: Collection[int]) -> Answer:
        status: int = response.status_code
        if status < 300:
            return Answer(status=status, body=_body(response, what))
        said = answers.explanation(response.text)
        if status in expected:
            return Answer(status=status, body=None, explanation=said)
        message = f"{what}: HTTP {status}: {said or 'no explanation'}"
        if status == _BAD_REQUEST and tls_failures.wants_certificate(said):
            raise tls_failures.failed(what, said, region=self._region)
        if status >= 500 or status in _TRANSIENT_STATUSES:
            kind = errors.Unauthorized if status == _UNAUTHORIZED else errors.ServiceUnavailable
            raise kind(
                message,
                retry_after=answers.retry_after(response.headers),
                region=self._region if status >= 500 else None,
                fault=errors.Fault.ANSWER,
            )
        raise errors.Refused(f"{message}{answers.remedy(said)}")


def _body(response: Any, what: str) -> Any:
    """Return the JSON of an answer; None if it has another type."""
    try:
        return response.json()
    except (ValueError, RecursionError) as exc:
        if not response.headers.get("Content-Type", "").startswith(_JSON):
            return None
        raise errors.ServiceUnavailable(
            f"{what}: HTTP {response.status_code} and no JSON"
        ) from exc


def _shown(failure: Exception) -> str:
    return " ".join(credentials.described(failure).split())[:_SHOWN_CHARACTERS]


def _was_sent(error: BaseException | None) -> bool:
    """Return whether a request was sent and not answered."""
    while error is not None:
        if isinstance(error, _AFTER_SENDING):
            return True
        error = error.__cause__ or error.__context__
    return False


def _passes_soon(error: BaseException) -> bool:
    return isinstance(error, errors.TransientError) and error.retry_after is None
