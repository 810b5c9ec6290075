# SPDX-License-Identifier: Apache-2.0
"""Why a TLS handshake failed, and which option helps.

The texts are those of OpenSSL, as Python, urllib3 and keystoneauth1 show them.
"""

from collections.abc import Iterator
import contextlib
import re
import ssl
from typing import Final

from glance_sync_agent import errors

_SECTION: Final = "[service_credentials]"
#: The answer of a server to a client without a certificate, or with an unknown one. In TLS 1.3 it
#: comes after our side of the handshake; nginx sends a page instead.
_CERTIFICATE_WANTED: Final = re.compile(
    r"ALERT_(?:\w*CERTIFICATE\w*|UNKNOWN_CA|HANDSHAKE_FAILURE|ACCESS_DENIED)"
    r"|No required SSL certificate was sent|The SSL certificate error"
)
_REMEDIES: Final = {
    _CERTIFICATE_WANTED: "the server wants a client certificate that it knows: set certfile and "
    f"keyfile in {_SECTION}",
    re.compile(r"mismatch, certificate is not valid for"): "the certificate of the server has "
    "another name: use one of its names in the catalogue, or in image_endpoint of "
    "glance_store.yaml",
    re.compile(r"certificate has expired|certificate is not yet valid"): "renew the certificate "
    "of the server, or set the clock of this machine",
    re.compile(r"CERTIFICATE_VERIFY_FAILED"): f"set cafile in {_SECTION} to the file of the CA "
    "that signed the certificate of the server",
    re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST"): "the port does not use "
    "TLS: use http in the catalogue, or in image_endpoint of glance_store.yaml",
}
#: A server that wants a certificate may hang up before its reason can be read.
_OTHERWISE: Final = (
    "if the server wants a client certificate, set certfile and keyfile in "
    f"{_SECTION}; otherwise read the log of the TLS server"
)
_OPENSSL: Final = re.compile(r"\[SSL: \w+\] (.*?)(?: \(_ssl\.c:\d+\)|$)")


def wants_certificate(text: str) -> bool:
    """Tell whether an answer means that the server wants a client certificate."""
    return _CERTIFICATE_WANTED.search(text) is not None


def is_refusal(failure: Exception) -> bool:
    """Tell whether a connection broke because the server refused our certificate."""
    return isinstance(failure, ssl.SSLError) and wants_certificate(str(failure))


def failed(what: str, seen: object, *, region: str | None = None) -> errors.HandshakeFailed:
    """Return the error of a handshake.

    :param what: the attempt.
    :param seen: an error of OpenSSL, or a text that contains one.
    """
    text = str(seen)
    remedy = next((one for sign, one in _REMEDIES.items() if sign.search(text)), _OTHERWISE)
    found = _OPENSSL.search(text)
    reason = found[1] if found else text
    return errors.HandshakeFailed(
        f"{what}: the TLS handshake failed: {reason}", remedy=remedy, region=region
    )


@contextlib.contextmanager
def shaking_hands(what: str) -> Iterator[None]:
    """Raise a failure of the stream as one of the handshake.

    :raises HandshakeFailed: for any failure of the connection.
    """
    try:
        yield
    except OSError as exc:
        raise failed(what, exc) from exc
