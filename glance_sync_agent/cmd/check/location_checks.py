# SPDX-License-Identifier: Apache-2.0
"""The links of ``check`` that only ``record_locations`` needs.

Copies are in sync without them, so nothing here is a failure.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.glance import access
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue

_NEEDED = (
    "in glance-api.conf of {region}: show_multiple_locations = true, a store of type http beside "
    "the others in enabled_backends, and in [import_filtering_opts] the hosts and ports of the "
    "other regions' Glances; or record_locations = false"
)
# Glance itself calls the option a grave risk (glance/common/config.py: show_multiple_locations).
_RISK = (
    "keep the public endpoint on a Glance without show_multiple_locations, and lead the agent to "
    "an internal one that has it: [service_credentials] interface = internal"
)


def looks(
    regions: Sequence[images.RegionId], catalogue: KeystoneCatalogue, session: Any, interface: str
) -> list[Callable[[], findings.Finding]]:
    """Return the looks at all regions, of which the cascading one comes first."""
    source, *others = regions
    return [
        functools.partial(_cascading, source, catalogue, session, interface),
        *(functools.partial(_cascaded, one, catalogue, session) for one in others),
    ]


def _cascading(
    region: images.RegionId, catalogue: KeystoneCatalogue, session: Any, interface: str
) -> findings.Finding:
    """Look whether the cascading Glance takes locations, and who sees them."""
    link = f"locations {region}"
    endpoint = catalogue.endpoint(region)
    needed = _NEEDED.format(region=region)
    try:
        found = access.probe_locations(region=region, session=session, endpoint=endpoint)
    except errors.SyncError as exc:
        return findings.warning(link, str(exc), f"see 'Glance {region}'")
    if found.are_shown is None:
        return findings.skipped(link, "there is no image yet by which to tell")
    if not found.are_shown:
        return findings.warning(link, f"{endpoint} shows no locations of its images", needed)
    if found.has_http_store is False:
        return findings.warning(link, f"{endpoint} has no store for http", needed)
    if interface == "public":
        return findings.warning(
            link,
            f"{endpoint} is public and shows everybody who may see an image all its locations, "
            "with what credentials they hold; its owner may add others to it (OSSN-0065, "
            "OSSN-0090, CVE-2022-4134)",
            _RISK,
        )
    return findings.Finding(
        verdict=findings.Level.OK, link=link, detail=f"{endpoint} takes and shows them"
    )


def _cascaded(
    region: images.RegionId, catalogue: KeystoneCatalogue, session: Any
) -> findings.Finding:
    """Look whether the cascading Glance would learn the size of an image of a region."""
    link = f"locations {region}"
    endpoint = catalogue.endpoint(region)
    try:
        access.require_public_size(region=region, session=session, endpoint=endpoint)
    except errors.SyncError as exc:
        return findings.warning(
            link,
            str(exc),
            f"put a proxy before {endpoint} that answers HEAD of /v2/images/ID itself, with 200 "
            "and a Content-Length above 0, and passes on everything else",
        )
    return findings.Finding(
        verdict=findings.Level.OK, link=link, detail=f"{endpoint} tells everybody a size"
    )
