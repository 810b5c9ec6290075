# SPDX-License-Identifier: Apache-2.0
"""Where a Glance is."""

import dataclasses
import urllib.parse

from glance_sync_agent import errors

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where a Glance is."""

    scheme: str
    host: str
    port: int
    prefix: str = ""  # before /v2

    @property
    def host_header(self) -> str:
        """The value of ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host_header}{self.prefix}"


def parse(url: str) -> Endpoint:
    """Read an image endpoint as the catalogue or an operator writes it.

    :raises ConfigurationError: it is no http or https URL.
    """
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:  # a port that is no number, or brackets that do not match
        parts, port = urllib.parse.urlsplit(""), None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username:
        # The message shows the host only, because the URL may hold a password.
        raise errors.ConfigurationError(
            f"image endpoint with host {parts.hostname!r}: expected http(s)://HOST[:PORT][/PATH]"
        )
    path = parts.path.rstrip("/")
    return Endpoint(
        scheme=parts.scheme,
        host=parts.hostname,
        port=port or _DEFAULT_PORTS[parts.scheme],
        prefix=path.removesuffix("/v2"),
    )
