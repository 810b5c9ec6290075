# SPDX-License-Identifier: Apache-2.0
"""One OpenSSH server for each cascaded region, as the host of that region."""

import dataclasses
import os
import pathlib
import subprocess

from tools.cloud import model
from tools.cloud import probes
from tools.cloud import services

_SSHD = "/usr/sbin/sshd"
# The chroot of the unprivileged process of a server that root started.
_SEPARATION_DIR = pathlib.Path("/run/sshd")
_CONFIG = """\
ListenAddress {region.ssh_host}:{region.ssh_port}
HostKey {home}/host_key
PidFile none
AuthorizedKeysFile {home}/authorized_keys
AllowUsers {user}
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitTTY no
AllowTcpForwarding local
AllowAgentForwarding yes
X11Forwarding no
PermitTunnel no
UseDNS no
PrintMotd no
PrintLastLog no
MaxSessions 200
MaxStartups 200
Subsystem sftp internal-sftp
"""


def configure(cloud: model.Description) -> model.Description:
    """Make missing keys, and write the configuration of every server.

    :returns: the description, now with the host keys.
    """
    keys = cloud.ssh
    pathlib.Path(keys.private_key).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    confined = _make_key(pathlib.Path(keys.private_key), "confined")
    unconfined = _make_key(pathlib.Path(keys.unconfined_private_key), "unconfined")
    regions = []
    for region in cloud.regions:
        if region not in cloud.cascaded:
            regions.append(region)
            continue
        home = _home(cloud, region)
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        host_key = _make_key(home / "host_key", region.name)
        (home / "sshd_config").write_text(_CONFIG.format(region=region, home=home, user=keys.user))
        destination = f"{region.glance_host}:{region.glance_port}"
        confinement = f'restrict,port-forwarding,permitopen="{destination}",command="/bin/false"'
        (home / "authorized_keys").write_text(f"{confinement} {confined}\n{unconfined}\n")
        regions.append(dataclasses.replace(region, ssh_host_key=host_key))
    cloud = dataclasses.replace(cloud, regions=regions)
    pathlib.Path(keys.known_hosts).write_text(
        "".join(
            f"[{region.ssh_host}]:{region.ssh_port} {region.ssh_host_key}\n"
            for region in cloud.cascaded
        )
    )
    return cloud


def prepare() -> None:
    """Make the directory that a server of root needs."""
    if os.geteuid() == 0:
        _SEPARATION_DIR.mkdir(mode=0o755, exist_ok=True)


def build(cloud: model.Description) -> list[services.Service]:
    """Return the services."""
    state_dir = pathlib.Path(cloud.state_dir)
    found = []
    for region in cloud.cascaded:
        host, port = str(region.ssh_host), int(region.ssh_port or 0)
        config = _home(cloud, region) / "sshd_config"
        found.append(
            services.Service(
                name=f"sshd-{region.name}",
                host=host,
                port=port,
                command=[_SSHD, "-D", "-e", "-f", str(config)],
                env=services.environment(pathlib.Path.home()),
                log=pathlib.Path(str(region.ssh_log)),
                pid_file=state_dir / "run" / f"sshd-{region.name}.json",
                probe=probes.ssh(host, port),
            )
        )
    return found


def _make_key(path: pathlib.Path, comment: str) -> str:
    """Make an Ed25519 key unless it exists; return the public line without comment."""
    if not path.exists():
        command = ["/usr/bin/ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment]
        subprocess.run([*command, "-f", path], check=True, stdin=subprocess.DEVNULL)
    return " ".join(path.with_suffix(".pub").read_text().split()[:2])


def _home(cloud: model.Description, region: model.Region) -> pathlib.Path:
    return pathlib.Path(cloud.state_dir) / "ssh" / region.name
