# SPDX-License-Identifier: Apache-2.0
"""The catalogue: the regions of the cloud, and the URLs of their Glances."""

from collections.abc import Callable, Iterator, Mapping, Sequence
import dataclasses
import logging
import time
from typing import Any, TypeAlias

from keystoneauth1 import access
from keystoneauth1 import identity
from keystoneauth1 import plugin
from keystoneauth1.access import service_catalog

from glance_sync_agent import errors
from glance_sync_agent import single_flight
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.keystone import credentials
from glance_sync_agent.drivers.keystone import endpoint_urls

LOG = logging.getLogger(__name__)

_READING = "catalogue"


class KeystoneCatalogue:
    """The catalogue as the agent's user sees it, and that user's token. Thread safe.

    Every method raises ``ServiceUnavailable`` if Keystone does not answer, and ``Refused`` if it
    refuses the log-in.
    """

    def __init__(
        self,
        *,
        session: credentials.Session,
        cascading_endpoint_url: str,
        interface: str = "public",
        cache_seconds: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep the parts; sends nothing yet.

        :param cascading_endpoint_url: of the cascading Glance, as in the catalogue.
        :param interface: ``public``, ``internal`` or ``admin``.
        :param cache_seconds: for which an answer of Keystone is valid.
        """
        self._session = session
        self._cascading_url = cascading_endpoint_url
        self._interface = interface
        self._cache_seconds = cache_seconds
        self._monotonic = monotonic
        self._reading = single_flight.SingleFlight()
        self._known: _ImageEndpoints | None = None
        self._known_until = 0.0

    def regions(self) -> frozenset[images.RegionId]:
        """Return every region with an image endpoint, the cascading one included."""
        return frozenset(self._endpoints().urls)

    @property
    def cascading(self) -> images.RegionId:
        """The region where users publish images.

        :raises ConfigurationError: no region has that endpoint, or several have.
        """
        endpoints = self._endpoints().urls
        wanted = endpoint_urls.normalised(self._cascading_url)
        found = [
            region
            for region, url in endpoints.items()
            if endpoint_urls.normalised(url) == wanted
        ]
        if len(found) == 1:
            return found[0]
        listed = ", ".join(f"{region}: {url}" for region, url in sorted(endpoints.items()))
        raise errors.ConfigurationError(
            f"cascading_endpoint_url {self._cascading_url} is the {self._interface} image "
            f"endpoint of {len(found) or 'no'} regions, but must be that of one; the catalogue "
            f"has {listed or 'none that this user may see'}"
        )

    def endpoint(self, region: images.RegionId) -> str:
        """Return the URL of the region's Glance as the catalogue has it.

        :raises UnknownRegion: the catalogue has no image endpoint for it.
        """
        endpoints = self._endpoints().urls
        if region not in endpoints:
            raise errors.UnknownRegion(
                f"region {region} has no {self._interface} image endpoint in the catalogue; "
                f"regions with one: {', '.join(sorted(endpoints)) or 'none'}"
            )
        return endpoints[region]

    def image_endpoints(self) -> Mapping[str, images.RegionId]:
        """Return the regions of the image endpoints of all interfaces, by endpoint id."""
        return self._endpoints().regions

    def region_of(self, url: str) -> images.RegionId | None:
        """Return the region whose Glance ``url`` leads to, by an endpoint of any interface.

        None: no endpoint matches, or several regions share the endpoint.
        """
        return endpoint_urls.region_of(url, self._endpoints().all)

    def token(self) -> str:
        """Return a token with some minutes left."""
        with credentials.translated("get a token"):
            token = self._session.get_token()
        if token is None:
            raise errors.Refused("cannot get a token: [service_credentials] has no log-in")
        return token

    def forget_token(self) -> None:
        """Make :meth:`token` return a new one, because a service refused the current one."""
        self._session.invalidate()

    def roles(self) -> frozenset[str]:
        """Return the names of the roles of our token."""
        return frozenset(self._access().role_names or ())

    def own_project(self) -> str:
        """Return the id of the project of our token.

        :raises Refused: the token has no project, or Keystone refuses the log-in.
        """
        project_id = self._access().project_id
        if not project_id:
            raise errors.Refused(
                "the agent's token has no project: give [service_credentials] a project_name or "
                "a project_id"
            )
        return str(project_id)

    def _access(self) -> access.AccessInfo:
        with credentials.translated("get a token"):
            auth = self._session.auth
            if not isinstance(auth, identity.BaseIdentityPlugin):
                raise errors.Refused("[service_credentials] auth_type gives no Keystone token")
            return auth.get_access(self._session)

    def _endpoints(self) -> "_ImageEndpoints":
        known = self._known
        if known is not None and self._reading.is_running(_READING):
            return known  # a Keystone that hangs holds up one thread only
        return self._reading.run(_READING, self._current)

    def _current(self) -> "_ImageEndpoints":
        known = self._known
        if known is None or self._monotonic() >= self._known_until:
            self._known = known = self._refreshed(known)
            self._known_until = self._monotonic() + self._cache_seconds
        return known

    def _refreshed(self, known: "_ImageEndpoints | None") -> "_ImageEndpoints":
        try:
            return self._read()
        except (errors.ServiceUnavailable, errors.Refused) as exc:
            if known is None:
                raise
            # Regions seldom change, and images must not wait for Keystone.
            LOG.warning("Keystone does not give the catalogue; keeping the last one: %s", exc)
            return known

    def _read(self) -> "_ImageEndpoints":
        # The catalogue in the token is as old as the token. A new token for each reading would
        # stop all work while Keystone restarts.
        with credentials.translated("read the catalogue"):
            answer = self._session.get(
                "/auth/catalog",
                endpoint_filter={"interface": plugin.AUTH_INTERFACE, "version": (3,)},
            )
            try:
                catalogue = service_catalog.ServiceCatalogV3(answer.json()["catalog"])
                everywhere = catalogue.get_endpoints(service_type="image")
                return _ImageEndpoints(
                    urls=_urls(
                        catalogue.get_endpoints(service_type="image", interface=self._interface)
                    ),
                    regions=_regions(everywhere),
                    all=tuple(_with_urls(everywhere)),
                )
            except (ValueError, KeyError, TypeError, AttributeError) as exc:
                raise errors.ServiceUnavailable(
                    f"read the catalogue: Keystone's answer is not a catalogue ({exc!r})"
                ) from exc


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class _ImageEndpoints:
    """The image endpoints of the catalogue."""

    urls: Mapping[images.RegionId, str]  # of the interface in use
    regions: Mapping[str, images.RegionId]  # by endpoint id, of all interfaces
    all: Sequence[tuple[str, images.RegionId]]  # by URL, of all interfaces


_Found: TypeAlias = Mapping[str, list[dict[str, Any] | None]]


def _urls(endpoints: _Found) -> Mapping[images.RegionId, str]:
    found: dict[images.RegionId, str] = {}
    for endpoint in _with_region(endpoints):
        found.setdefault(images.RegionId(str(endpoint["region_id"])), str(endpoint["url"]))
    return found


def _regions(endpoints: _Found) -> Mapping[str, images.RegionId]:
    return {
        str(endpoint["id"]): images.RegionId(str(endpoint["region_id"]))
        for endpoint in _with_region(endpoints)
        if endpoint.get("id")
    }


def _with_urls(endpoints: _Found) -> Iterator[tuple[str, images.RegionId]]:
    for endpoint in _with_region(endpoints):
        yield str(endpoint["url"]), images.RegionId(str(endpoint["region_id"]))


def _with_region(endpoints: _Found) -> Iterator[dict[str, Any]]:
    for endpoint in (one for same_type in endpoints.values() for one in same_type):
        if endpoint is not None and endpoint.get("region_id"):
            yield endpoint
