# SPDX-License-Identifier: Apache-2.0
"""Joins the parts of the engine, for the agent, the commands, the benchmarks and the tests."""

from collections.abc import Callable
import dataclasses
import functools

from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import strategy
from glance_sync_agent.engine import leadership
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import requests
from glance_sync_agent.engine import snapshots
from glance_sync_agent.engine.attempts import attempt
from glance_sync_agent.engine.attempts import attempt_settings
from glance_sync_agent.engine.attempts import busy_copies
from glance_sync_agent.engine.attempts import execution
from glance_sync_agent.engine.attempts import large_slots
from glance_sync_agent.engine.attempts import location_records
from glance_sync_agent.engine.attempts import references
from glance_sync_agent.engine.attempts import region_health
from glance_sync_agent.engine.attempts import remote_sources
from glance_sync_agent.engine.attempts import runner
from glance_sync_agent.engine.attempts import sources
from glance_sync_agent.engine.attempts import worker
from glance_sync_agent.engine.marks import adoption
from glance_sync_agent.engine.marks import census
from glance_sync_agent.engine.marks import settling
from glance_sync_agent.engine.placement import projects
from glance_sync_agent.engine.placement import targets
from glance_sync_agent.engine.placement import wanted_copies
from glance_sync_agent.engine.reconcile import brake
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import page_comparison
from glance_sync_agent.engine.reconcile import pairs
from glance_sync_agent.engine.reconcile import region_comparison
from glance_sync_agent.engine.reconcile import scan
from glance_sync_agent.engine.reconcile import scan_schedule
from glance_sync_agent.engine.reconcile import scan_settings
from glance_sync_agent.engine.reconcile import source_history
from glance_sync_agent.engine.reconcile import source_walk
from glance_sync_agent.engine.reconcile import task_walk
from glance_sync_agent.engine.transfer import downloads
from glance_sync_agent.engine.transfer import origins
from glance_sync_agent.engine.transfer import transfers
from glance_sync_agent.engine.verify import pacing
from glance_sync_agent.engine.verify import read_back
from glance_sync_agent.engine.verify import repairs
from glance_sync_agent.engine.verify import verify_schedule
from glance_sync_agent.engine.verify import verify_settings


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What an operator chose, in groups as the parts of the engine need them."""

    placement: strategy.PlacementPolicy
    metadata: metadata_policy.MetadataPolicy
    project_seconds: float  # for which an answer of Keystone about a project is good
    attempts: attempt_settings.AttemptSettings
    worker: worker.WorkerSettings
    slots: large_slots.SlotSettings
    origins: origins.OriginSettings
    breakers: breakers.BreakerPolicy
    scans: scan_settings.ScanSettings
    verify: verify_settings.VerifySettings


class Engine:
    """The parts. Each is made when it is first asked for, so a command makes only its own.

    They are made by one thread; afterwards many may use them.
    """

    def __init__(
        self, outside: ports.Ports, settings: Callable[[], Settings], runtime: ports.Runtime
    ) -> None:
        self.outside = outside
        self.settings = settings
        self.runtime = runtime

    def make_all(self) -> None:
        """Make the parts that the threads of an agent share, before there are threads.

        :raises SyncError: Keystone does not answer.
        """
        _ = (self.worker, self.scan_schedule, self.verify_schedule, self.snapshots)

    # What many parts share.

    @functools.cached_property
    def projects(self) -> projects.Projects:
        """What Keystone knows of projects."""
        return projects.Projects(
            self.outside.projects,
            self.outside.clock,
            lambda: self.settings().project_seconds,
        )

    @functools.cached_property
    def targets(self) -> targets.Targets:
        """The regions in which an image belongs."""
        return targets.Targets(
            self.outside.catalogue, self.projects, lambda: self.settings().placement
        )

    @functools.cached_property
    def wanted_copies(self) -> wanted_copies.WantedCopies:
        """How a copy should look."""
        return wanted_copies.WantedCopies(
            self.outside.catalogue, lambda: self.settings().metadata, self.outside.store
        )

    @functools.cached_property
    def newest(self) -> source_history.NewestSources:
        """The memory of the newest sources."""
        return source_history.NewestSources(self.outside.facts)

    @functools.cached_property
    def requests(self) -> requests.TaskRequests:
        """The way from an event to tasks."""
        return requests.TaskRequests(
            store=self.outside.store,
            targets=self.targets,
            clock=self.outside.clock,
            wake=self.runtime.wake,
            note_deletion=self.newest.deleted,
        )

    @functools.cached_property
    def location_records(self) -> location_records.LocationRecords:
        """The locations of copies on their sources."""
        return location_records.LocationRecords(
            self.outside.regions,
            self.outside.catalogue.cascading,
            lambda: self.settings().attempts.record_locations,
        )

    @functools.cached_property
    def remote_sources(self) -> remote_sources.RemoteSources:
        """Sources whose data is in another region."""
        return remote_sources.RemoteSources(self.outside.regions, self.outside.catalogue)

    @functools.cached_property
    def source_views(self) -> sources.SourceViews:
        """Sources as they were read last."""
        return sources.SourceViews(
            self.outside.regions,
            self.outside.catalogue.cascading,
            self.remote_sources,
            self.outside.clock,
        )

    # Attempts.

    @functools.cached_property
    def origins(self) -> origins.Origins:
        """The regions from which the bytes of an image are read."""
        return origins.Origins(self.outside, self.downloads, lambda: self.settings().origins)

    @functools.cached_property
    def downloads(self) -> downloads.Downloads:
        """The reads of image data that run."""
        return downloads.Downloads(self.outside.regions)

    @functools.cached_property
    def transfers(self) -> transfers.Transfers:
        """The way of image data from an origin into a copy."""
        return transfers.Transfers(
            self.outside, self.runtime.stop, self.origins, self.downloads
        )

    @functools.cached_property
    def slots(self) -> large_slots.LargeSlots:
        """The slots of large images."""
        return large_slots.LargeSlots(self.settings().slots)

    @functools.cached_property
    def executor(self) -> execution.Executor:
        """Executes the actions of attempts."""
        return execution.Executor(
            self.outside,
            lambda: self.settings().attempts.limits,
            self.runtime,
            self.transfers,
            self.slots,
        )

    @functools.cached_property
    def attempts(self) -> runner.Runner:
        """Runs attempts."""
        parts = attempt.Parts(
            sources=self.source_views,
            targets=self.targets,
            wanted_copies=self.wanted_copies,
            location_records=self.location_records,
            busy_copies=busy_copies.BusyCopies(self.outside.clock),
            executor=self.executor,
        )
        return runner.Runner(
            self.outside, lambda: self.settings().attempts, self.runtime.stop, parts
        )

    @functools.cached_property
    def region_health(self) -> region_health.RegionHealth:
        """The breakers of regions."""
        return region_health.RegionHealth(
            kept=self.outside.breakers,
            policy=lambda: self.settings().breakers,
            clock=self.outside.clock,
            chance=self.runtime.chance,
        )

    @functools.cached_property
    def worker(self) -> worker.Worker:
        """Claims tasks and works on them."""
        parts = worker.WorkerParts(
            runner=self.attempts,
            region_health=self.region_health,
            slots=self.slots,
            references=references.References(
                regions=self.outside.regions,
                store=self.outside.store,
                requests=self.requests,
                cascading=self.outside.catalogue.cascading,
            ),
        )
        return worker.Worker(
            self.outside, lambda: self.settings().worker, self.runtime, parts
        )

    @functools.cached_property
    def snapshots(self) -> snapshots.SnapshotWatch:
        """Waits for the data of snapshots."""
        return snapshots.SnapshotWatch(
            self.outside, self.requests, self.source_views, self.remote_sources
        )

    # Scans.

    def make_scan(self, kind: scan.ScanKind, receive: differences.Receiver) -> scan.Scan:
        """Return a scan.

        :param receive: takes the differences; the only part that may write tasks.
        """
        outside, stop = self.outside, self.runtime.stop
        facts = source_history.ReadOnlyFacts(outside.facts) if kind.is_dry else outside.facts
        deletion_brake = brake.DeletionBrake(
            outside,
            source_history.MissingSources(
                source_history.note_nothing if kind.is_dry else outside.store.note_missing,
                outside.clock,
                lambda: self.settings().scans.gone_grace,
            ),
            source_history.NewestSources(facts),
            receive,
            is_accepted=kind.is_accepted,
        )
        pages = page_comparison.PageComparison(
            self.targets,
            pairs.Pairs(
                outside,
                self.targets,
                self.wanted_copies,
                self.remote_sources,
                self.runtime.is_keystone_away,
            ),
            region_comparison.RegionComparison(
                outside.regions,
                self.targets,
                self.wanted_copies,
                self.location_records,
                lambda: self.settings().attempts.delete_out_of_strategy,
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
            facts=self.outside.facts,
            clock=self.outside.clock,
            intervals=lambda: self.settings().scans.intervals,
            are_ours=self.wanted_copies.have_our_members,
        )
        kind = scan.ScanKind(
            members=members,
            max_deletes=lambda: self.settings().scans.max_deletes,
            unavailable=self.region_health.open_regions,
        )
        return self.make_scan(kind, differences.requesting(self.requests))

    @functools.cached_property
    def scan_schedule(self) -> scan_schedule.ScanSchedule:
        """Runs scans by the clock, in one of several agents."""
        return scan_schedule.ScanSchedule(
            run_scan=self.scan.run,
            lease=self._lease("reconcile"),
            clock=self.outside.clock,
            intervals=lambda: self.settings().scans.intervals,
            chance=self.runtime.chance,
            count_marked=self.count_marked,
        )

    @functools.cached_property
    def census(self) -> census.Census:
        """Counts the marked images of regions."""
        origins = sorted(self.settings().scans.snapshot_origins)
        return census.Census(self.outside, self.wanted_copies, origins)

    @functools.cached_property
    def adoption(self) -> adoption.Adoption:
        """Notes images as the copies of their sources."""
        return adoption.Adoption(self.outside, self.census)

    def count_marked(self) -> None:
        """Count the marked images of all regions, and adopt copies that no task knows."""
        self.adoption.adopt_unknown(sorted(self.outside.catalogue.regions()))

    @functools.cached_property
    def settling(self) -> settling.Settling:
        """Settles single images as an operator says."""
        return settling.Settling(self.outside, self.census, self.adoption)

    # Verification.

    @functools.cached_property
    def read_back(self) -> read_back.Verifier:
        """Reads copies back; writes nothing."""
        pace = pacing.Pace(
            clock=self.outside.clock,
            stop=self.runtime.ending,
            bytes_per_second=lambda: self.settings().verify.max_bytes_per_second,
        )
        return read_back.Verifier(self.outside, self.remote_sources, pace)

    def make_repairs(self, *, has_limit: bool = True) -> repairs.Repairs:
        """Return what requests repairs, for one run.

        :param has_limit: whether ``[verify] max_repairs`` applies.
        """
        return repairs.Repairs(
            store=self.outside.store,
            clock=self.outside.clock,
            wake=self.runtime.wake,
            limit=lambda: self.settings().verify.max_repairs if has_limit else float("inf"),
        )

    @functools.cached_property
    def verify_schedule(self) -> verify_schedule.VerifySchedule:
        """Reads every copy back by the clock, in one of several agents."""
        return verify_schedule.VerifySchedule(
            outside=self.outside,
            lease=self._lease("verify"),
            verifier=self.read_back,
            make_repairs=self.make_repairs,
            settings=lambda: self.settings().verify,
        )

    def _lease(self, job: str) -> leadership.LeaderLease:
        return leadership.LeaderLease(
            job, self.outside.leader_leases, owner=self.runtime.owner, clock=self.outside.clock
        )

    def _snapshot_origins(self) -> list[images.RegionId]:
        named = self.settings().scans.snapshot_origins
        if not named:
            return []
        # A region that left the catalogue would be missing in every scan.
        return sorted(set(named) & self.outside.catalogue.regions())


def assemble(
    outside: ports.Ports, settings: Callable[[], Settings], runtime: ports.Runtime | None = None
) -> Engine:
    """Return an engine; asks nobody yet.

    :param settings: returns those in force; most are asked for each time that they count.
    :param runtime: None: that of a command.
    """
    return Engine(outside, settings, runtime or ports.Runtime())
