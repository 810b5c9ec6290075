# SPDX-License-Identifier: Apache-2.0
"""``project_map.yaml``: the owners of copies, for ``[metadata] owner = mapped``."""

import pathlib
import re

from glance_sync_agent.conf import yaml_nodes
from glance_sync_agent.domain import images
from glance_sync_agent.domain import metadata_policy

# (keystone/api/validation/parameter_types.py: project_id)
_PROJECT_ID = re.compile(r"[A-Za-z0-9-]{1,64}")


def load(path: pathlib.Path) -> metadata_policy.ProjectMap:
    """Read the map.

    :raises ConfigurationError: names the file and each error with its line.
    """
    read = yaml_nodes.Reader(path)
    expected = "a mapping of regions, each with its projects"
    regions = read.mapping(yaml_nodes.compose(path), expected)
    found = {
        images.RegionId(region): _projects(read, node, region) for region, node in regions.items()
    }
    read.check()
    return found


def _projects(read: yaml_nodes.Reader, node: yaml_nodes.Node, region: str) -> dict[str, str]:
    pairs = read.mapping(
        node, f"'{region}' to be a mapping of project ids to the project ids in that region"
    )
    return {project: _project(read, value, project) for project, value in pairs.items()}


def _project(read: yaml_nodes.Reader, node: yaml_nodes.Node, project: str) -> str:
    if not _PROJECT_ID.fullmatch(project):
        read.problem(node, f"expected '{project}' to be the id of a project")
    owner = "" if yaml_nodes.is_absent(node) else node.value
    if isinstance(owner, str) and _PROJECT_ID.fullmatch(owner):
        return owner
    read.problem(node, f"expected the id of a project for '{project}'")
    return ""
