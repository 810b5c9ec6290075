# SPDX-License-Identifier: Apache-2.0
"""Compares URLs of image endpoints by where they lead, not by their spelling."""

from collections.abc import Iterable
import re
from typing import Final, TypeAlias
import urllib.parse

from glance_sync_agent.domain import images

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_VERSION: Final = re.compile(r"/v\d+(\.\d+)?$")

#: Scheme, host, port and path; host and port are None if the URL has no valid ones.
Address: TypeAlias = tuple[str, str | None, int | None, str]


def normalised(url: str) -> Address:
    """Return the address of an endpoint, without the version of its API."""
    scheme, host, port, path = _address(url)
    return scheme, host, port, _VERSION.sub("", path.rstrip("/")).rstrip("/")


def region_of(
    url: str, endpoints: Iterable[tuple[str, images.RegionId]]
) -> images.RegionId | None:
    """Return the region of the longest endpoint that ``url`` is below.

    None: it is below none, or several regions share that endpoint.
    """
    scheme, host, port, path = _address(url)
    found: dict[str, set[images.RegionId]] = {}
    for endpoint, region in endpoints:
        *address, prefix = normalised(endpoint)
        if address == [scheme, host, port] and path.startswith(f"{prefix}/"):
            found.setdefault(prefix, set()).add(region)
    regions = found[max(found, key=len)] if found and host and port else set()
    return next(iter(regions)) if len(regions) == 1 else None


def _address(url: str) -> Address:
    try:
        parts = urllib.parse.urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:  # a bracket without a partner, or a port that is no number
        return "", None, None, url
    return scheme, host, port or _DEFAULT_PORTS.get(scheme), parts.path
