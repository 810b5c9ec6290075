# SPDX-License-Identifier: Apache-2.0
"""The progress bar of ``glance-sync verify``."""

from collections.abc import Callable, Iterator
import contextlib
from typing import TextIO

from glance_sync_agent.cmd.cli import printable
from glance_sync_agent.domain import tasks

Show = Callable[[tasks.Task, int, int], None]


@contextlib.contextmanager
def shown(stream: TextIO) -> Iterator[Show]:
    """Draw the progress of the copy that is being read; only on a terminal."""
    if not stream.isatty():
        yield lambda _task, _done, _total: None
        return
    # Here, because every command would load it.
    from rich import console
    from rich import progress

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(bar_width=20),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console.Console(file=stream), transient=True) as bar:
        drawn = bar.add_task("")

        def show(task: tasks.Task, done: int, total: int) -> None:
            image = printable.escaped(task.image_name or task.key.image_id)
            name = f"{image} in {task.key.region}"
            if bar.tasks[0].description != name:
                bar.reset(drawn, description=name)
            bar.update(drawn, completed=done, total=total)

        yield show
