# SPDX-License-Identifier: Apache-2.0
"""What each thread of the agent does until the agent stops."""

import contextlib
import logging

from glance_sync_agent import errors
from glance_sync_agent.cmd.daemon import threads
from glance_sync_agent.cmd.daemon import watchdog
from glance_sync_agent.engine.jobs.runner import JobRunner
from glance_sync_agent.wiring.agent import Agent
from glance_sync_agent.wiring.configuration import Configuration

LOG = logging.getLogger(__name__)

#: Seconds between two reads of the table when nothing wakes the agent. A command takes effect
#: after that long at most.
_POLL_SECONDS = 1.0
#: Seconds that the message bus gets before the first scan.
_BUS_PATIENCE_SECONDS = 5.0
#: Seconds between two reads of the table while tasks run.
_BATCH_SECONDS = 0.1


class Loops:
    """The loops of one agent; each runs in a thread of its own."""

    def __init__(
        self,
        agent: Agent,
        configuration: Configuration,
        signals: threads.Signals,
        dog: watchdog.Watchdog,
    ) -> None:
        self._engine = agent.engine
        self._set_clock = agent.set_clock
        self._configuration = configuration
        self._signals = signals
        self._watchdog = dog

    @property
    def _is_enabled(self) -> bool:
        return self._configuration.settings.sync_enabled

    def dispatch(self) -> None:
        """Start the tasks that are due; only this loop feeds the watchdog."""
        while not self._signals.stopping.is_set():
            self._watchdog.feed()
            self._signals.wake.clear()
            try:
                wait = self._dispatch()
            except errors.SyncError as exc:
                wait = _POLL_SECONDS * 5
                LOG.warning("Could not claim tasks; retrying in %g s: %s", wait, exc)
            if wait:
                self._signals.wake.wait(wait)
            # Tasks often end together; one read of the table then finds all their successors.
            self._engine.attempts.worker.wait_idle(_BATCH_SECONDS)

    def _dispatch(self) -> float:
        """Start what is due; return the seconds until the next read of the table."""
        worker = self._engine.attempts.worker
        if not self._is_enabled:
            if worker.running():
                worker.follow_pauses()
            return _POLL_SECONDS
        if worker.dispatch():
            return 0.0
        due = self._engine.outside.store.next_due()
        if due is None:
            return _POLL_SECONDS
        seconds = (due - self._engine.outside.clock.now()).total_seconds()
        # A task that is due and was not claimed waits for a slot; a task that ends wakes us.
        return min(seconds, _POLL_SECONDS) if seconds > 0 else _POLL_SECONDS

    def scan(self) -> None:
        """Scan at start, after a reload, and by the clock.

        The first scan waits until the queue exists, so that no change is missed in between, but
        not for a broker that is unreachable.
        """
        wait: float | None = _BUS_PATIENCE_SECONDS
        while not self._signals.stopping.is_set():
            if self._signals.scan.wait(wait):
                self._signals.scan.clear()
                self._engine.scans.scan_schedule.request_full_scan()
            if self._signals.stopping.is_set() or not self._is_enabled:
                wait = None
                continue
            with contextlib.suppress(errors.SyncError):  # the scan reports the database
                self._set_clock()  # this machine's clock may have changed
            wait = self._engine.scans.scan_schedule.run()

    def snapshots(self) -> None:
        """Check the snapshots that are not active yet."""
        while not self._signals.stopping.wait(
            self._configuration.settings.snapshot_sleep_interval
        ):
            if not self._is_enabled:
                continue
            try:
                self._engine.attempts.snapshots.check()
            except errors.SyncError as exc:
                LOG.warning("Could not check the snapshots; retrying: %s", exc)

    def upkeep(self) -> None:
        """Report to the other agents, and count for everybody."""
        wait = 0.0
        while not self._signals.stopping.wait(wait):
            waits_for = "" if self._is_enabled else "sync_enabled, which is false"
            wait = self._engine.upkeep.upkeep.run(waits_for)

    def asked_scans(self) -> None:
        """Run the scans that people ask for."""
        self._run_jobs(self._engine.jobs.scan_runner)

    def asked_verifications(self) -> None:
        """Run the verifications that people ask for."""
        self._run_jobs(self._engine.jobs.verification_runner)

    def _run_jobs(self, runner: JobRunner) -> None:
        wait = 0.0
        while not self._signals.stopping.wait(wait):
            wait = runner.run() if self._is_enabled else _POLL_SECONDS

    def verify(self) -> None:
        """Read copies back by the clock."""
        wait = 0.0
        while not self._signals.stopping.wait(wait):
            if self._is_enabled:
                wait = self._engine.verification.verify_schedule.run()
            else:
                wait = _POLL_SECONDS
