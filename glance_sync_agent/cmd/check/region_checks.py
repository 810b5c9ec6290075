# SPDX-License-Identifier: Apache-2.0
"""The checks of the regions: their Glances, and what the files say of them."""

from collections.abc import Callable, Collection, Iterator
import functools
import pathlib
from typing import Any

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.check import location_checks
from glance_sync_agent.cmd.check import store_checks
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.drivers.glance import access
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.wiring.cloud import Cloud
from glance_sync_agent.wiring.configuration import CREDENTIALS

Check = Callable[[], findings.Finding]

#: A region follows in the name of the link.
GLANCE = "Glance "


def all_checks(
    cloud: Cloud, *, is_quick: bool, only: images.RegionId | None = None
) -> Iterator[Check]:
    """Yield the checks of all regions, the cascading region first.

    :param is_quick: make no image.
    :param only: the one region to check; None: all.
    """
    configuration, catalogue = cloud.configuration, cloud.catalogue
    settings = configuration.settings
    regions = sorted(catalogue.regions(), key=lambda one: (one != catalogue.cascading, one))
    # The cascading region may get the snapshots of other regions.
    snapshot_regions = settings.engine.placement.snapshot_regions
    targets = {*regions} - ({catalogue.cascading} - snapshot_regions)
    chosen = regions if only is None else [only]
    for region in chosen:
        takes_copies = region in targets and not is_quick
        yield functools.partial(
            glance, region, catalogue, cloud.session, takes_copies=takes_copies
        )
    if (map_file := settings.project_map) is not None:
        yield functools.partial(project_map, map_file, settings.engine.metadata, regions)
    interface = configuration.conf[CREDENTIALS].interface
    if settings.engine.attempts.record_locations:
        yield from location_checks.all_checks(chosen, cloud, interface)
    if (store_file := settings.store_file) is None:
        return
    try:
        services = cloud.regions
    except errors.ConfigurationError:
        return  # the check of glance_store.yaml reports that
    for region in chosen:
        is_source = region == catalogue.cascading
        yield functools.partial(
            store_checks.store, region, services, store_file, is_source=is_source
        )
    yield functools.partial(
        store_checks.unused_entries, services, regions, store_file, interface
    )


def glance(
    region: images.RegionId, catalogue: KeystoneCatalogue, session: Any, *, takes_copies: bool
) -> findings.Finding:
    """Check the Glance of a region, and the agent's rights there.

    :param takes_copies: try an upload, which makes an image record and removes it.
    """
    link = f"{GLANCE}{region}"
    endpoint = catalogue.endpoint(region)

    def probe() -> str | findings.Finding:
        found = access.probe(region=region, session=session, endpoint=endpoint)
        seen = f"Images API {found.version} at {endpoint}, as administrator"
        if not found.is_admin:
            return findings.failure(
                link,
                f"{endpoint} does not accept the agent's user as administrator, so the agent "
                "cannot choose the id and owner of an image",
                "give the agent's user the role of context_is_admin in policy.yaml of that Glance",
            )
        if not takes_copies:
            return seen
        if access.may_upload(region=region, session=session, endpoint=endpoint):
            return f"{seen}, uploads allowed"
        return findings.failure(
            link,
            f"{endpoint} does not let the agent's user upload the data of an image",
            "give the agent's user the role of upload_image in policy.yaml of that Glance",
        )

    def remedy(exc: errors.SyncError) -> str:
        if isinstance(exc, errors.Refused | errors.Unauthorized):
            return (
                "see the log of that Glance; check its [keystone_authtoken] and its policy.yaml"
            )
        return (
            "start that Glance, restart it if it hangs, or make it reachable from here: curl "
            f"{endpoint.rstrip('/')}"
            "/versions"
        )

    return findings.check(link, probe, remedy)


def project_map(
    file: pathlib.Path,
    policy: metadata_policy.MetadataPolicy,
    regions: Collection[images.RegionId],
) -> findings.Finding:
    """Find the regions of the project map that do not exist."""
    link = "project_map.yaml"
    if policy.owner is not metadata_policy.Owner.MAPPED:
        return findings.skipped(link, f"{file} is not used: [metadata] owner = {policy.owner}")
    if unknown := sorted(policy.project_map.keys() - set(regions)):
        return findings.warning(
            link,
            f"{file}: {', '.join(unknown)}: no region of the catalogue",
            f"correct the names in {file}; the regions are {', '.join(sorted(regions))}",
        )
    projects = sum(map(len, policy.project_map.values()))
    return findings.ok(link, f"{file}: {projects} projects in {len(policy.project_map)} regions")
