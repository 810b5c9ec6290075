# SPDX-License-Identifier: Apache-2.0
"""The cloud and the agent of the demo: starts and stops both."""

import contextlib
import dataclasses
import fcntl
import os
import pathlib
import re
import time
from types import TracebackType
from typing import Self

from tools import agents
from tools import cloud as clouds
from tools.cloud import processes
from tools.demo import errors
from tools.demo import screen

_READY = ("Listening on topics", "Scanned ", "The API listens on")  # in the agent's log
_API = re.compile(r"The API listens on (\S+:\d+)")
_READY_SECONDS = 60.0
#: A user who ends the demo does not want to wait for a transfer.
_OPTIONS: agents.Options = {
    "DEFAULT": {"graceful_shutdown_timeout": 10}, "api": {"enabled": "true"},
}
_STOP_SECONDS = 40.0
_POLL_SECONDS = 0.05
_LINE_CHARACTERS = 300


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Whether the cloud is new, and whether it stays."""

    keep: bool  # leave cloud and agent running
    attach: bool  # use a running cloud: start and stop nothing of it


class Stage:
    """A cloud and its agent: a context that stops them at its end, unless they are kept.

    The agent's pid file is among those of the cloud, so ``tools/cloud/down`` ends it, too.
    """

    def __init__(self, cloud: clouds.Cloud, plan: Plan, show: screen.Screen) -> None:
        self.cloud = cloud
        self._plan = plan
        self._screen = show
        self._directory = cloud.state_dir / "agent"
        self._pid_file = cloud.state_dir / "run" / "demo-agent.json"
        self._agent: agents.Agent | None = None
        self._lock = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Reserve the cloud.

        :raises DemoError: another demo has it.
        :raises CloudError: it should run already, and was never up.
        """
        if self._plan.attach:
            self.cloud.describe()
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        lock = self._lock.enter_context((self.cloud.state_dir / "demo.lock").open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise errors.DemoError(
                f"another tools/demo.sh is using the cloud '{self.cloud.name}';"
                " wait for it, or use another one with --name"
            ) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop agent and cloud, unless they are kept."""
        with self._lock:
            if self._plan.keep:
                return
            self.stop_agent()
            if not self._plan.attach:
                self._screen.say("Stopping the cloud")
                self.cloud.down()

    def start_cloud(self) -> clouds.Description:
        """Start the cloud, and end an agent of an earlier demo.

        :raises CloudError: it does not come up.
        """
        self.stop_agent()
        if self._plan.attach:
            return self.cloud.describe()
        self._screen.say(
            f"Starting the cloud '{self.cloud.name}':"
            " RabbitMQ, Keystone, four Glances, three SSH servers"
        )
        return self.cloud.up()

    def start_agent(self) -> None:
        """Start the agent; wait until it listens and has finished a full scan.

        :raises DemoError: it does not get that far.
        """
        self._agent = agents.Agent(self.cloud.describe(), self._directory, options=_OPTIONS)
        self._agent.log.unlink(missing_ok=True)
        process = processes.spawn(
            self._agent.command("glance-sync-agent"), os.environ, self._agent.log
        )
        processes.save(self._pid_file, process)
        self._screen.say(f"Started the agent, process {process.pid}; its log is {self.log}")
        deadline = time.monotonic() + _READY_SECONDS
        while not all(sign in self._agent.tail(1000) for sign in _READY):
            self.check_agent()
            if time.monotonic() > deadline:
                raise errors.DemoError(f"the agent was not ready after {_READY_SECONDS:.0f} s")
            time.sleep(_POLL_SECONDS)

    def check_agent(self) -> None:
        """Check that the agent runs.

        :raises DemoError: it does not.
        """
        if self.agent_pid is None:
            raise errors.DemoError("the agent has ended by itself")

    def stop_agent(self) -> None:
        """End the agent of this demo or of an earlier one, if it runs."""
        process = processes.load(self._pid_file)
        if process and processes.is_alive(process):
            self._screen.say(f"Stopping the agent, process {process.pid}")
        if process:
            processes.stop(process, _STOP_SECONDS)
        self._pid_file.unlink(missing_ok=True)

    @property
    def agent_pid(self) -> int | None:
        """The agent's process id; None: it does not run."""
        process = processes.load(self._pid_file)
        return process.pid if process and processes.is_alive(process) else None

    @property
    def log(self) -> pathlib.Path:
        """The agent's log."""
        return self._directory / "agent.log"

    @property
    def config_file(self) -> pathlib.Path:
        """The agent's ``sync.conf``."""
        return self._directory / "sync.conf"

    @property
    def api_url(self) -> str:
        """Where the agent's API listens.

        :raises DemoError: it does not listen.
        """
        found = _API.search(self._agent.tail(1000)) if self._agent else None
        if found is None:
            raise errors.DemoError(f"the agent's API does not listen; {self.log} says why")
        return f"http://{found[1]}"

    def log_tail(self) -> str:
        """Return the end of the agent's log; empty if no agent was started."""
        lines = self._agent.tail(20).splitlines() if self._agent else []
        return "\n".join(line[:_LINE_CHARACTERS] for line in lines)
