# SPDX-License-Identifier: Apache-2.0
"""The test cloud as a whole: start it, check it, break it, stop it."""

from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import dataclasses
import fcntl
import functools
import pathlib
import re
import shutil
import signal
import time
from typing import TYPE_CHECKING

from tools.cloud import assembly
from tools.cloud import clients
from tools.cloud import errors
from tools.cloud import glance
from tools.cloud import identity
from tools.cloud import keystone
from tools.cloud import model
from tools.cloud import processes
from tools.cloud import rabbitmq
from tools.cloud import services
from tools.cloud import sshd

if TYPE_CHECKING:
    from glanceclient.v2.client import Client
    from keystoneauth1.session import Session

_NAME = re.compile(r"(?!(?:venv|log|cache)$)[a-z0-9][a-z0-9-]{0,31}")
_STOP_SECONDS = 20.0


@dataclasses.dataclass(frozen=True)
class ServiceStatus:
    """The state of one service."""

    name: str
    address: str
    pid: int | None
    state: services.State


class Cloud:
    """A cloud of four regions whose state is in ``<root>/.cloud/<name>``.

    Any process may call the methods, not only the one that started the cloud. Methods that
    change the cloud exclude each other.
    """

    def __init__(
        self,
        root: pathlib.Path | str,
        name: str = "default",
        report: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Prepare to use a cloud; does nothing yet.

        :param root: the checkout.
        :param report: called with each event, a line.
        :raises CloudError: the name cannot be that of a directory.
        """
        if not _NAME.fullmatch(name):
            raise errors.CloudError(f"{name!r} is no name for a cloud: use a-z, 0-9 and -")
        self.name = name
        self._root = pathlib.Path(root).resolve()
        self._home = self._root / ".cloud"
        self._venv = self._home / "venv"
        self._report = report

    @property
    def state_dir(self) -> pathlib.Path:
        """The directory of this cloud."""
        return self._home / self.name

    def describe(self) -> model.Description:
        """Return what clients need to use the cloud.

        :raises CloudError: it has never been up.
        """
        return model.load(self.state_dir / "cloud.json")

    def up(self) -> model.Description:
        """Start the services that do not run, and wait until all answer.

        :raises CloudError: a service does not come up; the others are left running.
        """
        if not (self._venv / "bin" / "uwsgi").exists():
            raise errors.CloudError(f"{self._venv} is not there; run tools/cloud/up once")
        with self._lock(self.name):
            for directory in ("run", "log"):
                (self.state_dir / directory).mkdir(parents=True, exist_ok=True)
            with self._lock("ports"):
                cloud = assembly.plan(self.name, self.state_dir, self._venv)
            cloud = assembly.configure(cloud, self._root, self._venv)
            self._save(cloud)
            services.run_all(
                [
                    lambda: self._start_broker(cloud),
                    lambda: self._start_keystone(cloud),
                    lambda: self._start_glances(cloud),
                    lambda: self._start_sshds(cloud),
                ]
            )
            described = assembly.fill_keystone(cloud)
            identity.log_everybody_in(described)
            clients.write_openrc_files(described)
            return self._save(described)

    def down(self) -> list[str]:
        """Stop every process of the cloud; its data stays.

        :returns: the names of the services that were stopped.
        """
        with self._lock(self.name):
            pid_files = set((self.state_dir / "run").glob("*.json"))
            # RabbitMQ needs epmd until it has ended.
            epmd = {path for path in pid_files if path.stem == "epmd"}
            stopped: list[str] = []
            for group in (pid_files - epmd, epmd):
                steps = [functools.partial(self._stop, path, stopped) for path in group]
                services.run_all(steps)
            with contextlib.suppress(errors.CloudError):
                self._save(self.describe())
            return sorted(stopped)

    def wipe(self) -> None:
        """Stop the cloud and remove its data."""
        self.down()
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.state_dir)
        (self._home / f"{self.name}.lock").unlink(missing_ok=True)

    def status(self) -> list[ServiceStatus]:
        """Ask every service whether it answers.

        :raises CloudError: the cloud has never been up.
        """
        found = assembly.build(self.describe(), self._venv)
        with futures.ThreadPoolExecutor(len(found)) as pool:
            states = list(pool.map(lambda service: service.state(), found))
        return [
            ServiceStatus(
                name=service.name,
                address=f"{service.host}:{service.port}",
                pid=service.process.pid if service.process else None,
                state=state,
            )
            for service, state in zip(found, states, strict=True)
        ]

    def start_service(self, name: str) -> None:
        """Start one service, such as ``glance-RegionTwo``, and wait until it answers.

        :raises CloudError: there is none of that name, or it does not come up.
        """
        with self._lock(self.name):
            self._start([self._service(name)])
            self._save(self.describe())

    def stop_service(self, name: str) -> None:
        """Stop one service and its children; no error if it does not run."""
        with self._lock(self.name):
            self._service(name).stop()
            self._save(self.describe())

    def restart_service(self, name: str) -> None:
        """Stop one service and start it again, on the same port."""
        self.stop_service(name)
        self.start_service(name)

    def signal_service(self, name: str, number: signal.Signals) -> None:
        """Send a signal to all processes of a service, open SSH sessions included.

        :raises CloudError: it does not run.
        """
        self._service(name).signal(number)

    def session(self, user: str = "alice") -> "Session":
        """Return a keystoneauth1 session of that user, scoped to the user's project."""
        return clients.session(self.describe(), user)

    def glance(self, region: str = model.CASCADING_REGION, user: str = "alice") -> "Client":
        """Return an image API client of that user in that region."""
        return clients.glance(self.describe(), region, user)

    def _service(self, name: str) -> services.Service:
        known = {service.name: service for service in assembly.build(self.describe(), self._venv)}
        if name not in known:
            raise errors.CloudError(f"there is no service {name!r}; there are {', '.join(known)}")
        return known[name]

    def _start_broker(self, cloud: model.Description) -> None:
        for service in rabbitmq.build(cloud):  # epmd first
            self._start([service])

    def _start_keystone(self, cloud: model.Description) -> None:
        keystone.prepare(cloud, self._venv, self._home / "cache")
        self._start([keystone.build(cloud, self._venv)])

    def _start_glances(self, cloud: model.Description) -> None:
        glance.prepare(cloud, self._venv, self._home / "cache")
        self._start(glance.build(cloud, self._venv))

    def _start_sshds(self, cloud: model.Description) -> None:
        sshd.prepare()
        self._start(sshd.build(cloud))

    def _start(self, wanted: list[services.Service]) -> None:
        started = time.monotonic()
        new = {service.name for service in wanted if service.start()}
        for service in wanted:
            service.wait()
            verb = "answers" if service.name in new else "ran already"
            seconds = time.monotonic() - started
            self._report(
                f"{service.name:<20} {verb} on {service.host}:{service.port} ({seconds:.1f} s)"
            )

    def _stop(self, pid_file: pathlib.Path, stopped: list[str]) -> None:
        process = processes.load(pid_file)
        count = processes.stop(process, _STOP_SECONDS) if process else 0
        pid_file.unlink(missing_ok=True)
        if count:
            self._report(f"{pid_file.stem:<20} stopped ({count} processes)")
            stopped.append(pid_file.stem)

    def _save(self, cloud: model.Description) -> model.Description:
        pids = {
            service.name: process.pid
            for service in assembly.build(cloud, self._venv)
            if (process := service.process)
        }
        cloud = dataclasses.replace(cloud, pids=pids)
        model.save(self.state_dir / "cloud.json", cloud)
        return cloud

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        self._home.mkdir(exist_ok=True)
        with (self._home / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
