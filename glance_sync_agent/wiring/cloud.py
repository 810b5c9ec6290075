# SPDX-License-Identifier: Apache-2.0
"""The cloud as sync.conf describes it: its Keystone, its Glances and the database."""

import datetime
import functools
import logging
import threading
import time
from types import TracebackType
from typing import Self, TYPE_CHECKING

from glance_sync_agent.conf import store_file
from glance_sync_agent.conf.settings import AgentSettings
from glance_sync_agent.domain import images
from glance_sync_agent.domain import region_names
from glance_sync_agent.drivers.glance.marked_records import GlanceMarkedRecords
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone import owner_projects
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport.trust import Trust
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.assembly import engine as engines
from glance_sync_agent.engine.marks import renaming
from glance_sync_agent.engine.reports import times
from glance_sync_agent.wiring.configuration import Configuration
from glance_sync_agent.wiring.configuration import CREDENTIALS

if TYPE_CHECKING:
    # Imported at the first use, because paramiko takes a fifth of the start of a command, and
    # most commands only read the database.
    from glance_sync_agent.drivers.regions import RegionServices
    from glance_sync_agent.drivers.regions import RegionSettings

LOG = logging.getLogger(__name__)

_LOGGED_DIFFERENCE = datetime.timedelta(seconds=5)
#: A round trip to the database may show this much although the clocks agree.
_NO_DIFFERENCE = datetime.timedelta(seconds=0.5)


class SystemClock:
    """The clock of this machine, corrected by the database's; ``engine.ports.Clock``.

    Several agents exchange times through one database, and a host may have a wrong clock.
    """

    def __init__(self, ahead: datetime.timedelta = datetime.timedelta()) -> None:
        """Set the clock.

        :param ahead: how far it is ahead of this machine's.
        """
        self._ahead = ahead

    def follow(self, ahead: datetime.timedelta) -> None:
        """Correct the clock, if it is off."""
        if abs(ahead - self._ahead) < _NO_DIFFERENCE:
            return
        if abs(ahead) >= _LOGGED_DIFFERENCE and abs(self._ahead) < _LOGGED_DIFFERENCE:
            LOG.warning(
                "The clock of the database is %s this machine's. The agent uses the database's; "
                "correct the clock of this machine",
                times.off(ahead),
            )
        self._ahead = ahead

    def now(self) -> datetime.datetime:
        """Return the time of day, aware, UTC."""
        return datetime.datetime.now(datetime.UTC) + self._ahead

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


def region_settings(settings: AgentSettings, trust: Trust) -> "RegionSettings":
    """Read the store file, and return it with the other settings of the regions.

    :raises ConfigurationError: the store file is wrong.
    """
    from glance_sync_agent.drivers import regions

    network = settings.network
    return regions.RegionSettings(
        entries=store_file.load(settings.store_file) if settings.store_file else (),
        store_file=settings.store_file,
        known_hosts=network.known_hosts,
        small_image_bytes=settings.engine.origins.small_image_bytes,
        timeouts=streams.Timeouts(
            connect_seconds=network.connect_seconds, idle_seconds=network.idle_seconds
        ),
        ssh_timeouts=streams.Timeouts(
            connect_seconds=network.ssh_connect_seconds, idle_seconds=network.idle_seconds
        ),
        trust=trust,
    )


class Cloud:
    """The services of one configuration; each is opened at its first use.

    A process has one, with one Keystone session. As a context manager it closes itself.
    """

    def __init__(
        self,
        configuration: Configuration,
        *,
        stop: threading.Event | None = None,
    ) -> None:
        """Keep the configuration; opens nothing.

        :param stop: set when no further retry of a request makes sense.
        """
        self.configuration = configuration
        self._stop = stop or threading.Event()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Close what was opened."""
        self.close()

    def close(self) -> None:
        """Close the connections that were opened. Idempotent."""
        for name in ("regions", "store"):
            if (opened := self.__dict__.pop(name, None)) is not None:
                opened.close()

    @functools.cached_property
    def session(self) -> credentials.Session:
        """The login of the agent's own user; sends no request yet.

        :raises ConfigurationError: ``[service_credentials]`` is incomplete.
        """
        return credentials.load(self.configuration.conf, CREDENTIALS)

    @functools.cached_property
    def catalogue(self) -> KeystoneCatalogue:
        """Keystone's catalogue; sends no request yet.

        :raises ConfigurationError: ``[service_credentials]`` is incomplete.
        """
        return KeystoneCatalogue(
            session=self.session,
            cascading_endpoint_url=self.configuration.settings.cascading_endpoint_url,
            interface=self.configuration.conf[CREDENTIALS].interface,
        )

    @functools.cached_property
    def regions(self) -> "RegionServices":
        """The Glances and stores of all regions; sends no request yet.

        :raises ConfigurationError: the store file is wrong.
        """
        from glance_sync_agent.drivers import regions

        trust = credentials.trust(self.configuration.conf, CREDENTIALS)
        return regions.RegionServices(
            catalogue=self.catalogue,
            session=self.session,
            settings=region_settings(self.configuration.settings, trust),
            stop=self._stop,
        )

    @functools.cached_property
    def store(self) -> task_store.SqlTaskStore:
        """The database; connects when it is first used."""
        return task_store.SqlTaskStore(self.configuration.settings.database_url)

    @functools.cached_property
    def clock(self) -> SystemClock:
        """The clock that all agents of this database share.

        :raises ServiceUnavailable: the database is unreachable.
        """
        clock = SystemClock()
        clock.follow(self.store.clock_ahead())
        return clock

    def engine(
        self, runtime: ports.Runtime | None = None, *, clock: ports.Clock | None = None
    ) -> engines.Engine:
        """Return an engine for this cloud.

        :param runtime: None: the runtime of a command.
        :param clock: None: the clock of the database.
        :raises ServiceUnavailable: the clock of the database is needed and unreachable.
        """
        return engines.assemble(
            ports.Ports(
                regions=self.regions,
                catalogue=self.catalogue,
                projects=owner_projects.KeystoneProjects(self.catalogue, self.session),
                store=self.store,
                leader_leases=self.store.leader_leases(),
                breakers=self.store.breakers(),
                facts=self.store.facts(),
                pauses=self.store.pauses(),
                history=self.store.history(),
                agents=self.store.agents(),
                jobs=self.store.jobs(),
                clock=clock or self.clock,
            ),
            self.configuration.for_engine,
            runtime,
        )

    def renaming(self, names: region_names.Renaming) -> renaming.RegionRenaming:
        """Return the renaming of a region in the marks of all copies.

        :raises SyncError: Keystone or the database is unreachable.
        """

        def marks_in(region: images.RegionId) -> GlanceMarkedRecords:
            return GlanceMarkedRecords(
                region=region, session=self.session, endpoint=self.catalogue.endpoint(region)
            )

        copies = self.store.known_regions().copies
        return renaming.RegionRenaming(names, marks_in, self.catalogue.regions(), copies)
