# SPDX-License-Identifier: Apache-2.0
"""The parts of a cloud: the content of ``cloud.json`` as frozen values."""

import dataclasses
import json
import pathlib
from typing import Any, Self

from tools.cloud import errors

CASCADING_REGION = "RegionOne"
REGION_ADDRESSES = {
    "RegionOne": "127.0.0.1",
    "RegionTwo": "127.0.0.2",
    "RegionThree": "127.0.0.3",
    "RegionFour": "127.0.0.4",
}


@dataclasses.dataclass(frozen=True)
class Region:
    """One region: its Glance, its virtual host on the bus, its SSH host."""

    name: str
    glance_url: str  # as in the catalogue, without a trailing slash
    glance_host: str
    glance_port: int
    glance_log: str
    #: A file local.conf here overrides glance-api.conf. With a file tell-size, HEAD of an image
    #: answers with a size and without a token, like a proxy before the Glance. While a file
    #: refuse contains "PUT 503 REASON", every PUT gets that answer; the reason is optional.
    config_dir: str
    datadir: str  # of the filesystem store
    staging_dir: str
    vhost: str
    transport_url: str
    ssh_host: str | None  # None in the cascading region, which has no sshd
    ssh_port: int | None
    ssh_host_key: str | None  # "ssh-ed25519 AAAA..."
    ssh_log: str | None


@dataclasses.dataclass(frozen=True)
class User:
    """A Keystone user with its one project."""

    name: str
    password: str
    project: str
    project_id: str  # empty until Keystone has been up once
    domain: str
    roles: list[str]  # on the project


@dataclasses.dataclass(frozen=True)
class Ssh:
    """How to log in to the SSH hosts of the cascaded regions."""

    user: str
    private_key: str  # confined to forwarding to that region's Glance
    unconfined_private_key: str  # may run commands and use SFTP: for tests
    known_hosts: str


@dataclasses.dataclass(frozen=True)
class Broker:
    """The RabbitMQ node that carries one virtual host for each region."""

    host: str
    port: int
    distribution_port: int
    epmd_port: int
    user: str
    password: str
    cookie: str
    log: str


@dataclasses.dataclass(frozen=True)
class Description:
    """What clients need to use a cloud, and the cloud to start again."""

    name: str
    state_dir: str
    auth_url: str
    keystone_port: int
    keystone_log: str
    cascading_region: str
    regions: list[Region]
    users: list[User]
    ssh: Ssh
    rabbitmq: Broker
    pids: dict[str, int] = dataclasses.field(default_factory=dict)  # service: pid

    def region(self, name: str) -> Region:
        """Return the region of that name.

        :raises CloudError: there is none.
        """
        return _named(self.regions, name, "region")

    def user(self, name: str) -> User:
        """Return the user of that name.

        :raises CloudError: there is none.
        """
        return _named(self.users, name, "user")

    @property
    def cascaded(self) -> list[Region]:
        """The regions that have an SSH host."""
        return [one for one in self.regions if one.name != self.cascading_region]

    @property
    def ports(self) -> set[int]:
        """Every TCP port that belongs to this cloud."""
        broker = self.rabbitmq
        found = {self.keystone_port, broker.port, broker.distribution_port, broker.epmd_port}
        found |= {region.glance_port for region in self.regions}
        return found | {region.ssh_port for region in self.regions if region.ssh_port}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> Self:
        """Build a description from parsed JSON."""
        content = dict(content)
        content["regions"] = [Region(**one) for one in content["regions"]]
        content["users"] = [User(**one) for one in content["users"]]
        content["ssh"] = Ssh(**content["ssh"])
        content["rabbitmq"] = Broker(**content["rabbitmq"])
        return cls(**content)


def load(path: pathlib.Path) -> Description:
    """Read a ``cloud.json``.

    :raises CloudError: it is absent, or was written by another version.
    """
    try:
        return Description.from_dict(json.loads(path.read_text()))
    except FileNotFoundError:
        raise errors.CloudError(f"there is no cloud here: {path} does not exist") from None
    except (ValueError, KeyError, TypeError) as exc:
        raise errors.CloudError(
            f"{path} is from another version of this tool ({exc}); run tools/cloud/wipe"
        ) from exc


def save(path: pathlib.Path, description: Description) -> None:
    """Write a ``cloud.json`` in one step; it holds passwords, so it is 0600."""
    partial = path.with_suffix(".partial")
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(dataclasses.asdict(description), indent=2) + "\n")
    partial.replace(path)


def _named(found: list[Any], name: str, kind: str) -> Any:
    for one in found:
        if one.name == name:
            return one
    known = ", ".join(one.name for one in found)
    raise errors.CloudError(f"there is no {kind} {name!r}; there are {known}")
