# SPDX-License-Identifier: Apache-2.0
"""The stage: a new cloud, a database, the agents, and the shared knowledge of all lanes."""

from collections.abc import Iterator
import contextlib
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import threading

import yaml

from tests.functional import convergence
from tests.functional import people as users
from tests.functional import servers
from tools import agents
from tools import cloud as clouds
from tools import databases
from tools.soak import events as recording
from tools.soak import orders
from tools.soak import plans
from tools.soak import weights

#: The agents notice faults soon, retry soon, and never give up.
OPTIONS: agents.Options = {
    "DEFAULT": {
        "sync_strategy": "USER",
        "snapshot_region_names": ",".join(weights.SNAPSHOT_REGIONS),
        "task_retry_times": 1000,
        "graceful_shutdown_timeout": 10,
    },
    "strategy": {"keystone_cache_seconds": 10},
    "transfer": {
        "small_image_mib": 1,
        "idle_timeout_seconds": 4,
        "connect_timeout_seconds": 4,
        "lease_seconds": weights.LEASE_SECONDS,
        "pause_windows": (
            f"{weights.WINDOW_REGION}: 0-59/{weights.WINDOW_EVERY_MINUTES} * * * * 1m UTC"
        ),
        "retry_base_seconds": 0.5,
        "retry_max_seconds": 5,
        "region_pause_seconds": 0.5,
        "region_pause_max_seconds": 5,
        "vanished_pause_seconds": 0,
    },
    "ssh": {"connect_timeout_seconds": 4},
    "reconcile": {
        "interval": 20, "changes_interval": 5, "members_interval": 60,
        "max_deletes": 1000, "gone_grace": 10,
    },
    "api": {"enabled": "true"},
    "verify": {"max_repairs": 1000, "max_bytes_per_second": 0},
}
#: The status of an image with data.
DONE = ("active", "deactivated")
_RULES = {"rules": [{"name": "everything", "regions": "*"}]}
#: The beginning of a line that a library logged.
_LIBRARY = re.compile(r"\d{4}-\d\d-\d\d [\d:.]+ \d+ [A-Z]+ (?!glance_sync_agent)\S+ \[")
_VERIFY_SECONDS = 120.0


class Agent(agents.Agent):
    """An agent that is started again, with a note, if it ends by itself."""

    def __init__(self, cloud: clouds.Description, directory: pathlib.Path, url: str) -> None:
        super().__init__(cloud, directory, options={**OPTIONS, "database": {"connection": url}})
        (directory / "sync_strategy.yaml").write_text(yaml.safe_dump(_RULES))
        self.name = directory.name
        self.lock = threading.Lock()  # protects start and end

    def freeze(self, number: signal.Signals) -> None:
        """Stop or continue launcher and worker, which share a group."""
        with contextlib.suppress(ProcessLookupError):  # both ended by themselves
            os.killpg(self.pid, number)

    def tracebacks(self) -> Iterator[str]:
        """Return the first lines of all tracebacks of the agent, each once.

        Some libraries log errors that they also raise; these do not count.
        """
        found: dict[str, None] = {}
        for line in self.log.read_text(errors="replace").splitlines():
            if "Traceback (most recent call last)" in line and not _LIBRARY.match(line):
                found.setdefault(line)
        yield from found


class Stage:
    """The cloud and all that is known of it. Thread safe."""

    def __init__(
        self, cloud: clouds.Cloud, database: databases.Server, directory: pathlib.Path
    ) -> None:
        self.cloud = cloud
        self.database = database
        self.described = cloud.describe()
        self.events = recording.Events(directory / "events.log")
        self.over = threading.Event()  # no lane starts anything new
        self.published: dict[str, users.Published] = {}
        self.images: dict[str, plans.Image] = {}
        #: Images that users made from copies, as they left them. Remove one before you change it.
        self.theirs: dict[convergence.Key, servers.Theirs] = {}
        self.forged: set[convergence.Key] = set()  # those whose mark names themselves
        #: Keys of copies whose id another image has.
        self.occupied: set[convergence.Key] = set()
        #: Copies that the soak damaged, by region and id, and their sources. Glance uses no id
        #: twice.
        self.damaged: dict[tuple[str, str], str] = {}
        #: Copies that an operator deactivated, by region and id. The agents hold them.
        self.held: set[convergence.Key] = set()
        #: Files of a Glance that was killed during an upload or a deletion. That Glance does not
        #: know them, so nobody can remove them through it.
        self.left: set[pathlib.Path] = set()
        self.orders = orders.Orders()
        self.agents = [
            Agent(self.described, directory / f"agent-{number}", database.url)
            for number in range(weights.AGENTS)
        ]

    def visitor(self) -> users.People:
        """Return clients for another thread."""
        return users.People(self.cloud)

    def announce(self, image: plans.Image) -> bytes:
        """Announce an image to the judge before it is published; return its bytes."""
        data = plans.content(image)
        self.images[image.image_id] = image
        self.published[image.image_id] = users.Published(
            image_id=image.image_id,
            name=image.name,
            size=image.size,
            sha512=hashlib.sha512(data).hexdigest(),
        )
        return data

    def file(self, region: str, image_id: str) -> pathlib.Path:
        """Return the file of an image in a region's Glance."""
        return pathlib.Path(self.described.region(region).datadir, image_id)

    def note_left(self, region: str) -> None:
        """Note the files that a region's Glance left; the Glance must not run."""
        for path in convergence.left(self.described.region(region)):
            self.left.add(path)
            self.events.note("stage", f"left in {region}: {path.name}")

    def begin(self) -> None:
        """Start the agents; the first makes the tables."""
        for agent in self.agents:
            agent.start()
            agent.wait_for_log("Listening on topics")

    def ensure_running(self, agent: Agent) -> bool:
        """Start an agent again if it ended by itself; return whether it ran. Needs its lock."""
        if agent.is_running():
            return True
        self.events.count("stage", "agent ended by itself", "noted", agent.tail(5))
        agent.kill()
        agent.start()
        return False

    def restart_agents(self) -> bool:
        """Ensure that all agents run; return whether all of them ran."""
        ran = True
        for agent in self.agents:
            with agent.lock:
                ran = self.ensure_running(agent) and ran
        return ran

    def verify(self, *arguments: str) -> str:
        """Run ``glance-sync verify``; return its status and its errors."""
        return self._run("verify", *arguments)

    def allow_deletions(self) -> str:
        """Run ``glance-sync reconcile --allow-deletes``; return its status and its errors.

        Only an operator can know that a broker lost messages about the newest image.
        """
        return self._run("reconcile", "--allow-deletes", "1000")

    def delete_orphan(self, region: str, image_id: str) -> str:
        """Run ``glance-sync orphan delete``; return its status and its errors."""
        return self._run("orphan", "delete", image_id, "--region", region)

    def retry(self, source_id: str, region: str) -> str:
        """Run ``glance-sync retry``; return its status and its errors."""
        return self._run("retry", source_id, "--region", region)

    def _run(self, *words: str) -> str:
        done = self.command(*words)
        return f"status {done.returncode} {done.stderr.strip()[-300:]}"

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``glance-sync``."""
        command = self.agents[0].command("glance-sync", *words)
        return subprocess.run(
            command, capture_output=True, text=True, check=False,
            stdin=subprocess.DEVNULL, start_new_session=True, timeout=_VERIFY_SECONDS,
        )

    def end(self) -> None:
        """Stop the agents; an error of one is a violation."""
        for agent in self.agents:
            if agent.is_running():
                status = agent.stop()
                if status:
                    self.events.violation(f"{agent.name} ended with status {status}")
            for line in agent.tracebacks():
                self.events.violation(f"{agent.name} logged {line}")

    def wait(self, seconds: float) -> None:
        """Wait until the seconds have passed or the time is over."""
        self.over.wait(seconds)


@contextlib.contextmanager
def built(cloud: clouds.Cloud) -> Iterator[Stage]:
    """Build a stage on a new cloud; stop all of it at the end, and keep its data.

    :raises CloudError: the cloud does not start.
    :raises NoServerError: there is no PostgreSQL.
    """
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(databases.postgresql())
        stack.callback(cloud.down)
        cloud.wipe()
        cloud.up()
        directory = cloud.state_dir / "soak"
        directory.mkdir()
        stage = Stage(cloud, database, directory)
        for agent in stage.agents:
            stack.callback(agent.close)
        yield stage


