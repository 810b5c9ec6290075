# SPDX-License-Identifier: Apache-2.0
"""The options about the message buses."""

from collections.abc import Mapping, Sequence
import dataclasses

from oslo_config import cfg

from glance_sync_agent.domain import images

OPTIONS = {
    "notifications": [
        cfg.ListOpt(
            "topics", default=["notifications"],
            help="Topics of the cascading Glance's notifications. Set it to the value of "
            "[oslo_messaging_notifications] topics in its glance-api.conf.",
        ),
        cfg.StrOpt(
            "exchange", default="glance",
            help="Exchange of the cascading Glance's notifications. Set it to the value of "
            "control_exchange in its glance-api.conf.",
        ),
        cfg.StrOpt(
            "pool", default="glance-sync-agent",
            help="Name of the agents' own queue. Agents with the same name share the messages; "
            "other consumers of the topics still get theirs. Change it for a second, independent "
            "group of agents.",
        ),
        cfg.MultiStrOpt(
            "region_transport_urls", default=[], secret=True,
            help="A cascaded region and its message bus, as RegionTwo:rabbit://USER:PASSWORD@HOST:"
            "PORT/VIRTUAL_HOST; repeat the option for each region. Set it for regions whose "
            "users make snapshots: the agent then copies these to the snapshot regions, and to "
            "the cascading region if snapshot_region_names names it.",
        ),
        cfg.IntOpt(
            "prefetch", default=32, min=16, max=1000,
            help="Messages that the broker delivers before the first is acknowledged. Raise it "
            "for a distant broker. The minimum is 16, because a broker that restarts in the "
            "middle of a message uses up one for good.",
        ),
    ],
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class BusSettings:
    """Where the agent listens."""

    topics: tuple[str, ...]
    exchange: str
    pool: str
    prefetch: int
    #: Message buses of cascaded regions. URLs hold passwords.
    region_urls: Mapping[images.RegionId, str] = dataclasses.field(repr=False)


def bus_settings(conf: cfg.ConfigOpts) -> BusSettings:
    """Return the settings of the buses.

    :raises ValueError: an entry of ``region_transport_urls`` is wrong.
    """
    group = conf.notifications
    return BusSettings(
        topics=tuple(group.topics),
        exchange=group.exchange,
        pool=group.pool,
        prefetch=group.prefetch,
        region_urls=_region_urls(group.region_transport_urls),
    )


def _region_urls(entries: Sequence[str]) -> Mapping[images.RegionId, str]:
    urls: dict[images.RegionId, str] = {}
    for number, entry in enumerate(entries, 1):
        name, _colon, url = entry.partition(":")
        region = images.RegionId(name.strip())
        if not region or "://" not in url:
            # Without the entry, which may hold a password.
            raise ValueError(
                "[notifications] region_transport_urls: expected REGION:URL, such as "
                f"RegionTwo:rabbit://USER:PASSWORD@HOST:PORT/VIRTUAL_HOST, in entry {number}"
            )
        if region in urls:
            raise ValueError(f"[notifications] region_transport_urls: {region} is given twice")
        urls[region] = url.strip()
    return urls
