# SPDX-License-Identifier: Apache-2.0
"""A service of the cloud: how to start, check and stop it."""

from collections.abc import Callable, Sequence
from concurrent import futures
import dataclasses
import enum
import pathlib
import signal
import time

from tools.cloud import errors
from tools.cloud import planning
from tools.cloud import processes
from tools.cloud.probes import Probe

_POLL_SECONDS = 0.1
_LOG_LINES = 15
_START_SECONDS = 120.0  # services start slowly while tests run
_STOP_SECONDS = 20.0


class State(enum.Enum):
    """The state of a service."""

    UP = "up"
    SILENT = "silent"  # the process runs and does not answer
    DOWN = "down"


@dataclasses.dataclass(frozen=True)
class Service:
    """One daemon of the cloud."""

    name: str
    host: str
    port: int
    command: list[str]
    log: pathlib.Path
    pid_file: pathlib.Path
    probe: Probe
    env: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def process(self) -> processes.Process | None:
        """The process that was started last, if it still runs."""
        process = processes.load(self.pid_file)
        return process if process and processes.is_alive(process) else None

    def state(self) -> State:
        """Check the process and ask the service."""
        if self.process is None:
            return State.DOWN
        return State.UP if self.probe() else State.SILENT

    def start(self) -> bool:
        """Start the service if its process does not run; do not wait for it.

        :returns: False when it ran already.
        :raises CloudError: the program cannot be started, or its address is in use.
        """
        if self.process is not None:
            return False
        self.stop()  # workers may outlive a killed master
        self._wait_for_address()
        try:
            process = processes.spawn(self.command, self.env, self.log)
        except OSError as exc:
            raise errors.CloudError(f"cannot start {self.name}: {self.command[0]}: {exc}") from exc
        processes.save(self.pid_file, process)
        return True

    def wait(self, seconds: float = _START_SECONDS) -> None:
        """Wait until the service answers.

        :raises CloudError: it ended, or was silent for ``seconds``.
        """
        deadline = time.monotonic() + seconds
        while not self.probe():
            if self.process is None:
                raise errors.CloudError(
                    f"{self.name} ended before it answered on {self._address}; {self._tail()}"
                )
            if time.monotonic() > deadline:
                raise errors.CloudError(
                    f"{self.name} did not answer on {self._address} within {seconds:.0f} s; "
                    f"{self._tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def stop(self) -> int:
        """Stop the service and everything it started.

        :returns: how many processes there were.
        """
        process = processes.load(self.pid_file)
        count = processes.stop(process, _STOP_SECONDS) if process else 0
        self.pid_file.unlink(missing_ok=True)
        return count

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the service.

        :raises CloudError: it does not run.
        """
        process = self.process
        if process is None:
            raise errors.CloudError(f"{self.name} does not run")
        processes.send(processes.tree(process), number)

    def _wait_for_address(self) -> None:
        """Wait until the address is free.

        A killed process can be a zombie before its last threads close their sockets.
        """
        deadline = time.monotonic() + _STOP_SECONDS
        while not planning.is_free(self.host, self.port):
            if time.monotonic() > deadline:
                raise errors.CloudError(
                    f"{self.name} cannot listen on {self._address}, because another process "
                    "does; stop that process first"
                )
            time.sleep(_POLL_SECONDS)

    @property
    def _address(self) -> str:
        return f"{self.host}:{self.port}"

    def _tail(self) -> str:
        try:
            lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        except FileNotFoundError:
            return f"it wrote no log ({self.log})"
        return "\n".join([f"last lines of {self.log}:", *(f"    {line}" for line in lines)])


def run_all(steps: Sequence[Callable[[], object]]) -> None:
    """Run ``steps`` at the same time and wait for all of them.

    :raises CloudError: some steps failed; the message has all failures.
    """
    if not steps:
        return
    with futures.ThreadPoolExecutor(len(steps)) as pool:
        done = [pool.submit(step) for step in steps]
    failures = [error for one in done if (error := one.exception())]
    for error in failures:
        if not isinstance(error, errors.CloudError):
            raise error
    if failures:
        raise errors.CloudError("\n".join(map(str, failures)))


def environment(home: pathlib.Path, **extra: str) -> dict[str, str]:
    """Return the environment of a service.

    It inherits nothing: oslo.config reads OS_* variables, Erlang reads RABBITMQ_*, and an
    HTTP proxy would intercept requests to loopback.
    """
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PYTHONWARNINGS": "ignore",
        "no_proxy": "*",
        **extra,
    }
