# SPDX-License-Identifier: Apache-2.0
"""The root of a Glance, from its endpoint in the catalogue."""

import re
from typing import Final

_VERSION: Final = re.compile(r"/v\d+(\.\d+)?/?$")


def root(endpoint: str) -> str:
    """Return an endpoint without the version of the API."""
    return _VERSION.sub("", endpoint).rstrip("/")
