# SPDX-License-Identifier: Apache-2.0
"""Tables and structures that a command prints, in all formats of cliff."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from cliff import columns
from cliff import lister
from cliff import show

from glance_sync_agent.cmd.cli import printable

_ESCAPING_FORMATS = frozenset({"json", "yaml"})  # do so by themselves
_TABLE = "table"  # the only format that shows what is for a person


class Optional(columns.FormattableColumn[Any]):
    """A value that may be missing: nothing to a person, null to a program."""

    def human_readable(self) -> str:
        """Return the text for a table."""
        return "" if self._value is None else printable.escaped(str(self._value))

    def __lt__(self, other: object) -> bool:
        """Sort what is missing last, as cliff does with values that are no columns."""
        if not isinstance(other, Optional):
            return NotImplemented
        if self._value is None or other._value is None:
            return self._value is not None
        return bool(self._value < other._value)


class Lister(lister.Lister):
    """Prints rows."""

    def produce_output(
        self,
        parsed_args: argparse.Namespace,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
    ) -> int:
        """Print the rows; none gets lost if they cannot be sorted."""
        kind = parsed_args.formatter
        rows: Iterable[Sequence[Any]] = ([_cell(one, kind) for one in row] for row in data)
        if parsed_args.sort_columns:
            rows = list(rows)
        return super().produce_output(parsed_args, column_names, rows)


class ShowOne(show.ShowOne):
    """Prints one structure."""

    def produce_output(
        self,
        parsed_args: argparse.Namespace,
        column_names: Sequence[str],
        data: Sequence[Any],
    ) -> int:
        """Print it."""
        cells = [_cell(one, parsed_args.formatter) for one in data]
        return super().produce_output(parsed_args, column_names, cells)


def _cell(value: Any, kind: str) -> Any:
    """Return a cell for a format; a column of cliff escapes itself in a table."""
    if kind in _ESCAPING_FORMATS:
        return value
    if isinstance(value, str):
        return printable.escaped(value)
    if kind != _TABLE and isinstance(value, Optional):
        text = value.machine_readable()
        return Optional(printable.escaped(text)) if isinstance(text, str) else value
    return value
