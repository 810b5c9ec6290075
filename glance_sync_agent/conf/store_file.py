# SPDX-License-Identifier: Apache-2.0
"""``glance_store.yaml``: how to reach the stores of the regions.

The format is that of the 2014 Glance Sync Manager; every file of that time still loads.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import logging
import pathlib

import yaml

from glance_sync_agent import errors

LOG = logging.getLogger(__name__)

#: Of the schemes that an entry offers, the first of these is taken, as in 2014.
PRIORITY = ("filesystem", "http", "swift")

_NULL = "tag:yaml.org,2002:null"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """One way into a region's store."""

    name: str
    parameters: Mapping[str, str] = dataclasses.field(repr=False)  # may hold a password


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One of ``glances``: a region and its schemes."""

    name: str  # a region's name, or anything
    service_ip: str | None  # host of the region's image endpoint, where the name is no region
    schemes: tuple[Scheme, ...]  # by priority


def load(path: pathlib.Path) -> tuple[Entry, ...]:
    """Read a store file.

    :raises ConfigurationError: names the file and, for everything that is wrong in it, the
        line and what was expected there.
    """
    try:
        with path.open("rb") as file:
            root = yaml.compose(file, Loader=yaml.SafeLoader)
    except OSError as exc:
        raise errors.ConfigurationError(f"{path}: cannot be read: {exc.strerror}") from exc
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise errors.ConfigurationError(f"{path}:{line}: not YAML: {exc.problem}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise errors.ConfigurationError(f"{path}: not YAML: {exc}") from exc
    except RecursionError as exc:
        raise errors.ConfigurationError(f"{path}: not YAML: nested too deeply") from exc
    reader = _Reader()
    entries = reader.entries(root)
    if reader.problems:
        lines = "\n".join(f"{path}:{line}: {text}" for line, text in sorted(reader.problems))
        raise errors.ConfigurationError(lines)
    _warn_of_passwords(path, entries)
    return entries


def _warn_of_passwords(path: pathlib.Path, entries: Sequence[Entry]) -> None:
    for entry in entries:
        if any(scheme.parameters.get("login_password") for scheme in entry.schemes):
            LOG.warning(
                "%s: %s logs in with login_password; use key_filename, a key that may do "
                "nothing but forward to that region's Glance",
                path, entry.name,
            )


class _Reader:
    """Reads nodes, because they know their line, and collects what is wrong."""

    def __init__(self) -> None:
        self.problems: list[tuple[int, str]] = []

    def entries(self, root: yaml.Node | None) -> tuple[Entry, ...]:
        fields = self._mapping(root, "a mapping with the key 'glances'")
        glances = self._list(fields, root, "glances", "a list of regions")
        pairs = [(node, entry) for node in glances if (entry := self._entry(node))]
        seen: set[str] = set()
        for node, entry in pairs:
            if entry.name in seen:
                self._problem(node, f"the region '{entry.name}' is given twice")
            seen |= {entry.name} - {""}
        return tuple(entry for _, entry in pairs)

    def _entry(self, node: yaml.Node) -> Entry | None:
        fields = self._mapping(node, "a mapping with name, service_ip and schemes")
        if not fields:
            return None
        name = self._text(fields, node, "name", required=True)
        service_ip = self._text(fields, node, "service_ip", required=False)
        nodes = self._list(fields, node, "schemes", "a list of schemes")
        schemes = [scheme for each in nodes if (scheme := self._scheme(each))]
        schemes.sort(key=_priority)
        return Entry(name=name or "", service_ip=service_ip, schemes=tuple(schemes))

    def _scheme(self, node: yaml.Node) -> Scheme | None:
        fields = self._mapping(node, "a mapping with name and parameters")
        if not fields:
            return None
        name = self._text(fields, node, "name", required=True)
        given = fields.get("parameters")
        absent = given is None or given.tag == _NULL
        pairs = {} if absent else self._mapping(given, "a mapping of parameters")
        parameters = {key: self._text(pairs, node, key, required=False) or "" for key in pairs}
        return Scheme(name=name or "", parameters=parameters)

    def _mapping(self, node: yaml.Node | None, expected: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode) or not node.value:
            self._problem(node, f"expected {expected}")
            return {}
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._problem(key, "expected a plain word as key")
            elif key.value in fields:
                self._problem(key, f"'{key.value}' is given twice")
            else:
                fields[key.value] = value
        return fields

    def _list(
        self, fields: Mapping[str, yaml.Node], parent: yaml.Node | None, key: str, expected: str
    ) -> list[yaml.Node]:
        node = fields.get(key)
        if isinstance(node, yaml.SequenceNode) and node.value:
            return list(node.value)
        if fields:
            self._problem(node or parent, f"expected '{key}' to be {expected}")
        return []

    def _text(
        self, fields: Mapping[str, yaml.Node], parent: yaml.Node, key: str, *, required: bool
    ) -> str | None:
        node = fields.get(key)
        if isinstance(node, yaml.ScalarNode) and (node.value or not required):
            return str(node.value)
        if node is not None or required:
            self._problem(node or parent, f"expected '{key}' to be a text")
        return None

    def _problem(self, node: yaml.Node | None, text: str) -> None:
        self.problems.append((node.start_mark.line + 1 if node else 1, text))


def _priority(scheme: Scheme) -> int:
    return PRIORITY.index(scheme.name) if scheme.name in PRIORITY else len(PRIORITY)
