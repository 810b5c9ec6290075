# SPDX-License-Identifier: Apache-2.0
"""Decides names, ports, passwords and paths of a cloud, before anything starts."""

from collections.abc import Collection
import getpass
import pathlib
import random
import secrets
import socket

from tools.cloud import errors
from tools.cloud import model

# Below the kernel's ephemeral range, so no outgoing connection takes one.
_PORT_RANGE = range(15000, 32000)
_USERS = (
    ("admin", "admin", ["admin"]),
    ("alice", "alpha", ["member"]),
    ("bob", "beta", ["member"]),
    ("glance-sync", "service", ["admin", "service"]),
    ("glance", "service", ["admin", "service"]),
)


class PortChooser:
    """Finds free TCP ports and returns none twice."""

    def __init__(self, taken: Collection[int]) -> None:
        self._taken = set(taken)

    def choose(self, host: str, wanted: int | None = None) -> int:
        """Return ``wanted`` if it is free on ``host``, otherwise another free port.

        :raises CloudError: there is none.
        """
        if wanted is not None and wanted not in self._taken and is_free(host, wanted):
            self._taken.add(wanted)
            return wanted
        for port in random.sample(_PORT_RANGE, k=1000):
            if port not in self._taken and is_free(host, port):
                self._taken.add(port)
                return port
        raise errors.CloudError(f"found no free TCP port on {host}")


def free_port(host: str) -> int:
    """Return a port without a listener that no outgoing connection gets.

    :raises CloudError: there is none.
    """
    return PortChooser(()).choose(host)


def is_free(host: str, port: int) -> bool:
    """Return whether a server can listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def plan(
    name: str,
    state_dir: pathlib.Path,
    previous: model.Description | None,
    taken: Collection[int],
) -> model.Description:
    """Return the description of a cloud, as close to ``previous`` as possible.

    :param taken: ports that belong to other clouds, running or not.
    :raises CloudError: there are not enough free ports.
    """
    ports = PortChooser(taken)
    keystone_port = ports.choose("127.0.0.1", previous.keystone_port if previous else None)
    broker = _broker(state_dir, previous.rabbitmq if previous else None, ports)
    regions = []
    for region, address in model.REGION_ADDRESSES.items():
        before = previous.region(region) if previous else None
        regions.append(_region(state_dir, region, address, before, broker, ports))
    return model.Description(
        name=name,
        state_dir=str(state_dir),
        auth_url=f"http://127.0.0.1:{keystone_port}/v3",
        keystone_port=keystone_port,
        keystone_log=str(state_dir / "log" / "keystone.log"),
        cascading_region=model.CASCADING_REGION,
        regions=regions,
        users=previous.users if previous else _users(),
        ssh=model.Ssh(
            user=getpass.getuser(),
            private_key=str(state_dir / "ssh" / "id_confined"),
            unconfined_private_key=str(state_dir / "ssh" / "id_unconfined"),
            known_hosts=str(state_dir / "ssh" / "known_hosts"),
        ),
        rabbitmq=broker,
    )


def _users() -> list[model.User]:
    return [
        model.User(
            name=name,
            password=secrets.token_hex(12),
            project=project,
            project_id="",
            domain="Default",
            roles=roles,
        )
        for name, project, roles in _USERS
    ]


def _broker(
    state_dir: pathlib.Path, before: model.Broker | None, ports: PortChooser
) -> model.Broker:
    host = "127.0.0.1"
    return model.Broker(
        host=host,
        port=ports.choose(host, before.port if before else None),
        distribution_port=ports.choose(host, before.distribution_port if before else None),
        epmd_port=ports.choose(host, before.epmd_port if before else None),
        user="openstack",
        password=before.password if before else secrets.token_hex(12),
        cookie=before.cookie if before else secrets.token_hex(16),
        log=str(state_dir / "log" / "rabbitmq.log"),
    )


def _region(
    state_dir: pathlib.Path,
    name: str,
    address: str,
    before: model.Region | None,
    broker: model.Broker,
    ports: PortChooser,
) -> model.Region:
    home = state_dir / "glance" / name
    port = ports.choose(address, before.glance_port if before else None)
    ssh_port = ports.choose(address, before.ssh_port if before else None)
    cascaded = name != model.CASCADING_REGION
    account = f"{broker.user}:{broker.password}@{broker.host}:{broker.port}"
    return model.Region(
        name=name,
        glance_url=f"http://{address}:{port}",
        glance_host=address,
        glance_port=port,
        glance_log=str(state_dir / "log" / f"glance-{name}.log"),
        config_dir=str(home / "etc"),
        datadir=str(home / "images"),
        staging_dir=str(home / "staging"),
        vhost=name,
        transport_url=f"rabbit://{account}/{name}",
        ssh_host=address if cascaded else None,
        ssh_port=ssh_port if cascaded else None,
        ssh_host_key=before.ssh_host_key if before else None,
        ssh_log=str(state_dir / "log" / f"sshd-{name}.log") if cascaded else None,
    )
