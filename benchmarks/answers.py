# SPDX-License-Identifier: Apache-2.0
"""Seconds and memory of the API and of the commands, with millions of tasks in PostgreSQL.

The database, the application, its HTTP server and the commands are the real ones; no Keystone is
asked, and the cloud is made up. An agent beside them counts the tasks, as agents do. ``cold`` is
the first request of that kind after a restart of the database, whose files the operating system
may still have in memory. ``median`` and ``most`` are of those after one more. ``processor`` is
the median of the seconds of processors that the process took, without those of the database; on
a machine that does nothing else, the answer takes little more.

``mib`` is how much more resident memory the process had at its peak than a process that is idle:
of the API one that has answered ``GET /v1``, of the commands one of ``glance-sync agents``.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import datetime
import functools
from http import client as http_client
import json
import multiprocessing
from multiprocessing import queues
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any, Final
import urllib.parse

from oslo_config import cfg

from benchmarks import assembled
from benchmarks import made_up
from benchmarks import many_tasks
from glance_sync_agent.api import application
from glance_sync_agent.api import server as servers
from glance_sync_agent.api.parts import Parts
from glance_sync_agent.api.policies import Policies
from glance_sync_agent.api.shared_counts import SharedCounts
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine.reports import task_counts
from tools import databases

_HOST: Final = "127.0.0.1"
_SECONDS: Final = 600.0
_COUNT_SECONDS: Final = 10.0
_COMPLETION_TARGET: Final = 900.0
#: What keystonemiddleware says about a token.
_ADMINISTRATOR: Final = {
    "HTTP_X_IDENTITY_STATUS": "Confirmed", "HTTP_X_ROLES": "admin",
    "HTTP_X_USER_ID": "1", "HTTP_X_USER_NAME": "operator", "HTTP_X_AUTH_TOKEN": "token",
}
_COMMAND: Final = """
import pathlib
import sys
from glance_sync_agent.cmd.cli import shell
status = shell.main()
peak = pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
pathlib.Path({peak!r}).write_text(peak)
sys.exit(status)
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What an answer took."""

    seconds: float
    mib: float = 0.0
    processor: float = 0.0  # seconds


def main() -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100_000, help="images (%(default)s)")
    parser.add_argument("--regions", type=int, default=40, help="regions (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of each answer (%(default)s)")
    parser.add_argument(
        "--only", default="", help="only answers whose name has this text; all"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on one line")
    args = parser.parse_args()
    machine = made_up.machine()
    with databases.postgresql(durable=True) as server:
        started = time.monotonic()
        many_tasks.fill(server.url, args.images, args.regions)
        filled = time.monotonic() - started
        print(f"filled in {filled:.0f} s", file=sys.stderr)
        with server.stopped():
            pass
        found = measured(server.url, args)
    summary = {
        "machine": machine,
        "tasks": args.images * args.regions,
        "filled_seconds": round(filled),
        "answers": found,
    }
    print(json.dumps(summary, indent=None if args.json else 2))
    return 0


def measured(url: str, args: argparse.Namespace) -> dict[str, Any]:
    """Return what the answers cost, by their names."""
    found: dict[str, Any] = {}

    def measure(name: str, answer: Callable[[], Cost], repeats: int = args.repeats) -> None:
        if args.only not in name:
            return
        cold = answer()
        costs = [answer() for _ in range(repeats + 1)][1:] or [cold]
        seconds = [one.seconds for one in costs]
        found[name] = {
            "cold": round(cold.seconds, 3),
            "median": round(statistics.median(seconds), 3),
            "most": round(max(seconds), 3),
            "processor": round(statistics.median(one.processor for one in costs), 3),
            "mib": round(max(one.mib for one in [cold, *costs]), 1),
        }
        print(name, found[name], file=sys.stderr)

    measure("count of all tasks", functools.partial(_counted, url))
    with _counting(url), tempfile.TemporaryDirectory() as directory:
        commands = Commands(url, pathlib.Path(directory))
        for name, arguments in _commands().items():
            measure(f"glance-sync {name}", functools.partial(commands.run, *arguments))
        with _serving(url, args) as api:
            for path in _paths(args.images):
                measure(f"GET {path}", functools.partial(api.ask, "GET", path))
            body = {"code": many_tasks.FAILED_CODE}
            retry = "/v1/tasks/retry"
            measure(f"POST {retry} {body}", functools.partial(api.ask, "POST", retry, body), 0)
    return found


def _commands() -> dict[str, list[str]]:
    name = made_up.name(77)
    region = str(made_up.regions(8)[-1])
    return {
        "summary": ["summary", "-f", "json"],
        f"show {name}": ["show", name],
        "status --status processing": ["status", "--status", "processing"],
        "status --region -f csv": ["status", "--region", region, "-f", "csv"],
    }


def _paths(images: int) -> list[str]:
    name, region = made_up.name(images - 2), made_up.regions(8)[-1]
    minute_ago = made_up.Clock(ago=datetime.timedelta(minutes=1)).now()
    return [
        "/metrics",
        "/v1/summary",
        "/v1/regions",
        "/v1/images",
        f"/v1/images?marker={made_up.image_id(images - 101)}",
        "/v1/images?sort=id:desc",
        "/v1/images?limit=1000",
        f"/v1/images/{made_up.image_id(images // 2)}",
        f"/v1/images?name={name}",
        "/v1/images?name=no-such-image",
        "/v1/images?status=success",
        "/v1/images?status=processing",
        "/v1/images?status=failure",
        f"/v1/images?status=failure&marker={made_up.image_id(images - 101)}",
        f"/v1/images?code={many_tasks.FAILED_CODE}",
        f"/v1/images?code={many_tasks.RARE_CODE}",
        "/v1/images?code=conflict",
        f"/v1/images?region={region}",
        f"/v1/images?region={region}&code={many_tasks.FAILED_CODE}",
        f"/v1/images?region={region}&status=pending&sort=id:desc",
        "/v1/images?region=NoSuchRegion",
        f"/v1/images?since={urllib.parse.quote(minute_ago.isoformat())}",
        "/v1/events",
        f"/v1/events?region={region}&kind=failed",
        f"/v1/events?image_id={made_up.image_id(images // 2)}",
    ]


def _counted(url: str) -> Cost:
    """Count as an agent does."""
    with contextlib.closing(task_store.SqlTaskStore(url)) as store:
        started = time.monotonic()
        store.count(made_up.Clock().now())
        return Cost(seconds=time.monotonic() - started)


@contextlib.contextmanager
def _counting(url: str) -> Iterator[None]:
    """Count every ten seconds, as one of the agents does."""
    ended = threading.Event()
    store = task_store.SqlTaskStore(url)
    outside = assembled.engine(made_up.Cloud(0, 0, _in_sync), store).outside
    task_counts.refresh(outside, _COMPLETION_TARGET)

    def count() -> None:
        while not ended.wait(_COUNT_SECONDS):
            task_counts.refresh(outside, _COMPLETION_TARGET)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        store.close()


def _in_sync(_region: object, _number: int) -> made_up.Copy:
    return made_up.Copy.IN_SYNC


class Commands:
    """Runs ``glance-sync`` on a database."""

    def __init__(self, url: str, directory: pathlib.Path) -> None:
        self._file = directory / "sync.conf"
        self._peak = directory / "peak"
        escaped = url.replace("$", "$$")
        self._file.write_text(
            f"[DEFAULT]\ncascading_endpoint_url = http://{_HOST}:9292\n"
            f"transport_url = rabbit://{_HOST}\nstate_path = {directory}\n"
            f"[database]\nconnection = {escaped}\n"
        )
        self._idle = 0.0
        self._idle = self.run("agents").mib

    def run(self, *arguments: str) -> Cost:
        """Run a command to its end."""
        code = _COMMAND.format(peak=str(self._peak))
        command = [sys.executable, "-c", code, "--config-file", str(self._file), *arguments]
        started, before = time.monotonic(), _of_children()
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
        )
        seconds = time.monotonic() - started
        if done.returncode not in {0, 1, 2} or not self._peak.exists():
            raise SystemExit(f"glance-sync {arguments}: {done.stderr}")
        mib = int(self._peak.read_text()) / 1024
        self._peak.unlink()
        return Cost(seconds=seconds, mib=mib - self._idle, processor=_of_children() - before)


def _of_children() -> float:
    """Return the seconds of processors that the commands took so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Api:
    """The API in a process of its own, as seen by an administrator."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid = pid
        self._port = port
        self._idle = 0.0
        self.ask("GET", "/v1")
        self._idle = self._memory("VmRSS")

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Cost:
        """Send a request, and read the answer."""
        # The peak begins again at what is resident now; see proc_pid_clear_refs(5).
        pathlib.Path(f"/proc/{self._pid}/clear_refs").write_text("5")
        asking = http_client.HTTPConnection(_HOST, self._port, timeout=_SECONDS)
        headers = {} if body is None else {"Content-Type": "application/json"}
        with contextlib.closing(asking):
            started, before = time.monotonic(), self._processor()
            asking.request(method, path, None if body is None else json.dumps(body), headers)
            answer = asking.getresponse()
            text = answer.read()
            seconds = time.monotonic() - started
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {text.decode()}")
        return Cost(
            seconds=seconds,
            mib=self._memory("VmHWM") - self._idle,
            processor=self._processor() - before,
        )

    def _processor(self) -> float:
        """Return the seconds of processors that all threads took so far."""
        threads = pathlib.Path(f"/proc/{self._pid}/task").glob("*/schedstat")
        return sum(int(one.read_text().split()[0]) for one in threads) / 1e9

    def _memory(self, name: str) -> float:
        status = pathlib.Path(f"/proc/{self._pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) / 1024


@contextlib.contextmanager
def _serving(url: str, args: argparse.Namespace) -> Iterator[Api]:
    context = multiprocessing.get_context("spawn")
    port: queues.Queue[int] = context.Queue()
    process = context.Process(target=_serve, args=(url, args.images, args.regions, port))
    process.start()
    try:
        yield Api(process.pid or 0, port.get(timeout=_SECONDS))
    finally:
        process.terminate()
        process.join()


def _serve(url: str, count: int, regions: int, port: "queues.Queue[int]") -> None:
    """Be the API, until the process is terminated."""
    cloud = made_up.Cloud(count, regions, _in_sync)
    engine = assembled.engine(cloud, task_store.SqlTaskStore(url))
    conf = cfg.ConfigOpts()
    conf([], default_config_files=[], default_config_dirs=[])
    parts = Parts(
        outside=engine.outside,
        engine=engine,
        settings=engine.shared.settings,
        may_see=lambda _token, _image_id: True,
        counts=SharedCounts(engine.outside, lambda: _COMPLETION_TARGET),
        version="benchmark",
    )
    answering = application.build(parts, Policies(conf))

    def confirmed(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        return answering(environ | _ADMINISTRATOR, start_response)

    server = servers.Server(confirmed, servers.listen(_HOST, 0))
    port.put(server.port)
    server.serve()


if __name__ == "__main__":
    sys.exit(main())
