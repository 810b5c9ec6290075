# SPDX-License-Identifier: Apache-2.0
"""What the agents of one database share, besides their tasks."""

from collections.abc import Callable, Mapping, Sequence
import datetime
from typing import Protocol

from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import fleet
from glance_sync_agent.domain import history
from glance_sync_agent.domain import images
from glance_sync_agent.domain import pauses


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


class EventStore(Protocol):
    """What happened, for all agents of one database. Nothing changes an event."""

    def add(self, events: Sequence[history.Event]) -> None:
        """Keep events, in one commit.

        :raises ServiceUnavailable: the database is unreachable.
        """

    def newest(
        self, limit: int, event_filter: history.Filter = history.ALL
    ) -> Sequence[history.Recorded]:
        """Return up to ``limit`` events that match a filter, the newest first.

        :raises ServiceUnavailable: the database is unreachable.
        """

    def remove(self, before: datetime.datetime, limit: int) -> int:
        """Remove up to ``limit`` events that are older than a time; return how many.

        :raises ServiceUnavailable: the database is unreachable.
        """


class AgentStore(Protocol):
    """What the agents of one database report."""

    def all(self) -> Sequence[fleet.Agent]:
        """Return all agents that reported, by their ids.

        :raises ServiceUnavailable: the database is unreachable.
        """

    def report(self, agent: fleet.Agent) -> None:
        """Keep what an agent reports, instead of what it reported before.

        :raises ServiceUnavailable: the database is unreachable.
        """

    def remove(self, before: datetime.datetime) -> int:
        """Remove the agents that reported last before a time; return how many.

        :raises ServiceUnavailable: the database is unreachable.
        """


class PauseStore(Protocol):
    """The pauses of the regions, for all agents of one database."""

    def all(self) -> Mapping[images.RegionId, pauses.Pause]:
        """Return the pauses of the regions that are paused.

        :raises ServiceUnavailable: the database is unreachable.
        """

    def pause(self, region: images.RegionId, pause: pauses.Pause) -> None:
        """Pause a region, or replace its pause. Idempotent.

        :raises ServiceUnavailable: the database is unreachable.
        """

    def resume(self, region: images.RegionId) -> bool:
        """End the pause of a region; return whether it was paused.

        :raises ServiceUnavailable: the database is unreachable.
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
