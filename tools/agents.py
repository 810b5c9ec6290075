# SPDX-License-Identifier: Apache-2.0
"""The agent as an operator runs it: its files, and its process, on a cloud of ``tools/cloud``."""

from collections.abc import Callable, Mapping
import configparser
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
from typing import Any

import yaml

from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers.sql import task_store
from tools import cloud as clouds

_ROOT = pathlib.Path(__file__).parents[1]
_BIN = pathlib.Path(sys.executable).parent

Options = Mapping[str, Mapping[str, object]]  # section -> option -> value


class AgentError(Exception):
    """The agent failed; the message ends with its log."""


class Agent:
    """One agent of one cloud, with a directory of its own for files, database and log."""

    def __init__(
        self,
        cloud: clouds.Description,
        directory: pathlib.Path,
        *,
        options: Options | None = None,
        ssh: bool = True,
    ) -> None:
        """Write the configuration.

        :param options: added to ``sync.conf``; they override its options.
        :param ssh: False: no store file, so the agent fills every region through its image API.
        """
        self.directory = directory
        self.config_file = directory / "sync.conf"
        self.log = directory / "agent.log"
        self.environment: dict[str, str] = {}  # added to ours
        self._process: subprocess.Popen[bytes] | None = None
        database = (options or {}).get("database", {})
        self.database_url = str(
            database.get("connection", f"sqlite:///{directory}/state/sync.sqlite")
        )
        self._store = task_store.SqlTaskStore(self.database_url)
        directory.mkdir(parents=True, exist_ok=True)
        write_sync_conf(cloud, self.config_file, options or {})
        if ssh:
            write_store_file(cloud, directory / "glance_store.yaml")

    @property
    def pid(self) -> int:
        """The launcher; its child is the worker.

        :raises AgentError: the agent does not run.
        """
        if self._process is None:
            raise AgentError("the agent was not started")
        return self._process.pid

    def command(self, name: str, *arguments: str) -> list[str]:
        """Return the command line of one of the project's commands for this agent."""
        return [str(_BIN / name), "--config-file", str(self.config_file), *arguments]

    def start(self) -> None:
        """Start the process. Its log shows when it is ready, see :meth:`wait_for_log`."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command("glance-sync-agent"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                cwd=_ROOT,
                env=os.environ | self.environment,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the launcher."""
        os.kill(self.pid, number)

    def stop(self, timeout_seconds: float = 90.0) -> int:
        """Send SIGTERM and return the exit status. Idempotent."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            message = f"no end {timeout_seconds:g} s after SIGTERM:\n{self.tail()}"
            raise AgentError(message) from None
        self._process = None
        return status

    def kill(self) -> None:
        """Kill launcher and worker with SIGKILL, as a power cut would."""
        if self._process is not None:
            # The launcher made a session of its own, so its group is launcher and worker.
            with contextlib.suppress(ProcessLookupError):  # both ended by themselves
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Kill it, and close our own connections to its database."""
        self.kill()
        self._store.close()

    def is_running(self) -> bool:
        """Return whether the launcher lives."""
        return self._process is not None and self._process.poll() is None

    def tasks(self) -> list[tasks.Task]:
        """Return the rows of the agent's table; much cheaper than :meth:`status`."""
        return list(self._store.list())

    def status(self, *filters: str) -> list[dict[str, Any]]:
        """Return the rows of ``glance-sync status``."""
        done = subprocess.run(
            self.command("glance-sync", "status", "-f", "json", *filters),
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise AgentError(f"glance-sync status: {done.stderr}")
        return list(json.loads(done.stdout))

    def wait_for_log(self, text: str, timeout_seconds: float = 120.0) -> None:
        """Wait until the log has ``text``.

        :raises AgentError: the text did not appear in time, or the agent ended.
        """
        def said() -> bool:
            return text in self.log.read_text(errors="replace")

        self.wait_until(said, f"'{text}' in the log", timeout_seconds)

    def wait_until(
        self, condition: Callable[[], bool], what: str, timeout_seconds: float = 120.0
    ) -> None:
        """Wait for a condition.

        :raises AgentError: it did not become true in time, or the agent ended.
        """
        deadline = time.monotonic() + timeout_seconds
        while not condition():
            if not self.is_running():
                raise AgentError(f"the agent ended before {what}:\n{self.tail()}")
            if time.monotonic() > deadline:
                raise AgentError(f"{timeout_seconds:g} s without {what}:\n{self.tail()}")
            time.sleep(0.05)

    def tail(self, lines: int = 40) -> str:
        """Return the end of the log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])


def write_sync_conf(cloud: clouds.Description, path: pathlib.Path, options: Options) -> None:
    """Write a ``sync.conf`` for a cloud, with the state beside it."""
    user = cloud.user("glance-sync")
    cascading = cloud.region(cloud.cascading_region)
    values: dict[str, dict[str, object]] = {
        "DEFAULT": {
            "cascading_endpoint_url": cascading.glance_url,
            "transport_url": cascading.transport_url,
            "state_path": path.parent / "state",
            "sync_server_port": 0,  # any free one; the log says which
        },
        # Most of these agents are asked nothing.
        "api": {"enabled": "false"},
        "service_credentials": {
            "auth_type": "password",
            "auth_url": cloud.auth_url,
            "username": user.name,
            "password": user.password,
            "project_name": user.project,
            "user_domain_name": user.domain,
            "project_domain_name": user.domain,
        },
        "ssh": {"known_hosts": cloud.ssh.known_hosts},
    }
    for section, more in options.items():
        values.setdefault(section, {}).update(more)
    parser = configparser.RawConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_dict({section: {k: str(v) for k, v in pairs.items()}
                      for section, pairs in values.items()})
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    with os.fdopen(descriptor, "w") as file:
        parser.write(file)


def write_store_file(cloud: clouds.Description, path: pathlib.Path) -> None:
    """Write the ``glance_store.yaml`` of a cloud: local source, SSH to all other regions."""
    cascading = cloud.region(cloud.cascading_region)
    glances = [
        {
            "name": cascading.name,
            "service_ip": cascading.glance_host,
            "schemes": [
                {
                    "name": "filesystem",
                    "parameters": {
                        "host": cascading.glance_host,
                        "datadir": cascading.datadir,
                        "login_user": cloud.ssh.user,
                    },
                }
            ],
        }
    ]
    glances += [
        {
            "name": region.name,
            "service_ip": region.glance_host,
            "schemes": [
                {
                    "name": "filesystem",
                    "parameters": {
                        "host": region.ssh_host,
                        "port": str(region.ssh_port),
                        "datadir": region.datadir,
                        "login_user": cloud.ssh.user,
                        "key_filename": cloud.ssh.private_key,
                    },
                }
            ],
        }
        for region in cloud.cascaded
    ]
    path.write_text(yaml.safe_dump({"glances": glances}, sort_keys=False))
    path.chmod(0o640)
