# SPDX-License-Identifier: Apache-2.0
"""The output: sentences and progress on stderr, and the tables at the end."""

from collections.abc import Iterator
import contextlib
import sys
import time
from typing import Protocol

from rich import console
from rich import progress
from rich import table
from rich import text

from tools.demo import results

_MIB = 1024 * 1024
_WIDTH = 118  # without a terminal
_PLAIN_SECONDS = 1.0  # between two lines about one bar


class Bars(Protocol):
    """Progress of several things at once."""

    def show(self, name: str, done: int, total: int, note: str = "") -> None:
        """Show how many bytes are done."""


class Screen:
    """The output of the demo.

    :param tables_to_stderr: keep stdout for JSON.
    """

    def __init__(self, *, tables_to_stderr: bool) -> None:
        self._talk = _console(to_stderr=True)
        self._tables = _console(to_stderr=tables_to_stderr)

    def say(self, sentence: str) -> None:
        """Print one sentence."""
        self._talk.print(f"==> {sentence}", markup=False, highlight=False, soft_wrap=True)

    def quote(self, lines: str) -> None:
        """Print lines of another program."""
        for line in lines.splitlines():
            self._talk.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)

    @contextlib.contextmanager
    def bars(self) -> Iterator[Bars]:
        """Show progress while the context lasts."""
        if not self._talk.is_terminal:
            yield _PlainBars(self)
            return
        columns = (
            progress.TextColumn("    {task.description:<27}"),
            progress.BarColumn(bar_width=30),
            progress.DownloadColumn(binary_units=True),
            _Rate(),
            progress.TimeRemainingColumn(),
            progress.TextColumn("{task.fields[note]}", markup=False),
        )
        with progress.Progress(*columns, console=self._talk, refresh_per_second=8) as drawn:
            yield _DrawnBars(drawn)

    def table_of_images(self, summary: results.Summary) -> None:
        """Print image x region."""
        drawn = table.Table(title="All images of all regions, read back and hashed by the demo")
        drawn.add_column("image", no_wrap=True)
        drawn.add_column("region")
        drawn.add_column("status")
        for right in ("seconds", "bytes"):
            drawn.add_column(right, justify="right")
        drawn.add_column("sha512")
        drawn.add_column("verified")
        for image in summary.images:
            for copy in image.copies.values():
                drawn.add_row(
                    image.name if copy.is_source else "",
                    copy.region,
                    copy.status,
                    "source" if copy.is_source else _seconds(copy.seconds),
                    "-" if copy.size is None else f"{copy.size:,}",
                    f"{copy.sha512[:16]}..." if copy.sha512 else "-",
                    _verdict(copy),
                )
            drawn.add_section()
        self._tables.print(drawn)

    def table_of_changes(self, summary: results.Summary) -> None:
        """Print change x region."""
        drawn = table.Table(title="Seconds until a change showed in each region")
        drawn.add_column("change")
        drawn.add_column("image", no_wrap=True)
        regions = [name for name in summary.regions if name != summary.cascading_region]
        for region in regions:
            drawn.add_column(region, justify="right")
        for change in summary.changes:
            times = [_seconds(change.seconds.get(region)) for region in regions]
            drawn.add_row(change.change, change.image, *times)
        self._tables.print(drawn)


class _Rate(progress.ProgressColumn):
    """Like rich's own, in MiB."""

    def render(self, task: progress.Task) -> text.Text:
        speed = task.finished_speed or task.speed
        return text.Text(f"{speed / _MIB:6.1f} MiB/s" if speed else "       -   ")


class _DrawnBars:
    def __init__(self, drawn: progress.Progress) -> None:
        self._drawn = drawn
        self._tasks: dict[str, progress.TaskID] = {}

    def show(self, name: str, done: int, total: int, note: str = "") -> None:
        if name not in self._tasks:
            self._tasks[name] = self._drawn.add_task(name, total=total, note=note)
        self._drawn.update(self._tasks[name], completed=done, total=total, note=note)


class _PlainBars:
    """A line a second, for logs."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._started: dict[str, tuple[float, int]] = {}  # monotonic seconds, bytes
        self._said: dict[str, tuple[float, int, str]] = {}

    def show(self, name: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        since, first = self._started.setdefault(name, (now, done))
        before = self._said.get(name)
        if before is not None:
            news = (done, note) != before[1:]
            if not news or (now - before[0] < _PLAIN_SECONDS and done < total):
                return
        self._said[name] = (now, done, note)
        rate = (done - first) / (now - since) if now > since else 0.0
        left = f", {(total - done) / rate:.0f} s left" if rate and done < total else ""
        self._screen.quote(
            f"{name:<27} {done / _MIB:7.1f} of {total / _MIB:.1f} MiB,"
            f" {rate / _MIB:.1f} MiB/s{left}{'; ' if note else ''}{note}"
        )


def _console(*, to_stderr: bool) -> console.Console:
    is_terminal = (sys.stderr if to_stderr else sys.stdout).isatty()
    return console.Console(stderr=to_stderr, width=None if is_terminal else _WIDTH)


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}"


def _verdict(copy: results.Copy) -> text.Text:
    if copy.verified:
        return text.Text("yes", style="green")
    if copy.sha512 is None:
        return text.Text("not read", style="yellow")
    return text.Text(copy.note, style="red")
