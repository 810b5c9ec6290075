# SPDX-License-Identifier: Apache-2.0
"""JSON that is printed row by row, because a large cloud has millions of rows."""

import argparse
from collections.abc import Iterable, Iterator, Sequence
import itertools
import json
from typing import Any, TextIO

from cliff import columns
from cliff.formatters import json_format


class StreamedJson(json_format.JSONFormatter):
    """Prints what cliff's formatter prints, without holding all rows."""

    def emit_list(
        self,
        column_names: Sequence[str],
        data: Iterable[Sequence[Any]],
        stdout: TextIO,
        parsed_args: argparse.Namespace,
    ) -> None:
        """Print the rows as they come. Nothing is printed if the first one fails."""
        rows = (
            {name: _value(cell) for name, cell in zip(column_names, row, strict=False)}
            for row in data
        )
        json.dump(_Rows(rows), stdout, indent=None if parsed_args.noindent else 2)
        stdout.write("\n")


class _Rows(list[Any]):
    """Rows that json takes for a list, and reads once.

    json.dump prints a list element by element, but takes no iterator.
    """

    def __init__(self, rows: Iterator[Any]) -> None:
        self._first = list(itertools.islice(rows, 1))
        self._rows = itertools.chain(self._first, rows)

    def __bool__(self) -> bool:
        return bool(self._first)

    def __iter__(self) -> Iterator[Any]:
        return self._rows


def _value(cell: Any) -> Any:
    return cell.machine_readable() if isinstance(cell, columns.FormattableColumn) else cell
