# SPDX-License-Identifier: Apache-2.0
"""A whole cloud in memory, with an engine that works on it."""

from collections.abc import Callable, Sequence
import dataclasses
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent.domain import backoff
from glance_sync_agent.domain import breakers
from glance_sync_agent.domain import events
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.domain import rules
from glance_sync_agent.domain import strategy
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import requests
from glance_sync_agent.engine import snapshots
from glance_sync_agent.engine.attempts import large_slots
from glance_sync_agent.engine.attempts import location_records
from glance_sync_agent.engine.attempts import references
from glance_sync_agent.engine.attempts import region_health
from glance_sync_agent.engine.attempts import remote_sources
from glance_sync_agent.engine.attempts import replication
from glance_sync_agent.engine.attempts import sources
from glance_sync_agent.engine.attempts import worker
from glance_sync_agent.engine.marks import census
from glance_sync_agent.engine.placement import projects
from glance_sync_agent.engine.placement import targets
from glance_sync_agent.engine.placement import wanted_copies
from glance_sync_agent.engine.reconcile import compare
from glance_sync_agent.engine.reconcile import gone_sources
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan
from glance_sync_agent.engine.reconcile import scan_schedule
from glance_sync_agent.engine.reconcile import source_history
from glance_sync_agent.engine.transfer import origins
from glance_sync_agent.engine.transfer import progress
from glance_sync_agent.engine.verify import pacing
from glance_sync_agent.engine.verify import read_back
from glance_sync_agent.engine.verify import repairs
from glance_sync_agent.engine.verify import schedule
from tests.fakes import breakers as fake_breakers
from tests.fakes import clock as clocks
from tests.fakes import facts as fake_facts
from tests.fakes import glance
from tests.fakes import task_store
from tests.fakes import turns

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
    """``engine.ports.Identity``; held to ``tests/contract/test_identity.py``."""

    def __init__(self) -> None:
        self.projects: dict[str, rules.Project] = {}
        self.roles: dict[str, frozenset[str]] = {}
        self.associated: dict[str, frozenset[images.RegionId]] = {}
        self.is_down = False
        self.asked: list[tuple[str, str]] = []

    def project(self, project_id: str) -> rules.Project | None:
        self._ask("project", project_id)
        return self.projects.get(project_id)

    def roles_on(self, project_id: str) -> frozenset[str]:
        self._ask("roles_on", project_id)
        return self.roles.get(project_id, frozenset())

    def association(self, project_id: str) -> strategy.Association:
        self._ask("association", project_id)
        regions = self.associated.get(project_id)
        is_filtered = regions is not None or project_id not in self.projects
        return strategy.Association(is_filtered=is_filtered, regions=regions or frozenset())

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
    turns: Any = dataclasses.field(default_factory=turns.MemoryTurns)
    breakers: Any = dataclasses.field(default_factory=fake_breakers.MemoryBreakers)
    facts: Any = dataclasses.field(default_factory=fake_facts.MemoryFacts)


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
    ) -> None:
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
        self.policy = strategy.Policy(strategy=strategy.Strategy.ALL)
        self.metadata = metadata_policy.Policy()
        self.cache_seconds = 60.0
        self.stop = clocks.FakeStopFlag(self.clock)
        self.copies_as_sources = True
        self.limits = progress.Limits(transfer=100.0, lease=60.0)
        self.max_deletes = 2
        self.gone_grace = 0.0
        self.members_interval = 0.0
        self.newest = source_history.NewestSources(outside.facts)
        self.record_locations = False
        self.deletes_unwanted = False
        self.woken = 0
        self.submitted: list[Callable[[], None]] = []
        self.projects = projects.Projects(
            self.identity, self.clock, lambda: self.cache_seconds
        )
        self.targets = targets.Targets(self.catalogue, self.projects, lambda: self.policy)
        self.copies = wanted_copies.WantedCopies(
            self.catalogue, lambda: self.metadata, self.store
        )
        self.location_map = location_records.LocationMap(
            self.regions, CASCADING, lambda: self.record_locations
        )
        self.intake = requests.Intake(
            store=self.store,
            wanted=self.targets,
            clock=self.clock,
            wake=self._wake,
            deletion_announced=self.newest.deleted,
        )
        self.origins = origins.Origins(
            regions=self.regions,
            store=self.store,
            clock=self.clock,
            copies_too=lambda: self.copies_as_sources,
            small_image_bytes=small_image_bytes,
        )
        self.joining = remote_sources.Joining(self.regions, self.catalogue)
        self.source_views = sources.SourceViews(
            self.regions, CASCADING, self.joining, self.clock
        )
        self.snapshots = snapshots.SnapshotWatch(
            regions=self.regions,
            store=self.store,
            requests=self.intake,
            source_views=self.source_views,
            joined=self.joining,
        )
        self.places = large_slots.Places(per_region=per_region, large_bytes=large_image_bytes)
        self.replication = replication.Replication(
            regions=self.regions,
            source_views=self.source_views,
            data_origins=self.origins,
            store=self.store,
            wanted=self.targets,
            wanted_as=self.copies,
            recorded=self.location_map,
            deletes_unwanted=lambda: self.deletes_unwanted,
            in_regions=self.places,
            clock=self.clock,
            stop=self.stop,
            limits=lambda: self.limits,
            new_id=new_id,
        )
        self.breaker_policy = breakers.Policy(failures=3, base=20.0, cap=80.0)
        self.breakers = outside.breakers
        self.outages = region_health.Outages(
            kept=self.breakers,
            policy=lambda: self.breaker_policy,
            clock=self.clock,
            chance=lambda: 0.5,
        )
        self.worker = worker.Worker(
            store=self.store,
            attempt=self.replication,
            known_outages=self.outages,
            in_regions=self.places,
            clock=self.clock,
            submit=self.submitted.append,
            owner=owner,
            per_region=per_region,
            lease_seconds=60.0,
            policy=lambda: backoff.RetryPolicy(
                retries=retries, base=10.0, cap=100.0, give_up=give_up
            ),
            chance=lambda: 0.5,
            is_keystone_away=lambda: self.identity.is_down,
            afterwards=references.References(
                regions=self.regions, store=self.store, requests=self.intake, cascading=CASCADING
            ).follow,
            wake=self._wake,
        )
        self.reconciliation = scan.Reconciliation(
            regions=self.regions,
            compared=compare.Differences(
                regions=self.regions,
                store=self.store,
                wanted=self.targets,
                wanted_as=self.copies,
                recorded=self.location_map,
                deletes_unwanted=lambda: self.deletes_unwanted,
                joined=self.joining,
                cascading=CASCADING,
            ),
            gone=gone_sources.GoneSources(
                regions=self.regions,
                store=self.store,
                wanted=self.targets,
                cascading=CASCADING,
            ),
            ask=compare.asking(self.intake),
            cascading=CASCADING,
            snapshot_origins=snapshot_origins,
            stop=self.stop,
            max_deletes=lambda: self.max_deletes,
            left_alone=self.outages.open_regions,
            missing=source_history.MissingSources(
                note=source_history.noting(self.store),
                clock=self.clock,
                grace_seconds=lambda: self.gone_grace,
            ),
            newest=self.newest,
            members=member_scans.Spread(
                facts=outside.facts,
                clock=self.clock,
                intervals=lambda: member_scans.Intervals(
                    members=self.members_interval, everything=self.intervals.everything
                ),
                are_ours=self.copies.have_our_members,
            ),
        )
        self.census = census.Census(
            regions=self.regions,
            catalogue=self.catalogue,
            store=self.store,
            wanted_as=self.copies,
            snapshot_origins=snapshot_origins,
        )
        self.turns = outside.turns
        self.intervals = scan_schedule.Intervals(everything=600.0, changes=60.0)
        self.rounds = scan_schedule.Rounds(
            look=self.reconciliation.look,
            turns=self.turns,
            owner=owner,
            clock=self.clock,
            intervals=lambda: self.intervals,
            chance=lambda: 0.5,
            count_marked=self.count_marked,
        )
        self.bytes_per_second = 0
        self.max_repairs = 2
        self.verify_interval = 0.0
        self.verifying = read_back.Verifying(
            regions=self.regions,
            joined=self.joining,
            cascading=CASCADING,
            clock=self.clock,
            pace=pacing.Pace(
                clock=self.clock,
                stop=self.stop,
                bytes_per_second=lambda: self.bytes_per_second,
            ),
        )
        self.verification = schedule.VerificationRounds(
            verify=self.verifying.verify,
            make_repairs=self.make_repairs,
            store=self.store,
            turns=self.turns,
            owner=owner,
            clock=self.clock,
            interval=lambda: self.verify_interval,
        )

    def count_marked(self) -> None:
        """Look at the marked images of all regions, as once a day."""
        adopt = census.adopting(self.store, self.clock, CASCADING)
        census.report(self.census, sorted(self.catalogue.regions()), adopt)

    def make_repairs(self) -> repairs.Repairs:
        """Return what has bad copies replaced, for one run."""
        return repairs.Repairs(
            store=self.store, clock=self.clock, wake=self._wake, most=lambda: self.max_repairs
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
