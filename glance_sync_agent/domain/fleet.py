# SPDX-License-Identifier: Apache-2.0
"""The agents of one database, and what they are busy with."""

from collections.abc import Mapping
import dataclasses
import datetime

from glance_sync_agent.domain import images

#: An agent reports much more often than that.
_ALIVE = datetime.timedelta(seconds=30)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """What an agent reported last. All times are aware UTC."""

    agent_id: str
    host: str
    version: str
    started_at: datetime.datetime
    seen_at: datetime.datetime
    stopped_at: datetime.datetime | None = None  # None: it runs, or it ended without a word
    heard_at: datetime.datetime | None = None  # the last message from the bus
    scanned_at: datetime.datetime | None = None  # the last full scan
    scanned_changes_at: datetime.datetime | None = None  # the last incremental scan
    running: int = 0  # tasks that it works on
    waits_for: str = ""  # a service without which it does nothing

    def is_alive(self, now: datetime.datetime) -> bool:
        """Tell whether the agent has reported lately, and has not stopped."""
        return self.stopped_at is None and now - self.seen_at <= _ALIVE


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """The tasks of one region."""

    #: By status and code, as the database has them.
    tasks: Mapping[tuple[str, str], int]
    waiting_bytes: int  # that tasks without data still have to copy
    #: Since when the oldest unfinished task has been asked for; None: all are finished.
    oldest_asked_at: datetime.datetime | None
    late: int  # unfinished tasks that were asked for too long ago

    def with_status(self, status: str) -> int:
        """Return the number of tasks with a status."""
        return sum(count for (found, _), count in self.tasks.items() if found == status)


RegionCounts = Mapping[images.RegionId, Counts]
