# SPDX-License-Identifier: Apache-2.0
"""Is a region's Glance there, and would it let us work? Asked without leaving a trace."""

import dataclasses
import threading
from typing import Any

from glance_sync_agent.domain import images
from glance_sync_agent.drivers import glance_calls
from glance_sync_agent.drivers import keystone

_FORBIDDEN = 403


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a look at a Glance showed, for an operator to read."""

    version: str  # of the Images API; "unknown version" if Glance does not tell
    #: Whether Glance takes us for an administrator, who may list every project's images and
    #: create one with any id and owner.
    is_admin: bool


def probe(*, region: images.RegionId, session: keystone.Session, endpoint: str) -> Found:
    """Ask one Glance, once.

    :param endpoint: of the region's Glance, as in the catalogue.
    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: Glance does not let us list images.
    """
    calls = glance_calls.Calls(
        region=region,
        session=session,
        endpoint=endpoint,
        retries=glance_calls.Retries(attempts=1),
        stop=threading.Event(),
    )
    calls.ask("GET", "/images?visibility=all&limit=1")
    return Found(version=_version(session, endpoint), is_admin=is_admin(calls))


def is_admin(calls: glance_calls.Calls) -> bool:
    """Tell whether Glance takes us for an administrator.

    :raises ServiceUnavailable: no answer, or one that means "not now".
    :raises Refused: Glance said no to the question itself.
    """
    # Of what only an administrator may do, this is the oldest request that changes nothing
    # (glance/policies/tasks.py: tasks_api_access).
    answer = calls.ask("GET", "/tasks?limit=1", expected=frozenset({_FORBIDDEN}))
    return answer.status != _FORBIDDEN


def _version(session: keystone.Session, endpoint: str) -> str:
    root = endpoint.rstrip("/").removesuffix("/v2")
    try:
        answer: Any = session.get(f"{root}/versions", authenticated=False, raise_exc=False)
        found = [one["id"] for one in answer.json()["versions"] if one["status"] == "CURRENT"]
    except (*keystone.FAILURES, ValueError, KeyError, TypeError):
        found = []
    return str(found[0]) if found else "unknown version"
