# SPDX-License-Identifier: Apache-2.0
"""A Keystone that hangs, and is gone, while private images are published under USER."""

from collections.abc import Iterator
from concurrent import futures
import contextlib
import signal

import pytest

from tests.functional import conftest
from tests.functional import endpoint_filter
from tests.functional import history
from tests.functional import people as users
from tests.functional import running
from tools import cloud as clouds

ONE, TWO, THREE, FOUR = "RegionOne", "RegionTwo", "RegionThree", "RegionFour"
IMAGES = 20
OPTIONS: dict[str, dict[str, object]] = {
    # An attempt that counted would be the last but one.
    "DEFAULT": {"sync_strategy": "USER", "task_retry_times": 1},
    "strategy": {"keystone_cache_seconds": 0},
    "service_credentials": {"timeout": 1},
    # So that all of them can wait for a Keystone that hangs at once.
    "transfer": {**running.FAST["transfer"], "tasks_per_region": IMAGES},
}


@pytest.fixture(scope="module", autouse=True)
def _association(cloud: clouds.Cloud, people: users.People) -> Iterator[None]:
    """Associate the publisher's project with RegionTwo, and with where he publishes."""
    with contextlib.ExitStack() as stack:
        made = endpoint_filter.EndpointFilter(cloud, stack)
        for region in (ONE, TWO):
            made.associate(people.project("bob"), region)
        yield


@pytest.fixture
def _back_again(cloud: clouds.Cloud, make_agent: conftest.MakeAgent) -> Iterator[None]:
    """Leave a Keystone that answers, before ``make_agent`` removes what was published."""
    del make_agent
    yield
    cloud.restart_service("keystone")


def publish(people: users.People) -> users.Published:
    return people.publish(user="bob", visibility="private")


def make_known(people: users.People) -> None:
    """Let every process of the Glance see the publisher's token, which it then remembers.

    They are two, and many requests at once come to both.
    """
    client = people.client(user="bob").http_client

    def ask(_number: int) -> None:
        client.get("/v2/images?limit=1")

    with futures.ThreadPoolExecutor(10) as pool:
        list(pool.map(ask, range(128)))


def reasons(agent: running.Agent, image_id: str) -> list[str]:
    """Return why the tasks of an image wait; none may have failed, or counted an attempt."""
    rows = agent.tasks_of(image_id).values()
    seen = {(str(row.status), row.attempts) for row in rows}
    assert seen <= {("pending", 0), ("processing", 0)}, [row.reason for row in rows]
    return [row.reason for row in rows]


def wait_for(agent: running.Agent, ids: set[str], count: int, reason: str) -> None:
    """Wait until all tasks of so many images wait for a reason; none of any image may fail."""

    def they_wait() -> bool:
        found = [reasons(agent, one) for one in ids]
        return count <= sum([reason in why for why in said] == [True] * 3 for said in found)

    agent.wait_until(they_wait, f"tasks that wait for '{reason}'", 120)


@pytest.mark.usefixtures("_back_again")
def test_its_absence_delays_images_and_never_widens_where_they_go(
    make_agent: conftest.MakeAgent, people: users.People, cloud: clouds.Cloud
) -> None:
    agent = make_agent(options=OPTIONS)
    agent.begin()
    first = publish(people)
    agent.wait_until(lambda: agent.statuses(first.image_id) == {TWO: "success"}, "its region")
    make_known(people)
    cloud.signal_service("keystone", signal.SIGSTOP)
    published = [publish(people) for _number in range(IMAGES)]
    ids = {image.image_id for image in published}
    wait_for(agent, ids, IMAGES, "Keystone does not say where images of project")
    cloud.stop_service("keystone")
    # A Glance that starts now knows nobody's token, and has nobody to ask.
    cloud.restart_service(f"glance-{ONE}")
    wait_for(agent, ids, 3, "and Keystone does not answer")
    for region in (TWO, THREE, FOUR):
        assert not ids & history.images(cloud, region)
    cloud.start_service("keystone")

    def are_right() -> bool:
        return all(agent.statuses(one) == {TWO: "success"} for one in ids)

    # If so many questions at once are too much for Keystone, it counts as one that answers, but
    # not about this project. Such an image waits for up to four minutes.
    agent.wait_until(are_right, "all in their region", 360)
    for image in published:
        people.check_bytes(image, [TWO])
    for region in (THREE, FOUR):
        assert not ids & history.images(cloud, region)
    assert {copy.region for copy in history.copies(cloud) if copy.source_id in ids} == {TWO}
