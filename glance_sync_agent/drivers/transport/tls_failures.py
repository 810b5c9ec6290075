# SPDX-License-Identifier: Apache-2.0
"""What a failed TLS handshake was about, and which option mends that.

The texts are OpenSSL's, as Python, urllib3 and keystoneauth1 hand them on.
"""

from collections.abc import Iterator
import contextlib
import re
import ssl
from typing import Final

from glance_sync_agent import errors

_SECTION: Final = "[service_credentials]"
#: A server's answer to a client without a certificate, or with one that it does not know. In
#: TLS 1.3 it comes when our side of the handshake is over already; nginx sends a page instead.
_CERTIFICATE_WANTED: Final = re.compile(
    r"ALERT_(?:\w*CERTIFICATE\w*|UNKNOWN_CA|HANDSHAKE_FAILURE|ACCESS_DENIED)"
    r"|No required SSL certificate was sent|The SSL certificate error"
)
_REMEDIES: Final = {
    _CERTIFICATE_WANTED: "that server wants a client certificate that it knows: let certfile and "
    f"keyfile of {_SECTION} name one",
    re.compile(r"mismatch, certificate is not valid for"): "the certificate of that server is "
    "for another name: use one of its names in the catalogue, or in image_endpoint of "
    "glance_store.yaml",
    re.compile(r"certificate has expired|certificate is not yet valid"): "renew the certificate "
    "of that server, or set the clock of this machine",
    re.compile(r"CERTIFICATE_VERIFY_FAILED"): f"let cafile of {_SECTION} name the file of the CA "
    "that signed the certificate of that server",
    re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|HTTP_REQUEST"): "that port speaks no "
    "TLS: use http in the catalogue, or in image_endpoint of glance_store.yaml",
}
#: A server that wants a certificate may hang up before anybody could read its reason.
_OTHERWISE: Final = (
    f"if that server wants a client certificate, let certfile and keyfile of {_SECTION} name "
    "one; otherwise look into the log of what ends TLS there"
)
_OPENSSL: Final = re.compile(r"\[SSL: \w+\] (.*?)(?: \(_ssl\.c:\d+\)|$)")


def wants_certificate(text: str) -> bool:
    """Tell whether an answer means that the server takes no client without a certificate."""
    return _CERTIFICATE_WANTED.search(text) is not None


def is_refusal(failure: Exception) -> bool:
    """Tell whether a connection broke because the server did not take our certificate."""
    return isinstance(failure, ssl.SSLError) and wants_certificate(str(failure))


def failed(what: str, seen: object, *, region: str | None = None) -> errors.HandshakeFailed:
    """Return the error for a handshake.

    :param what: was attempted.
    :param seen: an error of OpenSSL, or a text that contains one.
    """
    text = str(seen)
    remedy = next((one for sign, one in _REMEDIES.items() if sign.search(text)), _OTHERWISE)
    found = _OPENSSL.search(text)
    told = found[1] if found else text
    return errors.HandshakeFailed(
        f"{what}: the TLS handshake failed: {told}", remedy=remedy, region=region
    )


@contextlib.contextmanager
def shaking_hands(what: str) -> Iterator[None]:
    """Tell a failure as one of the handshake.

    :raises HandshakeFailed: for any failure of the connection.
    """
    try:
        yield
    except OSError as exc:
        raise failed(what, exc) from exc
