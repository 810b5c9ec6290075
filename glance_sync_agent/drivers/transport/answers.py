# SPDX-License-Identifier: Apache-2.0
"""Answers of a Glance that are errors: which error, its words, the remedy, the pause."""

import html
import http.client
import json
import re
from typing import Final, Protocol

from urllib3 import exceptions
from urllib3 import util

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.transport import tls_failures

# The record is gone; the next attempt finds out.
_GONE: Final = frozenset({404, 410})
# The record is not queued any more: another upload still runs, or has just ended. It is often our
# own last one, if Glance had all of it when we were killed. The next attempt finds out
# (glance/domain/__init__.py: InvalidImageStatusTransition).
_CONFLICT: Final = 409
_MOVED_ON: Final = re.compile(r"status transition from \w+ to saving")
_LATER: Final = frozenset({401, 408, 425, 429})
_OTHER_FORMAT: Final = 415
_TOO_LARGE: Final = 413
#: Of a policy or a quota; an operator may raise either.
_LIMITS: Final = frozenset({403, _TOO_LARGE})
_FULL: Final = re.compile(r"storage media is full")  # an operator will make room there
_SERVER_ERROR: Final = 500

_EXPLANATION_CHARACTERS: Final = 300
_LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0
_MARKUP: Final = re.compile(
    r"<(style|title|h1|script)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL
)
_RETRY: Final = util.Retry()

_EXCLUDE: Final = "leave some out with [metadata] exclude_properties"
#: By a part of the texts of Glance (glance/common/exception.py), cursive and oslo.limit.
_REMEDIES: Final = {
    re.compile(r"number of allowed image properties"): "raise image_property_quota of that "
    f"Glance, because a copy has glance_sync_* properties as well, or {_EXCLUDE}",
    re.compile(r"number of allowed image tags"): "raise image_tag_quota of that Glance",
    re.compile(r"number of allowed image members"): "raise image_member_quota of that Glance",
    # Glance checks the usage of the token's project, not of the image's owner
    # (glance/quota/keystone.py).
    re.compile(r"is over a limit for"): "raise the limit of the agent's project in Keystone for "
    "that region: Glance counts the images that this project owns there",
    re.compile(r"will exceed the limit\. \S+ bytes remaining"): "raise user_storage_quota of that "
    "Glance",
    re.compile(r"Signature verification"): "store the certificate that "
    "img_signature_certificate_uuid names in the key manager of that region, with that id, or "
    "leave the signature out with [metadata] exclude_properties = img_signature*",
    re.compile(r"Attribute '(?P<name>[^']+)' is reserved"): "give the agent's roles all rights on "
    "{name} in property_protection_file of that Glance, or leave the property out with "
    "[metadata] exclude_properties",
}


class Headers(Protocol):
    """The headers of an answer, of requests or of http.client."""

    def get(self, name: str, /) -> str | None:
        """Return a header; None: there is none."""


def error(
    response: http.client.HTTPResponse,
    text: str,
    *,
    what: str,
    region: images.RegionId | None,
    is_upload: bool,
) -> errors.SyncError:
    """Return the error that an answer to a request about image data means.

    :param text: the readable part of the answer.
    :param what: the request, for the message.
    :param region: of the Glance.
    :param is_upload: a limit, or an answer 5xx, may be about this image alone.
    """
    status = response.status
    if wants_certificate(status, text):
        return tls_failures.failed(what, text, region=region)
    message = f"{what}: {status} {response.reason}: {text}{remedy(text)}"
    pause = retry_after(response.headers)
    if status >= _SERVER_ERROR:
        kind = errors.TransferInterrupted if is_upload else errors.ServiceUnavailable
        return kind(message, retry_after=pause, region=region, fault=errors.Fault.ANSWER)
    if status == _TOO_LARGE and _FULL.search(message):
        return errors.StorageFull(f"{message}; make room there", retry_after=pause)
    if status in _LATER:
        return errors.ServiceUnavailable(message, retry_after=pause)
    return _refusal(status, message, is_upload=is_upload)


def wants_certificate(status: int, text: str) -> bool:
    """Tell whether an answer means that the server wants a client certificate."""
    return status == http.HTTPStatus.BAD_REQUEST and tls_failures.wants_certificate(text)


def remedy(text: str) -> str:
    """Return what to do, to append to a reason; empty if that is unknown.

    :param text: of an answer that is an error.
    """
    for sign, advice in _REMEDIES.items():
        if found := sign.search(text):
            return f"; {advice.format(**found.groupdict())}"
    return ""


def explanation(body: str) -> str:
    """Return the readable part of an error body, HTML or JSON, on one line.

    At most 300 characters, all of them printable.
    """
    try:
        text = _from_json(json.loads(body))
    except (ValueError, RecursionError):
        text = body
    words = " ".join(html.unescape(_MARKUP.sub(" ", text)).split())
    return "".join(filter(str.isprintable, words))[:_EXPLANATION_CHARACTERS]


def retry_after(headers: Headers) -> float | None:
    """Return the seconds of ``Retry-After``, at most an hour; None: no such header."""
    text = headers.get("Retry-After")
    if text is None:
        return None
    try:
        seconds = _RETRY.parse_retry_after(text)
    except (exceptions.InvalidHeader, ValueError):  # ValueError: more digits than Python reads
        return None
    return min(float(seconds), _LONGEST_RETRY_AFTER_SECONDS)


def _refusal(status: int, message: str, *, is_upload: bool) -> errors.SyncError:
    if status in _LIMITS and is_upload:
        return errors.UploadRefused(message)
    if status in _GONE or (status == _CONFLICT and _MOVED_ON.search(message)):
        return errors.TransferInterrupted(message)
    if status == _OTHER_FORMAT:
        return errors.FormatRefused(message)
    return errors.Refused(message)


def _from_json(content: object) -> str:
    """Find the text in ``{"message": ...}`` or ``{"error": {"message": ...}}``."""
    if isinstance(content, dict):
        for one in (content, *content.values()):
            if isinstance(one, dict):
                for key in ("message", "explanation", "detail"):
                    if isinstance(one.get(key), str):
                        return str(one[key])
    return content if isinstance(content, str) else json.dumps(content)
