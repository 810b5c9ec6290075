# SPDX-License-Identifier: Apache-2.0
"""Joins drivers and settings with the engine; the only package that knows all others."""

from collections.abc import Callable, Container
import dataclasses
import functools
import logging
import threading

from oslo_config import cfg

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.drivers.bus import listeners
from glance_sync_agent.drivers.bus import probe
from glance_sync_agent.drivers.host import agent_id
from glance_sync_agent.drivers.keystone import absence
from glance_sync_agent.engine import assembly
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import requests
from glance_sync_agent.wiring import cloud as clouds
from glance_sync_agent.wiring import configuration
from glance_sync_agent.wiring import remembered

LOG = logging.getLogger(__name__)

_BUS_TIMEOUT_SECONDS = 10.0

CREDENTIALS = configuration.CREDENTIALS
Cloud = clouds.Cloud
CurrentSettings = configuration.CurrentSettings
Listener = listeners.Listeners
SystemClock = clouds.SystemClock
check_cascading = remembered.check_cascading
check_named_regions = remembered.check_named_regions
clock_of = clouds.clock_of
configure = configuration.configure
make_renaming = remembered.make_renaming


def prepare(conf: cfg.ConfigOpts, current: CurrentSettings) -> None:
    """Do what can fail for good before the agent forks: read, log in, make the database.

    A service that does not answer is no reason to stop; the agent waits for it.

    :raises ConfigurationError: something in the files is wrong; the message says what.
    """
    probe.check(conf)
    for region, url in current.settings.region_buses.items():
        probe.check(conf, url, name=_bus_name(region))
    with Cloud(conf, current) as cloud:
        cloud.store.upgrade()
        _check_catalogue(cloud)


def _check_catalogue(cloud: Cloud) -> None:
    current, catalogue = cloud.current, cloud.catalogue
    try:
        cascading = catalogue.cascading
        cloud.regions.check()
        if current.settings.metadata_policy.owner is metadata_policy.Owner.AGENT:
            catalogue.own_project()
    except errors.PermanentError as exc:
        raise errors.ConfigurationError(str(exc)) from exc
    except errors.TransientError as exc:
        LOG.warning("Starting although Keystone does not answer: %s", exc)
        return
    for sentence in remembered.check_catalogue(
        current, cloud.store, catalogue, cloud.clock.now()
    ):
        LOG.warning("%s; the agent goes on with the other regions", sentence)
    others = sorted(catalogue.regions() - {cascading})
    LOG.info("Regions of the catalogue besides %s: %s", cascading, ", ".join(others) or "none")


def make_listeners(
    conf: cfg.ConfigOpts,
    current: CurrentSettings,
    requests: requests.TaskRequests,
    reachable: Container[images.RegionId],
) -> Listener:
    """Return what listens on the cascading region's bus and on those of other regions.

    :param reachable: regions of the catalogue; on the bus of another one nobody listens.
    """

    def listener(region: images.RegionId | None, url: str | None) -> listeners.Listener:
        subscription = listeners.Subscription(
            topics=current.settings.topics,
            exchange=current.settings.exchange,
            pool=current.settings.pool,
            prefetch=current.settings.prefetch,
            url=url,
        )
        handle = functools.partial(requests.handle, source_region=region)
        return listeners.Listener(conf, subscription, handle)

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

    engine: assembly.Engine
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
    cloud = Cloud(conf, current, stop=stop)
    store, clock, catalogue = cloud.store, cloud.clock, cloud.catalogue
    # Once more, because Keystone may not have answered before.
    remembered.check_catalogue(current, store, catalogue, clock.now())
    owner = agent_id.of(current.settings.state_path)
    engine = cloud.engine(
        ports.Runtime(
            owner=owner,
            submit=submit,
            wake=wake,
            stop=stop,
            ending=ending,
            is_keystone_away=absence.KeystoneAbsence(cloud.session),
        )
    )
    engine.make_all()
    # The lock of the state directory is ours, so whoever had these leases is dead.
    if released := store.release_owned(owner, clock.now()):
        LOG.info("Took up %d tasks that the last agent left in the middle", released)
    return Agent(
        engine=engine,
        make_listener=lambda: make_listeners(
            conf, current, engine.requests, catalogue.regions()
        ),
        set_clock=lambda: clock.follow(store.clock_ahead()),
        release_leases=lambda: store.release_owned(owner, clock.now()),
        close=cloud.close,
    )
