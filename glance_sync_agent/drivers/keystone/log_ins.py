# SPDX-License-Identifier: Apache-2.0
"""Logs users in at Keystone; the agent's own user has no part in it."""

import dataclasses
import datetime
from typing import Any, Final

from keystoneauth1 import exceptions
from keystoneauth1.identity import v3

from glance_sync_agent import errors
from glance_sync_agent.drivers.keystone import credentials

_WHOLE: Final = "the whole deployment"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class IssuedToken:
    """A token, and for whom Keystone issued it."""

    token: str = dataclasses.field(repr=False)
    expires_at: datetime.datetime
    user: str
    scope: str


class KeystoneLogIns:
    """Implements ``ui.parts.LogIns``. Thread safe."""

    def __init__(self, session: credentials.Session) -> None:
        """Keep the session, whose connections and TLS settings are used; sends nothing yet."""
        self._session = session

    def log_in(
        self, user: str, password: str, *, domain: str, project: str, project_domain: str
    ) -> IssuedToken:
        """Return a token for a user.

        :param project: empty: for the whole deployment.
        :raises Refused: the user, the password or the scope is wrong.
        :raises ServiceUnavailable: Keystone does not answer.
        """
        plugin = v3.Password(
            self._auth_url(),
            username=user,
            password=password,
            user_domain_name=domain,
            project_name=project or None,
            project_domain_name=project_domain if project else None,
            system_scope=None if project else "all",
        )
        with credentials.translated("log a user in"):
            try:
                found: Any = plugin.get_access(self._session)
            except exceptions.MissingAuthMethods as exc:
                raise errors.Refused(
                    "Keystone wants a second factor of a user, which the page cannot ask for"
                ) from exc
            except (exceptions.BadRequest, exceptions.Unauthorized, exceptions.Forbidden) as exc:
                raise errors.Refused(f"Keystone refuses the log-in of a user: {exc}") from exc
        return IssuedToken(
            token=found.auth_token,
            expires_at=found.expires,
            user=found.username,
            scope=found.project_name if found.project_scoped else _WHOLE,
        )

    def log_out(self, token: str) -> None:
        """Revoke a token.

        :raises SyncError: Keystone did not do it.
        """
        with credentials.translated("log a user out"):
            self._session.delete(
                v3.Token(self._auth_url(), token).token_url,
                headers={"X-Auth-Token": token, "X-Subject-Token": token},
                authenticated=False,
                log=False,
            )

    def _auth_url(self) -> str:
        found = getattr(self._session.auth, "auth_url", None)
        if not found:
            raise errors.ServiceUnavailable(
                "[service_credentials] has no auth_url, so nobody can log in to the page"
            )
        return str(found)
