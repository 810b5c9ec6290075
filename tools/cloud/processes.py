# SPDX-License-Identifier: Apache-2.0
"""Starts processes that outlive their parent, and finds and stops exactly these again."""

from collections.abc import Iterable, Mapping
import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import time

_POLL_SECONDS = 0.05
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_APPEND


@dataclasses.dataclass(frozen=True)
class Process:
    """A session leader that this module started, with its start time.

    The system reuses process ids, but not with the same clock tick of the same boot.
    """

    pid: int
    started_ticks: int  # clock ticks since boot
    boot_id: str


@dataclasses.dataclass(frozen=True)
class _Row:
    """One line of the process table."""

    pid: int
    parent: int
    session: int
    state: str
    started_ticks: int


def spawn(command: list[str], env: Mapping[str, str], log: pathlib.Path) -> Process:
    """Start ``command`` in a session of its own, its output appended to ``log``.

    A ``Popen`` object would warn at exit about a child that still runs; ``posix_spawn``
    makes none.

    :raises OSError: the program cannot be started.
    """
    pid = os.posix_spawn(
        command[0],
        command,
        env,
        setsid=True,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), _CREATE, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
    )
    row = _read_row(pid)
    return Process(pid, row.started_ticks if row else -1, _boot_id())


def save(path: pathlib.Path, process: Process) -> None:
    """Remember ``process``."""
    path.write_text(json.dumps(dataclasses.asdict(process)) + "\n")


def load(path: pathlib.Path) -> Process | None:
    """Return the remembered process; None if there is none."""
    try:
        return Process(**json.loads(path.read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def is_alive(process: Process) -> bool:
    """Return whether it still runs; a zombie does not."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
    row = _read_row(process.pid)
    return row is not None and row.state not in "ZX" and _is_same(row, process)


def tree(process: Process) -> set[Process]:
    """Return the living processes of its session and all of their descendants."""
    rows = [row for row in _table() if row.state not in "ZX"]
    leader = next((row for row in rows if row.pid == process.pid), None)
    if process.boot_id != _boot_id() or (leader and not _is_same(leader, process)):
        return set()
    found = {
        row.pid
        for row in rows
        if row.session == process.pid and row.started_ticks >= process.started_ticks
    }
    while True:
        more = {row.pid for row in rows if row.parent in found} - found
        if not more:
            break
        found |= more
    return {
        Process(row.pid, row.started_ticks, process.boot_id) for row in rows if row.pid in found
    }


def send(targets: Iterable[Process], number: signal.Signals) -> None:
    """Send a signal to each of ``targets`` that still runs."""
    for target in targets:
        if is_alive(target):
            with contextlib.suppress(ProcessLookupError):
                os.kill(target.pid, number)


def stop(process: Process, grace_seconds: float) -> int:
    """End the process, and then all of its descendants.

    :param grace_seconds: between SIGTERM and SIGKILL.
    :returns: how many processes there were.
    """
    seen = tree(process)
    send(seen, signal.SIGCONT)  # a stopped process ends only once it is continued
    send([process], signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    while is_alive(process) and time.monotonic() < deadline:
        seen |= tree(process)
        time.sleep(_POLL_SECONDS)
    for number, seconds in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 10.0)):
        seen |= tree(process)
        send(seen, number)
        if wait_until_gone(seen, seconds):
            break
    return len(seen)


def wait_until_gone(targets: Iterable[Process], seconds: float) -> bool:
    """Wait for ``targets`` to end; False if one still runs after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        if not any(is_alive(target) for target in targets):
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)


def _is_same(row: _Row, process: Process) -> bool:
    return row.started_ticks == process.started_ticks and process.boot_id == _boot_id()


def _table() -> list[_Row]:
    pids = [int(entry.name) for entry in pathlib.Path("/proc").iterdir() if entry.name.isdigit()]
    return [row for pid in pids if (row := _read_row(pid))]


def _read_row(pid: int) -> _Row | None:
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the name in parentheses and may hold anything.
    fields = stat[stat.rindex(")") + 2 :].split()
    return _Row(pid, int(fields[1]), int(fields[3]), fields[0], int(fields[19]))


def _boot_id() -> str:
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
