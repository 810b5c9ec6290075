# SPDX-License-Identifier: Apache-2.0
"""The checks of the stores that ``glance_store.yaml`` describes."""

from collections.abc import Sequence
import functools
import pathlib
from typing import Protocol, runtime_checkable

from glance_sync_agent import errors
from glance_sync_agent.cmd.check import findings
from glance_sync_agent.cmd.check import local_files
from glance_sync_agent.conf import store_file
from glance_sync_agent.domain import images
from glance_sync_agent.drivers.regions import RegionServices

_COMPARE = (
    "compare the fingerprint with that of 'ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub' on "
    "the host itself; only then add the key to known_hosts"
)


@runtime_checkable
class Probed(Protocol):
    """A store driver that can be tried."""

    def probe_write(self) -> str:
        """Try to reach the region's Glance; return what was seen."""

    def probe_read(self) -> str:
        """Try to reach the data of its images; return what was seen."""


def store(
    region: images.RegionId, services: RegionServices, file: pathlib.Path, *, is_source: bool
) -> findings.Finding:
    """Check the store of a region.

    :param is_source: the agent reads from it, and does not write.
    """
    link = f"store {region}"

    def probe() -> str | findings.Finding:
        entry, scheme = services.entry(region), services.scheme(region)
        if entry is None:
            return findings.skipped(
                link, "no entry in glance_store.yaml: the agent uses the image API"
            )
        if scheme is None:
            offered = ", ".join(one.name for one in entry.schemes)
            return findings.warning(
                link,
                f"no driver is installed for {offered}: the agent uses the image API",
                f"remove the entry from {file}, or install a driver",
            )
        driver: object = services.scheme_store(region)
        if not isinstance(driver, Probed):
            return findings.skipped(
                link, f"the driver of scheme {scheme.name} offers no check"
            )
        if is_source:
            remove = f"remove the entry of {region} from {file}"
            return _read(link, scheme.name, driver, remove)
        seen = f"{scheme.name}: {driver.probe_write()}"
        key = scheme.parameters.get("key_filename")
        if key and local_files.is_exposed(pathlib.Path(key)):
            return findings.warning(
                link, f"every user of this machine can read {key}", f"chmod 0600 {key}"
            )
        return seen

    return findings.check(link, probe, functools.partial(_remedy, file, region))


def _read(link: str, scheme: str, driver: Probed, remove: str) -> str | findings.Finding:
    """Try to read; if that fails, the agent has the image API."""
    try:
        return f"{scheme}: {driver.probe_read()}"
    except (errors.HostKeyMismatch, errors.TransientError, errors.PermanentError) as exc:
        remedy = (
            _COMPARE
            if isinstance(exc, errors.HostKeyMismatch)
            else "correct host and datadir, which is filesystem_store_datadir of that Glance; let "
            "the agent's user, or login_user over SFTP, read there as a member of Glance's group"
        )
        return findings.warning(
            link,
            f"{exc}; images are read through the image API instead",
            f"{remedy}; or {remove}, so that the agent only uses the image API",
        )


def _remedy(file: pathlib.Path, region: images.RegionId, exc: errors.SyncError) -> str:
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
                f"start sshd and Glance there, or correct host, port and image_endpoint of "
                f"{region} in {file}"
            )


def unused_entries(
    services: RegionServices,
    regions: Sequence[images.RegionId],
    file: pathlib.Path,
    interface: str,
) -> findings.Finding:
    """Find the entries of the store file that match no region.

    :param interface: of the endpoints that make a region known.
    """
    link = "unused entries"
    used = [services.entry(region) for region in regions]
    unused = [entry.name for entry in store_file.load(file) if entry not in used]
    if not unused:
        return findings.ok(link, f"none in {file.name}")
    return findings.warning(
        link,
        f"{', '.join(unused)}: name and service_ip match no region that has an {interface} "
        "image endpoint in the catalogue",
        f"correct name or service_ip in {file}; if the endpoint is missing: openstack endpoint "
        f"create --region REGION image {interface} URL",
    )
