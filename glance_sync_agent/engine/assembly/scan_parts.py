# SPDX-License-Identifier: Apache-2.0
"""The parts that compare regions with their sources."""

from collections.abc import Callable
import functools

from glance_sync_agent.domain import images
from glance_sync_agent.engine.assembly.attempt_parts import AttemptParts
from glance_sync_agent.engine.assembly.shared_parts import SharedParts
from glance_sync_agent.engine.marks import adoption
from glance_sync_agent.engine.marks import census
from glance_sync_agent.engine.marks import settling
from glance_sync_agent.engine.reconcile import brake
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import page_comparison
from glance_sync_agent.engine.reconcile import pairs
from glance_sync_agent.engine.reconcile import region_comparison
from glance_sync_agent.engine.reconcile import scan
from glance_sync_agent.engine.reconcile import scan_schedule
from glance_sync_agent.engine.reconcile import scan_state
from glance_sync_agent.engine.reconcile import source_history
from glance_sync_agent.engine.reconcile import source_walk
from glance_sync_agent.engine.reconcile import task_walk


class ScanParts:
    """The parts that compare regions with their sources."""

    def __init__(self, shared: SharedParts, attempts: AttemptParts) -> None:
        self._shared = shared
        self._outside = shared.outside
        self._settings = shared.settings
        self._runtime = shared.runtime
        self._attempts = attempts

    def make_scan(self, kind: scan.ScanKind, receive: differences.Receiver) -> scan.Scan:
        """Return a scan.

        :param receive: takes the differences; the only part that may write tasks.
        """
        outside, stop = self._outside, self._runtime.stop
        facts = source_history.ReadOnlyFacts(outside.facts) if kind.is_dry else outside.facts
        deletion_brake = brake.DeletionBrake(
            outside,
            source_history.MissingSources(
                source_history.note_nothing if kind.is_dry else outside.store.note_missing,
                outside.clock,
                lambda: self._settings().scans.gone_grace,
            ),
            source_history.NewestSources(facts),
            receive,
            is_accepted=kind.is_accepted,
        )
        pages = page_comparison.PageComparison(
            self._shared.targets,
            pairs.Pairs(
                outside,
                self._shared.targets,
                self._shared.wanted_copies,
                self._shared.remote_sources,
                self._runtime.is_keystone_away,
            ),
            region_comparison.RegionComparison(
                outside.regions,
                self._shared.targets,
                self._shared.wanted_copies,
                self._shared.location_records,
                lambda: self._settings().attempts.delete_out_of_strategy,
            ),
            kind.members,
            receive,
        )
        origins = self._snapshot_origins()
        return scan.Scan(
            source_walk.SourceWalk(outside, pages, deletion_brake, stop, origins),
            task_walk.TaskWalk(outside, pages, deletion_brake, receive, origins),
            deletion_brake,
            kind,
            stop,
        )

    @functools.cached_property
    def scan(self) -> scan.Scan:
        """The scan of the agent."""
        members = member_scans.SpreadMemberScans(
            facts=self._outside.facts,
            clock=self._outside.clock,
            intervals=lambda: self._settings().scans.intervals,
            are_ours=self._shared.wanted_copies.have_our_members,
        )
        kind = scan.ScanKind(
            members=members,
            max_deletes=lambda: self._settings().scans.max_deletes,
            unavailable=self._attempts.region_health.open_regions,
        )
        return self.make_scan(kind, differences.requesting(self._shared.requests))

    @functools.cached_property
    def scan_schedule(self) -> scan_schedule.ScanSchedule:
        """Runs scans by the clock, in one of several agents."""
        return scan_schedule.ScanSchedule(
            run_scan=self._run_scan,
            lease=self._shared.lease("reconcile"),
            clock=self._outside.clock,
            intervals=lambda: self._settings().scans.intervals,
            chance=self._runtime.chance,
            count_marked=self.count_marked,
        )

    def _run_scan(
        self, scope: scan_state.Scope, renew_lease: Callable[[], None]
    ) -> scan_state.ScanReport:
        report = self.scan.run(scope, renew_lease)
        self._shared.vital_signs.note_scan(self._outside.clock.now(), is_full=scope.deletions)
        return report

    @functools.cached_property
    def census(self) -> census.Census:
        """Counts the marked images of regions."""
        origins = sorted(self._settings().scans.snapshot_origins)
        return census.Census(self._outside, self._shared.wanted_copies, origins)

    @functools.cached_property
    def adoption(self) -> adoption.Adoption:
        """Notes images as the copies of their sources."""
        return adoption.Adoption(self._outside, self.census)

    def count_marked(self) -> None:
        """Count the marked images of all regions, and adopt copies that no task knows."""
        self.adoption.adopt_unknown(sorted(self._outside.catalogue.regions()))

    @functools.cached_property
    def settling(self) -> settling.Settling:
        """Settles single images as an operator says."""
        return settling.Settling(self._outside, self.census, self.adoption)

    def _snapshot_origins(self) -> list[images.RegionId]:
        named = self._settings().scans.snapshot_origins
        if not named:
            return []
        # A region that left the catalogue would be missing in every scan.
        return sorted(set(named) & self._outside.catalogue.regions())
