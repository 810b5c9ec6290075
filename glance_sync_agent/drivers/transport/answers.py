# SPDX-License-Identifier: Apache-2.0
"""What a Glance says in an answer that is an error: its words, the remedy, the pause."""

import html
import json
import re
from typing import Final, Protocol

from urllib3 import exceptions
from urllib3 import util

_EXPLANATION_CHARACTERS: Final = 300
_LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0
_MARKUP: Final = re.compile(
    r"<(style|title|h1|script)\b.*?</\1>|<[^>]*>", re.IGNORECASE | re.DOTALL
)
_RETRY: Final = util.Retry()

_LEAVE_OUT: Final = "leave some out with [metadata] exclude_properties"
#: By a sign in the texts of Glance (glance/common/exception.py), cursive and oslo.limit.
_REMEDIES: Final = {
    re.compile(r"number of allowed image properties"): "raise image_property_quota of that "
    "Glance, for a copy carries glance_sync_* beside the properties of its source, or "
    f"{_LEAVE_OUT}",
    re.compile(r"number of allowed image tags"): "raise image_tag_quota of that Glance",
    re.compile(r"number of allowed image members"): "raise image_member_quota of that Glance",
    # Glance compares the usage of the project that our token is of, whoever owns the image
    # (glance/quota/keystone.py).
    re.compile(r"is over a limit for"): "raise the limit of the agent's project in Keystone for "
    "that region: Glance counts the images that this project owns there",
    re.compile(r"will exceed the limit\. \S+ bytes remaining"): "raise user_storage_quota of that "
    "Glance",
    re.compile(r"Signature verification"): "bring the certificate that "
    "img_signature_certificate_uuid names into the key manager of that region, under that id, or "
    "leave the signature out with [metadata] exclude_properties = img_signature*",
    re.compile(r"Attribute '(?P<name>[^']+)' is reserved"): "let property_protection_file of that "
    "Glance give the agent's roles all rights on {name}; a property of its source can be left out "
    "with [metadata] exclude_properties instead",
}


class Headers(Protocol):
    """Those of an answer, by requests or by http.client."""

    def get(self, name: str, /) -> str | None:
        """Return a header; None: there is none."""


def remedy(said: str) -> str:
    """Return what to do, to be put behind a reason; empty if that is not known.

    :param said: by Glance, in an answer that is an error.
    """
    for sign, text in _REMEDIES.items():
        if found := sign.search(said):
            return f"; {text.format(**found.groupdict())}"
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
    """Return the seconds of ``Retry-After``, an hour at most; None: there is no such pause."""
    text = headers.get("Retry-After")
    if text is None:
        return None
    try:
        seconds = _RETRY.parse_retry_after(text)
    except (exceptions.InvalidHeader, ValueError):  # ValueError: more digits than Python reads
        return None
    return min(float(seconds), _LONGEST_RETRY_AFTER_SECONDS)


def _from_json(content: object) -> str:
    """Find what is said in ``{"message": ...}`` or ``{"error": {"message": ...}}``."""
    if isinstance(content, dict):
        for one in (content, *content.values()):
            if isinstance(one, dict):
                for key in ("message", "explanation", "detail"):
                    if isinstance(one.get(key), str):
                        return str(one[key])
    return content if isinstance(content, str) else json.dumps(content)
