# SPDX-License-Identifier: Apache-2.0
"""The checks for ``record_locations``. Copies work without them, so none is a failure."""

from collections.abc import Callable, Sequence
import functools

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.glance import access
from glance_sync_agent.wiring.cloud import Cloud

_NEEDED = (
    "in glance-api.conf of {region}: show_multiple_locations = true, a store of type http beside "
    "the others in enabled_backends, and in [import_filtering_opts] the hosts and ports of the "
    "other regions' Glances; or record_locations = false"
)
# Glance itself calls the option a grave risk (glance/common/config.py: show_multiple_locations).
_RISK = (
    "keep the public endpoint on a Glance without show_multiple_locations, and let the agent use "
    "an internal Glance that has it: [service_credentials] interface = internal"
)


def all_checks(
    regions: Sequence[images.RegionId], cloud: Cloud, interface: str
) -> list[Callable[[], findings.Finding]]:
    """Return the checks of all regions, the cascading one first."""
    source, *others = regions
    return [
        functools.partial(_cascading, source, cloud, interface),
        *(functools.partial(_cascaded, one, cloud) for one in others),
    ]


def _cascading(region: images.RegionId, cloud: Cloud, interface: str) -> findings.Finding:
    """Check that the cascading Glance takes locations, and to whom it shows them."""
    link = f"locations {region}"
    endpoint = cloud.catalogue.endpoint(region)
    needed = _NEEDED.format(region=region)
    try:
        found = access.probe_locations(region=region, session=cloud.session, endpoint=endpoint)
    except errors.SyncError as exc:
        return findings.warning(link, str(exc), f"see 'Glance {region}'")
    if found.are_shown is None:
        return findings.skipped(link, "needs an image in that region, and there is none")
    if not found.are_shown:
        return findings.warning(link, f"{endpoint} shows no locations of its images", needed)
    if found.has_http_store is False:
        return findings.warning(link, f"{endpoint} has no store for http", needed)
    if interface == "public":
        return findings.warning(
            link,
            f"{endpoint} is public and shows the locations of an image, with their credentials, "
            "to every user of the image; its owner may add locations (OSSN-0065, OSSN-0090, "
            "CVE-2022-4134)",
            _RISK,
        )
    return findings.ok(link, f"{endpoint} takes and shows them")


def _cascaded(region: images.RegionId, cloud: Cloud) -> findings.Finding:
    """Check that the cascading Glance can read the size of an image of a region."""
    link = f"locations {region}"
    endpoint = cloud.catalogue.endpoint(region)
    try:
        access.require_public_size(region=region, session=cloud.session, endpoint=endpoint)
    except errors.SyncError as exc:
        return findings.warning(
            link,
            str(exc),
            f"put a proxy before {endpoint} that answers HEAD of /v2/images/ID itself, with 200 "
            "and a Content-Length above 0, and forwards all other requests",
        )
    return findings.ok(link, f"{endpoint} shows a size without a token")
