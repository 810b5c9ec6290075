# SPDX-License-Identifier: Apache-2.0
"""The Glance of each region, and the ways to its bytes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import logging
import pathlib
import threading
from typing import Any, Protocol, TypeVar
import urllib.parse

import stevedore

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.drivers import stores
from glance_sync_agent.drivers.glance.image_service import GlanceImageService
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.drivers.ssh import hosts
from glance_sync_agent.drivers.stores import api
from glance_sync_agent.drivers.stores import fallback
from glance_sync_agent.drivers.transport import streams
from glance_sync_agent.drivers.transport.trust import Trust
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)

_NAMESPACE = "glance_sync_agent.stores"

T = TypeVar("T")
#: A region and the endpoint of its Glance, which may change in the catalogue.
Key = tuple[images.RegionId, str]


class StoreScheme(Protocol):
    """A way to the bytes of a region, as the store file describes it."""

    @property
    def name(self) -> str:
        """The name of its driver."""

    @property
    def parameters(self) -> Mapping[str, str]:
        """The driver's parameters; they may hold a password."""


class StoreEntry(Protocol):
    """An entry of the store file."""

    @property
    def name(self) -> str:
        """The name of a region, or anything."""

    @property
    def service_ip(self) -> str | None:
        """The host of the region's image endpoint, if the name is no region."""

    @property
    def schemes(self) -> Sequence[StoreScheme]:
        """Its schemes, by priority."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class RegionSettings:
    """The settings that lead to the bytes of the regions."""

    entries: Sequence[StoreEntry] = ()
    store_file: pathlib.Path | None  # that has the entries
    known_hosts: str  # file name
    small_image_bytes: int  # images up to this size take the image API
    timeouts: streams.Timeouts
    ssh_timeouts: streams.Timeouts
    trust: Trust


class RegionServices:
    """Makes the services of a region when they are first used; ``engine.ports.Regions``.

    Methods with a region raise ``UnknownRegion`` if the catalogue has no image endpoint for it.
    """

    def __init__(
        self,
        *,
        catalogue: KeystoneCatalogue,
        session: credentials.Session,
        settings: RegionSettings,
        stop: threading.Event,
    ) -> None:
        """Prepare; sends nothing yet.

        :param stop: set when no further retry of a request makes sense.
        """
        self._catalogue = catalogue
        self._session = session
        self._settings = settings
        self._stop = stop
        self._ssh = hosts.SshHosts(timeouts=settings.ssh_timeouts)
        self._factories = _factories()
        self._lock = threading.Lock()
        self._services: dict[Key, GlanceImageService] = {}
        self._api_stores: dict[Key, api.ApiStore] = {}
        self._scheme_stores: dict[Key, ports.ImageStore | None] = {}
        self._source_stores: dict[Key, ports.ImageStore] = {}

    def image_service(self, region: images.RegionId) -> GlanceImageService:
        """Return the region's Glance."""
        return self._made(self._services, region, self._make_service)

    def store(self, region: images.RegionId, size: int) -> ports.ImageStore:
        """Return the way to write ``size`` bytes into the region.

        The store file's entry of the cascading region is for reading only. The agent mostly runs
        on the host of that Glance, which has no SSH account for it.
        """
        is_small = size <= self._settings.small_image_bytes
        if is_small or region == self._catalogue.cascading:
            return self._api_store(region)
        return self.scheme_store(region) or self._api_store(region)

    def source_store(self, region: images.RegionId) -> ports.ImageStore:
        """Return the way to read data of a region, with its image API as fallback."""
        return self._made(self._source_stores, region, self._make_source_store)

    def served(self, region: images.RegionId) -> ports.ImageStore:
        """Return the way to read through the region's Glance, as users do."""
        return self._api_store(region)

    def entry(self, region: images.RegionId) -> StoreEntry | None:
        """Return the store file's entry of a region: by its name, or else by its address."""
        for one in self._settings.entries:
            if one.name == region:
                return one
        host = urllib.parse.urlsplit(self._catalogue.endpoint(region)).hostname
        return next((one for one in self._settings.entries if one.service_ip == host), None)

    def scheme(self, region: images.RegionId) -> StoreScheme | None:
        """Return the first scheme of a region that has a driver; None: the image API."""
        entry = self.entry(region)
        known = (one for one in entry.schemes if one.name in self._factories) if entry else ()
        return next(iter(known), None)

    def check(self) -> None:
        """Make the stores of all regions, so that all mistakes in the store file show at once.

        :raises ConfigurationError: names all mistakes.
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
        for entry in self._settings.entries:
            if id(entry) not in used:
                LOG.warning(
                    "%s: entry %s belongs to no region of the catalogue and is not used; correct "
                    "its name or service_ip",
                    self._settings.store_file, entry.name,
                )

    def close(self) -> None:
        """Cut all connections. Idempotent."""
        with self._lock:  # a cancelled task may still be making one
            made = list(self._api_stores.values())
        for store in made:
            store.close()
        self._ssh.close()

    def _made(
        self,
        made: dict[Key, T],
        region: images.RegionId,
        make: Callable[[images.RegionId], T],
    ) -> T:
        key = region, self._catalogue.endpoint(region)
        with self._lock:
            if key in made:
                return made[key]
        # Outside the lock, because it may ask Keystone; a second one does no harm.
        new = make(region)
        with self._lock:
            return made.setdefault(key, new)

    def _make_service(self, region: images.RegionId) -> GlanceImageService:
        return GlanceImageService(
            region=region,
            session=self._session,
            endpoint=self._catalogue.endpoint(region),
            stop=self._stop,
        )

    def _api_store(self, region: images.RegionId) -> api.ApiStore:
        return self._made(self._api_stores, region, lambda _: api.ApiStore(self._context(region)))

    def _make_source_store(self, region: images.RegionId) -> ports.ImageStore:
        by_scheme, by_api = self.scheme_store(region), self._api_store(region)
        if by_scheme is None:
            return by_api
        # In a cascaded region the store file need not lead to the files, and mostly does not.
        is_usual = region != self._catalogue.cascading
        return fallback.WithFallback(by_scheme, by_api, is_usual=is_usual)

    def scheme_store(self, region: images.RegionId) -> ports.ImageStore | None:
        """Return the way that the store file describes for a region; None: there is none."""
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
            trust=self._settings.trust,
            timeouts=self._settings.timeouts,
        )


def _factories() -> Mapping[str, stores.Factory]:
    """Find the installed drivers, by scheme."""
    manager: Iterable[Any] = stevedore.ExtensionManager(_NAMESPACE, invoke_on_load=False)
    return {extension.name: extension.plugin for extension in manager}
