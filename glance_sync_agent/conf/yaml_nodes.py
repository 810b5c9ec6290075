# SPDX-License-Identifier: Apache-2.0
"""YAML as nodes, which know their lines, so that all errors of a file are reported at once."""

from collections.abc import Mapping, Sequence
import pathlib

import yaml

from glance_sync_agent import errors

Node = yaml.Node
Fields = Mapping[str, yaml.Node]

_NULL = "tag:yaml.org,2002:null"


def compose(path: pathlib.Path) -> yaml.Node | None:
    """Read a file; None if it is empty.

    :raises ConfigurationError: it cannot be read, or is not YAML; names file and line.
    """
    try:
        with path.open("rb") as file:
            return yaml.compose(file, Loader=yaml.SafeLoader)
    except OSError as exc:
        raise errors.ConfigurationError(f"{path}: cannot be read: {exc.strerror}") from exc
    except yaml.MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark else 1
        raise errors.ConfigurationError(f"{path}:{line}: not YAML: {exc.problem}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise errors.ConfigurationError(f"{path}: not YAML: {exc}") from exc
    except RecursionError as exc:
        raise errors.ConfigurationError(f"{path}: not YAML: nested too deeply") from exc


class Reader:
    """Reads nodes as the expected types, and collects the errors of a file."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._problems: list[tuple[int, str]] = []

    def check(self) -> None:
        """Raise the errors that were found.

        :raises ConfigurationError: names the file and each error with its line.
        """
        if self._problems:
            lines = [f"{self._path}:{line}: {text}" for line, text in sorted(self._problems)]
            raise errors.ConfigurationError("\n".join(lines))

    def problem(self, node: yaml.Node | None, text: str) -> None:
        """Record an error of a node."""
        self._problems.append((line_of(node), text))

    def mapping(self, node: yaml.Node | None, expected: str) -> dict[str, yaml.Node]:
        """Return the fields of a mapping that is not empty."""
        if not isinstance(node, yaml.MappingNode) or not node.value:
            self.problem(node, f"expected {expected}")
            return {}
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self.problem(key, "expected a plain word as key")
            elif key.value in fields:
                self.problem(key, f"'{key.value}' is given twice")
            else:
                fields[key.value] = value
        return fields

    def list(
        self, fields: Fields, parent: yaml.Node | None, key: str, expected: str
    ) -> list[yaml.Node]:
        """Return the items of a list that is not empty."""
        node = fields.get(key)
        if isinstance(node, yaml.SequenceNode) and node.value:
            return list(node.value)
        if fields:
            self.problem(node or parent, f"expected '{key}' to be {expected}")
        return []

    def text(
        self, fields: Fields, parent: yaml.Node | None, key: str, *, required: bool
    ) -> str | None:
        """Return a text; numbers count as texts."""
        node = fields.get(key)
        if isinstance(node, yaml.ScalarNode) and (node.value or not required):
            return str(node.value)
        if node is not None or required:
            self.problem(node or parent, f"expected '{key}' to be a text")
        return None

    def texts(self, fields: Fields, key: str) -> tuple[str, ...]:
        """Return the texts of a field that may be absent, and may be one text or a list."""
        node = fields.get(key)
        nodes: Sequence[yaml.Node] = ()
        if isinstance(node, yaml.SequenceNode):
            nodes = node.value
        elif node is not None:
            nodes = [node]
        found = [one.value for one in nodes if isinstance(one, yaml.ScalarNode) and one.value]
        if node is not None and (not nodes or len(found) < len(nodes)):
            self.problem(node, f"expected '{key}' to be a text or a list of texts")
        return tuple(found)

    def only(self, fields: Fields, known: Sequence[str]) -> None:
        """Record an error for every unknown field."""
        for key, node in fields.items():
            if key not in known:
                self.problem(node, f"unknown '{key}'; expected {', '.join(known)}")


def line_of(node: yaml.Node | None) -> int:
    """Return the line of a node, from 1."""
    return node.start_mark.line + 1 if node else 1


def is_nothing(node: yaml.Node) -> bool:
    """Return whether a field is null, or a list without items."""
    return is_absent(node) or (isinstance(node, yaml.SequenceNode) and not node.value)


def is_absent(node: yaml.Node | None) -> bool:
    """Return whether a field is missing or null."""
    return node is None or node.tag == _NULL
