# SPDX-License-Identifier: Apache-2.0
"""The agent is killed at any moment, and loses and repeats nothing.

``GLANCE_SYNC_TEST_KILLS`` is how often (20), ``GLANCE_SYNC_TEST_SEED`` chooses the moments.
"""

from collections import Counter
import functools
import os
import pathlib
import random
import re
import threading
import time
from typing import Any

import pytest

from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running

KILLS = int(os.environ.get("GLANCE_SYNC_TEST_KILLS", "20"))
SEED = int(os.environ.get("GLANCE_SYNC_TEST_SEED", "20261122"))
IMAGES = 20
SIZES = (1, 1000, 64 * 1024, users.MIB, 3 * users.MIB, 6 * users.MIB, 9 * users.MIB)
#: Longest time that an agent lives before the next kill; it takes about two to start.
LIFE_SECONDS = 5.0

#: What one copy was, when it was first seen active: it must stay that.
Seen = dict[tuple[str, str], tuple[str, str]]


class Publisher(threading.Thread):
    """Publishes images, one after the other, while the agent is being killed."""

    def __init__(self, people: users.People, chance: random.Random, pause_seconds: float) -> None:
        super().__init__(daemon=True)
        self.images: list[users.Published] = []
        self.failure: BaseException | None = None
        self._people = people
        self._sizes = [chance.choice(SIZES) for _ in range(IMAGES)]
        self._pause_seconds = pause_seconds

    def run(self) -> None:
        """Publish."""
        try:
            for number, size in enumerate(self._sizes):
                self.images.append(self._people.publish(f"killed {number}", size=size, round="1"))
                time.sleep(self._pause_seconds)
        except BaseException as exc:
            self.failure = exc
            raise


def note_copies(people: users.People, images: list[users.Published], seen: Seen) -> None:
    """Compare all copies that are active now with what was seen of them before."""
    for region in people.cascaded:
        for copy in people.active(region):
            key = (region, copy["glance_sync_source_id"])
            now = (copy["id"], copy["created_at"])
            assert seen.setdefault(key, now) == now, f"{key} was copied again"


def check(people: users.People, agent: running.Agent, images: list[users.Published]) -> None:
    """Check that there is one right copy of each image in each region, and nothing else."""
    for image in images:
        people.check_bytes(image)
        for region in people.cascaded:
            copies = people.copies(region, image.image_id)
            assert [(copy["id"], copy["status"]) for copy in copies] == [
                (image.image_id, "active")
            ]
            assert copies[0]["round"] == "1"
    for region in people.cascaded:
        queued = people.queued(region)
        assert not queued, f"left over in {region}: {queued}"
    assert {str(task.status) for task in agent.tasks()} == {"success"}
    assert len(agent.tasks()) == len(images) * len(people.cascaded)


def check_files(people: users.People, since: float) -> None:
    """Check that no store and no staging directory holds a file without an active image."""
    for region in people.cloud.describe().cascaded:
        known = {image["id"] for image in people.active(region.name, everybody=True)}
        for directory in (region.datadir, region.staging_dir):
            orphans = [
                path
                for path in pathlib.Path(directory).iterdir()
                if path.is_file() and path.name not in known and path.stat().st_mtime > since
            ]
            assert not orphans, f"in {region.name}"


def check_transfers(agent: running.Agent) -> None:
    """Check in the log that nothing was transferred again once it was verified."""
    log = agent.log.read_text()
    assert "Traceback" not in log
    copied = Counter(re.findall(r"Copied image (\S+) in region (\w+):", log))
    assert not [key for key, times in copied.items() if times > 1]


def live(agent: running.Agent, chance: random.Random) -> None:
    """Let the agent live for a moment; every other time until it is in the middle of a task."""
    end = time.monotonic() + chance.uniform(0.0, LIFE_SECONDS)
    if chance.random() < 0.5:
        time.sleep(max(0.0, end - time.monotonic()))
        return
    end = time.monotonic() + LIFE_SECONDS
    while time.monotonic() < end and not in_the_middle(agent):
        time.sleep(0.02)
    time.sleep(chance.uniform(0.0, 0.5))


def in_the_middle(agent: running.Agent) -> bool:
    """Tell whether the agent works on a task; one that a dead agent left there counts, too."""
    return any(task.status == "processing" for task in agent.tasks())


@pytest.mark.slow
@pytest.mark.timeout(120 + 10 * KILLS)
def test_an_agent_killed_at_any_moment_loses_nothing_and_copies_nothing_twice(
    make_agent: conftest.MakeAgent, people: users.People, record_property: Any
):
    record_property("seed", SEED)
    chance = random.Random(SEED)
    since = time.time()
    agent = make_agent()
    agent.begin()
    publisher = Publisher(people, chance, LIFE_SECONDS / 2 * KILLS / IMAGES)
    publisher.start()
    seen: Seen = {}
    for _ in range(KILLS):
        live(agent, chance)
        agent.kill()
        agent.start()
        note_copies(people, publisher.images, seen)
    publisher.join(120)
    assert publisher.failure is None
    assert len(publisher.images) == IMAGES
    agent.wait_until(
        lambda: all(people.in_step(image) for image in publisher.images), "all copies", 120
    )
    agent.wait_until(lambda: all(task.status == "success" for task in agent.tasks()), "an end")
    note_copies(people, publisher.images, seen)
    assert len(seen) == IMAGES * len(people.cascaded)
    check(people, agent, publisher.images)
    check_files(people, since)
    assert agent.stop() == 0
    check_transfers(agent)
    interrupted = sum(map(int, re.findall(r"Released (\d+) tasks", agent.log.read_text())))
    record_property("interrupted", interrupted)
    print(f"{KILLS} kills interrupted {interrupted} tasks")  # noqa: T201 - shown by -s
    assert interrupted or KILLS < 5


def has_another_worker(agent: running.Agent, old: int) -> bool:
    return agent.worker != old


@pytest.mark.parametrize("victim", ["worker", "launcher"])
def test_an_agent_that_loses_one_of_its_processes_goes_on(
    make_agent: conftest.MakeAgent, people: users.People, victim: str
):
    agent = make_agent()
    agent.begin()
    images = []
    for number in range(2):
        images.append(people.publish(f"{victim} {number}", size=9 * users.MIB, round="1"))
        worker = agent.worker
        if victim == "worker":
            agent.kill_only(worker)
            agent.wait_until(functools.partial(has_another_worker, agent, worker), "a worker")
        else:
            agent.kill_only(agent.pid)
            agent.start()
            # The old worker has left before the new agent begins.
            agent.wait_for_log("Started with process")
            assert not running.is_alive(worker)
    agent.wait_until(lambda: all(people.in_step(image) for image in images), "all copies")
    agent.wait_until(lambda: all(task.status == "success" for task in agent.tasks()), "an end")
    check(people, agent, images)
    assert agent.stop() == 0
    check_transfers(agent)
