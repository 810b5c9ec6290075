# SPDX-License-Identifier: Apache-2.0
"""Joins the parts of a cloud: their configuration and their services."""

import contextlib
import dataclasses
import hashlib
import json
import pathlib

from tools.cloud import errors
from tools.cloud import glance
from tools.cloud import identity
from tools.cloud import keystone
from tools.cloud import model
from tools.cloud import planning
from tools.cloud import rabbitmq
from tools.cloud import services
from tools.cloud import sshd


def build(cloud: model.Description, venv: pathlib.Path) -> list[services.Service]:
    """Return all services of a cloud."""
    return [
        *rabbitmq.build(cloud),
        keystone.build(cloud, venv),
        *glance.build(cloud, venv),
        *sshd.build(cloud),
    ]


def plan(name: str, state_dir: pathlib.Path, venv: pathlib.Path) -> model.Description:
    """Return the description of the cloud, and write it to its ``cloud.json``.

    While one of its services runs, the description does not change, so clients keep
    their ports. Calls for all clouds of a checkout must exclude each other.

    :raises CloudError: its ``cloud.json`` cannot be read, or no ports are free.
    """
    path = state_dir / "cloud.json"
    previous = model.load(path) if path.exists() else None
    if previous and any(service.process for service in build(previous, venv)):
        return previous
    taken: set[int] = set()
    for other in state_dir.parent.glob("*/cloud.json"):
        if other != path:
            with contextlib.suppress(errors.CloudError):
                taken |= model.load(other).ports
    cloud = planning.plan(name, state_dir, previous, taken)
    model.save(path, cloud)
    return cloud


def configure(
    cloud: model.Description, root: pathlib.Path, venv: pathlib.Path
) -> model.Description:
    """Write the configuration of every service.

    :returns: the description, now with the host keys.
    """
    cloud = sshd.configure(cloud)
    rabbitmq.configure(cloud)
    keystone.configure(cloud, root, venv)
    glance.configure(cloud, root, venv)
    return cloud


def fill_keystone(cloud: model.Description) -> model.Description:
    """Make users and endpoints, unless these exist already.

    :returns: the description, now with the project ids.
    :raises CloudError: Keystone refuses or does not answer.
    """
    wanted = dataclasses.replace(
        cloud,
        pids={},
        users=[dataclasses.replace(user, project_id="") for user in cloud.users],
    )
    content = json.dumps(dataclasses.asdict(wanted), sort_keys=True).encode()
    digest = hashlib.sha256(content).hexdigest()
    stamp = pathlib.Path(cloud.state_dir) / "keystone" / "filled"
    is_known = all(user.project_id for user in cloud.users)
    if is_known and stamp.exists() and stamp.read_text() == digest:
        return cloud
    cloud = identity.fill(cloud)
    stamp.write_text(digest)
    return cloud
