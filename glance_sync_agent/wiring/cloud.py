# SPDX-License-Identifier: Apache-2.0
"""The cloud as sync.conf describes it: its Keystone, its Glances and the database."""

import datetime
import functools
import logging
import threading
import time
from types import TracebackType
from typing import Self

from oslo_config import cfg

from glance_sync_agent.conf import settings
from glance_sync_agent.conf import store_file
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone import owner_projects
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.drivers.regions import RegionServices
from glance_sync_agent.drivers.regions import RegionSettings
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.engine import assembly
from glance_sync_agent.engine import ports
from glance_sync_agent.wiring import configuration

LOG = logging.getLogger(__name__)

_TOLD_DIFFERENCE = datetime.timedelta(seconds=5)
#: What the way to the database and back may make of no difference at all.
_NO_DIFFERENCE = datetime.timedelta(seconds=0.5)


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


def clock_of(store: task_store.SqlTaskStore) -> SystemClock:
    """Return the clock that the agents of a database go by.

    :raises ServiceUnavailable: the database does not answer.
    """
    clock = SystemClock()
    clock.follow(store.clock_ahead())
    return clock


def region_settings(current: settings.Settings, trust: streams.Trust) -> RegionSettings:
    """Read the store file, and return it with the other settings of the regions.

    :raises ConfigurationError: the store file is wrong.
    """
    idle = current.idle_timeout_seconds
    return RegionSettings(
        entries=store_file.load(current.store_file) if current.store_file else (),
        store_file=current.store_file,
        known_hosts=current.known_hosts,
        small_image_bytes=current.small_image_bytes,
        timeouts=streams.Timeouts(
            connect_seconds=current.connect_timeout_seconds, idle_seconds=idle
        ),
        ssh_timeouts=streams.Timeouts(
            connect_seconds=current.ssh_connect_timeout_seconds, idle_seconds=idle
        ),
        trust=trust,
    )


class Cloud:
    """Opens each part when it is first used, so a command needs only what it uses.

    A process has one, and with it one Keystone session. As a context manager it closes itself.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        current: configuration.CurrentSettings,
        *,
        stop: threading.Event | None = None,
    ) -> None:
        """Prepare; opens nothing.

        :param stop: set when no further retry of a request makes sense.
        """
        self.conf = conf
        self.current = current
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
        """The log-in of the agent's own user; asks nobody yet.

        :raises ConfigurationError: ``[service_credentials]`` gives no log-in.
        """
        return credentials.load(self.conf, configuration.CREDENTIALS)

    @functools.cached_property
    def catalogue(self) -> KeystoneCatalogue:
        """Keystone's catalogue; asks nobody yet.

        :raises ConfigurationError: ``[service_credentials]`` gives no log-in.
        """
        return KeystoneCatalogue(
            session=self.session,
            cascading_endpoint_url=self.current.settings.cascading_endpoint_url,
            interface=self.conf[configuration.CREDENTIALS].interface,
        )

    @functools.cached_property
    def regions(self) -> RegionServices:
        """The Glances and stores of all regions; asks nobody yet.

        :raises ConfigurationError: the store file is wrong.
        """
        trust = credentials.trust(self.conf, configuration.CREDENTIALS)
        return RegionServices(
            catalogue=self.catalogue,
            session=self.session,
            settings=region_settings(self.current.settings, trust),
            stop=self._stop,
        )

    @functools.cached_property
    def store(self) -> task_store.SqlTaskStore:
        """The database; connects when it is first used."""
        return task_store.SqlTaskStore(self.current.settings.connection)

    @functools.cached_property
    def clock(self) -> SystemClock:
        """The clock that the agents of this database go by.

        :raises ServiceUnavailable: the database does not answer.
        """
        return clock_of(self.store)

    def engine(
        self, runtime: ports.Runtime | None = None, *, clock: ports.Clock | None = None
    ) -> assembly.Engine:
        """Return an engine for this cloud; None as ``runtime``: that of a command.

        :param clock: None: that of the database.
        :raises ServiceUnavailable: the clock of the database is needed and does not answer.
        """
        return assembly.assemble(
            ports.Ports(
                regions=self.regions,
                catalogue=self.catalogue,
                projects=owner_projects.KeystoneProjects(self.catalogue, self.session),
                store=self.store,
                leader_leases=self.store.leader_leases(),
                breakers=self.store.breakers(),
                facts=self.store.facts(),
                clock=clock or self.clock,
            ),
            self.current.for_engine,
            runtime,
        )
