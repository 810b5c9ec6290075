# SPDX-License-Identifier: Apache-2.0
"""One request: what it asks, and who asks it."""

from collections.abc import Mapping
import dataclasses
from typing import Any
import urllib.parse

from glance_sync_agent.api import schemas
from glance_sync_agent.api.callers import Caller
from glance_sync_agent.api.parts import Parts
from glance_sync_agent.api.policies import Policies


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """A request whose parameters match the schemas of its operation."""

    parts: Parts
    policies: Policies
    caller: Caller
    path: Mapping[str, str]  # variables of the path
    query: Mapping[str, Any]
    body: Mapping[str, Any]

    def page_after(self, path: str, marker: str | int) -> str:
        """Return the address of the page that follows a marker, with the same filters."""
        return f"{path}?{urllib.parse.urlencode({**self.query, 'marker': marker})}"


#: What a handler returns: an object that is answered as JSON.
Answer = Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """The parameters of an operation, by their names."""

    query: Mapping[str, schemas.Schema] = dataclasses.field(default_factory=dict)
    body: Mapping[str, schemas.Schema] | None = None  # None: it has no body
    required: tuple[str, ...] = ()  # of the body


NO_INPUTS = Inputs()
