# SPDX-License-Identifier: Apache-2.0
"""The checks of the message buses."""

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.bus import probe
from glance_sync_agent.wiring import buses
from glance_sync_agent.wiring.configuration import Configuration


def cascading_bus(configuration: Configuration) -> findings.Finding:
    """Check the message bus of the cascading region."""
    remedy = (
        "set transport_url in sync.conf to that of the cascading Glance; on the broker: "
        "rabbitmqctl status, rabbitmqctl list_vhosts, rabbitmqctl list_permissions"
    )
    return _check("message bus", configuration, None, remedy)


def region_bus(configuration: Configuration, region: images.RegionId) -> findings.Finding:
    """Check the message bus of another region."""
    remedy = (
        "set it in [notifications] region_transport_urls to the transport_url of that region's "
        "Glance"
    )
    return _check(f"bus of {region}", configuration, region, remedy)


def _check(
    link: str, configuration: Configuration, region: images.RegionId | None, remedy: str
) -> findings.Finding:
    def choose(exc: errors.SyncError) -> str:
        is_refused = isinstance(exc, errors.Refused)
        return probe.remedy(configuration.settings.bus.pool) if is_refused else remedy

    def probed() -> str | findings.Finding:
        seen = buses.ping(configuration, region)
        if silent := buses.silent_topics(configuration, region):
            return findings.warning(
                link,
                f"{seen} answers, but no Glance has sent to topic {', '.join(silent)} yet",
                "set [notifications] topics in sync.conf to topics in "
                "[oslo_messaging_notifications] of that Glance, and driver = messagingv2 there; "
                "in a new cloud, publish an image first",
            )
        return seen

    return findings.check(link, probed, choose)
