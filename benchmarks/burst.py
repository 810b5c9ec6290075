# SPDX-License-Identifier: Apache-2.0
"""Many small images published in a burst, beside a script that does the same.

The script is what an operator would write: threads of python-glanceclient that create and
upload each image in the cascading region and then in every other. The agent sees the images
published in the cascading region, by as many threads, and does the rest. Both times run from
the first request to the moment when every region holds every image, verified.

With ``--broken`` the agent is compared with itself instead: the same burst while all regions
are up, and while one is down. What the others wait for their images must be the same.
"""

import argparse
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent import futures
import contextlib
import datetime
import io
import json
import pathlib
import signal
import statistics
import sys
import tempfile
import threading
import time
from typing import Any
import uuid

from tools import agents
from tools import cloud as clouds
from tools import raw_data

ROOT = pathlib.Path(__file__).parents[1]


def main() -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cloud", default="bench", help="name of the cloud (%(default)s)")
    parser.add_argument("--images", type=int, default=500, help="images (%(default)s)")
    parser.add_argument("--kib", type=int, default=64, help="size in KiB (%(default)s)")
    parser.add_argument("--threads", type=int, default=8, help="publishers (%(default)s)")
    parser.add_argument("--rounds", type=int, default=1, help="interleaved rounds (%(default)s)")
    parser.add_argument("--ssh", action="store_true", help="with SSH stores set up")
    parser.add_argument("--broken", metavar="REGION", help="the region that is down")
    parser.add_argument(
        "--how", choices=("stop", "freeze"), default="stop", help="how it is (%(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    cloud = clouds.Cloud(ROOT, args.cloud)
    cloud.up()
    if args.broken:
        return compare_broken(cloud, args)
    rounds = []
    for _ in range(args.rounds):
        rounds.append({"script": script(cloud, args), "agent": agent(cloud, args)})
    script_seconds = statistics.median(one["script"]["seconds"] for one in rounds)
    agent_seconds = statistics.median(one["agent"]["seconds"] for one in rounds)
    summary = {
        "images": args.images,
        "regions": len(cloud.describe().cascaded),
        "rounds": rounds,
        "ratio": round(agent_seconds / script_seconds, 3),
    }
    print(json.dumps(summary, indent=None if args.json else 2))
    ok = all(not one["agent"]["lost"] and not one["agent"]["doubled"] for one in rounds)
    return 0 if ok else 1


def script(cloud: clouds.Cloud, args: argparse.Namespace) -> dict[str, Any]:
    """Time the operator's script."""
    regions = [region.name for region in cloud.describe().regions]
    prefix = f"script-{uuid.uuid4().hex[:8]}"
    started = time.monotonic()
    _publish(cloud, args, prefix, regions, {})
    seconds = time.monotonic() - started
    _delete(cloud, prefix, regions)
    return {"seconds": round(seconds, 2)}


def agent(cloud: clouds.Cloud, args: argparse.Namespace) -> dict[str, Any]:
    """Time the agent."""
    described = cloud.describe()
    targets = [region.name for region in described.cascaded]
    prefix = f"agent-{uuid.uuid4().hex[:8]}"
    with _running(described, args) as one:
        before = len(one.tasks())
        started = time.monotonic()
        published: dict[str, datetime.datetime] = {}
        _publish(cloud, args, prefix, [described.cascading_region], published)
        publishing = time.monotonic() - started
        _wait_for_rows(one, before + args.images * len(targets))
        seconds = time.monotonic() - started
        found = {name: _copies(cloud, name, published) for name in targets}
    _delete(cloud, prefix, [region.name for region in described.regions])
    return {
        "seconds": round(seconds, 2),
        "publishing": round(publishing, 2),
        "lost": {name: args.images - len(counts) for name, counts in found.items()
                 if len(counts) != args.images},
        "doubled": {name: counts.total() - len(counts) for name, counts in found.items()
                    if counts.total() != len(counts)},
    }


def compare_broken(cloud: clouds.Cloud, args: argparse.Namespace) -> int:
    """Time bursts with and without a broken region, and print; return the exit status."""
    rounds = []
    for number in range(args.rounds):
        order = (False, True) if number % 2 == 0 else (True, False)
        rounds.append(
            {"broken" if is_broken else "up": others(cloud, args, is_broken=is_broken)
             for is_broken in order}
        )
    summary: dict[str, Any] = {"images": args.images, "how": args.how, "rounds": rounds}
    for what in ("seconds", "median_delay", "last_delay"):
        up, broken = ([one[kind][what] for one in rounds] for kind in ("up", "broken"))
        ratio = statistics.median(broken) / statistics.median(up)
        summary[f"{what}_ratio"] = round(ratio, 3)
    print(json.dumps(summary, indent=None if args.json else 2))
    return 0


def others(
    cloud: clouds.Cloud, args: argparse.Namespace, *, is_broken: bool
) -> Mapping[str, float]:
    """Time a burst in all cascaded regions but the one that may be broken."""
    described = cloud.describe()
    targets = [one.name for one in described.cascaded if one.name != args.broken]
    prefix = f"others-{uuid.uuid4().hex[:8]}"
    published: dict[str, datetime.datetime] = {}
    with _running(described, args) as one:
        with down(cloud, args) if is_broken else contextlib.nullcontext():
            started = time.monotonic()
            _publish(cloud, args, prefix, [described.cascading_region], published)
            ends = _wait_for_others(one, targets, published)
            seconds = time.monotonic() - started
        _wait_until_idle(one)
    _delete(cloud, prefix, [region.name for region in described.regions])
    delays = sorted((end - published[image]).total_seconds() for image, end in ends)
    return {
        "seconds": round(seconds, 2),
        "median_delay": round(statistics.median(delays), 2),
        "last_delay": round(delays[-1], 2),
    }


@contextlib.contextmanager
def down(cloud: clouds.Cloud, args: argparse.Namespace) -> Iterator[None]:
    """Have the Glance of a region answer nobody."""
    service = f"glance-{args.broken}"
    if args.how == "stop":
        cloud.stop_service(service)
    else:
        cloud.signal_service(service, signal.SIGSTOP)
    try:
        yield
    finally:
        if args.how == "stop":
            cloud.start_service(service)
        else:
            cloud.signal_service(service, signal.SIGCONT)


@contextlib.contextmanager
def _running(
    described: clouds.Description, args: argparse.Namespace
) -> Iterator[agents.Agent]:
    """Give an agent that has nothing left to do."""
    with tempfile.TemporaryDirectory() as directory:
        one = agents.Agent(described, pathlib.Path(directory), ssh=args.ssh)
        one.start()
        try:
            one.wait_for_log("Listening on")
            one.wait_for_log("Scanned")
            _wait_until_idle(one)
            yield one
        finally:
            one.stop()
            print(one.tail(3), file=sys.stderr)


def _wait_for_others(
    one: agents.Agent, targets: list[str], published: Mapping[str, datetime.datetime]
) -> list[tuple[str, datetime.datetime]]:
    """Return which image was there when, once all are in all targets."""
    deadline = time.monotonic() + 900
    while True:
        ends = [
            (task.key.image_id, task.updated_at)
            for task in one.tasks()
            if task.status == "success"
            and task.key.region in targets
            and task.key.image_id in published
        ]
        if len(ends) == len(targets) * len(published):
            return ends
        if time.monotonic() > deadline:
            raise SystemExit(f"not done in 900 s:\n{one.tail()}")
        time.sleep(0.3)


def _wait_until_idle(one: agents.Agent) -> None:
    """Wait until what happened before, as the last round's deletions, is worked off."""
    quiet = 0
    while quiet < 10:
        busy = any(task.status in {"pending", "processing"} for task in one.tasks())
        quiet = 0 if busy else quiet + 1
        time.sleep(0.3)


def _wait_for_rows(one: agents.Agent, count: int) -> None:
    """Wait for the agent's own word, which costs little; the copies are counted afterwards."""
    deadline = time.monotonic() + 900
    while sum(task.status == "success" for task in one.tasks()) < count:
        if time.monotonic() > deadline:
            raise SystemExit(f"not done in 900 s:\n{one.tail()}")
        time.sleep(0.3)


def _publish(
    cloud: clouds.Cloud,
    args: argparse.Namespace,
    prefix: str,
    regions: Iterable[str],
    published: dict[str, datetime.datetime],
) -> None:
    """Publish images, and note when each of them was."""

    def work(number: int) -> None:
        data = raw_data.random_data(args.kib * 1024)
        for region in regions:
            client = _client(cloud, region)
            image = client.images.create(
                name=f"{prefix}-{number}", disk_format="raw", container_format="bare"
            )
            client.images.upload(image.id, io.BytesIO(data))
            published[image.id] = datetime.datetime.now(datetime.UTC)

    with futures.ThreadPoolExecutor(args.threads) as pool:
        list(pool.map(work, range(args.images)))


_local = threading.local()


def _client(cloud: clouds.Cloud, region: str) -> Any:
    made = _local.__dict__.setdefault("clients", {})
    if region not in made:
        made[region] = cloud.glance(region, "alice")
    return made[region]


def _copies(cloud: clouds.Cloud, region: str, published: Collection[str]) -> Counter[str]:
    """Count the active copies of each published image in a region."""
    listed = cloud.glance(region, "admin").images.list(page_size=500)
    return Counter(
        image.glance_sync_source_id
        for image in listed
        if image.get("glance_sync_source_id") in published and image.status == "active"
    )


def _delete(cloud: clouds.Cloud, prefix: str, regions: Iterable[str]) -> None:
    def work(pair: tuple[str, str]) -> None:
        _client(cloud, pair[0]).images.delete(pair[1])

    pairs = [
        (region, image.id)
        for region in regions
        for image in cloud.glance(region, "admin").images.list(page_size=500)
        if (image.name or "").startswith(prefix)
    ]
    with futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, pairs))


if __name__ == "__main__":
    sys.exit(main())
