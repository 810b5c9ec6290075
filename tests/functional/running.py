# SPDX-License-Identifier: Apache-2.0
"""The agent as tests need it: ready when it says so, and with a log that begins anew."""

import contextlib
import os
import pathlib
import re
import signal
import sys
import time

from glance_sync_agent.domain import images
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers.sql import task_store
from tools import agents

#: A retry comes soon, so that tests need not wait for it.
FAST: agents.Options = {
    "transfer": {
        "retry_base_seconds": "0.2",
        "retry_max_seconds": "2",
        "region_pause_seconds": "0.2",
        "region_pause_max_seconds": "2",
    },
    # What is deleted unheard goes with the next look.
    "reconcile": {"gone_grace": "0"},
}


class Agent(agents.Agent):
    """An agent whose log is looked at from its last start on."""

    #: A file that tells workers of the next process when to die; see mortal.py. None: none does.
    order: pathlib.Path | None = None
    _from = 0

    def command(self, name: str, *arguments: str) -> list[str]:
        """Return a command line, or that of an agent that dies on demand."""
        found = super().command(name, *arguments)
        if name == "glance-sync-agent" and self.order is not None:
            found[:1] = [sys.executable, "-m", "tests.functional.mortal", str(self.order)]
        return found

    def start(self) -> None:
        """Start the process."""
        self._from = self.log.stat().st_size if self.log.exists() else 0
        super().start()

    def begin(self) -> None:
        """Start, and wait until it listens and has looked at everything once."""
        self.start()
        self.wait_for_log("Listening on topics")
        self.wait_for_log("Scanned ")

    def said(self) -> str:
        """Return the log since the last start."""
        with self.log.open(errors="replace") as log:
            log.seek(self._from)
            return log.read()

    def wait_for_log(self, text: str, timeout_seconds: float = 120.0) -> None:
        """Wait until the log has ``text`` since the last start."""
        self.wait_until(lambda: text in self.said(), f"'{text}' in the log", timeout_seconds)

    def wait_for_end(self, timeout_seconds: float = 120.0) -> int:
        """Return the exit status of an agent that ends by itself."""
        assert self._process is not None
        status = self._process.wait(timeout_seconds)
        self._process = None
        return status

    @property
    def api_port(self) -> int:
        """The port of its API, as soon as it listens."""
        self.wait_for_log("The API listens on")
        found = re.search(r"The API listens on [^:]+:(\d+)", self.said())
        assert found is not None
        return int(found[1])

    def tasks_of(self, image_id: str) -> dict[str, tasks.Task]:
        """Return the tasks of an image by region; the CLI would take a second for it."""
        store = task_store.SqlTaskStore(self.database_url, connections=1)
        try:
            found = store.list(image_id=images.ImageId(image_id))
            return {str(task.key.region): task for task in found}
        finally:
            store.close()

    def statuses(self, image_id: str) -> dict[str, str]:
        """Return the status of each task of an image by region."""
        return {region: str(task.status) for region, task in self.tasks_of(image_id).items()}

    def lose_database(self) -> None:
        """Remove the database of an agent that does not run."""
        self._store.close()
        for file in (self.directory / "state").glob("sync.sqlite*"):
            file.unlink()

    @property
    def worker(self) -> int:
        """The process id of the worker."""
        found: list[int] = []

        def forked() -> bool:
            found[:] = children(self.pid)
            return bool(found)

        self.wait_until(forked, "a worker")
        return found[0]

    def kill_only(self, pid: int) -> None:
        """Kill one of the agent's processes with SIGKILL and wait until it is gone."""
        os.kill(pid, signal.SIGKILL)
        if self._process is not None and pid == self._process.pid:
            self._process.wait()
            self._process = None
        deadline = time.monotonic() + 30
        while is_alive(pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def children(pid: int) -> list[int]:
    """Return the processes that a process forked."""
    return [one for one in _processes() if _stat(one)[1:2] == [str(pid)]]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    return _stat(pid)[:1] not in ([], ["Z"])


def _processes() -> list[int]:
    return [int(path.name) for path in pathlib.Path("/proc").glob("[0-9]*")]


def _stat(pid: int) -> list[str]:
    """Return state, parent and so on; nothing if there is no such process."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []
