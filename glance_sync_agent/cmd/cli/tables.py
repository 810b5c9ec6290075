# SPDX-License-Identifier: Apache-2.0
"""Commands that print tables and structures in all formats of cliff."""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from cliff import columns
from cliff import lister
from cliff import show
from cliff.formatters import base
import stevedore

from glance_sync_agent.cmd.cli import console
from glance_sync_agent.cmd.cli import printable
from glance_sync_agent.cmd.cli import streamed_json

_ESCAPING_FORMATS = frozenset({"json", "yaml"})  # these escape by themselves
_TABLE = "table"  # the only format for people


class OptionalValue(columns.FormattableColumn[Any]):
    """A value that may be missing: empty in a table, null in other formats."""

    def human_readable(self) -> str:
        """Return the text for a table."""
        return "" if self._value is None else printable.escaped(str(self._value))

    def __lt__(self, other: object) -> bool:
        """Sort missing values last, as cliff does with plain values."""
        if not isinstance(other, OptionalValue):
            return NotImplemented
        if self._value is None or other._value is None:
            return self._value is not None
        return bool(self._value < other._value)


class Lister(lister.Lister):
    """Prints rows."""

    app: console.Console
    examples = ""
    is_partial = False  # the exit status is 1

    def _load_formatter_plugins(self) -> stevedore.ExtensionManager[base.ListFormatter]:
        found = super()._load_formatter_plugins()
        found["json"].obj = streamed_json.StreamedJson()
        return found

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the examples."""
        parser = console.with_examples(super().get_parser(prog_name), self.examples)
        parser.set_defaults(fit_width=True)
        return parser

    def run(self, parsed_args: argparse.Namespace) -> int:
        """Run the command; return its exit status."""
        return super().run(parsed_args) or int(self.is_partial)

    def produce_output(
        self,
        parsed_args: argparse.Namespace,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
    ) -> int:
        """Print the rows, also if they cannot be sorted."""
        kind = parsed_args.formatter
        rows: Iterable[Sequence[Any]] = ([_cell(one, kind) for one in row] for row in data)
        if parsed_args.sort_columns:
            rows = list(rows)
        return super().produce_output(parsed_args, column_names, rows)


class ShowOne(show.ShowOne):
    """Prints one structure."""

    app: console.Console
    examples = ""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        """Add the examples."""
        parser = console.with_examples(super().get_parser(prog_name), self.examples)
        parser.set_defaults(fit_width=True)
        return parser

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
    if kind != _TABLE and isinstance(value, OptionalValue):
        text = value.machine_readable()
        return OptionalValue(printable.escaped(text)) if isinstance(text, str) else value
    return value
