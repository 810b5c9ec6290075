# SPDX-License-Identifier: Apache-2.0
"""The message buses that sync.conf names."""

from collections.abc import Container, Sequence
import functools

from glance_sync_agent.domain import images
from glance_sync_agent.drivers.bus import listeners
from glance_sync_agent.drivers.bus import probe
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import requests
from glance_sync_agent.wiring.configuration import Configuration

_TIMEOUT_SECONDS = 10.0


def check_urls(configuration: Configuration) -> None:
    """Check the URLs of all buses; connects to none.

    :raises ConfigurationError: a URL is wrong.
    """
    probe.check(configuration.conf)
    for region, url in configuration.settings.bus.region_urls.items():
        probe.check(configuration.conf, url, name=_name(region))


def ping(configuration: Configuration, region: images.RegionId | None = None) -> str:
    """Connect to a message bus once; return its address.

    :param region: a region of ``region_transport_urls``; None: the cascading region.
    :raises ConfigurationError: the URL is wrong.
    :raises ServiceUnavailable: the bus is unreachable.
    :raises Refused: its exchange or queue has other options than ours.
    """
    bus = configuration.settings.bus
    return probe.ping(
        configuration.conf,
        _TIMEOUT_SECONDS,
        None if region is None else bus.region_urls[region],
        name=probe.NAME if region is None else _name(region),
        exchange=bus.exchange,
        pool=bus.pool,
    )


def silent_topics(
    configuration: Configuration, region: images.RegionId | None = None
) -> Sequence[str]:
    """Return the topics to which no Glance has sent anything yet.

    :param region: a region of ``region_transport_urls``; None: the cascading region.
    :raises ServiceUnavailable: the bus is unreachable.
    """
    bus = configuration.settings.bus
    url = None if region is None else bus.region_urls[region]
    return probe.silent_topics(configuration.conf, _TIMEOUT_SECONDS, url, topics=bus.topics)


def _name(region: images.RegionId) -> str:
    return f"[notifications] region_transport_urls: the entry of {region}"


def make_listeners(
    configuration: Configuration,
    requests: requests.TaskRequests,
    reachable: Container[images.RegionId],
    meters: ports.Meters,
) -> listeners.Listeners:
    """Return what listens on the cascading region's bus and on those of other regions.

    :param reachable: regions of the catalogue; the buses of other regions are left out.
    """
    bus = configuration.settings.bus

    def listener(region: images.RegionId | None, url: str | None) -> listeners.Listener:
        subscription = listeners.Subscription(
            topics=bus.topics,
            exchange=bus.exchange,
            pool=bus.pool,
            prefetch=bus.prefetch,
            url=url,
        )
        handle = functools.partial(requests.handle, source_region=region)
        return listeners.Listener(configuration.conf, subscription, handle, meters)

    others = [listener(*pair) for pair in sorted(bus.region_urls.items()) if pair[0] in reachable]
    return listeners.Listeners(listener(None, None), others)
