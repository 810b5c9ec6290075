# SPDX-License-Identifier: Apache-2.0
"""Each region's Glance and the way its bytes take."""

from collections.abc import Callable, Iterable, Mapping
import logging
import threading
from typing import Any, TypeVar
import urllib.parse

import stevedore

from glance_sync_agent import errors
from glance_sync_agent.conf import settings
from glance_sync_agent.conf import store_file
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import stores
from glance_sync_agent.drivers.glance import records
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone import endpoints
from glance_sync_agent.drivers.ssh import hosts
from glance_sync_agent.drivers.stores import api
from glance_sync_agent.drivers.stores import fallback
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)

_NAMESPACE = "glance_sync_agent.stores"

T = TypeVar("T")
#: A region and the endpoint of its Glance, which the catalogue may change.
Place = tuple[images.RegionId, str]


class RegionServices:
    """Makes the services of a region when they are first asked for; ``engine.ports.Regions``."""

    def __init__(
        self,
        *,
        catalogue: endpoints.Keystone,
        session: credentials.Session,
        current: settings.Settings,
        trust: streams.Trust,
        stop: threading.Event,
    ) -> None:
        """Read the store file; asks nobody yet.

        :raises ConfigurationError: the store file is wrong.
        """
        self._catalogue = catalogue
        self._session = session
        self._settings = current
        self._trust = trust
        self._stop = stop
        self._timeouts = streams.Timeouts(
            connect_seconds=current.connect_timeout_seconds,
            idle_seconds=current.idle_timeout_seconds,
        )
        self._ssh = hosts.SshHosts(
            timeouts=streams.Timeouts(
                connect_seconds=current.ssh_connect_timeout_seconds,
                idle_seconds=current.idle_timeout_seconds,
            )
        )
        self._entries = store_file.load(current.store_file) if current.store_file else ()
        self._factories = _factories()
        self._lock = threading.Lock()
        self._services: dict[Place, records.Glance] = {}
        self._api_stores: dict[Place, api.Store] = {}
        self._scheme_stores: dict[Place, ports.ImageStore | None] = {}
        self._source_stores: dict[Place, ports.ImageStore] = {}

    def image_service(self, region: images.RegionId) -> records.Glance:
        """Return the region's Glance.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """
        return self._made(self._services, region, self._make_service)

    def store(self, region: images.RegionId, size: int) -> ports.ImageStore:
        """Return the way to write ``size`` bytes into the region.

        What the store file says of the cascading region is how to read there. The agent is
        beside its Glance, mostly on one host, which has no SSH account for the agent.
        """
        is_small = size <= self._settings.small_image_bytes
        if is_small or region == self._catalogue.cascading:
            return self._api_store(region)
        return self.scheme_store(region) or self._api_store(region)

    def source_store(self, region: images.RegionId) -> ports.ImageStore:
        """Return the way to read data of a region, which ends at its image API if need be.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """
        return self._made(self._source_stores, region, self._make_source_store)

    def served(self, region: images.RegionId) -> ports.ImageStore:
        """Return the way to read what the users of a region get, through its Glance alone.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """
        return self._api_store(region)

    def entry(self, region: images.RegionId) -> store_file.Entry | None:
        """Return what the store file says of a region: by its name, or else by its address.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """
        for one in self._entries:
            if one.name == region:
                return one
        host = urllib.parse.urlsplit(self._catalogue.endpoint(region)).hostname
        return next((one for one in self._entries if one.service_ip == host), None)

    def scheme(self, region: images.RegionId) -> store_file.Scheme | None:
        """Return the first scheme of a region that has a driver; None: the image API.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """
        entry = self.entry(region)
        known = (one for one in entry.schemes if one.name in self._factories) if entry else ()
        return next(iter(known), None)

    def check(self) -> None:
        """Make every region's store, so that what is wrong in the store file shows at once.

        :raises ConfigurationError: names all that is wrong.
        """
        regions = self._catalogue.regions()
        problems = []
        for region in sorted(regions):
            try:
                self.scheme_store(region)
            except errors.ConfigurationError as exc:
                problems.append(f"{self._settings.store_file}: {exc}")
        if problems:
            raise errors.ConfigurationError("\n".join(problems))
        used = {id(self.entry(region)) for region in regions}
        for entry in self._entries:
            if id(entry) not in used:
                LOG.warning(
                    "%s: entry %s is of no region of the catalogue and is not used",
                    self._settings.store_file, entry.name,
                )

    def close(self) -> None:
        """Cut all connections. Idempotent."""
        with self._lock:  # a task that was called off may still be making one
            made = list(self._api_stores.values())
        for store in made:
            store.close()
        self._ssh.close()

    def _made(
        self,
        made: dict[Place, T],
        region: images.RegionId,
        make: Callable[[images.RegionId], T],
    ) -> T:
        place = region, self._catalogue.endpoint(region)
        with self._lock:
            if place in made:
                return made[place]
        # Outside the lock, because it may ask Keystone; making one twice does no harm.
        new = make(region)
        with self._lock:
            return made.setdefault(place, new)

    def _make_service(self, region: images.RegionId) -> records.Glance:
        return records.Glance(
            region=region,
            session=self._session,
            endpoint=self._catalogue.endpoint(region),
            stop=self._stop,
        )

    def _api_store(self, region: images.RegionId) -> api.Store:
        return self._made(self._api_stores, region, lambda _: api.Store(self._context(region)))

    def _make_source_store(self, region: images.RegionId) -> ports.ImageStore:
        by_scheme, by_api = self.scheme_store(region), self._api_store(region)
        if by_scheme is None:
            return by_api
        # The way into a cascaded region mostly leads to no file, and need not.
        is_usual = region != self._catalogue.cascading
        return fallback.WithFallback(by_scheme, by_api, is_usual=is_usual)

    def scheme_store(self, region: images.RegionId) -> ports.ImageStore | None:
        """Return the way that the store file gives for a region; None: there is none."""
        return self._made(self._scheme_stores, region, self._make_scheme_store)

    def _make_scheme_store(self, region: images.RegionId) -> ports.ImageStore | None:
        scheme = self.scheme(region)
        if scheme is None:
            return None
        factory = self._factories[scheme.name]
        return factory.from_parameters(scheme.parameters, self._context(region))

    def _context(self, region: images.RegionId) -> stores.StoreContext:
        return stores.StoreContext(
            region=region,
            endpoint=self._catalogue.endpoint(region),
            token=self._catalogue.token,
            forget_token=self._catalogue.forget_token,
            ssh=self._ssh,
            known_hosts=self._settings.known_hosts,
            trust=self._trust,
            timeouts=self._timeouts,
        )


def _factories() -> Mapping[str, stores.Factory]:
    """Find the drivers that are installed, by scheme."""
    manager: Iterable[Any] = stevedore.ExtensionManager(_NAMESPACE, invoke_on_load=False)
    return {extension.name: extension.plugin for extension in manager}
