# SPDX-License-Identifier: Apache-2.0
"""Text of other people cannot steer the terminal of the operator."""

import logging

import pytest

from glance_sync_agent.cmd.cli import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("cirros", "cirros", id="plain"),
        pytest.param("Größe 图像 🙂", "Größe 图像 🙂", id="letters of all kinds"),
        pytest.param("a\x1b[2Jb", r"a\x1b[2Jb", id="ESC"),
        pytest.param("a\x9b2Jb", r"a\x9b2Jb", id="CSI in one character"),
        pytest.param("a\rb\nc\td\x07\x7f", r"a\rb\nc\td\x07\x7f", id="C0 and DEL"),
        pytest.param("a\u2028b\u2029c", r"a\u2028b\u2029c", id="line separators"),
        pytest.param("a\u202egnp\u2066", r"a\u202egnp\u2066", id="directions"),
        pytest.param("a\ud800b", r"a\ud800b", id="half a surrogate pair"),
        pytest.param("", "", id="nothing"),
    ],
)
def test_what_steers_a_terminal_is_escaped_and_nothing_else(text, shown):
    assert printable.escaped(text) == shown


def test_the_ends_of_lines_that_are_ours_stay():
    assert printable.lines("one\n\ttwo\x1b\r") == "one\n\ttwo\\x1b\\r"


def test_a_record_of_the_log_is_escaped():
    record = logging.LogRecord("", logging.ERROR, "", 1, "image %s", ("\x1b[2J",), None)

    assert printable.Formatter("tool: %(message)s").format(record) == r"tool: image \x1b[2J"
