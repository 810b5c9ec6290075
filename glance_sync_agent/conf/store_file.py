# SPDX-License-Identifier: Apache-2.0
"""``glance_store.yaml``: how to reach the stores of the regions.

The format is that of the 2014 Glance Sync Manager; every file of that time still loads.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import logging
import pathlib

from glance_sync_agent.conf import yaml_nodes

LOG = logging.getLogger(__name__)

#: The agent takes the first of these that an entry offers, as in 2014.
PRIORITY = ("filesystem", "http", "swift")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """One way into a region's store."""

    name: str
    parameters: Mapping[str, str] = dataclasses.field(repr=False)  # may hold a password


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An item of ``glances``: a region and its schemes."""

    name: str  # a region's name, or anything
    service_ip: str | None  # host of the region's image endpoint, if the name is no region
    schemes: tuple[Scheme, ...]  # by priority


def load(path: pathlib.Path) -> tuple[Entry, ...]:
    """Read a store file.

    :raises ConfigurationError: names the file and each error with its line.
    """
    read = yaml_nodes.Reader(path)
    entries = _entries(read, yaml_nodes.compose(path))
    read.check()
    _warn_of_passwords(path, entries)
    return entries


def _warn_of_passwords(path: pathlib.Path, entries: Sequence[Entry]) -> None:
    for entry in entries:
        if any(scheme.parameters.get("login_password") for scheme in entry.schemes):
            LOG.warning(
                "%s: %s logs in with login_password. Use key_filename instead, with a key that "
                "may only forward to that region's Glance",
                path, entry.name,
            )


def _entries(read: yaml_nodes.Reader, root: yaml_nodes.Node | None) -> tuple[Entry, ...]:
    fields = read.mapping(root, "a mapping with the key 'glances'")
    if "glances" in fields and yaml_nodes.is_nothing(fields["glances"]):
        return ()  # the agent uses the image API of every region
    glances = read.list(fields, root, "glances", "a list of regions")
    pairs = [(node, entry) for node in glances if (entry := _entry(read, node))]
    seen: set[str] = set()
    for node, entry in pairs:
        if entry.name in seen:
            read.problem(node, f"the region '{entry.name}' is given twice")
        seen |= {entry.name} - {""}
    return tuple(entry for _, entry in pairs)


def _entry(read: yaml_nodes.Reader, node: yaml_nodes.Node) -> Entry | None:
    fields = read.mapping(node, "a mapping with name, service_ip and schemes")
    if not fields:
        return None
    name = read.text(fields, node, "name", required=True)
    service_ip = read.text(fields, node, "service_ip", required=False)
    nodes = read.list(fields, node, "schemes", "a list of schemes")
    schemes = [scheme for each in nodes if (scheme := _scheme(read, each))]
    schemes.sort(key=_priority)
    return Entry(name=name or "", service_ip=service_ip, schemes=tuple(schemes))


def _scheme(read: yaml_nodes.Reader, node: yaml_nodes.Node) -> Scheme | None:
    fields = read.mapping(node, "a mapping with name and parameters")
    if not fields:
        return None
    name = read.text(fields, node, "name", required=True)
    given = fields.get("parameters")
    absent = yaml_nodes.is_absent(given)
    pairs = {} if absent else read.mapping(given, "a mapping of parameters")
    parameters = {key: read.text(pairs, node, key, required=False) or "" for key in pairs}
    return Scheme(name=name or "", parameters=parameters)


def _priority(scheme: Scheme) -> int:
    return PRIORITY.index(scheme.name) if scheme.name in PRIORITY else len(PRIORITY)
