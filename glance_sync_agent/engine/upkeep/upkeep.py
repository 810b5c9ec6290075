# SPDX-License-Identifier: Apache-2.0
"""Reports that the agent is alive. One agent counts the tasks, and removes old events."""

from collections.abc import Callable
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import fleet
from glance_sync_agent.engine import leadership
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import vital_signs
from glance_sync_agent.engine.reports import task_counts
from glance_sync_agent.engine.upkeep.upkeep_settings import UpkeepSettings

LOG = logging.getLogger(__name__)

#: Seconds between two reports.
REPORT_SECONDS = 5.0
#: Seconds between two counts; a count that takes long is made less often.
_COUNT_SECONDS = 10.0
_COUNT_SHARE = 5  # a count takes at most a fifth of the time
_REMOVE_SECONDS = 3600.0
_BATCH = 1000  # events that one statement removes
_BATCHES = 10  # between two reports


class Upkeep:
    """Does what is due. For one thread."""

    def __init__(
        self,
        outside: ports.Ports,
        lease: leadership.LeaderLease,
        runtime: ports.Runtime,
        signs: vital_signs.VitalSigns,
        settings: Callable[[], UpkeepSettings],
        running: Callable[[], int],
    ) -> None:
        """Begin now.

        :param running: returns the number of tasks that the agent works on.
        """
        self._outside = outside
        self._clock = outside.clock
        self._lease = lease
        self._runtime = runtime
        self._signs = signs
        self._settings = settings
        self._running = running
        self._started_at = outside.clock.now()
        self._count_at = self._remove_at = outside.clock.monotonic()

    def run(self, waits_for: str = "") -> float:
        """Report, and do what is due; return the seconds until the next call.

        :param waits_for: without which the agent does nothing; empty: it works.
        """
        self._do("report to the other agents", lambda: self._report(waits_for))
        self._do("count the tasks, or remove old events", self._lead)
        return REPORT_SECONDS

    def _do(self, what: str, work: Callable[[], None]) -> None:
        try:
            work()
        except errors.SyncError as exc:
            LOG.warning("Could not %s: %s", what, exc)
        except Exception:  # copying goes on without upkeep
            LOG.exception("Could not %s", what)

    def end(self) -> None:
        """Report that the agent stops, and let another agent lead.

        :raises ServiceUnavailable: the database does not answer.
        """
        self._report("", stopped_at=self._clock.now())
        self._lease.give_back()

    def _report(self, waits_for: str, *, stopped_at: datetime.datetime | None = None) -> None:
        owner = self._runtime.owner
        self._outside.agents.report(
            fleet.Agent(
                agent_id=owner,
                host=owner.partition(":")[0],
                version=self._runtime.version,
                started_at=self._started_at,
                seen_at=self._clock.now(),
                stopped_at=stopped_at,
                heard_at=self._signs.heard_at,
                scanned_at=self._signs.scanned_at,
                scanned_changes_at=self._signs.scanned_changes_at,
                running=self._running(),
                waits_for=waits_for,
            )
        )

    def _lead(self) -> None:
        if not self._lease.take():
            return
        settings, now = self._settings(), self._clock.monotonic()
        if now >= self._remove_at:
            self._remove_at = now + _REMOVE_SECONDS
            self._remove(datetime.timedelta(days=settings.history_days))
        if now >= self._count_at:
            self._count_at = now + _COUNT_SECONDS
            task_counts.refresh(self._outside, settings.completion_target)
            taken = self._clock.monotonic() - now
            self._count_at = now + max(_COUNT_SECONDS, _COUNT_SHARE * taken)

    def _remove(self, age: datetime.timedelta) -> None:
        """Remove what is old, or a part of it; the next call goes on."""
        before = self._clock.now() - age
        self._outside.agents.remove(before)
        self._outside.jobs.remove(before)
        for _ in range(_BATCHES):
            if self._runtime.ending.is_set():
                return
            if self._outside.history.remove(before, _BATCH) < _BATCH:
                return
        self._remove_at = self._clock.monotonic()
