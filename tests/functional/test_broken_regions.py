# SPDX-License-Identifier: Apache-2.0
"""What is broken delays nobody else, and is made good once it is mended.

What breaks in the middle of a transfer is in the fault table, ``test_faults.py``.
"""

from collections.abc import Callable, Iterator
import contextlib
import json
import pathlib
import signal
import subprocess
import time

import pytest

from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running
from tools import cloud as clouds

Breakage = Callable[[clouds.Cloud, str], contextlib.AbstractContextManager[None]]

MIB = users.MIB
BROKEN = "RegionTwo"
OTHERS = ["RegionThree", "RegionFour"]
#: More than run at once in one region, so that those that hang fill its share.
IMAGES = 6
#: Seconds that a request to what hangs takes. Were the regions not apart, the others would
#: be delayed by that long at least.
IDLE_SECONDS = 12.0
OPTIONS: dict[str, dict[str, object]] = {
    "DEFAULT": {"task_retry_times": 1000},
    "transfer": {
        "idle_timeout_seconds": IDLE_SECONDS,
        "connect_timeout_seconds": IDLE_SECONDS,
        "lease_seconds": 2 * IDLE_SECONDS,
        "retry_base_seconds": 0.2,
        "retry_max_seconds": 1,
        "region_pause_seconds": 0.5,
        "region_pause_max_seconds": 2,
    },
    "ssh": {"connect_timeout_seconds": IDLE_SECONDS},
}


@pytest.fixture(scope="module")
def shared_agent(
    cloud: clouds.Cloud, people: users.People, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[running.Agent]:
    options = {section: dict(values) for section, values in OPTIONS.items()}
    options["ssh"]["known_hosts"] = cloud.describe().ssh.known_hosts
    agent = running.Agent(cloud.describe(), tmp_path_factory.mktemp("shared"), options=options)
    yield agent
    agent.kill()


@pytest.fixture
def agent(shared_agent: running.Agent) -> running.Agent:
    """Give the agent that the tests share."""
    if not shared_agent.is_running():
        shared_agent.begin()
    return shared_agent


def publish(agent: running.Agent, people: users.People) -> tuple[list[users.Published], float]:
    """Publish, and return for how long the sound regions took."""
    started = time.monotonic()
    images = [people.publish(f"{number}", size=5 * MIB) for number in range(IMAGES)]
    agent.wait_until(
        lambda: all(people.in_step(image, OTHERS) for image in images), "the other copies"
    )
    return images, time.monotonic() - started


def finished(agent: running.Agent, images: list[users.Published]) -> bool:
    found = [status for one in images for status in agent.statuses(one.image_id).values()]
    return set(found) == {"success"}


@contextlib.contextmanager
def stopped(cloud: clouds.Cloud, service: str) -> Iterator[None]:
    cloud.stop_service(service)
    try:
        yield
    finally:
        cloud.start_service(service)


@contextlib.contextmanager
def frozen(cloud: clouds.Cloud, service: str) -> Iterator[None]:
    cloud.signal_service(service, signal.SIGSTOP)
    try:
        yield
    finally:
        cloud.signal_service(service, signal.SIGCONT)


@pytest.mark.parametrize(
    ("breakage", "service"),
    [
        (stopped, f"glance-{BROKEN}"),
        (frozen, f"glance-{BROKEN}"),
        (stopped, f"sshd-{BROKEN}"),
        (frozen, f"sshd-{BROKEN}"),
    ],
    ids=["glance-stopped", "glance-frozen", "sshd-stopped", "sshd-frozen"],
)
def test_a_broken_region_delays_no_other_and_is_made_good_later(
    agent: running.Agent,
    people: users.People,
    cloud: clouds.Cloud,
    breakage: Breakage,
    service: str,
):
    _images, usual = publish(agent, people)
    with breakage(cloud, service):
        images, seconds = publish(agent, people)
        assert seconds < max(2 * usual + 2, IDLE_SECONDS - 1), f"{seconds:.1f} not {usual:.1f} s"
        for image in images:
            assert agent.statuses(image.image_id)[BROKEN] != "success"
    agent.wait_until(
        lambda: all(people.in_step(image, [BROKEN]) for image in images), "the late copies", 120
    )
    for image in images:
        people.check_bytes(image, [BROKEN])
    agent.wait_until(lambda: finished(agent, images), "the end of all tasks")
    assert "Traceback" not in agent.said()


@pytest.mark.parametrize(("breakage", "pauses"), [(stopped, 8), (frozen, 3)])
def test_a_region_that_is_down_for_long_is_left_alone_and_fails_no_task(
    agent: running.Agent,
    make_agent: conftest.MakeAgent,
    people: users.People,
    cloud: clouds.Cloud,
    breakage: Breakage,
    pauses: int,
):
    agent.kill()  # which would do the same work
    other = make_agent(options={**running.FAST, "DEFAULT": {"task_retry_times": 2}})
    conftest.rewrite(
        other,
        cloud.describe(),
        {
            "DEFAULT": {"task_retry_times": 2},
            "transfer": {"region_failures": 2},
            "service_credentials": {"timeout": 1},  # of requests to what hangs
        },
    )
    other.begin()
    with breakage(cloud, f"glance-{BROKEN}"):
        images = [people.publish(f"early {number}", size=5 * MIB) for number in range(IMAGES)]
        other.wait_for_log(f"Region {BROKEN} is unavailable until")
        # Longer than all retries together would take.
        other.wait_until(
            lambda: other.said().count("is unavailable until") >= pauses,
            f"{pauses} pauses",
            120,
        )
        images += [people.publish(f"late {number}", size=5 * MIB) for number in range(2)]
        other.wait_until(
            lambda: all(people.in_step(image, OTHERS) for image in images), "the other copies"
        )
        rows = told(other, "status", "--region", BROKEN)
    mine = {image.image_id for image in images}
    waiting = [row for row in rows if row["image_id"] in mine]
    assert len(waiting) == len(images)
    assert {row["status"] for row in waiting} <= {"pending", "processing"}
    reasons = [row["reason"] for row in waiting if row["status"] == "pending"]
    assert all(f"region {BROKEN} is unavailable until 20" in reason for reason in reasons)
    assert all("failures in a row: " in reason for reason in reasons)
    other.wait_until(lambda: all(map(people.in_step, images)), "the late copies")
    for image in images:
        people.check_bytes(image, [BROKEN])
    other.wait_for_log(f"Region {BROKEN} is available again")
    assert finished(other, images)
    assert "Gave up" not in other.said()
    assert "Traceback" not in other.said()


def told(agent: running.Agent, *arguments: str) -> list[dict[str, str]]:
    """Return what the operator's tool says, in a process of its own."""
    command = agent.command("glance-sync", *arguments, "-f", "json")
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    rows: list[dict[str, str]] = json.loads(done.stdout)
    return rows


def test_a_host_with_another_key_is_refused_until_an_operator_has_looked(
    agent: running.Agent,
    make_agent: conftest.MakeAgent,
    people: users.People,
    cloud: clouds.Cloud,
    tmp_path: pathlib.Path,
):
    agent.kill()  # which would do the same work
    described = cloud.describe()
    good = pathlib.Path(described.ssh.known_hosts).read_text()
    wrong, right = (described.region(name).ssh_host_key for name in (OTHERS[0], BROKEN))
    known_hosts = tmp_path / "known_hosts"
    known_hosts.write_text(good.replace(str(right), str(wrong)))
    other = make_agent(options={**running.FAST, "ssh": {"known_hosts": known_hosts}})
    other.begin()
    image = people.publish("refused", size=5 * MIB)
    other.wait_until(lambda: people.in_step(image, OTHERS), "the other copies")
    other.wait_until(lambda: other.statuses(image.image_id)[BROKEN] == "failure", "a failure")
    reason = other.tasks_of(image.image_id)[BROKEN].reason
    assert "shows the host key ssh-ed25519" in reason
    assert "ssh-keyscan" in reason
    assert str(known_hosts) in reason
    assert f"glance-sync retry {image.image_id} {BROKEN}" in other.said()
    record = people.record(BROKEN, image.image_id)
    assert record is None or record["status"] == "queued"
    known_hosts.write_text(good)
    subprocess.run(
        other.command("glance-sync", "retry", image.image_id, BROKEN),
        check=True, capture_output=True, stdin=subprocess.DEVNULL,
    )
    other.wait_until(lambda: people.in_step(image), "the last copy")
    people.check_bytes(image, [BROKEN])


def test_a_keystone_that_is_away_at_start_is_waited_for(
    agent: running.Agent, make_agent: conftest.MakeAgent, people: users.People, cloud: clouds.Cloud
):
    agent.kill()  # which would do the same work
    other = make_agent()
    with stopped(cloud, "keystone"):
        other.start()
        other.wait_for_log("Keystone is unreachable; the agent starts and retries")
        other.wait_for_log("Started with process")
    other.wait_for_log("Scanned ")
    image = people.publish("after Keystone")
    other.wait_until(lambda: people.in_step(image), "the copies")
    assert "Traceback" not in other.said()
