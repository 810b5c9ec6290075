# SPDX-License-Identifier: Apache-2.0
"""Tasks per second, with Glances and transfers that take no time.

The daemon, the worker, the attempt at each task and the table of tasks are the real ones, so
each task is claimed, its source read, its record made, its data hashed and sent, the copy looked
at and the outcome written; only what is beyond the ports answers at once. Agents are processes
that share a database, made anew for each measurement, whose commits reach the disk. The
database takes its share of the same processors.
"""

import argparse
from collections.abc import Iterator
import contextlib
import dataclasses
import json
import logging
import multiprocessing
from multiprocessing import queues
from multiprocessing import synchronize
import os
import sys
import tempfile
import time
import types
from typing import Any

from benchmarks import assembled
from benchmarks import made_up
from glance_sync_agent.cmd.daemon import agent_service as daemons
from glance_sync_agent.domain import tasks
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.assembly.settings import Settings
from glance_sync_agent.wiring.agent import Agent
from tools import databases

SETUPS = (
    ("sqlite", 1),
    ("postgresql", 1), ("postgresql", 2), ("postgresql", 4),
    ("mariadb", 1), ("mariadb", 2), ("mariadb", 4),
)
_TOO_LONG_SECONDS = 600.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Signals:
    """Between the one who measures and the agents."""

    start: synchronize.Barrier
    end: synchronize.Event
    spent: "queues.Queue[float]"  # seconds of processors


def main() -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=10_000, help="tasks (%(default)s)")
    parser.add_argument("--regions", type=int, default=10, help="regions (%(default)s)")
    parser.add_argument(
        "--per-region", type=int, default=4, help="tasks_per_region (%(default)s, its default)"
    )
    parser.add_argument("--databases", default="sqlite,postgresql,mariadb", help="%(default)s")
    parser.add_argument("--agents", default="1,2,4", help="(%(default)s); SQLite has one")
    parser.add_argument("--json", action="store_true", help="print JSON on one line")
    args = parser.parse_args()
    machine = made_up.machine()
    chosen = {int(number) for number in args.agents.split(",")}
    found: dict[str, dict[str, Any]] = {}
    for kind, agents in SETUPS:
        if kind in args.databases.split(",") and agents in chosen:
            one = found.setdefault(kind, {})[str(agents)] = _measured(kind, agents, args)
            print(kind, agents, one, file=sys.stderr)
    summary = {
        "machine": machine,
        "tasks": args.tasks,
        "regions": args.regions,
        "per_region": args.per_region,
        "databases": found,
        "ratio_to_one_agent": {
            kind: {
                agents: round(one["per_second"] / runs["1"]["per_second"], 2)
                for agents, one in runs.items()
            }
            for kind, runs in found.items()
            if "1" in runs
        },
    }
    print(json.dumps(summary, indent=None if args.json else 2))
    return 0


def _measured(kind: str, agents: int, args: argparse.Namespace) -> dict[str, Any]:
    """Have so many agents work off all tasks; return how long it took."""
    with _database(kind) as url, contextlib.closing(task_store.SqlTaskStore(url)) as store:
        store.upgrade()
        _fill(store, args.tasks, args.regions)
        context = multiprocessing.get_context("spawn")
        signals = _Signals(
            start=context.Barrier(agents + 1), end=context.Event(), spent=context.Queue()
        )
        processes = [
            context.Process(target=_agent, args=(url, number, args, signals))
            for number in range(agents)
        ]
        for process in processes:
            process.start()
        signals.start.wait(_TOO_LONG_SECONDS)
        started = time.monotonic()
        while store.next_due() is not None:
            if time.monotonic() - started > _TOO_LONG_SECONDS:
                raise SystemExit(f"{kind}: not done in {_TOO_LONG_SECONDS:g} s")
            time.sleep(0.1)
        seconds = time.monotonic() - started
        signals.end.set()
        cpu = sum(signals.spent.get(timeout=60) for _ in processes)
        for process in processes:
            process.join()
        done = sum(task.status is tasks.TaskStatus.SUCCESS for task in store.list())
        if done != args.tasks:
            raise SystemExit(f"{kind}: {done} of {args.tasks} tasks succeeded")
    return {
        "seconds": round(seconds, 2),
        "per_second": round(args.tasks / seconds, 1),
        "agents_cpu_ms_per_task": round(1000 * cpu / args.tasks, 2),
    }


@contextlib.contextmanager
def _database(kind: str) -> Iterator[str]:
    match kind:
        case "postgresql":
            with databases.postgresql(durable=True) as server:
                yield server.url
        case "mariadb":
            with databases.mariadb(durable=True) as server:
                yield server.url
        case _:
            with tempfile.TemporaryDirectory() as directory:
                yield f"sqlite:///{directory}/tasks.db"


def _fill(store: task_store.SqlTaskStore, count: int, regions: int) -> None:
    """Request as events would."""
    names, now = made_up.regions(regions), made_up.Clock().now()
    for number in range(count // regions):
        store.request(
            made_up.image_id(number),
            names,
            ports.Request(now=now, not_before=now, request_id=f"{number:032x}"),
        )


def _agent(url: str, number: int, args: argparse.Namespace, signals: _Signals) -> None:
    """Be one agent, from the moment when all are there until all is done."""
    # Lines are made, as an agent makes them, and thrown away.
    logging.basicConfig(level=logging.INFO, filename=os.devnull)
    cloud = made_up.Cloud(
        args.tasks, args.regions, lambda _region, _number: made_up.Copy.IN_SYNC
    )
    conf: Any = types.SimpleNamespace(graceful_shutdown_timeout=60)
    settings = types.SimpleNamespace(
        sync_enabled=True, snapshot_sleep_interval=3600.0,
        api=types.SimpleNamespace(is_enabled=False),
    )
    configuration: Any = types.SimpleNamespace(conf=conf, settings=settings)

    def build(_configuration: Any, process: ports.Runtime, _stop: Any) -> Agent:
        store = task_store.SqlTaskStore(url)
        runtime = dataclasses.replace(process, owner=f"agent-{number}", chance=lambda: 0.5)
        return _built(cloud, store, args.per_region, runtime)

    agent = daemons.Daemon(configuration, build)
    signals.start.wait()
    before = time.process_time()
    agent.start()
    signals.end.wait()
    signals.spent.put(time.process_time() - before)
    agent.stop(graceful=True)


def _built(
    cloud: made_up.Cloud,
    store: task_store.SqlTaskStore,
    per_region: int,
    runtime: ports.Runtime,
) -> Agent:
    def change(settings: Settings) -> Settings:
        chosen = dataclasses.replace(settings.worker, tasks_per_region=per_region)
        return dataclasses.replace(settings, worker=chosen)

    engine = assembled.engine(cloud, store, runtime, change)
    idle: Any = types.SimpleNamespace(
        run=lambda *_: 3600.0, request_full_scan=lambda: None, end=lambda: None, check=lambda: 0,
        start=lambda: None, stop=lambda: None,
    )
    working: Any = types.SimpleNamespace(
        outside=engine.outside,
        attempts=types.SimpleNamespace(worker=engine.attempts.worker, snapshots=idle),
        scans=types.SimpleNamespace(scan_schedule=idle),
        verification=types.SimpleNamespace(verify_schedule=idle),
        upkeep=types.SimpleNamespace(upkeep=idle),
        jobs=types.SimpleNamespace(scan_runner=idle, verification_runner=idle),
    )
    return Agent(
        engine=working,
        make_listener=lambda: idle,
        set_clock=lambda: None,
        release_leases=lambda: store.release_owned(runtime.owner, engine.outside.clock.now()),
        close=store.close,
    )


if __name__ == "__main__":
    sys.exit(main())
