"""The test cloud as a whole: bring it up, look at it, break it, take it down."""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import pathlib
import re
import shutil
import signal
import time
from collections.abc import Callable
from collections.abc import Iterator
from concurrent import futures
from typing import TYPE_CHECKING

from tools.cloud import clients
from tools.cloud import errors
from tools.cloud import glance
from tools.cloud import identity
from tools.cloud import keystone
from tools.cloud import model
from tools.cloud import planning
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
    """What a look at one service shows."""

    name: str
    address: str
    pid: int | None
    state: services.State


class Cloud:
    """A cloud of four regions whose state lives in ``<root>/.cloud/<name>``.

    Every method may be called from another process than the one that started
    the cloud; those that change it exclude each other.
    """

    def __init__(
        self,
        root: pathlib.Path | str,
        name: str = "default",
        report: Callable[[str], None] = lambda _line: None,
    ) -> None:
        """Prepare to use a cloud; does nothing yet.

        :param root: the checkout.
        :param report: is told what happens, a line at a time.
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
        """Where everything that belongs to this cloud is."""
        return self._home / self.name

    def describe(self) -> model.Description:
        """Return all there is to know to use the cloud.

        :raises CloudError: it has never been up.
        """
        return model.load(self.state_dir / "cloud.json")

    def up(self) -> model.Description:
        """Start what does not run, and wait until everything answers.

        :raises CloudError: a service does not come up; the others are left running.
        """
        if not (self._venv / "bin" / "uwsgi").exists():
            raise errors.CloudError(f"{self._venv} is not there; run tools/cloud/up once")
        with self._lock(self.name):
            cloud = self._configure()
            broker = rabbitmq.build(cloud)
            _all_of(
                [
                    lambda: self._start(broker[:1]) or self._start(broker[1:]),
                    lambda: self._start_keystone(cloud),
                    lambda: self._start_glances(cloud),
                    lambda: self._start_sshds(cloud),
                ]
            )
            cloud = self._fill(cloud)
            clients.write_openrc_files(cloud)
            return self._save(cloud)

    def down(self) -> list[str]:
        """Stop every process of the cloud; its data stays.

        :returns: the names of the services that were stopped.
        """
        with self._lock(self.name):
            pid_files = set((self.state_dir / "run").glob("*.json"))
            # RabbitMQ takes its leave from epmd, so that goes last.
            epmd = {path for path in pid_files if path.stem == "epmd"}
            stopped: list[str] = []
            for group in (pid_files - epmd, epmd):
                _all_of([lambda path=path: stopped.extend(self._stop(path)) for path in group])
            with contextlib.suppress(errors.CloudError):
                self._save(self.describe())
            return sorted(stopped)

    def wipe(self) -> None:
        """Stop the cloud and remove everything it has."""
        self.down()
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(self.state_dir)
        (self._home / f"{self.name}.lock").unlink(missing_ok=True)

    def status(self) -> list[ServiceStatus]:
        """Ask every service whether it answers.

        :raises CloudError: the cloud has never been up.
        """
        found = self._services(self.describe())
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

    def _configure(self) -> model.Description:
        for directory in ("run", "log"):
            (self.state_dir / directory).mkdir(parents=True, exist_ok=True)
        self.state_dir.chmod(0o755)
        path = self.state_dir / "cloud.json"
        previous = model.load(path) if path.exists() else None
        with self._lock("ports"):
            if previous and any(service.process for service in self._services(previous)):
                cloud = previous
            else:
                others = [one for one in self._home.glob("*/cloud.json") if one != path]
                taken = {port for one in others for port in model.load(one).ports}
                cloud = planning.plan(self.name, self.state_dir, previous, taken)
            cloud = self._save(sshd.configure(cloud))
        rabbitmq.configure(cloud)
        keystone.configure(cloud, self._root, self._venv)
        glance.configure(cloud, self._root, self._venv)
        return cloud

    def _services(self, cloud: model.Description) -> list[services.Service]:
        return [
            *rabbitmq.build(cloud),
            keystone.build(cloud, self._venv),
            *glance.build(cloud, self._venv),
            *sshd.build(cloud),
        ]

    def _service(self, name: str) -> services.Service:
        known = {service.name: service for service in self._services(self.describe())}
        if name not in known:
            raise errors.CloudError(f"there is no service {name!r}; there are {', '.join(known)}")
        return known[name]

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

    def _fill(self, cloud: model.Description) -> model.Description:
        wanted = dataclasses.replace(
            cloud,
            pids={},
            users=[dataclasses.replace(user, project_id="") for user in cloud.users],
        )
        content = json.dumps(dataclasses.asdict(wanted), sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()
        stamp = self.state_dir / "keystone" / "filled"
        if stamp.exists() and stamp.read_text() == digest:
            return cloud
        cloud = identity.fill(cloud)
        stamp.write_text(digest)
        return cloud

    def _stop(self, pid_file: pathlib.Path) -> list[str]:
        process = processes.load(pid_file)
        count = processes.stop(process, _STOP_SECONDS) if process else 0
        pid_file.unlink(missing_ok=True)
        if not count:
            return []
        self._report(f"{pid_file.stem:<20} stopped ({count} processes)")
        return [pid_file.stem]

    def _save(self, cloud: model.Description) -> model.Description:
        processes_now = {service.name: service.process for service in self._services(cloud)}
        pids = {name: process.pid for name, process in processes_now.items() if process}
        cloud = dataclasses.replace(cloud, pids=pids)
        model.save(self.state_dir / "cloud.json", cloud)
        return cloud

    @contextlib.contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        self._home.mkdir(exist_ok=True)
        with (self._home / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _all_of(steps: list[Callable[[], object]]) -> None:
    """Run ``steps`` at the same time; raise what went wrong in any, all in one."""
    if not steps:
        return
    with futures.ThreadPoolExecutor(len(steps)) as pool:
        done = [pool.submit(step) for step in steps]
    failures = [error for one in done if (error := one.exception())]
    unexpected = [error for error in failures if not isinstance(error, errors.CloudError)]
    if unexpected:
        raise unexpected[0]
    if failures:
        raise errors.CloudError("\n".join(map(str, failures)))
