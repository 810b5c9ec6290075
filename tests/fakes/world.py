# SPDX-License-Identifier: Apache-2.0
"""A whole cloud in memory, with an engine that works on it."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import datetime
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import events
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import owner_facts
from glance_sync_agent.domain import pause_windows
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.assembly import engine as engines
from glance_sync_agent.engine.assembly.settings import Settings
from glance_sync_agent.engine.attempts import attempt_settings
from glance_sync_agent.engine.attempts import large_slots
from glance_sync_agent.engine.attempts import worker
from glance_sync_agent.engine.reconcile import differences
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan
from glance_sync_agent.engine.reconcile import scan_settings
from glance_sync_agent.engine.transfer import origins
from glance_sync_agent.engine.transfer import progress
from glance_sync_agent.engine.upkeep import upkeep_settings
from glance_sync_agent.engine.verify import verify_settings
from tests.fakes import agents as fake_agents
from tests.fakes import breakers as fake_breakers
from tests.fakes import clock as clocks
from tests.fakes import facts as fake_facts
from tests.fakes import glance
from tests.fakes import jobs as fake_jobs
from tests.fakes import leader_leases
from tests.fakes import pauses as fake_pauses
from tests.fakes import task_store

CASCADING = images.RegionId("RegionOne")
CASCADED = (images.RegionId("RegionTwo"), images.RegionId("RegionThree"))


class FakeCatalogue:
    """``engine.ports.Catalogue``."""

    def __init__(self) -> None:
        self.cascading = CASCADING
        self.names = frozenset({CASCADING, *CASCADED})
        self.project = "agents"
        self.is_down = False

    def regions(self) -> frozenset[images.RegionId]:
        if self.is_down:
            raise errors.ServiceUnavailable("Keystone does not answer")
        return self.names

    def own_project(self) -> str:
        if self.is_down:
            raise errors.ServiceUnavailable("Keystone does not answer")
        return self.project

    def region_of(self, url: str) -> images.RegionId | None:
        names = self.regions()
        return next((name for name in names if url.startswith(f"{glance.endpoint(name)}/")), None)


class FakeIdentity:
    """``engine.ports.ProjectDirectory``; held to ``tests/contract/test_identity.py``."""

    def __init__(self) -> None:
        self.projects: dict[str, owner_facts.Project] = {}
        self.roles: dict[str, frozenset[str]] = {}
        self.associated: dict[str, frozenset[images.RegionId]] = {}
        self.is_down = False
        self.asked: list[tuple[str, str]] = []

    def project(self, project_id: str) -> owner_facts.Project | None:
        self._ask("project", project_id)
        return self.projects.get(project_id)

    def roles_on(self, project_id: str) -> frozenset[str]:
        self._ask("roles_on", project_id)
        return self.roles.get(project_id, frozenset())

    def association(self, project_id: str) -> owner_facts.Association:
        self._ask("association", project_id)
        regions = self.associated.get(project_id)
        is_filtered = regions is not None or project_id not in self.projects
        return owner_facts.Association(is_filtered=is_filtered, regions=regions or frozenset())

    def _ask(self, what: str, project_id: str) -> None:
        if self.is_down:
            raise errors.ServiceUnavailable("Keystone does not answer")
        self.asked.append((what, project_id))


class FakeRegions:
    """``engine.ports.Regions``."""

    def __init__(self, chunk_bytes: int) -> None:
        self.glances = {name: glance.FakeGlance(name) for name in (CASCADING, *CASCADED)}
        self._chunk_bytes = chunk_bytes

    def image_service(self, region: images.RegionId) -> glance.FakeGlance:
        if region not in self.glances:
            raise errors.UnknownRegion(f"no region {region}")
        return self.glances[region]

    def store(self, region: images.RegionId, size: int) -> glance.FakeImageStore:
        del size
        return glance.FakeImageStore(self.glances[region], chunk_bytes=self._chunk_bytes)

    def served(self, region: images.RegionId) -> glance.FakeImageStore:
        return glance.FakeImageStore(self.image_service(region), chunk_bytes=self._chunk_bytes)

    def source_store(self, region: images.RegionId) -> glance.FakeImageStore:
        return glance.FakeImageStore(self.image_service(region), chunk_bytes=self._chunk_bytes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outside:
    """All that several agents have in common; each field is a fake, or what stands before it."""

    clock: clocks.FakeClock = dataclasses.field(default_factory=clocks.FakeClock)
    catalogue: Any = dataclasses.field(default_factory=FakeCatalogue)
    identity: Any = dataclasses.field(default_factory=FakeIdentity)
    regions: Any = dataclasses.field(default_factory=lambda: FakeRegions(chunk_bytes=4))
    store: Any = dataclasses.field(default_factory=task_store.MemoryTaskStore)
    turns: Any = dataclasses.field(default_factory=leader_leases.MemoryLeaderLeases)
    breakers: Any = dataclasses.field(default_factory=fake_breakers.MemoryBreakers)
    facts: Any = dataclasses.field(default_factory=fake_facts.MemoryFacts)
    pauses: Any = dataclasses.field(default_factory=fake_pauses.MemoryPauses)
    history: Any = None  # None: that of the store
    agents: Any = dataclasses.field(default_factory=fake_agents.MemoryAgents)
    jobs: Any = dataclasses.field(default_factory=fake_jobs.MemoryJobs)


class World:
    """Glances, tasks and an engine; nothing happens but in :meth:`run`."""

    def __init__(
        self,
        outside: Outside | None = None,
        *,
        owner: str = "agent",
        retries: int = 2,
        give_up: float = 0.0,
        per_region: int = 4,
        snapshot_origins: Sequence[images.RegionId] = (),
        small_image_bytes: int = 4,
        large_image_bytes: int = 0,
        new_id: Callable[[], images.ImageId] = images.new_id,
        process: Mapping[str, Any] | None = None,
    ) -> None:
        """Assemble an engine.

        :param process: replaces fields of :class:`ports.Runtime`.
        """
        outside = outside or Outside()
        self.clock = outside.clock
        self.catalogue = outside.catalogue
        self.regions = outside.regions
        for glance_of_region in self.regions.glances.values():
            glance_of_region.now = self.clock.now
        self.source = self.regions.glances[CASCADING]
        self.two = self.regions.glances[CASCADED[0]]
        self.three = self.regions.glances[CASCADED[1]]
        self.store = outside.store
        self.identity = outside.identity
        self.breakers = outside.breakers
        self.turns = outside.turns
        self.pauses = outside.pauses
        self.agents = outside.agents
        self.jobs = outside.jobs
        self.history = outside.history or outside.store.history
        self.policy = strategy.PlacementPolicy(strategy=strategy.Strategy.ALL)
        self.metadata = metadata_policy.MetadataPolicy()
        self.cache_seconds = 60.0
        self.copies_as_sources = True
        self.limits = progress.Limits(transfer=100.0, lease=60.0)
        self.retries = backoff.RetryPolicy(
            retries=retries, base=10.0, cap=100.0, give_up=give_up
        )
        self.breaker_policy = breakers.BreakerPolicy(failures=3, base=20.0, cap=80.0)
        self.pause_windows: list[pause_windows.PauseWindow] = []
        self.intervals = scan_settings.ScanIntervals(full=600.0, incremental=60.0)
        self.members_interval = 0.0
        self.max_deletes = 2
        self.gone_grace = 0.0
        self.record_locations = False
        self.deletes_unwanted = False
        self.bytes_per_second = 0
        self.max_repairs = 2
        self.verify_interval = 0.0
        self.history_days = 30.0
        self.woken = 0
        self.submitted: list[Callable[[], None]] = []
        self._snapshot_origins = frozenset(snapshot_origins)
        self._small_image_bytes = small_image_bytes
        self._large_image_bytes = large_image_bytes
        self._per_region = per_region
        self.stop: Any = clocks.FakeStopFlag(self.clock)
        runtime = ports.Runtime(
            owner=owner,
            submit=self.submitted.append,
            wake=self._wake,
            stop=self.stop,
            ending=self.stop,
            is_keystone_away=lambda: self.identity.is_down,
            chance=lambda: 0.5,
            new_id=new_id,
        )
        self.engine = engines.assemble(
            ports.Ports(
                regions=self.regions,
                catalogue=self.catalogue,
                projects=self.identity,
                store=self.store,
                leader_leases=self.turns,
                breakers=self.breakers,
                facts=outside.facts,
                pauses=outside.pauses,
                history=self.history,
                agents=self.agents,
                jobs=outside.jobs,
                clock=self.clock,
            ),
            self.settings,
            dataclasses.replace(runtime, **(process or {})),
        )
        self.projects = self.engine.shared.projects
        self.targets = self.engine.shared.targets
        self.copies = self.engine.shared.wanted_copies
        self.newest = self.engine.shared.newest
        self.intake = self.engine.shared.requests
        self.location_map = self.engine.shared.location_records
        self.joining = self.engine.shared.remote_sources
        self.source_views = self.engine.shared.source_views
        self.origins = self.engine.attempts.origins
        self.downloads = self.engine.attempts.downloads
        self.places = self.engine.attempts.slots
        self.attempts = self.engine.attempts.runner
        self.outages = self.engine.attempts.region_health
        self.worker = self.engine.attempts.worker
        self.snapshots = self.engine.attempts.snapshots
        self.reconciliation = self.engine.scans.scan
        self.census = self.engine.scans.census
        self.rounds = self.engine.scans.scan_schedule
        self.verifying = self.engine.verification.read_back
        self.verification = self.engine.verification.verify_schedule
        self.count_marked = self.engine.scans.count_marked
        self.upkeep = self.engine.upkeep.upkeep
        self.scan_runner = self.engine.jobs.scan_runner
        self.verification_runner = self.engine.jobs.verification_runner
        self.make_repairs = self.engine.verification.make_repairs

    def settings(self) -> Settings:
        """Return what is in force, by what a test has changed."""
        return Settings(
            placement=self.policy,
            metadata=self.metadata,
            project_seconds=self.cache_seconds,
            attempts=attempt_settings.AttemptSettings(
                limits=self.limits,
                delete_out_of_strategy=self.deletes_unwanted,
                record_locations=self.record_locations,
            ),
            worker=worker.WorkerSettings(
                tasks_per_region=self._per_region,
                lease_seconds=self.limits.lease,
                retries=self.retries,
            ),
            pause_windows=self.pause_windows,
            slots=large_slots.SlotSettings(
                tasks_per_region=self._per_region, large_image_bytes=self._large_image_bytes
            ),
            origins=origins.OriginSettings(
                copies_as_sources=self.copies_as_sources,
                small_image_bytes=self._small_image_bytes,
            ),
            breakers=self.breaker_policy,
            scans=scan_settings.ScanSettings(
                intervals=dataclasses.replace(self.intervals, members=self.members_interval),
                max_deletes=self.max_deletes,
                gone_grace=self.gone_grace,
                snapshot_origins=self._snapshot_origins,
            ),
            verify=verify_settings.VerifySettings(
                interval=self.verify_interval,
                max_bytes_per_second=self.bytes_per_second,
                max_repairs=self.max_repairs,
            ),
            upkeep=upkeep_settings.UpkeepSettings(
                history_days=self.history_days, completion_target=900.0
            ),
        )

    def make_scan(
        self, receive: differences.Receiver | None = None, **changes: Any
    ) -> scan.Scan:
        """Return a scan of all members.

        :param receive: None: requests a task for each difference.
        :param changes: fields of :class:`scan.ScanKind`.
        """
        kind = scan.ScanKind(
            members=member_scans.FixedShare(member_scans.ALL),
            max_deletes=lambda: self.max_deletes,
        )
        return self.engine.scans.make_scan(
            dataclasses.replace(kind, **changes),
            receive or differences.requesting(self.intake),
        )

    def open_window(
        self, region: images.RegionId | None = CASCADED[0], *, finishes: bool = False
    ) -> None:
        """Pause a region each day from 08:00 to 16:00 UTC; the clock begins at 08:00."""
        self.pause_windows.append(
            pause_windows.PauseWindow(
                region=region,
                starts="0 8 * * *",
                zone=datetime.UTC,
                duration=datetime.timedelta(hours=8),
                finishes=finishes,
                text="0 8 * * * 8h UTC",
            )
        )

    def _wake(self) -> None:
        self.woken += 1

    def refer(
        self, there: images.Image, *, url: str | None = None, **metadata: Any
    ) -> images.Image:
        """Make an image of the cascading region whose data is an image of another region."""
        image = self.source.make(**metadata)
        told = {"image_from": "snapshot", "image_id": there.image_id}
        at = self.regions.glances[there.region].image_url(there.image_id)
        self.source.locate(image.image_id, url or at, told)
        return self.source.image(image.image_id)

    def changed(self, image_id: images.ImageId) -> None:
        """Bring the event that an image changed."""
        self.intake.handle(events.ImageEvent(image_id=image_id, kind=events.EventKind.CHANGED))

    def deleted(self, image_id: images.ImageId) -> None:
        """Bring the event that an image was deleted."""
        self.intake.handle(events.ImageEvent(image_id=image_id, kind=events.EventKind.DELETED))

    def run(self, *, seconds: float = 1.0) -> int:
        """Let time pass, then work until nothing is due; return the attempts made."""
        self.clock.advance(seconds)
        attempts = 0
        while self.worker.dispatch():
            while self.submitted:
                self.submitted.pop(0)()
                attempts += 1
        return attempts

    def settle(self) -> None:
        """Work, and let time pass, until no task waits any more."""
        for _ in range(100):
            self.run(seconds=1000.0)
            if self.store.next_due() is None:
                return
        raise AssertionError([task for task in self.store.list() if task.status == "pending"])

    def task(self, image: images.Image, region: images.RegionId = CASCADED[0]) -> tasks.Task:
        """Return a task that must be there."""
        found = self.store.get(tasks.TaskKey(image_id=image.image_id, region=region))
        assert found is not None
        return found
