# SPDX-License-Identifier: Apache-2.0
"""Who asks: what keystonemiddleware found out about the token."""

from collections.abc import Mapping
import dataclasses
from typing import Any

from glance_sync_agent.engine.asked import Asked

_UNKNOWN = "unknown"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """A user whose token Keystone has confirmed."""

    user_id: str
    user_name: str
    project_id: str | None
    roles: frozenset[str]
    is_system: bool  # the token is for the whole deployment
    token: str = dataclasses.field(repr=False)
    request_id: str | None  # of the first request of a chain, if the caller named it

    def credentials(self) -> dict[str, Any]:
        """Return what oslo.policy checks rules against."""
        return {
            "user_id": self.user_id,
            "project_id": self.project_id,
            "roles": sorted(self.roles),
            "system_scope": "all" if self.is_system else None,
        }

    def asks(self) -> Asked:
        """Return that this user asks for something."""
        return Asked(by=f"{self.user_name} ({self.user_id})", request_id=self.request_id)


def _is_system(environ: Mapping[str, Any]) -> bool:
    """Tell whether the user's token is for the whole deployment.

    The header is that of the service token, if there is one (keystonemiddleware/_request.py).
    """
    auth = environ.get("keystone.token_auth")
    if auth is not None and auth.user is not None:
        return bool(auth.user.system_scoped)
    return environ.get("HTTP_OPENSTACK_SYSTEM_SCOPE") == "all"


def caller(environ: Mapping[str, Any]) -> Caller | None:
    """Return who asks; None: Keystone has confirmed no token.

    keystonemiddleware removes these headers from requests before it sets them.
    """
    if environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed":
        return None
    roles = str(environ.get("HTTP_X_ROLES", ""))
    return Caller(
        user_id=str(environ.get("HTTP_X_USER_ID", _UNKNOWN)),
        user_name=str(environ.get("HTTP_X_USER_NAME", _UNKNOWN)),
        project_id=environ.get("HTTP_X_PROJECT_ID"),
        roles=frozenset(one.strip().lower() for one in roles.split(",") if one.strip()),
        is_system=_is_system(environ),
        token=str(environ.get("HTTP_X_AUTH_TOKEN", "")),
        request_id=environ.get("openstack.global_request_id")
        or environ.get("openstack.request_id"),
    )
