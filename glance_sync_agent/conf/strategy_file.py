# SPDX-License-Identifier: Apache-2.0
"""``sync_strategy.yaml``: the operator's rules for ``sync_strategy = USER``."""

import pathlib
import typing

from oslo_utils import strutils

from glance_sync_agent.conf import yaml_nodes
from glance_sync_agent.domain import rules

_RULE = ("name", "match", "regions")
_ALTERNATIVES = (
    "project_id",
    "project_name",
    "project_domain",
    "visibility",
    "name",
    "disk_format",
    "container_format",
)
_SETS = ("project_tags", "roles", "tags")
_SIZES = ("min_size", "max_size")
_CONDITIONS = (*_ALTERNATIVES, *_SETS, "properties", *_SIZES)
_VISIBILITIES = ("public", "community", "shared", "private")
_NOWHERE = "none"


def load(path: pathlib.Path) -> tuple[rules.Rule, ...]:
    """Read the rules.

    :raises ConfigurationError: names the file and each error with its line.
    """
    read = yaml_nodes.Reader(path)
    found = _rules(read, yaml_nodes.compose(path), path.name)
    read.check()
    return found


def _rules(
    read: yaml_nodes.Reader, root: yaml_nodes.Node | None, file: str
) -> tuple[rules.Rule, ...]:
    fields = read.mapping(root, "a mapping with the key 'rules'")
    read.only(fields, ("rules",))
    nodes = read.list(fields, root, "rules", "a list of rules")
    found = [
        rule
        for number, node in enumerate(nodes, 1)
        if (rule := _rule(read, node, f"rule {number}", f"{file}:{yaml_nodes.line_of(node)}"))
    ]
    return tuple(found)


def _rule(
    read: yaml_nodes.Reader, node: yaml_nodes.Node, number: str, place: str
) -> rules.Rule | None:
    fields = read.mapping(node, f"a mapping of {', '.join(_RULE)}")
    if not fields:
        return None
    read.only(fields, _RULE)
    name = read.text(fields, node, "name", required=False)
    called = f" '{name}'" if name else ""
    return rules.Rule(
        title=f"{number}{called} ({place})",
        match=_match(read, fields.get("match")),
        regions=_regions(read, fields, node),
    )


def _regions(
    read: yaml_nodes.Reader, fields: yaml_nodes.Fields, node: yaml_nodes.Node
) -> tuple[str, ...]:
    if "regions" not in fields:
        read.problem(node, "expected 'regions': names or globs of regions, '*' or none")
        return ()
    names = read.texts(fields, "regions")
    if _NOWHERE not in {name.lower() for name in names}:
        return names
    if len(names) > 1:
        read.problem(fields["regions"], "expected none to stand alone, not beside regions")
    return ()


def _match(read: yaml_nodes.Reader, node: yaml_nodes.Node | None) -> rules.Match:
    if yaml_nodes.is_absent(node):
        return rules.Match()
    fields = read.mapping(node, f"a mapping of conditions: {', '.join(_CONDITIONS)}")
    read.only(fields, _CONDITIONS)
    values: dict[str, typing.Any] = {name: read.texts(fields, name) for name in _ALTERNATIVES}
    values |= {name: frozenset(read.texts(fields, name)) for name in _SETS}
    values |= {name: _size(read, fields.get(name), name) for name in _SIZES}
    match = rules.Match(**values, properties=_properties(read, fields.get("properties")))
    for visibility in match.visibility:
        if visibility not in _VISIBILITIES:
            read.problem(
                fields["visibility"],
                f"unknown visibility '{visibility}'; expected {', '.join(_VISIBILITIES)}",
            )
    if None not in {match.min_size, match.max_size} and match.min_size > match.max_size:  # type: ignore[operator]
        read.problem(fields["min_size"], "expected min_size to be no more than max_size")
    return match


def _properties(
    read: yaml_nodes.Reader, node: yaml_nodes.Node | None
) -> dict[str, tuple[str, ...]]:
    if node is None:
        return {}
    fields = read.mapping(node, "a mapping of properties and their values or globs")
    return {name: read.texts(fields, name) for name in fields}


def _size(read: yaml_nodes.Reader, node: yaml_nodes.Node | None, name: str) -> int | None:
    """Return a size in bytes; ``None`` if it is not given."""
    if node is None:
        return None
    text = node.value if isinstance(node.value, str) else ""
    try:
        with_unit = f"{text}B" if text.isdecimal() else text.replace(" ", "")
        return int(strutils.string_to_bytes(with_unit, unit_system="IEC", return_int=True))
    except ValueError:
        read.problem(node, f"expected '{name}' to be a size such as 512MiB, 20GiB or 1048576")
        return None
