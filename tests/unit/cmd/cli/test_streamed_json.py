# SPDX-License-Identifier: Apache-2.0
"""Lists as JSON: what cliff prints, in the memory of a row."""

import argparse
import io
import os
import pathlib
import tracemalloc

from cliff.formatters import json_format
import pytest

from glance_sync_agent.cmd.cli import streamed_json
from glance_sync_agent.cmd.cli import tables

NAMES = ("image_id", "size", "reason")
ROWS = [("a", 1, tables.OptionalValue(None)), ("\x1b[1mé", None, tables.OptionalValue("x"))]


def printed(formatter, rows, *, noindent):
    output = io.StringIO()
    formatter.emit_list(NAMES, rows, output, argparse.Namespace(noindent=noindent))
    return output.getvalue()


@pytest.mark.parametrize("noindent", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_it_prints_what_cliff_prints(count, noindent):
    expected = printed(json_format.JSONFormatter(), ROWS[:count], noindent=noindent)
    assert printed(streamed_json.StreamedJson(), iter(ROWS[:count]), noindent=noindent) == expected


def test_nothing_is_printed_if_the_first_row_fails():
    rows = ((1 / number, 1, "") for number in (0, 1))
    output = io.StringIO()
    with pytest.raises(ZeroDivisionError):
        streamed_json.StreamedJson().emit_list(
            NAMES, rows, output, argparse.Namespace(noindent=False)
        )
    assert output.getvalue() == ""


def peak(formatter, count):
    """Return the bytes that printing some rows needed at most."""
    rows = (("image", number, "r" * 100) for number in range(count))
    with pathlib.Path(os.devnull).open("w") as output:
        tracemalloc.start()
        try:
            formatter.emit_list(NAMES, rows, output, argparse.Namespace(noindent=False))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


def test_ten_times_the_rows_take_no_more_memory():
    few, many = (peak(streamed_json.StreamedJson(), count) for count in (300, 3000))
    assert many < few * 1.5
    assert peak(json_format.JSONFormatter(), 3000) > 3 * many
