# SPDX-License-Identifier: Apache-2.0
"""Each alert of the rules fires by breaking the real cloud, and goes once that is repaired.

The rules are those of the package, but for their durations: hours are seconds here.
"""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import pathlib
import re
import subprocess

import pytest
import yaml

from tests import paths
from tests.functional import people as users
from tests.functional import prometheus
from tests.functional import running
from tests.functional import test_verify
from tools import cloud as clouds
from tools.cloud import planning

_RULES = paths.ROOT / "etc" / "monitoring" / "glance-sync-rules.yml"
ONE, TWO, THREE, FOUR = "RegionOne", "RegionTwo", "RegionThree", "RegionFour"
#: The count of the tasks is up to ten seconds old.
SECONDS = 60.0


@dataclasses.dataclass(kw_only=True)
class Stage:
    """The parts that a test breaks, and the Prometheus that watches them."""

    cloud: clouds.Cloud
    people: users.People
    agent: running.Agent
    watch: prometheus.Prometheus

    def run(self, *arguments: str) -> None:
        """Run ``glance-sync``."""
        command = self.agent.command("glance-sync", *arguments)
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)

    @contextlib.contextmanager
    def refusing(self, region: str, answer: str) -> Iterator[None]:
        """Let a Glance answer all requests of a method alike."""
        file = pathlib.Path(self.cloud.describe().region(region).config_dir, "refuse")
        file.write_text(answer)
        try:
            yield
        finally:
            file.unlink()


Breakage = Callable[[Stage], contextlib.AbstractContextManager[object]]


@contextlib.contextmanager
def paused(stage: Stage) -> Iterator[None]:
    stage.run("pause", THREE, "--reason", "new disks")
    try:
        stage.people.publish("late")
        yield
    finally:
        stage.run("resume", THREE)


@contextlib.contextmanager
def host_stopped(stage: Stage) -> Iterator[None]:
    stage.cloud.stop_service(f"sshd-{FOUR}")
    try:
        for _ in range(3):
            stage.people.publish("unreachable")
        yield
    finally:
        stage.cloud.start_service(f"sshd-{FOUR}")


@contextlib.contextmanager
def copy_damaged(stage: Stage) -> Iterator[None]:
    image = stage.people.publish("damaged")
    stage.agent.wait_until(lambda: stage.people.in_step(image), "the copies")
    datadir = stage.cloud.describe().region(TWO).datadir
    test_verify.flip(pathlib.Path(datadir, image.image_id))
    yield


@contextlib.contextmanager
def place_taken(stage: Stage) -> Iterator[None]:
    """Let an image of a user have the id that a copy needs."""
    source = stage.people.create("in the way")
    stage.people.create("in the way", region=FOUR, user="bob", id=source.id)
    stage.people.upload(source.id, 1000)
    yield
    stage.people.delete(source.id, region=FOUR, user="bob")
    stage.run("retry", source.id)


@contextlib.contextmanager
def disk_full(stage: Stage) -> Iterator[None]:
    with stage.refusing(TWO, "PUT 413 Image storage media is full"):
        stage.people.publish("too large")
        yield


def scans_refused(stage: Stage) -> contextlib.AbstractContextManager[None]:
    return stage.refusing(ONE, "GET 503")


@contextlib.contextmanager
def agent_killed(stage: Stage) -> Iterator[None]:
    stage.agent.kill()
    yield
    stage.agent.begin()


#: What breaks at the same time, with the alerts that have to fire, and their regions.
TOGETHER: list[dict[Breakage, set[tuple[str, str]]]] = [
    {
        copy_damaged: {("GlanceSyncDamage", TWO)},
        place_taken: {("GlanceSyncFailures", FOUR)},
        paused: {("GlanceSyncRegionPausedLong", THREE), ("GlanceSyncLate", THREE)},
        host_stopped: {("GlanceSyncRegionUnavailable", FOUR)},
        disk_full: {("GlanceSyncStorageFull", TWO)},
    },
    {scans_refused: {("GlanceSyncNoScan", "")}},
    {agent_killed: {("GlanceSyncNoAgent", "")}},
]


def shortened(rules: str) -> str:
    """Change the durations of the rules, and nothing else."""
    found = re.sub(r"(?<=for: )\w+", "1s", rules)
    found = re.sub(r"\[\w+\]", f"[{prometheus.RATE_SECONDS}s]", found)
    found = re.sub(r"(?<=offset )\w+", f"{prometheus.RATE_SECONDS}s", found)
    return re.sub(r"> 7200", "> 20", found)


@pytest.fixture(scope="module")
def stage(
    cloud: clouds.Cloud, people: users.People, watched_by, tmp_path_factory
) -> Iterator[Stage]:
    port = planning.free_port("127.0.0.1")
    options = {
        **running.FAST,
        "DEFAULT": {"sync_server_port": port, "task_retry_times": 1000},
        "api": {"enabled": "true", "completion_target_seconds": 2},
        "verify": {"interval": 1},
        "reconcile": {"interval": 1, "gone_grace": 0},
    }
    options["transfer"] = {**options["transfer"], "small_image_mib": 0}
    agent = running.Agent(cloud.describe(), tmp_path_factory.mktemp("agent"), options=options)
    try:
        agent.begin()
        agent.wait_for_log("The API listens on")
        watch = watched_by(port, shortened(_RULES.read_text()))
        yield Stage(cloud=cloud, people=people, agent=agent, watch=watch)
    finally:
        agent.close()


@pytest.mark.parametrize(
    "breakages", TOGETHER, ids=lambda one: " ".join(breakage.__name__ for breakage in one)
)
def test_alerts_fire_while_something_is_broken_and_no_longer(stage, breakages):
    watch = stage.watch
    watch.wait_until(lambda: not watch.firing(), "peace", SECONDS)
    wanted = set().union(*breakages.values())
    with contextlib.ExitStack() as stack:
        for breakage in breakages:
            stack.enter_context(breakage(stage))
        missing = set(wanted)

        def have_fired() -> bool:
            missing.difference_update(watch.firing())  # a damaged copy is soon replaced
            return not missing

        with contextlib.suppress(AssertionError):
            watch.wait_until(have_fired, "all alerts", SECONDS)
        assert not missing
    watch.wait_until(lambda: not watch.firing() & wanted, f"an end of {wanted}", SECONDS)


def test_each_alert_is_tried_here():
    rules = yaml.safe_load(_RULES.read_text())["groups"][0]["rules"]
    tried = {
        name for breakages in TOGETHER for alerts in breakages.values() for name, _ in alerts
    }
    assert tried == {rule["alert"] for rule in rules if "alert" in rule}
