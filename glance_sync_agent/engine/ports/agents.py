# SPDX-License-Identifier: Apache-2.0
"""What the agents of one database share, besides their tasks."""

from collections.abc import Callable, Mapping
import datetime
from typing import Protocol

from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images


class LeaderLeases(Protocol):
    """For what one of several agents that share a database does at a time."""

    def take(
        self, name: str, *, owner: str, now: datetime.datetime, until: datetime.datetime
    ) -> bool:
        """Take a turn, or keep it for longer; False if it is somebody else's.

        After ``until`` anybody may take it.

        :raises ServiceUnavailable: the database does not answer.
        """

    def give_back(self, name: str, *, owner: str) -> None:
        """Let the next one have it. Idempotent."""


#: Begins the name of the fact about the newest sources of a region; the region follows.
NEWEST_SOURCES = "newest sources of "


class FactStore(Protocol):
    """What the agents of one database remember together, besides their tasks."""

    def get(self, name: str) -> str | None:
        """Return what is remembered under a name; None: nothing is.

        :raises ServiceUnavailable: the database does not answer.
        """

    def put(self, name: str, value: str) -> None:
        """Remember something in the place of what was remembered under the name. Idempotent.

        :raises ServiceUnavailable: the database does not answer.
        """


class BreakerStore(Protocol):
    """One for each region, for all agents that share a database."""

    def all(self) -> Mapping[images.RegionId, breakers.Breaker]:
        """Return the breakers of the regions that failed last; all others are closed.

        :raises ServiceUnavailable: the database does not answer.
        """

    def change(
        self,
        region: images.RegionId,
        decide: Callable[[breakers.Breaker], breakers.Breaker | None],
    ) -> breakers.Breaker | None:
        """Replace a breaker by what ``decide`` makes of it, unless that is None; return that.

        Nobody else changes it in between: ``decide`` may be asked again for that reason.

        :raises ServiceUnavailable: the database does not answer; nothing was written.
        """
