# SPDX-License-Identifier: Apache-2.0
"""The links of ``check`` in the regions: each Glance, and each way to its bytes."""

from collections.abc import Collection, Sequence
import functools
import pathlib
from typing import Any, Protocol, runtime_checkable

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.conf import store_file
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy
from glance_sync_agent.drivers.glance import access
from glance_sync_agent.drivers.keystone.catalogue import KeystoneCatalogue
from glance_sync_agent.drivers.regions import RegionServices

_COMPARE = (
    "compare the fingerprint with what 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' says on "
    "the host itself; only then put the key into known_hosts"
)


@runtime_checkable
class Probed(Protocol):
    """A store driver that can be tried."""

    def probe_write(self) -> str:
        """Try the way to the region's Glance; tell what was found."""

    def probe_read(self) -> str:
        """Try the way to the data of its images; tell what was found."""


def glance(
    region: images.RegionId, catalogue: KeystoneCatalogue, session: Any, *, takes_copies: bool
) -> findings.Finding:
    """Look at the Glance of a region, and at our rights there.

    :param takes_copies: we try whether we may upload, which makes a record and removes it.
    """
    link = f"Glance {region}"
    endpoint = catalogue.endpoint(region)

    def probe() -> str | findings.Finding:
        found = access.probe(region=region, session=session, endpoint=endpoint)
        seen = f"Images API {found.version} at {endpoint}, as administrator"
        if not found.is_admin:
            return findings.failure(
                link,
                f"{endpoint} does not take us for an administrator, who may create an image with "
                "any id and owner",
                "give our user the role that policy.yaml of that Glance asks for "
                "(context_is_admin)",
            )
        if not takes_copies:
            return seen
        if access.may_upload(region=region, session=session, endpoint=endpoint):
            return f"{seen}, who may upload"
        return findings.failure(
            link,
            f"{endpoint} does not let us upload the data of an image",
            "give our user the role that policy.yaml of that Glance asks for (upload_image)",
        )

    def remedy(exc: errors.SyncError) -> str:
        if isinstance(exc, errors.Refused | errors.Unauthorized):
            return (
                "its log tells why: is [keystone_authtoken] of that Glance right, and its "
                "policy.yaml?"
            )
        return f"start that Glance, or let us reach it: curl {endpoint.rstrip('/')}/versions"

    return findings.look(link, probe, remedy)


def project_map(
    file: pathlib.Path,
    policy: metadata_policy.MetadataPolicy,
    regions: Collection[images.RegionId],
) -> findings.Finding:
    """Look for what the project map says of regions that there are not."""
    link = "project_map.yaml"
    if policy.owner is not metadata_policy.Owner.MAPPED:
        return findings.skipped(link, f"{file} is not used: [metadata] owner = {policy.owner}")
    unknown = sorted(policy.project_map.keys() - set(regions))
    if unknown:
        return findings.warning(
            link,
            f"{file}: {', '.join(unknown)}: no region of the catalogue",
            f"correct the names in {file}; those that there are: {', '.join(sorted(regions))}",
        )
    projects = sum(map(len, policy.project_map.values()))
    detail = f"{file}: {projects} projects in {len(policy.project_map)} regions"
    return findings.Finding(verdict=findings.Level.OK, link=link, detail=detail)


def store(
    region: images.RegionId,
    services: RegionServices,
    file: pathlib.Path,
    *,
    is_source: bool,
) -> findings.Finding:
    """Look at the way that the store file gives for a region's bytes."""
    link = f"store {region}"

    def probe() -> str | findings.Finding:
        entry, scheme = services.entry(region), services.scheme(region)
        if entry is None:
            return findings.skipped(link, "no entry in glance_store.yaml: the image API is used")
        if scheme is None:
            offered = ", ".join(one.name for one in entry.schemes)
            return findings.warning(
                link,
                f"no driver is installed for {offered}: the image API is used",
                f"remove the entry from {file}, or install a driver",
            )
        way: object = services.scheme_store(region)
        if not isinstance(way, Probed):
            return findings.skipped(link, f"the driver of scheme {scheme.name} cannot be tried")
        if is_source:
            return _source(link, scheme.name, way, f"remove the entry of {region} from {file}")
        return f"{scheme.name}: {way.probe_write()}"

    return findings.look(link, probe, functools.partial(_store_remedy, file, region))


def _source(
    link: str, scheme: str, way: Probed, last_resort: str
) -> str | findings.Finding:
    """Look at a way to read; where it leads nowhere, the agent has another."""
    try:
        return f"{scheme}: {way.probe_read()}"
    except errors.HostKeyMismatch as exc:
        failure: errors.SyncError = exc
        remedy = _COMPARE
    except (errors.TransientError, errors.PermanentError) as exc:
        failure = exc
        remedy = (
            "correct host and datadir, which is filesystem_store_datadir of that Glance; let the "
            "agent's user read there, or login_user over SFTP, as members of Glance's group"
        )
    return findings.warning(
        link,
        f"{failure}; images are read through the image API instead",
        f"{remedy}; or {last_resort}, so that nothing else is tried",
    )


def _store_remedy(file: pathlib.Path, region: images.RegionId, exc: errors.SyncError) -> str:
    match exc:
        case errors.ConfigurationError():
            return f"edit the entry of {region} in {file}"
        case errors.HostKeyMismatch():
            return _COMPARE
        case errors.Refused():
            return (
                f"check login_user and key_filename of {region} in {file}; on the host: the "
                "key in ~/.ssh/authorized_keys with "
                'restrict,port-forwarding,permitopen="GLANCE_HOST:PORT", and '
                "AllowTcpForwarding local in sshd_config"
            )
        case _:
            return (
                f"start sshd there, and Glance; or correct host, port and image_endpoint of "
                f"{region} in {file}"
            )


def unused_entries(
    services: RegionServices, regions: Sequence[images.RegionId], file: pathlib.Path
) -> findings.Finding:
    """Look for entries of the store file that are of no region."""
    link = "unused entries"
    used = [services.entry(region) for region in regions]
    unused = [entry.name for entry in store_file.load(file) if entry not in used]
    if not unused:
        return findings.Finding(
            verdict=findings.Level.OK, link=link, detail=f"none in {file.name}"
        )
    return findings.warning(
        link,
        f"{', '.join(unused)}: neither name nor service_ip is of a region of the catalogue",
        f"correct name or service_ip in {file}",
    )
