# SPDX-License-Identifier: Apache-2.0
"""The parts that work on tasks."""

import functools

from glance_sync_agent.engine import snapshots
from glance_sync_agent.engine.assembly.shared_parts import SharedParts
from glance_sync_agent.engine.attempts import attempt
from glance_sync_agent.engine.attempts import busy_copies
from glance_sync_agent.engine.attempts import execution
from glance_sync_agent.engine.attempts import large_slots
from glance_sync_agent.engine.attempts import paused_regions
from glance_sync_agent.engine.attempts import references
from glance_sync_agent.engine.attempts import region_health
from glance_sync_agent.engine.attempts import runner
from glance_sync_agent.engine.attempts import worker
from glance_sync_agent.engine.transfer import downloads
from glance_sync_agent.engine.transfer import origins
from glance_sync_agent.engine.transfer import transfers


class AttemptParts:
    """The parts that work on tasks."""

    def __init__(self, shared: SharedParts) -> None:
        self._shared = shared
        self._outside = shared.outside
        self._settings = shared.settings
        self._runtime = shared.runtime

    @functools.cached_property
    def origins(self) -> origins.Origins:
        """The regions from which the bytes of an image are read."""
        return origins.Origins(self._outside, self.downloads, lambda: self._settings().origins)

    @functools.cached_property
    def downloads(self) -> downloads.Downloads:
        """The reads of image data that run."""
        return downloads.Downloads(self._outside.regions)

    @functools.cached_property
    def transfers(self) -> transfers.Transfers:
        """The way of image data from an origin into a copy."""
        return transfers.Transfers(
            self._outside, self._runtime.stop, self.origins, self.downloads
        )

    @functools.cached_property
    def slots(self) -> large_slots.LargeSlots:
        """The slots of large images."""
        return large_slots.LargeSlots(self._settings().slots)

    @functools.cached_property
    def executor(self) -> execution.Executor:
        """Executes the actions of attempts."""
        return execution.Executor(
            self._outside,
            lambda: self._settings().attempts.limits,
            self._runtime,
            self.transfers,
            self.slots,
        )

    @functools.cached_property
    def runner(self) -> runner.Runner:
        """Runs attempts."""
        parts = attempt.Parts(
            sources=self._shared.source_views,
            targets=self._shared.targets,
            wanted_copies=self._shared.wanted_copies,
            location_records=self._shared.location_records,
            busy_copies=busy_copies.BusyCopies(self._outside.clock),
            executor=self.executor,
        )
        return runner.Runner(
            self._outside, lambda: self._settings().attempts, self._runtime.stop, parts
        )

    @functools.cached_property
    def region_health(self) -> region_health.RegionHealth:
        """The breakers of regions."""
        return region_health.RegionHealth(
            kept=self._outside.breakers,
            policy=lambda: self._settings().breakers,
            clock=self._outside.clock,
            chance=self._runtime.chance,
        )

    @functools.cached_property
    def worker(self) -> worker.Worker:
        """Claims tasks and works on them."""
        parts = worker.WorkerParts(
            runner=self.runner,
            region_health=self.region_health,
            slots=self.slots,
            paused=paused_regions.PausedRegions(self._outside, self._shared.current_pauses),
            references=references.References(
                regions=self._outside.regions,
                store=self._outside.store,
                requests=self._shared.requests,
                cascading=self._outside.catalogue.cascading,
            ),
        )
        return worker.Worker(
            self._outside, lambda: self._settings().worker, self._runtime, parts
        )

    @functools.cached_property
    def snapshots(self) -> snapshots.SnapshotWatch:
        """Waits for the data of snapshots."""
        return snapshots.SnapshotWatch(
            self._outside,
            self._shared.requests,
            self._shared.source_views,
            self._shared.remote_sources,
        )
