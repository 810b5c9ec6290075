# SPDX-License-Identifier: Apache-2.0
"""Snapshots that take their time.

Scenario ``slow``: one snapshot of each form, announced long before the end of its upload. Form 1
is announced in the cascading region; of form 2 the cascading region knows a location in
RegionTwo; form 3 is made in RegionTwo, whose bus the agent listens to. Seconds from the moment
when Glance says that the image is active until the agent has seen all copies in step.

Scenario ``waiting``: many snapshots that never get data. Threads, resident memory and CPU of the
agent's worker before, with a handful and with all of them, and how often the Glances are asked;
at last one of them gets its data after all.
"""

import argparse
from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import io
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from tools import agents
from tools import cloud as clouds
from tools import locations

ROOT = pathlib.Path(__file__).parents[1]
TICKS = os.sysconf("SC_CLK_TCK")
ONE, TWO, THREE, FOUR = "RegionOne", "RegionTwo", "RegionThree", "RegionFour"
SNAPSHOT = {"image_type": "snapshot"}
#: What is done for every snapshot at first, threads made for it included, is done for so many.
HANDFUL = 20
PATIENCE_SECONDS = 300.0


class SlowFile:
    """Random bytes that take their time; what glanceclient's ``upload`` reads."""

    def __init__(self, size: int, seconds: float) -> None:
        self._left = size
        self._chunk = max(size // 256, 1)
        self._pause = seconds / (size / self._chunk)

    def read(self, _size: int = -1) -> bytes:
        """Return the next bytes, none at the end."""
        count = min(self._left, self._chunk)
        self._left -= count
        if count:
            time.sleep(self._pause)
        return os.urandom(count)


@contextlib.contextmanager
def running(cloud: clouds.Cloud, options: agents.Options) -> Iterator[agents.Agent]:
    """Run an agent that has looked at everything and has nothing left to do."""
    with tempfile.TemporaryDirectory() as directory:
        agent = agents.Agent(cloud.describe(), pathlib.Path(directory), options=options)
        agent.start()
        try:
            agent.wait_for_log("Listening on")
            agent.wait_for_log("Scanned")
            agent.wait_until(
                lambda: all(task.status == "success" for task in agent.tasks()), "rest", 300
            )
            yield agent
        finally:
            agent.stop()
            print(agent.tail(3), file=sys.stderr)


def slow(cloud: clouds.Cloud, args: argparse.Namespace) -> dict[str, Any]:
    """Time the three forms, side by side; they end some seconds apart."""
    bus = cloud.describe().region(TWO).transport_url
    options = {
        "DEFAULT": {
            "snapshot_region_names": f"{ONE},{THREE},{FOUR}",
            "snapshot_sleep_interval": args.interval,
        },
        "notifications": {"region_transport_urls": f"{TWO}:{bus}"},
    }
    forms: list[Callable[..., dict[str, Any]]] = [announced, referred, made_elsewhere]
    with (
        locations.shown(cloud),
        running(cloud, options) as agent,
        futures.ThreadPoolExecutor(len(forms)) as pool,
    ):
        before = len(agent.tasks())
        begun = []
        for form in forms:
            begun.append(pool.submit(form, cloud, agent, args))
            time.sleep(7)
        found = [one.result() for one in begun]
        agent.wait_until(lambda: len(agent.tasks()) <= before, "the end of the copies", 120)
    return {"interval_seconds": args.interval, "forms": found}


def announced(
    cloud: clouds.Cloud, agent: agents.Agent, args: argparse.Namespace
) -> dict[str, Any]:
    """Form 1: announced in the cascading region, before its data is there."""
    image_id = _created(cloud, ONE, **SNAPSHOT)
    try:
        return {"form": 1, **_timed(cloud, agent, args, (ONE, image_id), image_id, {THREE, FOUR})}
    finally:
        _delete(cloud, ONE, image_id)


def referred(
    cloud: clouds.Cloud, agent: agents.Agent, args: argparse.Namespace
) -> dict[str, Any]:
    """Form 2: an image of the cascading region whose data will be in RegionTwo."""
    there = _created(cloud, TWO)
    image_id = _created(cloud, ONE)
    try:
        url = f"{cloud.describe().region(TWO).glance_url}/v2/images/{there}"
        told = {"image_from": "snapshot", "image_id": there}
        cloud.glance(ONE, "alice").images.add_location(image_id, url, told)
        return {"form": 2, **_timed(cloud, agent, args, (TWO, there), image_id, {THREE, FOUR})}
    finally:
        _delete(cloud, ONE, image_id)
        _delete(cloud, TWO, there)


def made_elsewhere(
    cloud: clouds.Cloud, agent: agents.Agent, args: argparse.Namespace
) -> dict[str, Any]:
    """Form 3: made in RegionTwo, and told on the bus over there."""
    image_id = _created(cloud, TWO, **SNAPSHOT)
    targets = {ONE, THREE, FOUR}
    try:
        return {"form": 3, **_timed(cloud, agent, args, (TWO, image_id), image_id, targets)}
    finally:
        _delete(cloud, TWO, image_id)


def _timed(
    cloud: clouds.Cloud,
    agent: agents.Agent,
    args: argparse.Namespace,
    place: tuple[str, str],
    image_id: str,
    targets: set[str],
) -> dict[str, Any]:
    """Upload slowly to the region and image of ``place``; time its copies.

    :param image_id: what the agent knows it by.
    """
    region, there = place
    size = args.mib * 1024 * 1024
    started = time.monotonic()
    cloud.glance(region, "alice").images.upload(there, SlowFile(size, args.seconds))
    active = time.monotonic()
    agent.wait_until(
        lambda: targets <= _regions_in_step(agent, image_id), "its copies", PATIENCE_SECONDS
    )
    copied = time.monotonic()
    source = cloud.glance(region, "admin").images.get(there)
    copies = [cloud.glance(target, "admin").images.get(image_id) for target in sorted(targets)]
    return {
        "mib": args.mib,
        "upload_seconds": round(active - started, 1),
        "active_to_copied_seconds": round(copied - active, 2),
        "regions": sorted(targets),
        "right": all(one.os_hash_value == source.os_hash_value for one in copies),
    }


def _regions_in_step(agent: agents.Agent, image_id: str) -> set[str]:
    return {
        str(task.key.region)
        for task in agent.tasks()
        if task.key.image_id == image_id and task.status == "success"
    }


def waiting(cloud: clouds.Cloud, args: argparse.Namespace) -> dict[str, Any]:
    """Let many snapshots wait, and look what that costs."""
    options = {
        "DEFAULT": {
            "snapshot_timeout": 86400,
            "snapshot_sleep_interval": args.interval,
        }
    }
    made: list[str] = []
    targets = {region.name for region in cloud.describe().cascaded}
    try:
        with running(cloud, options) as agent:
            worker = int(subprocess.check_output(["pgrep", "-P", str(agent.pid)], text=True))
            before = _measured(cloud, worker, args.window)
            made += _announce(cloud, HANDFUL)
            _wait_for_waiting(agent, len(made) * len(targets))
            handful = _measured(cloud, worker, args.window)
            started = time.monotonic()
            made += _announce(cloud, args.snapshots - HANDFUL)
            announced_after = time.monotonic() - started
            _wait_for_waiting(agent, len(made) * len(targets))
            settled_after = time.monotonic() - started
            during = _measured(cloud, worker, args.window)
            last = _completed(cloud, agent, made[-1], targets)
    finally:
        _delete_all(cloud, made)
    return {
        "snapshots": args.snapshots,
        "tasks": len(made) * len(targets),
        "interval_seconds": args.interval,
        "announced_seconds": round(announced_after, 1),
        "all_waiting_seconds": round(settled_after, 1),
        "before": before,
        f"with_{HANDFUL}": handful,
        f"with_{args.snapshots}": during,
        "active_to_copied_seconds": last,
    }


def _announce(cloud: clouds.Cloud, count: int) -> list[str]:
    local = threading.local()

    def work(_number: int) -> str:
        if not hasattr(local, "client"):
            local.client = cloud.glance(ONE, "alice")
        return _created(cloud, ONE, client=local.client, **SNAPSHOT)

    with futures.ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, range(count)))


def _wait_for_waiting(agent: agents.Agent, count: int) -> None:
    def all_wait() -> bool:
        time.sleep(0.5)
        rows = agent.tasks()
        return count == sum(
            task.status == "pending" and task.waiting_since is not None for task in rows
        )

    agent.wait_until(all_wait, f"{count} tasks that wait", PATIENCE_SECONDS)


def _measured(cloud: clouds.Cloud, worker: int, seconds: float) -> dict[str, Any]:
    """Watch the worker for a while; return the most that was seen, and what it asked for."""
    threads, rss = 0, 0
    started, asked, cpu = time.monotonic(), _answers(cloud), _cpu_seconds(worker)
    while (elapsed := time.monotonic() - started) < seconds:
        now = _process_status(worker)
        threads, rss = max(threads, now["Threads"]), max(rss, now["VmRSS"])
        time.sleep(0.1)
    return {
        "threads": threads,
        "rss_mib": round(rss / 1024, 1),
        "cpu_seconds_per_minute": round((_cpu_seconds(worker) - cpu) / elapsed * 60, 2),
        "glance_requests_per_second": round((_answers(cloud) - asked) / elapsed, 2),
    }


def _answers(cloud: clouds.Cloud) -> int:
    """Count the requests that all Glances have answered so far; nobody else may be there."""
    return sum(
        pathlib.Path(region.glance_log).read_bytes().count(b" /v2/")
        for region in cloud.describe().regions
    )


def _process_status(pid: int) -> dict[str, int]:
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return {name: int(fields[name][0]) for name in ("Threads", "VmRSS")}


def _cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _completed(
    cloud: clouds.Cloud, agent: agents.Agent, image_id: str, targets: set[str]
) -> float:
    """Give a snapshot its data; return the seconds until all targets have it."""
    cloud.glance(ONE, "alice").images.upload(image_id, io.BytesIO(os.urandom(1024)))
    active = time.monotonic()
    agent.wait_until(lambda: targets <= _regions_in_step(agent, image_id), "its copies", 120)
    return round(time.monotonic() - active, 2)


def _created(cloud: clouds.Cloud, region: str, *, client: Any = None, **properties: str) -> str:
    client = client or cloud.glance(region, "alice")
    image = client.images.create(
        name="benchmark", disk_format="raw", container_format="bare", **properties
    )
    return str(image.id)


def _delete(cloud: clouds.Cloud, region: str, image_id: str) -> None:
    cloud.glance(region, "admin").images.delete(image_id)


def _delete_all(cloud: clouds.Cloud, image_ids: list[str]) -> None:
    """Remove what was announced, and the copies of the one that got its data."""
    client = cloud.glance(ONE, "admin")
    for image_id in image_ids:
        client.images.delete(image_id)
    for region in cloud.describe().cascaded:
        for image in cloud.glance(region.name, "admin").images.list(page_size=500):
            if image.get("glance_sync_source_id") in image_ids:
                _delete(cloud, region.name, image.id)


def main() -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenario", choices=["slow", "waiting"])
    parser.add_argument("--cloud", default="bench", help="name of the cloud (%(default)s)")
    parser.add_argument(
        "--interval", type=int, default=10, help="snapshot_sleep_interval (%(default)s)"
    )
    parser.add_argument("--mib", type=int, default=64, help="slow: size in MiB (%(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="slow: of the upload (%(default)s)"
    )
    parser.add_argument(
        "--snapshots", type=int, default=1000, help="waiting: how many (%(default)s)"
    )
    parser.add_argument(
        "--window", type=float, default=30.0, help="waiting: seconds of each look (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON on one line")
    args = parser.parse_args()
    cloud = clouds.Cloud(ROOT, args.cloud)
    cloud.up()
    scenario = {"slow": slow, "waiting": waiting}[args.scenario]
    summary = {"scenario": args.scenario, **scenario(cloud, args)}
    print(json.dumps(summary, indent=None if args.json else 2))
    return 0 if all(one["right"] for one in summary.get("forms", ())) else 1


if __name__ == "__main__":
    sys.exit(main())
