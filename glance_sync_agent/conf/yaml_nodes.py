# SPDX-License-Identifier: Apache-2.0
"""YAML read node by node, because nodes know their line: all that is wrong is told at once."""

from collections.abc import Mapping, Sequence
import pathlib

import yaml

from glance_sync_agent import errors

Node = yaml.Node
Fields = Mapping[str, yaml.Node]

_NULL = "tag:yaml.org,2002:null"


def compose(path: pathlib.Path) -> yaml.Node | None:
    """Read a file; None if there is nothing in it.

    :raises ConfigurationError: it cannot be read, or is no YAML; names file and line.
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
    """Takes nodes for what they should be, and notes where they are not."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._problems: list[tuple[int, str]] = []

    def check(self) -> None:
        """Raise what was noted.

        :raises ConfigurationError: names the file and, for everything that is wrong in it, the
            line and what was expected there.
        """
        if self._problems:
            lines = [f"{self._path}:{line}: {text}" for line, text in sorted(self._problems)]
            raise errors.ConfigurationError("\n".join(lines))

    def problem(self, node: yaml.Node | None, text: str) -> None:
        """Note what is wrong with a node."""
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
        """Return a text; a number is one, too."""
        node = fields.get(key)
        if isinstance(node, yaml.ScalarNode) and (node.value or not required):
            return str(node.value)
        if node is not None or required:
            self.problem(node or parent, f"expected '{key}' to be a text")
        return None

    def texts(self, fields: Fields, key: str) -> tuple[str, ...]:
        """Return a text, or a list of them, that may be absent; never an empty one."""
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
        """Note every field that is not known."""
        for key, node in fields.items():
            if key not in known:
                self.problem(node, f"unknown '{key}'; expected {', '.join(known)}")


def line_of(node: yaml.Node | None) -> int:
    """Return the line of a node, from 1."""
    return node.start_mark.line + 1 if node else 1


def is_nothing(node: yaml.Node) -> bool:
    """Tell whether a field is null, or a list without items."""
    return is_absent(node) or (isinstance(node, yaml.SequenceNode) and not node.value)


def is_absent(node: yaml.Node | None) -> bool:
    """Tell whether a field is missing or null."""
    return node is None or node.tag == _NULL
