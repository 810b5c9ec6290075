# SPDX-License-Identifier: Apache-2.0
"""Big images through the whole agent, beside what an operator would use instead.

Scenario ``one``: an image to one region. Seconds from the end of its upload to the cascading
region (Glance's ``image.activate``) until the agent has seen the copy active with the right
hash; beside them, in the same rounds, a ``curl -T`` of the same file straight to that Glance
(the limit), python-glanceclient's ``data()`` piped into ``upload``, and scp alone.

Scenario ``three``: an image to all regions at once, beside as many concurrent ``curl -T``.

Every way is measured right after an upload of the same file to the cascading region: what that
left unwritten in the page cache slows down whoever writes next.

With ``--memory`` the agent's resident memory is watched as well.
"""

import argparse
from collections.abc import Callable, Iterator
from concurrent import futures
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any
import uuid

from glance_sync_agent.domain import mark_properties
from tools import agents
from tools import cloud as clouds

ROOT = pathlib.Path(__file__).parents[1]
PAGE_KIB = os.sysconf("SC_PAGE_SIZE") // 1024
TICKS = os.sysconf("SC_CLK_TCK")


class Bench:
    """One cloud, one file of random bytes, and the ways to bring it to a Glance."""

    def __init__(self, args: argparse.Namespace, directory: pathlib.Path) -> None:
        self.args = args
        self.cloud = clouds.Cloud(ROOT, args.cloud)
        self.cloud.up()
        self.described = self.cloud.describe()
        self.directory = directory
        self.file = directory / "image.raw"
        with self.file.open("wb") as file:
            for _ in range(args.mib):
                file.write(os.urandom(1024 * 1024))
        regions = self.described.cascaded
        self.targets = regions if args.scenario == "three" else regions[:1]

    def run(self) -> dict[str, Any]:
        """Run the rounds; return seconds, medians and ratios."""
        ways: dict[str, Callable[[], float]] = {"curl": self.curl}
        if self.args.scenario == "one":
            ways |= {"glanceclient": self.glanceclient, "scp": self.scp}
        names = [name for name in ("ssh", "api") if name in self.args.paths]
        rounds: list[dict[str, float]] = []
        details: dict[str, Any] = {}
        with self._only_targets():
            for number in range(self.args.rounds):
                times = {name: way() for name, way in ways.items()}
                for name in names:
                    # An agent for each measurement, so that two never run side by side.
                    with self.agent(ssh=name == "ssh") as agent:
                        times[name], details[f"{name}-{number}"] = self.publish(agent)
                rounds.append({name: round(value, 2) for name, value in times.items()})
                print(rounds[-1], file=sys.stderr)
        medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        return {
            "scenario": self.args.scenario,
            "mib": self.args.mib,
            "regions": len(self.targets),
            "rounds": rounds,
            "median_seconds": medians,
            "ratio_to_curl": {n: round(v / medians["curl"], 3) for n, v in medians.items()},
            "details": details,
        }

    @contextlib.contextmanager
    def _only_targets(self) -> Iterator[None]:
        """Take the image endpoints of all other regions out of the catalogue for a while."""
        keep = {region.name for region in self.targets} | {self.described.cascading_region}
        others = {region.name for region in self.described.regions} - keep
        self._enable_endpoints(others, enabled=False)
        try:
            yield
        finally:
            self._enable_endpoints(others, enabled=True)

    def _enable_endpoints(self, regions: set[str], *, enabled: bool) -> None:
        keystone, url = self.cloud.session("admin"), f"{self.described.auth_url}/endpoints"
        for endpoint in keystone.get(url).json()["endpoints"]:
            if endpoint["region_id"] in regions:
                change = {"endpoint": {"enabled": enabled}}
                keystone.patch(f"{url}/{endpoint['id']}", json=change)

    def curl(self) -> float:
        """Time a PUT of the file to each target, all at once."""
        source_id = self._publish_source(mark=True)
        admin = self.cloud.session("admin")
        ids = {region.name: self._record(region) for region in self.targets}
        token = admin.get_token()

        def put(region: clouds.Region) -> None:
            url = f"{region.glance_url}/v2/images/{ids[region.name]}/file"
            subprocess.run(
                ["curl", "-sS", "--fail", "-o", "/dev/null", "-T", str(self.file),
                 "-H", "Expect:", "-H", "Content-Type: application/octet-stream",
                 "-H", "@-", url],
                input=f"X-Auth-Token: {token}", text=True, check=True,
            )

        started = time.monotonic()
        with futures.ThreadPoolExecutor(len(self.targets)) as pool:
            list(pool.map(put, self.targets))
        seconds = time.monotonic() - started
        for region in self.targets:
            self.cloud.glance(region.name, "admin").images.delete(ids[region.name])
        self._delete_source(source_id)
        return seconds

    def glanceclient(self) -> float:
        """Time what operators script today, from the cascading Glance to the first target."""
        source_id = self._publish_source(mark=True)
        region = self.targets[0]
        source = self.cloud.glance(self.described.cascading_region, "admin")
        target = self.cloud.glance(region.name, "admin")
        image_id = self._record(region)
        started = time.monotonic()
        target.images.upload(image_id, _Readable(iter(source.images.data(source_id))))
        seconds = time.monotonic() - started
        target.images.delete(image_id)
        self._delete_source(source_id)
        return seconds

    def scp(self) -> float:
        """Time an scp of the file to the first target's host."""
        source_id = self._publish_source(mark=True)
        region, ssh = self.targets[0], self.described.ssh
        started = time.monotonic()
        subprocess.run(
            ["scp", "-q", "-i", ssh.unconfined_private_key, "-P", str(region.ssh_port),
             "-o", f"UserKnownHostsFile={ssh.known_hosts}", "-o", "BatchMode=yes",
             str(self.file), f"{ssh.user}@{region.ssh_host}:{self.directory}/scp.raw"],
            check=True, stdin=subprocess.DEVNULL,
        )
        seconds = time.monotonic() - started
        (self.directory / "scp.raw").unlink()
        self._delete_source(source_id)
        return seconds

    @contextlib.contextmanager
    def agent(
        self, *, ssh: bool, options: agents.Options | None = None
    ) -> Iterator[agents.Agent]:
        """Run an agent that has nothing left to do."""
        directory = self.directory / uuid.uuid4().hex
        agent = agents.Agent(self.described, directory, ssh=ssh, options=options)
        agent.start()
        try:
            agent.wait_for_log("Listening on")
            agent.wait_for_log("Scanned")
            agent.wait_until(lambda: _is_idle(agent), "an idle agent", 300)
            yield agent
        finally:
            agent.stop()

    def publish(self, agent: agents.Agent) -> tuple[float, dict[str, Any]]:
        """Publish the file; return the seconds until the targets have it, and what it cost."""
        worker = int(subprocess.check_output(["pgrep", "-P", str(agent.pid)], text=True))
        names = {region.name for region in self.targets}
        before = _cpu_seconds(worker), _rss_kib(worker)
        with _peak_rss(worker) as peak:
            image_id = self._publish_source()
            started = time.monotonic()
            while not _are_done(agent, image_id, names):
                if time.monotonic() - started > 600:
                    raise SystemExit(f"not copied in 600 s:\n{agent.tail()}")
                time.sleep(0.05)
            seconds = time.monotonic() - started
        detail = {
            "agent_cpu_seconds": round(_cpu_seconds(worker) - before[0], 2),
            "rss_idle_mib": before[1] // 1024,
            "rss_peak_mib": max(peak) // 1024,
        }
        self._delete_everywhere(agent, image_id)
        return seconds, detail

    def _delete_everywhere(self, agent: agents.Agent, image_id: str) -> None:
        self._delete_source(image_id)
        agent.wait_until(
            lambda: not any(task.key.image_id == image_id for task in agent.tasks()),
            "the deletion of the copies", 120,
        )

    def _publish_source(self, *, mark: bool = False) -> str:
        """Upload the file to the cascading region; marked, no agent takes it for a source."""
        os.sync()  # what an earlier way left unwritten is none of the next one's business
        client = self.cloud.glance(self.described.cascading_region, "admin")
        image_id = str(uuid.uuid4())
        properties = {
            "id": image_id,
            mark_properties.SOURCE_ID: "none",
            mark_properties.SOURCE_REGION: "none",
            mark_properties.COPY_ID: image_id,
            mark_properties.COPY_REGION: self.described.cascading_region,
        }
        image = client.images.create(
            name="benchmark", disk_format="raw", container_format="bare",
            **(properties if mark else {}),
        )
        with self.file.open("rb") as file:
            client.images.upload(image.id, file)
        return str(image.id)

    def _delete_source(self, image_id: str) -> None:
        self.cloud.glance(self.described.cascading_region, "admin").images.delete(image_id)

    def _record(self, region: clouds.Region) -> str:
        client = self.cloud.glance(region.name, "admin")
        return str(
            client.images.create(
                name="benchmark", disk_format="raw", container_format="bare"
            ).id
        )


class _Readable:
    """What glanceclient's ``upload`` wants: something with ``read``."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def read(self, _size: int) -> bytes:
        return next(self._chunks, b"")


def _is_idle(agent: agents.Agent) -> bool:
    return not any(task.status in {"pending", "processing"} for task in agent.tasks())


def _are_done(agent: agents.Agent, image_id: str, regions: set[str]) -> bool:
    done = {
        task.key.region
        for task in agent.tasks()
        if task.key.image_id == image_id and task.status == "success"
    }
    return regions <= done


def _cpu_seconds(pid: int) -> float:
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss_kib(pid: int) -> int:
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_KIB


@contextlib.contextmanager
def _peak_rss(pid: int) -> Iterator[list[int]]:
    """Collect the resident memory of a process, in KiB, ten times a second."""
    seen = [_rss_kib(pid)]
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.1):
            seen.append(_rss_kib(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join()


def main() -> int:
    """Run and print; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scenario", choices=["one", "three"])
    parser.add_argument("--cloud", default="bench", help="name of the cloud (%(default)s)")
    parser.add_argument("--mib", type=int, default=1024, help="size in MiB (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (%(default)s)")
    parser.add_argument("--paths", default="ssh,api", help="of ssh and api (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print JSON on one line")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=ROOT / ".cloud") as directory:
        summary = Bench(args, pathlib.Path(directory)).run()
    print(json.dumps(summary, indent=None if args.json else 2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
