# SPDX-License-Identifier: Apache-2.0
"""The progress bar is drawn on a terminal only."""

import io

from glance_sync_agent.cmd.cli import reading_bar
from tests.unit import builders


class Terminal(io.StringIO):
    """Takes for a terminal what is none."""

    def isatty(self) -> bool:
        return True


def draw(stream, **task):
    with reading_bar.shown(stream) as show:
        for name in ("first", "second"):
            made = builders.task(**{"image_name": name, **task})
            for done in (0, 1024, 2048):
                show(made, done, 2048)
    return stream.getvalue()


def test_on_a_terminal_the_copy_that_is_read_is_shown(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    said = draw(Terminal())
    assert "second in RegionTwo" in said
    assert "2.0/2.0 KiB" in said


def test_an_image_without_a_name_is_shown_by_its_id(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    assert f"{builders.IMAGE_ID} in RegionTwo" in draw(Terminal(), image_name=None)


def test_without_a_terminal_nothing_is_drawn():
    assert draw(io.StringIO()) == ""


def test_a_name_does_not_steer_the_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    said = draw(Terminal(), image_name="evil\x1b]0;title\x07")
    assert "\x1b]0;" not in said
    assert r"evil\x1b]0;title\x07 in RegionTwo" in said
