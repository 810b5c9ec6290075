# SPDX-License-Identifier: Apache-2.0
"""What the rows of the fault table work with: agents, images, and things to break."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import itertools
import os
import pathlib
import signal
import sqlite3
import subprocess
import time
from typing import Any

from tests.functional import convergence
from tests.functional import people as users
from tests.functional import running
from tests.functional import servers
from tests.functional import valves
from tools import agents
from tools import cloud as clouds
from tools.cloud import identity

RUNS = int(os.environ.get("GLANCE_SYNC_TEST_FAULT_RUNS", "1"))
SECONDS = float(os.environ.get("GLANCE_SYNC_TEST_FAULT_SECONDS", "3"))
MIB = users.MIB
#: The region that things happen to; others go on meanwhile.
REGION = "RegionTwo"
#: More than may be on its way once the valve holds.
SIZE = 3 * MIB
HELD_AFTER = MIB
IDLE_SECONDS = 4.0
#: What comes after something broke must come soon, and nothing is given up for that it did not.
OPTIONS: agents.Options = {
    "DEFAULT": {"task_retry_times": 1000},
    "service_credentials": {"timeout": IDLE_SECONDS},
    "transfer": {
        "small_image_mib": 0,  # all go through SSH
        "idle_timeout_seconds": IDLE_SECONDS,
        "connect_timeout_seconds": IDLE_SECONDS,
        "lease_seconds": 10,
        "retry_base_seconds": 0.2,
        "retry_max_seconds": 1,
        "region_pause_seconds": 0.5,
        "region_pause_max_seconds": 1,
    },
    "ssh": {"connect_timeout_seconds": IDLE_SECONDS},
    "reconcile": {
        "interval": 2,
        "changes_interval": 1,
        "members_interval": 4,
        "max_deletes": 100,
        "gone_grace": 0,
    },
}
CONVERGE_SECONDS = 90.0
_MOST_COPIES = 2  # images of a row whose copies users make images of
#: What an agent says if the newest images are missing.
_RESTORED = "as if its Glance was restored"
#: What an agent says of an attempt that failed.
_ENDS = (" failed, next at ", " Gave up ", " waits for its region: ")


class World:
    """A cloud, what was published in it, and the agents that look after it."""

    def __init__(
        self,
        cloud: clouds.Cloud,
        people: users.People,
        directory: pathlib.Path,
        *,
        names: Sequence[str] = ("agent",),
        options: agents.Options | None = None,
    ) -> None:
        """Look at what is there; starts nothing.

        :param names: of the agents.
        :param options: of all of them.
        """
        self.cloud = cloud
        self.people = people
        self.directory = directory
        self.published: dict[str, users.Published] = {}
        self.refused: set[convergence.Key] = set()
        self.shared: set[str] = set()  # images that have members
        self.servers = servers.Servers(people)
        self._ways = itertools.cycle(self.servers.ways)
        self.counts: dict[str, Counter[str]] = {}  # by row
        self._digests = convergence.Digests()
        self._then = convergence.before(people)
        region = cloud.describe().region(REGION)
        assert region.ssh_host is not None
        assert region.ssh_port is not None
        self.valve = valves.Valve(region.ssh_host, region.ssh_port)
        self.region = region
        self.agents = [self.make(name, options) for name in names]
        self.agent = self.agents[0]
        self._from: dict[running.Agent, int] = {}
        self._deleted = 0  # how many of those published

    def make(self, name: str, options: agents.Options | None = None) -> running.Agent:
        """Make an agent whose connections to the region lead through the valve."""
        described = self.cloud.describe()
        directory = self.directory / name
        merged = {section: dict(values) for section, values in OPTIONS.items()}
        for section, values in (options or {}).items():
            merged.setdefault(section, {}).update(values)
        merged["ssh"]["known_hosts"] = directory / "known_hosts"
        agent = running.Agent(described, directory, options=merged)
        self.trust(agent)
        store_file = directory / "glance_store.yaml"
        text = store_file.read_text()
        store_file.write_text(text.replace(f"'{self.region.ssh_port}'", f"'{self.valve.port}'"))
        return agent

    def trust(self, agent: running.Agent, key: str | None = None) -> None:
        """Write the agent's ``known_hosts``, with another key of the region's host if wanted."""
        known = pathlib.Path(self.cloud.describe().ssh.known_hosts).read_text()
        line = f"[{self.region.ssh_host}]:{self.valve.port} {key or self.region.ssh_host_key}\n"
        (agent.directory / "known_hosts").write_text(known + line)

    def begin(self) -> None:
        """Have all agents at work, and first remove what was published before."""
        for agent in self.agents:
            if agent.environment:
                agent.kill()
                agent.environment.clear()
        started = [agent for agent in self.agents if not agent.is_running()]
        for agent in started:
            agent.start()
        for agent in started:
            agent.wait_for_log("Listening on topics")
        if len(started) == len(self.agents):  # one of them looks
            self.wait_until(
                lambda: any("Scanned " in agent.said() for agent in started), "a first look"
            )
        gone = list(self.published)[self._deleted :]
        self._deleted = len(self.published)
        # So that the newest image does not go before anybody has told of it.
        self.here(self.publish("keeper"))
        for image_id in gone:
            self.people.delete(image_id, user="admin")
        self._from = {agent: len(agent.said()) for agent in self.agents}

    def restart(self) -> None:
        """Kill the agent, and have another one at work in its place."""
        self.agent.kill()
        self.agent.begin()

    def close(self) -> None:
        """End what runs."""
        for agent in self.agents:
            agent.close()
        self.valve.close()

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition; what the agents said is the message if it does not come."""
        self.agent.wait_until(condition, what)

    def publish(self, name: str = "image", **fields: Any) -> users.Published:
        """Publish an image that will be looked after."""
        fields.setdefault("size", 100_000)
        image = self.people.publish(name, **fields)
        self.published[image.image_id] = image
        return image

    @contextlib.contextmanager
    def in_transfer(self, name: str = "in transfer", **fields: Any) -> Iterator[users.Published]:
        """Publish an image, and have its transfer to the region stand still for a moment."""
        self.valve.hold_after(HELD_AFTER)
        try:
            image = self.publish(name, size=SIZE, **fields)
            self.valve.held()
            yield image
        finally:
            self.valve.open()

    def here(self, image: users.Published) -> None:
        """Wait until an image is everywhere."""
        self.wait_until(lambda: self.people.in_step(image), f"copies of {image.name}")

    def said(self) -> str:
        """Return what the agents said in this row; after a start, since then."""
        parts = []
        for agent in self.agents:
            said, begin = agent.said(), self._from.get(agent, 0)
            parts.append(said[begin:] if len(said) >= begin else said)
        return "".join(parts)

    def wait_for_log(self, text: str) -> None:
        """Wait until an agent said ``text`` in this row."""
        self.wait_until(lambda: text in self.said(), f"'{text}' in the log")

    def failed(self, image: users.Published) -> None:
        """Wait until an attempt to bring an image to the region has failed."""

        def is_told() -> bool:
            key = f"image {image.image_id} in region {REGION}"
            return any(
                key in line and any(end in line for end in _ENDS)
                for line in self.said().splitlines()
            )

        self.wait_until(is_told, "a failed attempt")

    def is_at(self, image: users.Published) -> bool:
        """Tell whether an agent is at bringing an image to the region."""
        return any(
            (task.key.image_id, task.key.region, str(task.status))
            == (image.image_id, REGION, "processing")
            for task in self.agent.tasks()
        )

    def is_replaced(self, image: users.Published) -> bool:
        """Tell whether the region has one copy, whole, under another id than the first one."""
        copies = self.people.copies(REGION, image.image_id)
        return [(copy["status"], copy["id"] == image.image_id) for copy in copies] == [
            ("active", False)
        ]

    def gave_up(self, image: users.Published) -> None:
        """Wait until the agent leaves an image to an operator."""
        self.wait_for_log(f"glance-sync retry {image.image_id} {REGION}")

    def retry(self, image: users.Published) -> None:
        """Do what the agent asks for once it gave up."""
        self.ctl("retry", image.image_id, REGION)

    def ctl(self, *arguments: str, status: int = 0) -> None:
        """Run ``glance-sync``."""
        done = subprocess.run(
            self.agent.command("glance-sync", *arguments),
            check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )
        assert done.returncode == status, done.stderr

    @contextlib.contextmanager
    def stopped(self, service: str) -> Iterator[None]:
        """Have a service not run for a moment."""
        self.cloud.stop_service(service)
        try:
            yield
        finally:
            self.cloud.start_service(service)

    @contextlib.contextmanager
    def killed(self, service: str) -> Iterator[None]:
        """Kill a service, and start it again after a moment.

        What a Glance has left of what it was at is nobody's business from then on.
        """
        self.cloud.signal_service(service, signal.SIGKILL)
        try:
            self.cloud.stop_service(service)  # waits until it is gone
            if service == f"glance-{REGION}":
                files = self._then.files | convergence.left(self.region)
                self._then = dataclasses.replace(self._then, files=files)
            yield
        finally:
            self.cloud.start_service(service)

    @contextlib.contextmanager
    def frozen(self, service: str) -> Iterator[None]:
        """Have a service accept connections, and do nothing else, for a moment."""
        self.cloud.signal_service(service, signal.SIGSTOP)
        try:
            yield
        finally:
            self.cloud.signal_service(service, signal.SIGCONT)

    @contextlib.contextmanager
    def written(self, path: pathlib.Path, text: str) -> Iterator[None]:
        """Have a file with another content for a moment."""
        content = path.read_text() if path.exists() else None
        _write(path, text)
        try:
            yield
        finally:
            if content is None:
                path.unlink()
            else:
                _write(path, content)

    @contextlib.contextmanager
    def database_locked(self) -> Iterator[None]:
        """Let nobody write to the agent's database for a moment."""
        path = self.agent.directory / "state" / "sync.sqlite"
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    @contextlib.contextmanager
    def mortal(self) -> Iterator[pathlib.Path]:
        """Have an agent at work that dies as a file says, see mortal.py; and none at the end."""
        self.agent.order = self.directory / "order"
        try:
            self.restart()
            yield self.agent.order
        finally:
            self.agent.kill()
            self.agent.order = None

    @contextlib.contextmanager
    def out_of_catalogue(self) -> Iterator[None]:
        """Have Keystone not tell of the region for a moment."""
        described = self.cloud.describe()
        admin = identity.Identity(described.keystone_port, described.user("admin"))
        (service,) = admin.find("services", "type=image")
        found = admin.find("endpoints", f"service_id={service['id']}&region_id={REGION}")
        for endpoint in found:
            admin.change("endpoints", endpoint["id"], {"enabled": False})
        try:
            yield
        finally:
            for endpoint in found:
                admin.change("endpoints", endpoint["id"], {"enabled": True})

    def refusing(self, method: str, status: int) -> contextlib.AbstractContextManager[None]:
        """Have the region's Glance answer all requests of a method alike."""
        return self.written(pathlib.Path(self.region.config_dir, "refuse"), f"{method} {status}")

    def foreign(self, region: str, record: Mapping[str, Any]) -> None:
        """Note an image of somebody else, whom nobody has to touch."""
        records = {name: dict(found) for name, found in self._then.records.items()}
        records[region][record["id"]] = record
        path = pathlib.Path(self.region_dir(region), record["id"])
        digest = self._digests.of(path)
        sha512 = dict(self._then.sha512)
        if digest is not None:
            sha512[region, record["id"]] = digest
        self._then = convergence.Before(
            records=records, files=self._then.files | {path}, sha512=sha512
        )

    def make_images_of_copies(self, image: users.Published) -> None:
        """Have users make an image of each copy of an image, each time in another way."""
        for region in self.people.cascaded:
            for copy in self.people.copies(region, image.image_id):
                self.theirs(region, next(self._ways)(region, copy["id"]))

    def theirs(self, region: str, image_id: str) -> None:
        """Note an image of a user as it is now."""
        self.foreign(region, self.people.record(region, image_id) or {})

    def region_dir(self, region: str) -> str:
        """Return where a region's Glance keeps its data."""
        return self.cloud.describe().region(region).datadir

    def look(self) -> convergence.Verdict:
        """Compare what is with what should be."""
        return convergence.converged(
            self.people,
            self.published,
            self.agent.tasks(),
            then=self._then,
            digests=self._digests,
            refused=frozenset(self.refused),
            shared=frozenset(self.shared),
        )

    def converge(self, row: str) -> float:
        """Wait until all is as it should be; return the seconds it took.

        Nothing may be wrong for a moment but what waits for an update.
        """
        began = time.monotonic()
        is_allowed = False
        while not (verdict := self.look()):
            if not is_allowed and _RESTORED in self.said():
                # A message about the newest image was lost, which only an operator can know.
                is_allowed = True
                self._allow_deletions()
            assert not any("other bytes" in one for one in verdict.wrong), str(verdict)
            if time.monotonic() - began > CONVERGE_SECONDS:
                self._count(row, verdict)
                self._then = convergence.before(self.people, self._then)  # for the next row
                tail = "\n".join(self.said().splitlines()[-40:])
                raise AssertionError(f"no convergence:\n{verdict}\n{tail}")
            time.sleep(0.1)
        seconds = time.monotonic() - began
        self._count(row, verdict)
        for agent in self.agents:
            assert "Traceback" not in agent.said()
        self._make_images()
        return seconds

    def disown(self, image: users.Published, region: str) -> None:
        """Have an operator say that the image with the id of another is no copy of it."""
        command = self.agent.command(
            "glance-sync", "disown", image.image_id, "--region", region
        )

        def is_done() -> bool:  # not while the agent is at work on it
            done = subprocess.run(
                command, check=False, capture_output=True, stdin=subprocess.DEVNULL
            )
            return done.returncode == 0

        self.wait_until(is_done, "the end of the agent's work on it")

    def _allow_deletions(self) -> None:
        command = self.agent.command("glance-sync", "reconcile", "--allow-deletes", "100")
        subprocess.run(command, check=False, capture_output=True, stdin=subprocess.DEVNULL)

    def _make_images(self) -> None:
        """Have users make images of a few copies, whose sources go before the next row."""
        there = [one for one in self.published if one not in self.refused_ids]
        for image_id in there[self._deleted :][:_MOST_COPIES]:
            self.make_images_of_copies(self.published[image_id])

    @property
    def refused_ids(self) -> set[str]:
        """The images of which a copy cannot be."""
        return {image_id for _region, image_id in self.refused}

    def _count(self, row: str, verdict: convergence.Verdict) -> None:
        counts = self.counts.setdefault(row, Counter())
        counts["runs"] += 1
        for name in ("lost", "wrong", "orphaned", "unfinished"):
            counts[name] += len(getattr(verdict, name))
        counts["images of users seen"] += sum(map(len, self._then.records.values()))
        counts["images of users touched"] += len(verdict.touched)

    def table(self) -> str:
        """Return what came of all rows, one a line, and the sum."""
        total: Counter[str] = Counter()
        for counts in self.counts.values():
            total.update(counts)
        rows = {**self.counts, "all rows": total}
        return "\n".join(f"{row}: {dict(counts)}" for row, counts in rows.items())


def _write(path: pathlib.Path, text: str) -> None:
    """Write a file in one step, for somebody reads it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text)
    if path.exists():
        partial.chmod(path.stat().st_mode)
    partial.replace(path)
