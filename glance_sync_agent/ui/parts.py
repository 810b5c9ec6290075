# SPDX-License-Identifier: Apache-2.0
"""What the page needs from outside."""

from collections.abc import Callable, Mapping
import dataclasses
import datetime
from typing import Protocol

from glance_sync_agent.ui.api_client import ApiClient
from glance_sync_agent.ui.api_client import Wsgi
from glance_sync_agent.ui.rendering import Templates
from glance_sync_agent.ui.sessions import Sealer
from glance_sync_agent.ui.throttle import Throttle


class Issued(Protocol):
    """A token, and for whom Keystone issued it."""

    @property
    def token(self) -> str:
        """Return the token itself."""

    @property
    def expires_at(self) -> datetime.datetime:
        """Return its end, aware."""

    @property
    def user(self) -> str:
        """Return the name of its user."""

    @property
    def scope(self) -> str:
        """Return the name of its project, or that of the deployment."""


class LogIns(Protocol):
    """Keystone, as users of the page need it."""

    def log_in(
        self, user: str, password: str, *, domain: str, project: str, project_domain: str
    ) -> Issued:
        """Return a token.

        :param project: empty: a token for the whole deployment.
        :raises Refused: the user, the password or the scope is wrong.
        :raises ServiceUnavailable: Keystone does not answer.
        """

    def log_out(self, token: str) -> None:
        """Revoke a token.

        :raises SyncError: Keystone did not do it.
        """


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PageParts:
    """The page's surroundings; requests share them."""

    api: Wsgi
    log_ins: LogIns
    sealer: Sealer
    throttle: Throttle
    templates: Templates
    now: Callable[[], float]  # seconds since the epoch

    def client(self, token: str, browser: Mapping[str, str]) -> ApiClient:
        """Return the API as the user of a token may use it."""
        return ApiClient(self.api, token, browser)
