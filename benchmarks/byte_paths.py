#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measure every way to bring the bytes of one image into a region's Glance.

Runs on the cloud of tools/cloud (bring it up first) and on the drivers alone: no queue, no
database, no agent. Rounds are interleaved, so that what else the machine does hits all alike;
trust ratios more than seconds.

    curl          curl -T FILE -H Expect: straight to the region's Glance; the measure of all
    glanceclient  data() of the source piped into upload() of the region
    scp           the file to the host, and no Glance
    exec-curl     over SSH a remote `curl -T -`, token by standard input; needs a shell there
    ssh           the agent's way over a direct-tcpip channel, sha512 of what is sent included
    api           the agent's way straight to Glance, sha512 included
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
import concurrent.futures
import contextlib
import dataclasses
import io
import json
import os
import pathlib
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

_ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(_ROOT))

import paramiko  # noqa: E402

from glance_sync_agent.domain import image_records  # noqa: E402
from glance_sync_agent.domain import images  # noqa: E402
from glance_sync_agent.drivers import stores  # noqa: E402
from glance_sync_agent.drivers.ssh import hosts  # noqa: E402
from glance_sync_agent.drivers.ssh import logins  # noqa: E402
from glance_sync_agent.drivers.stores import api  # noqa: E402
from glance_sync_agent.drivers.stores import filesystem  # noqa: E402
from glance_sync_agent.drivers.transport import streams  # noqa: E402
from glance_sync_agent.engine import ports  # noqa: E402
from glance_sync_agent.engine.transfer import downloads  # noqa: E402
from tools import cloud as clouds  # noqa: E402

_MIB = 1024 * 1024
_TICKS = os.sysconf("SC_CLK_TCK")
# What curl reads from its standard input, so that the token is on no command line.
_CURL_CONFIG = 'url = "{url}"\nheader = "X-Auth-Token: {token}"\n'
_CURL_HEADERS = ("-H", "Expect:", "-H", "Content-Type: application/octet-stream")


@dataclasses.dataclass(frozen=True)
class Sample:
    """One way in one round."""

    seconds: float
    client_cpu: float  # seconds of this process and its children
    sshd_cpu: float
    glance_cpu: float


class Bench:
    """The cloud, the source image and the records that wait for it."""

    def __init__(self, cloud: clouds.Cloud, source_file: pathlib.Path, regions: list[str]) -> None:
        self.cloud = cloud
        self.description = cloud.describe()
        self.regions = regions
        self.file = source_file
        self.size = source_file.stat().st_size
        self.token = cloud.session("admin").get_token() or ""
        self.ssh = hosts.SshHosts(timeouts=streams.Timeouts(idle_seconds=600))
        self.clients = {name: cloud.glance(name, "admin") for name in regions}
        self.source_client = cloud.glance(self.description.cascading_region, "admin")
        self.source = self._publish()
        self.source_hash = self.source.multihash.value if self.source.multihash else None
        self._source = self._source_store()
        self.stores = {
            name: {"api": self._api_store(name), "ssh": self._ssh_store(name)} for name in regions
        }

    def _publish(self) -> images.Image:
        record = self.source_client.images.create(
            name="byte-paths", disk_format="raw", container_format="bare"
        )
        with self.file.open("rb") as file:
            self.source_client.images.upload(record.id, file)
        whole = dict(self.source_client.images.get(record.id))
        return image_records.parse(whole, images.RegionId(self.description.cascading_region))

    def context(self, name: str) -> stores.StoreContext:
        """Return what the drivers of a region get."""
        return stores.StoreContext(
            region=images.RegionId(name),
            endpoint=self.description.region(name).glance_url,
            token=lambda: self.token,
            ssh=self.ssh,
            known_hosts=self.description.ssh.known_hosts,
            timeouts=streams.Timeouts(idle_seconds=600),
        )

    def _source_store(self) -> ports.ImageStore:
        region = self.description.region(self.description.cascading_region)
        parameters = {"host": region.glance_host, "login_user": "x", "datadir": region.datadir}
        return filesystem.FilesystemStore.from_parameters(parameters, self.context(region.name))

    def downloads(self) -> downloads.Downloads:
        """Return what reads, hashes and withholds as the agent does, for one way."""
        return downloads.Downloads(self)

    def source_store(self, _region: images.RegionId) -> ports.ImageStore:
        """Return the way to read the source, as ``engine.ports.Regions`` does."""
        return self._source

    def _api_store(self, name: str) -> ports.ImageStore:
        return api.ApiStore.from_parameters({}, self.context(name))

    def _ssh_store(self, name: str) -> ports.ImageStore:
        login = self.login(name, self.description.ssh.private_key)
        parameters = {
            "host": login.host,
            "port": str(login.port),
            "login_user": login.user,
            "key_filename": login.key_filename or "",
        }
        return filesystem.FilesystemStore.from_parameters(parameters, self.context(name))

    def login(self, name: str, key: str) -> logins.Login:
        """Return the SSH log-in of a region's host."""
        region = self.description.region(name)
        return logins.Login(
            host=region.ssh_host or "",
            port=region.ssh_port or 0,
            user=self.description.ssh.user,
            key_filename=key,
            known_hosts=self.description.ssh.known_hosts,
        )

    def url(self, name: str, image_id: str) -> str:
        """Return where the data of an image goes."""
        return f"{self.description.region(name).glance_url}/v2/images/{image_id}/file"

    @contextlib.contextmanager
    def record(self, name: str, *, verified: bool) -> Iterator[str]:
        """Make a queued record; check that it became the image, and remove it."""
        client = self.clients[name].images
        image_id = client.create(name="copy", disk_format="raw", container_format="bare").id
        try:
            yield image_id
            if verified:
                found = client.get(image_id)
                if found.os_hash_value != self.source_hash:
                    raise RuntimeError(f"image {image_id} of region {name} is wrong: {found}")
        finally:
            client.delete(image_id)

    def close(self) -> None:
        """Remove the source."""
        self.source_client.images.delete(self.source.image_id)
        self.ssh.close()


def by_curl(bench: Bench, region: str, image_id: str) -> None:
    """Upload the file with curl."""
    config = _CURL_CONFIG.format(url=bench.url(region, image_id), token=bench.token)
    command = ["curl", "-sS", "--fail", "-T", str(bench.file), *_CURL_HEADERS, "-K", "-"]
    subprocess.run(command, input=config.encode(), check=True, stdout=subprocess.DEVNULL)


def by_glanceclient(bench: Bench, region: str, image_id: str) -> None:
    """Read from one Glance and upload to the other with glanceclient."""
    data = bench.source_client.images.data(bench.source.image_id)
    bench.clients[region].images.upload(image_id, _Piped(data))


class _Piped(io.RawIOBase):
    """A file over an iterator, for glanceclient."""

    def __init__(self, chunks: Any) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size:
            more = next(self._chunks, b"")
            if not more:
                break
            self._rest += more
        chunk, self._rest = self._rest[:size], self._rest[size:]
        return chunk


def by_scp(bench: Bench, region: str, _image_id: str) -> None:
    """Copy the file to the host, past its Glance."""
    login = bench.login(region, bench.description.ssh.unconfined_private_key)
    options = [f"UserKnownHostsFile={login.known_hosts}", "Ciphers=aes128-gcm@openssh.com"]
    command = ["scp", "-q", "-P", str(login.port), "-i", login.key_filename or ""]
    command += [word for option in options for word in ("-o", option)]
    with tempfile.TemporaryDirectory() as directory:
        target = f"{login.user}@{login.host}:{directory}/copy"
        subprocess.run([*command, str(bench.file), target], check=True)


def by_exec_curl(bench: Bench, region: str, image_id: str) -> None:
    """Run curl on the host and feed it over SSH."""
    login = bench.login(region, bench.description.ssh.unconfined_private_key)
    with contextlib.closing(logins.log_in(login, streams.Timeouts())) as transport:
        _exec_curl(transport, bench, bench.url(region, image_id))


def _exec_curl(transport: paramiko.Transport, bench: Bench, url: str) -> None:
    channel = transport.open_session()
    curl = " ".join(["curl", "-sS", "--fail", "-T", "-", *map(shlex.quote, _CURL_HEADERS)])
    # The first line of the input is the token's header; curl reads it from a document of the
    # shell's, and the image from what is left of the input.
    channel.exec_command(
        f"IFS= read -r header; exec {curl} -H 'Content-Length: {bench.size}'"
        f" -H @/dev/fd/3 {shlex.quote(url)} 3<<END\n$header\nEND"
    )
    channel.sendall(f"X-Auth-Token: {bench.token}\n".encode())
    with bench.downloads().open(bench.source) as reader:
        for chunk in reader.blocks():
            view = memoryview(chunk)
            while view:
                view = view[channel.send(view) :]  # type: ignore[arg-type]
    channel.shutdown_write()
    if status := channel.recv_exit_status():
        raise RuntimeError(f"curl on the host: {status}: {channel.recv_stderr(1000)!r}")


def by_store(scheme: str) -> Callable[[Bench, str, str], None]:
    """Copy as the agent does, the hash included."""

    def run(bench: Bench, region: str, image_id: str) -> None:
        with bench.downloads().open(bench.source) as reader:
            store = bench.stores[region][scheme]
            store.write(images.ImageId(image_id), bench.size, reader.blocks())

    return run


WAYS: dict[str, Callable[[Bench, str, str], None]] = {
    "curl": by_curl,
    "glanceclient": by_glanceclient,
    "scp": by_scp,
    "exec-curl": by_exec_curl,
    "ssh": by_store("ssh"),
    "api": by_store("api"),
}


def measure(bench: Bench, way: str) -> Sample:
    """Bring the image into all regions at once."""
    with contextlib.ExitStack() as stack:
        ids = {
            name: stack.enter_context(bench.record(name, verified=way != "scp"))
            for name in bench.regions
        }
        before = _cpu(bench)
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(len(ids)) as pool:
            running = [pool.submit(WAYS[way], bench, name, one) for name, one in ids.items()]
        for one in running:
            one.result()
        seconds = time.monotonic() - started
        used = [after - was for after, was in zip(_cpu(bench), before, strict=True)]
        return Sample(seconds, *used)


def _cpu(bench: Bench) -> tuple[float, float, float]:
    own = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    client = sum(usage.ru_utime + usage.ru_stime for usage in own)
    pids = bench.description.pids
    return (
        client,
        sum(_tree_cpu(pids[f"sshd-{name}"]) for name in bench.regions),
        sum(_tree_cpu(pids[f"glance-{name}"]) for name in bench.regions),
    )


def _tree_cpu(pid: int) -> float:
    """Return the CPU seconds of a process, its children, and those it has outlived."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS + sum(map(_tree_cpu, map(int, children)))


def report(samples: dict[str, list[Sample]], mib: float) -> list[dict[str, Any]]:
    """Sum up the rounds; ratios are medians of what a round shows, not of different rounds."""
    rows = []
    for way, found in samples.items():
        ratios = [
            one.seconds / base.seconds
            for one, base in zip(found, samples.get("curl", found), strict=True)
        ]
        median = statistics.median(one.seconds for one in found)
        rows.append(
            {
                "way": way,
                "seconds": round(median, 2),
                "best": round(min(one.seconds for one in found), 2),
                "mib_per_second": round(mib / median, 1),
                "ratio_to_curl": round(statistics.median(ratios), 2),
                "client_cpu": round(statistics.median(one.client_cpu for one in found), 2),
                "sshd_cpu": round(statistics.median(one.sshd_cpu for one in found), 2),
                "glance_cpu": round(statistics.median(one.glance_cpu for one in found), 2),
            }
        )
    return rows


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    """Lay out the rows for a person."""
    names = {
        "way": "way",
        "seconds": "s",
        "best": "best s",
        "mib_per_second": "MiB/s",
        "ratio_to_curl": "x curl",
        "client_cpu": "client CPU s",
        "sshd_cpu": "sshd CPU s",
        "glance_cpu": "Glance CPU s",
    }
    lines = [list(names.values())] + [[str(row[key]) for key in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for way, *rest in lines:
        numbers = (text.rjust(width) for text, width in zip(rest, widths[1:], strict=True))
        yield "  ".join([way.ljust(widths[0]), *numbers])


def _file(directory: str, mib: int) -> pathlib.Path:
    path = pathlib.Path(directory) / "image.raw"
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(_MIB))
    return path


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cloud", default="default", help="name of the cloud (default: default)")
    parser.add_argument("--mib", type=int, default=1024, help="size of the image (default: 1024)")
    parser.add_argument("--rounds", type=int, default=3, help="of all ways (default: 3)")
    parser.add_argument(
        "--regions",
        nargs="+",
        default=["RegionTwo"],
        help="regions to fill at once (default: RegionTwo)",
    )
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--json", action="store_true", help="print JSON, with every sample")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Run the rounds and print what they show."""
    options = _parser().parse_args(arguments)
    samples: dict[str, list[Sample]] = {way: [] for way in options.ways}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as directory:
        source = _file(directory, options.mib)
        bench = Bench(clouds.Cloud(_ROOT, options.cloud), source, options.regions)
        try:
            for number in range(options.rounds):
                for way in options.ways:
                    samples[way].append(measure(bench, way))
                    seconds = samples[way][-1].seconds
                    print(f"round {number + 1} {way} {seconds:.2f} s", file=sys.stderr)
        finally:
            bench.close()
    rows = report(samples, options.mib * len(options.regions))
    if options.json:
        raw = {way: [dataclasses.asdict(one) for one in found] for way, found in samples.items()}
        print(json.dumps({"rows": rows, "samples": raw, "mib": options.mib}, indent=2))
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(*table(rows), f"peak memory of this process: {peak} MiB", sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
