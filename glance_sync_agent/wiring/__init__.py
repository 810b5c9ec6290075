# SPDX-License-Identifier: Apache-2.0
"""Builds the object graph; the only module that knows all others."""

from collections.abc import Callable, Container
import dataclasses
import datetime
import functools
import logging
import random
import threading
import time

from oslo_config import cfg

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.drivers.bus import listeners
from glance_sync_agent.drivers.bus import notifications
from glance_sync_agent.drivers.bus import probe
from glance_sync_agent.drivers.host import agent_id
from glance_sync_agent.drivers.keystone import absence
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone import endpoints
from glance_sync_agent.drivers.keystone import owner_projects
from glance_sync_agent.drivers.sql import task_store
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
from glance_sync_agent.engine.marks import settling
from glance_sync_agent.engine.placement import projects
from glance_sync_agent.engine.placement import targets
from glance_sync_agent.engine.placement import wanted_copies
from glance_sync_agent.engine.reconcile import compare
from glance_sync_agent.engine.reconcile import member_scans
from glance_sync_agent.engine.reconcile import scan_schedule
from glance_sync_agent.engine.reconcile import source_history
from glance_sync_agent.engine.transfer import origins
from glance_sync_agent.engine.verify import schedule
from glance_sync_agent.wiring import configuration
from glance_sync_agent.wiring import looks
from glance_sync_agent.wiring import regions
from glance_sync_agent.wiring import remembered
from glance_sync_agent.wiring import verifications

LOG = logging.getLogger(__name__)

_BUS_TIMEOUT_SECONDS = 10.0
_TOLD_DIFFERENCE = datetime.timedelta(seconds=5)
#: What the way to the database and back may make of no difference at all.
_NO_DIFFERENCE = datetime.timedelta(seconds=0.5)

CREDENTIALS = configuration.CREDENTIALS
CurrentSettings = configuration.CurrentSettings
check_cascading = remembered.check_cascading
check_named_regions = remembered.check_named_regions
configure = configuration.configure
Listener = listeners.Listeners
RegionServices = regions.RegionServices
make_reconciliation = looks.make_reconciliation
make_renaming = remembered.make_renaming
make_repairs = verifications.make_repairs
make_verifying = verifications.make_verifying


class SystemClock:
    """The clock of this machine, set by that of the database; ``engine.ports.Clock``.

    Several agents write times for each other into one database, and one of them may run on a
    host whose clock is wrong.
    """

    def __init__(self, ahead: datetime.timedelta = datetime.timedelta()) -> None:
        """Set it.

        :param ahead: of this machine's.
        """
        self._ahead = ahead

    def follow(self, ahead: datetime.timedelta) -> None:
        """Set it anew, if it is off."""
        if abs(ahead - self._ahead) < _NO_DIFFERENCE:
            return
        if abs(ahead) >= _TOLD_DIFFERENCE and abs(self._ahead) < _TOLD_DIFFERENCE:
            LOG.warning(
                "The clock of the database is %+.0f s ahead of this machine's; the agent goes by "
                "the database's",
                ahead.total_seconds(),
            )
        self._ahead = ahead

    def now(self) -> datetime.datetime:
        """Return the time of day, aware, UTC."""
        return datetime.datetime.now(datetime.UTC) + self._ahead

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


def prepare(conf: cfg.ConfigOpts, current: CurrentSettings) -> None:
    """Do what can fail for good before the agent forks: read, log in, make the database.

    A service that does not answer is no reason to stop; the agent waits for it.

    :raises ConfigurationError: something in the files is wrong; the message says what.
    """
    probe.check(conf)
    for region, url in current.settings.region_buses.items():
        probe.check(conf, url, name=_bus_name(region))
    store = open_task_store(current)
    try:
        store.upgrade()
        _check_catalogue(conf, current, store)
    finally:
        store.close()


def _check_catalogue(
    conf: cfg.ConfigOpts, current: CurrentSettings, store: task_store.TaskStore
) -> None:
    catalogue = open_catalogue(conf, current)
    try:
        cascading = catalogue.cascading
        open_regions(conf, current, catalogue).check()
        if current.metadata_policy().owner is metadata_policy.Owner.AGENT:
            catalogue.own_project()
    except errors.PermanentError as exc:
        raise errors.ConfigurationError(str(exc)) from exc
    except errors.TransientError as exc:
        LOG.warning("Starting although Keystone does not answer: %s", exc)
        return
    for sentence in remembered.check_catalogue(
        current, store, catalogue, clock_of(store).now()
    ):
        LOG.warning("%s; the agent goes on with the other regions", sentence)
    others = sorted(catalogue.regions() - {cascading})
    LOG.info("Regions of the catalogue besides %s: %s", cascading, ", ".join(others) or "none")


def open_task_store(current: CurrentSettings) -> task_store.TaskStore:
    """Return the table of tasks; connects when first used."""
    return task_store.TaskStore(current.settings.connection)


def open_catalogue(conf: cfg.ConfigOpts, current: CurrentSettings) -> endpoints.Keystone:
    """Return Keystone as the agent's own user sees it; asks nobody yet.

    :raises ConfigurationError: ``[service_credentials]`` gives no log-in.
    """
    return endpoints.Keystone(
        session=credentials.load(conf, CREDENTIALS),
        cascading_endpoint_url=current.settings.cascading_endpoint_url,
        interface=conf[CREDENTIALS].interface,
    )


def open_regions(
    conf: cfg.ConfigOpts,
    current: CurrentSettings,
    catalogue: endpoints.Keystone,
    stop: threading.Event | None = None,
) -> RegionServices:
    """Return the Glances and stores of all regions; asks nobody yet.

    :raises ConfigurationError: the store file is wrong.
    """
    return RegionServices(
        catalogue=catalogue,
        session=credentials.load(conf, CREDENTIALS),
        current=current.settings,
        trust=credentials.trust(conf, CREDENTIALS),
        stop=stop or threading.Event(),
    )


def make_targets(
    conf: cfg.ConfigOpts, catalogue: endpoints.Keystone, current: CurrentSettings
) -> targets.Targets:
    """Return what tells in which regions an image belongs; asks nobody yet.

    :raises ConfigurationError: ``[service_credentials]`` gives no log-in.
    """
    known = projects.Projects(
        owner_projects.Projects(catalogue, credentials.load(conf, CREDENTIALS)),
        SystemClock(),
        lambda: current.settings.keystone_cache_seconds,
    )
    return targets.Targets(catalogue, known, current.policy)


def clock_of(store: task_store.TaskStore) -> SystemClock:
    """Return the clock that the agents of a database go by.

    :raises ServiceUnavailable: the database does not answer.
    """
    clock = SystemClock()
    clock.follow(store.clock_ahead())
    return clock


def make_census(
    current: CurrentSettings,
    services: RegionServices,
    catalogue: endpoints.Keystone,
    store: task_store.TaskStore,
) -> census.Census:
    """Return what looks at the marked images of regions."""
    return census.Census(
        regions=services,
        catalogue=catalogue,
        store=store,
        wanted_as=wanted_copies.WantedCopies(catalogue, current.metadata_policy, store),
        snapshot_origins=sorted(current.settings.region_buses),
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a command has opened."""

    services: RegionServices
    catalogue: endpoints.Keystone
    store: task_store.TaskStore


def make_settling(parts: Parts, marked: census.Census) -> settling.Settling:
    """Return what settles single images as an operator says.

    :raises ServiceUnavailable: the database does not answer.
    """
    return settling.Settling(
        regions=parts.services,
        catalogue=parts.catalogue,
        store=parts.store,
        marked=marked,
        clock=clock_of(parts.store),
    )


def make_joining(
    services: RegionServices, catalogue: endpoints.Keystone
) -> remote_sources.Joining:
    """Return what looks at sources whose data is in another region."""
    return remote_sources.Joining(services, catalogue)


def make_location_map(
    current: CurrentSettings, services: RegionServices, cascading: images.RegionId
) -> location_records.LocationMap:
    """Return the map of copies on their sources."""
    return location_records.LocationMap(
        services, cascading, lambda: current.settings.record_locations
    )


def make_intake(
    store: task_store.TaskStore,
    wanted: targets.Targets,
    wake: Callable[[], None] = lambda: None,
    clock: SystemClock | None = None,
) -> requests.Intake:
    """Return the way to request tasks.

    :raises ServiceUnavailable: without ``clock``, the database does not answer.
    """
    return requests.Intake(
        store=store,
        wanted=wanted,
        clock=clock or clock_of(store),
        wake=wake,
        deletion_announced=source_history.NewestSources(store.facts()).deleted,
    )


def make_listeners(
    conf: cfg.ConfigOpts,
    current: CurrentSettings,
    requests: requests.Intake,
    reachable: Container[images.RegionId],
) -> Listener:
    """Return what listens on the cascading region's bus and on those of other regions.

    :param reachable: regions of the catalogue; on the bus of another one nobody listens.
    """

    def listener(region: images.RegionId | None, url: str | None) -> notifications.Listener:
        return notifications.Listener(
            conf,
            topics=current.settings.topics,
            exchange=current.settings.exchange,
            pool=current.settings.pool,
            prefetch=current.settings.prefetch,
            handle=functools.partial(requests.handle, source_region=region),
            url=url,
        )

    others = [
        listener(region, url)
        for region, url in sorted(current.settings.region_buses.items())
        if region in reachable
    ]
    return listeners.Listeners(listener(None, None), others)


def check_bus(conf: cfg.ConfigOpts, current: CurrentSettings) -> str:
    """Connect to the cascading region's message bus once; return its address.

    :raises ConfigurationError: its URL is none.
    :raises ServiceUnavailable: it does not answer.
    :raises Refused: what is there does not fit our options.
    """
    return _ping(conf, current, None, probe.NAME)


def check_region_bus(
    conf: cfg.ConfigOpts, current: CurrentSettings, region: images.RegionId, url: str
) -> str:
    """Do the same with the message bus of another region."""
    return _ping(conf, current, url, _bus_name(region))


def _bus_name(region: images.RegionId) -> str:
    return f"[notifications] region_transport_urls: what stands there for {region}"


def _ping(conf: cfg.ConfigOpts, current: CurrentSettings, url: str | None, name: str) -> str:
    settings = current.settings
    return probe.ping(
        conf,
        _BUS_TIMEOUT_SECONDS,
        url,
        name=name,
        exchange=settings.exchange,
        pool=settings.pool,
    )


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """The parts of a running agent."""

    clock: SystemClock
    store: task_store.TaskStore
    worker: worker.Worker
    rounds: scan_schedule.Rounds
    verification: schedule.VerificationRounds
    snapshots: snapshots.SnapshotWatch
    make_listener: Callable[[], Listener]
    set_clock: Callable[[], None]  # by that of the database, as it is now
    release_leases: Callable[[], int]
    close: Callable[[], None]


def build(
    conf: cfg.ConfigOpts,
    current: CurrentSettings,
    *,
    submit: Callable[[Callable[[], None]], object],
    ending: threading.Event,
    stop: threading.Event,
    wake: Callable[[], None],
) -> Agent:
    """Build the agent and take back the leases that its predecessor left.

    :param submit: runs a function in another thread.
    :param ending: set when nothing new is to be begun.
    :param stop: set when running transfers are to be called off.
    :param wake: called when there may be something due.
    :raises SyncError: Keystone or the database does not answer.
    """
    store = open_task_store(current)
    clock = clock_of(store)
    catalogue = open_catalogue(conf, current)
    services = open_regions(conf, current, catalogue, stop)
    wanted = make_targets(conf, catalogue, current)
    copies = wanted_copies.WantedCopies(catalogue, current.metadata_policy, store)
    cascading = catalogue.cascading
    # Once more, because Keystone may not have answered before.
    remembered.check_catalogue(current, store, catalogue, clock.now())
    requests = make_intake(store, wanted, wake, clock)
    joined = make_joining(services, catalogue)
    source_views = sources.SourceViews(services, cascading, joined, clock)
    recorded = make_location_map(current, services, cascading)
    owner = agent_id.of(current.settings.state_path)
    in_regions = large_slots.Places(
        per_region=current.settings.tasks_per_region,
        large_bytes=current.settings.large_image_bytes,
    )
    attempt = replication.Replication(
        regions=services,
        source_views=source_views,
        data_origins=origins.Origins(
            regions=services,
            store=store,
            clock=clock,
            copies_too=lambda: current.settings.copies_as_sources,
            small_image_bytes=current.settings.small_image_bytes,
        ),
        store=store,
        wanted=wanted,
        wanted_as=copies,
        recorded=recorded,
        deletes_unwanted=current.deletes_unwanted,
        in_regions=in_regions,
        clock=clock,
        stop=stop,
        limits=current.limits,
    )
    chance = random.SystemRandom().random
    known_outages = region_health.Outages(
        kept=store.breakers(), policy=current.breaker_policy, clock=clock, chance=chance
    )
    look = make_reconciliation(
        current,
        services=services,
        catalogue=catalogue,
        store=store,
        wanted=wanted,
        recorded=recorded,
        stop=stop,
        ask=compare.asking(requests),
        max_deletes=lambda: current.settings.max_deletes,
        left_alone=known_outages.open_regions,
        clock=clock,
        members=member_scans.Spread(
            facts=store.facts(),
            clock=clock,
            intervals=current.member_intervals,
            are_ours=copies.have_our_members,
        ),
    )
    # The lock of the state directory is ours, so whoever had these leases is dead.
    if released := store.release_owned(owner, clock.now()):
        LOG.info("Took up %d tasks that the last agent left in the middle", released)

    def close() -> None:
        services.close()
        store.close()

    return Agent(
        clock=clock,
        store=store,
        worker=worker.Worker(
            store=store,
            attempt=attempt,
            known_outages=known_outages,
            in_regions=in_regions,
            clock=clock,
            submit=submit,
            owner=owner,
            per_region=current.settings.tasks_per_region,
            lease_seconds=current.settings.lease_seconds,
            policy=current.retry_policy,
            chance=chance,
            is_keystone_away=absence.Absence(credentials.load(conf, CREDENTIALS)),
            afterwards=references.References(
                regions=services, store=store, requests=requests, cascading=cascading
            ).follow,
            wake=wake,
        ),
        rounds=scan_schedule.Rounds(
            look=look.look,
            turns=store.turns(),
            owner=owner,
            clock=clock,
            intervals=current.intervals,
            chance=chance,
            count_marked=lambda: census.report(
                make_census(current, services, catalogue, store),
                sorted(catalogue.regions()),
                census.adopting(store, clock, cascading),
            ),
        ),
        verification=verifications.make_rounds(
            current,
            make_verifying(
                current, services=services, catalogue=catalogue, clock=clock, stop=ending
            ),
            store=store,
            owner=owner,
            clock=clock,
            wake=wake,
        ),
        snapshots=snapshots.SnapshotWatch(
            regions=services,
            store=store,
            requests=requests,
            source_views=source_views,
            joined=joined,
        ),
        make_listener=lambda: make_listeners(conf, current, requests, catalogue.regions()),
        set_clock=lambda: clock.follow(store.clock_ahead()),
        release_leases=lambda: store.release_owned(owner, clock.now()),
        close=close,
    )
