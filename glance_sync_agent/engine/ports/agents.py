# SPDX-License-Identifier: Apache-2.0
"""What the agents of one database share, besides their tasks."""

from collections.abc import Callable, Mapping
import datetime
from typing import Protocol

from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images


class LeaderLeases(Protocol):
    """Leases on jobs that only one of several agents may do at a time."""

    def take(
        self, name: str, *, owner: str, now: datetime.datetime, until: datetime.datetime
    ) -> bool:
        """Take or extend a lease; return False if another agent holds it.

        After ``until`` any agent may take it.

        :raises ServiceUnavailable: the database is unreachable.
        """

    def give_back(self, name: str, *, owner: str) -> None:
        """Give a lease back, if ``owner`` holds it. Idempotent.

        :raises ServiceUnavailable: the database is unreachable.
        """


#: The region follows in the name of the fact about its newest sources.
NEWEST_SOURCES = "newest sources of "


class FactStore(Protocol):
    """Texts by name that the agents of one database share."""

    def get(self, name: str) -> str | None:
        """Return the value of a fact; None if it has none.

        :raises ServiceUnavailable: the database is unreachable.
        """

    def put(self, name: str, value: str) -> None:
        """Set the value of a fact. Idempotent.

        :raises ServiceUnavailable: the database is unreachable.
        """

    def change(self, name: str, decide: Callable[[str | None], str | None]) -> str | None:
        """Replace the value of a fact by the answer of ``decide``, unless that is None.

        ``decide`` is called again if another agent changed the fact in the meantime.

        :returns: the value after that.
        :raises ServiceUnavailable: the database is unreachable; nothing was written.
        """


class BreakerStore(Protocol):
    """The circuit breakers of the regions, for all agents of one database."""

    def all(self) -> Mapping[images.RegionId, breakers.Breaker]:
        """Return the breakers of the regions that failed last; all others are closed.

        :raises ServiceUnavailable: the database is unreachable.
        """

    def change(
        self,
        region: images.RegionId,
        decide: Callable[[breakers.Breaker], breakers.Breaker | None],
    ) -> breakers.Breaker | None:
        """Replace a breaker by the answer of ``decide``, unless that is None; return the answer.

        ``decide`` is called again if another agent changed the breaker in the meantime.

        :raises ServiceUnavailable: the database is unreachable; nothing was written.
        """
