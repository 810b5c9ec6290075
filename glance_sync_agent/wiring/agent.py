# SPDX-License-Identifier: Apache-2.0
"""The parts of a running agent."""

from collections.abc import Callable
import dataclasses
import logging
import threading

import glance_sync_agent
from glance_sync_agent import errors
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.drivers.bus.listeners import Listeners
from glance_sync_agent.drivers.host import agent_id
from glance_sync_agent.drivers.keystone import absence
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.assembly import engine as engines
from glance_sync_agent.wiring import buses
from glance_sync_agent.wiring import catalogue_checks
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import Configuration

LOG = logging.getLogger(__name__)


def prepare(configuration: Configuration) -> None:
    """Find permanent errors before the agent forks: check the files, log in, upgrade the database.

    An unreachable service does not prevent the start; the agent waits for it.

    :raises ConfigurationError: something in the files is wrong; the message says what.
    """
    buses.check_urls(configuration)
    with Cloud(configuration) as cloud:
        cloud.store.upgrade()
        _check_catalogue(cloud)


def _check_catalogue(cloud: Cloud) -> None:
    settings, catalogue = cloud.configuration.settings, cloud.catalogue
    try:
        cascading = catalogue.cascading
        cloud.regions.check()
        if settings.engine.metadata.owner is metadata_policy.Owner.AGENT:
            catalogue.own_project()
    except errors.PermanentError as exc:
        raise errors.ConfigurationError(str(exc)) from exc
    except errors.TransientError as exc:
        LOG.warning("Keystone is unreachable; the agent starts and retries: %s", exc)
        return
    for sentence in catalogue_checks.check(
        settings, cloud.store, catalogue, cloud.clock.now()
    ):
        LOG.warning("%s; the agent continues with the other regions", sentence)
    others = sorted(catalogue.regions() - {cascading})
    LOG.info("Regions of the catalogue besides %s: %s", cascading, ", ".join(others) or "none")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Agent:
    """The parts of a running agent."""

    engine: engines.Engine
    make_listener: Callable[[], Listeners]
    set_clock: Callable[[], None]  # to the time of the database
    release_leases: Callable[[], int]
    close: Callable[[], None]


def build(
    configuration: Configuration, runtime: ports.Runtime, stop: threading.Event
) -> Agent:
    """Build the agent and release the leases that its predecessor left.

    :param runtime: the process; the other fields are set here.
    :param stop: set when running transfers are to be called off.
    :raises SyncError: Keystone or the database is unreachable.
    """
    cloud = Cloud(configuration, stop=stop)
    settings, store = configuration.settings, cloud.store
    # Once more, because Keystone may have been unreachable before.
    catalogue_checks.check(settings, store, cloud.catalogue, cloud.clock.now())
    owner = agent_id.of(settings.state_path)
    is_away = absence.KeystoneAbsence(cloud.session)
    runtime = dataclasses.replace(
        runtime,
        owner=owner,
        version=glance_sync_agent.__version__,
        stop=stop,
        is_keystone_away=is_away,
    )
    engine = cloud.engine(runtime)
    engine.make_all()

    def release_leases() -> int:
        return store.release_owned(owner, cloud.clock.now())

    # This process holds the lock of the state directory, so the old owner of these leases ended.
    if released := release_leases():
        LOG.info("Released %d tasks that the last agent left unfinished", released)
    return Agent(
        engine=engine,
        make_listener=lambda: buses.make_listeners(
            configuration, engine.shared.requests, cloud.catalogue.regions(), runtime.meters
        ),
        set_clock=lambda: cloud.clock.follow(store.clock_ahead()),
        release_leases=release_leases,
        close=cloud.close,
    )
