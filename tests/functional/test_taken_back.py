# SPDX-License-Identifier: Apache-2.0
"""What is taken back at the source stays nowhere visible, on the real cloud.

``GLANCE_SYNC_TEST_TAKEN_BACK_TRIES`` and ``GLANCE_SYNC_TEST_TAKEN_BACK_MIB`` say how often an
image is taken back in the middle of its copies, and how large it is.
"""

from collections.abc import Callable, Iterator
import contextlib
import json
import logging
import os
import subprocess
import time
from typing import Any

import pytest

from tests.functional import conftest
from tests.functional import endpoint_filter
from tests.functional import people as users
from tests.functional import running
from tools import cloud as clouds

LOG = logging.getLogger(__name__)

TWO, THREE, FOUR = "RegionTwo", "RegionThree", "RegionFour"
TRIES = int(os.environ.get("GLANCE_SYNC_TEST_TAKEN_BACK_TRIES", "4"))
SIZE = int(os.environ.get("GLANCE_SYNC_TEST_TAKEN_BACK_MIB", "16")) * users.MIB
#: So long a copy may be seen after its source was taken back.
_GRACE_SECONDS = 1.0
#: After the last region is in step it is watched for so long.
_WATCHED_SECONDS = 2.0
_PATIENCE_SECONDS = 600.0

Record = dict[str, Any]


def options(**sections: dict[str, object]) -> dict[str, dict[str, object]]:
    fast = {name: dict(values) for name, values in running.FAST.items()}
    return fast | sections


def copies(people: users.People, image_id: str) -> dict[str, Record]:
    """Return the copies that there are, by region."""
    found = {region: people.record(region, image_id) for region in people.cascaded}
    return {region: copy for region, copy in found.items() if copy is not None}


def seen(people: users.People, image_id: str, field: str = "visibility") -> set[str]:
    """Return what the copies in all regions say of one field."""
    found = copies(people, image_id)
    return {copy[field] for copy in found.values()} if len(found) == 3 else set()


def published(
    agent: running.Agent, people: users.People, visibility: str = "public", **fields: Any
) -> users.Published:
    """Publish an image, and wait until everybody who may sees its copies."""
    image = people.publish("golden", user="admin", visibility=visibility, **fields)
    agent.wait_until(lambda: seen(people, image.image_id) == {visibility}, "its copies")
    settled(agent, image)
    return image


def settled(agent: running.Agent, image: users.Published, count: int = 3) -> None:
    agent.wait_until(
        lambda: list(agent.statuses(image.image_id).values()) == ["success"] * count, "an end"
    )


def reasons(agent: running.Agent, image: users.Published) -> set[str]:
    return {task.reason for task in agent.tasks_of(image.image_id).values()}


def test_what_is_taken_back_is_so_where_the_image_is_not_wanted_any_more(make_agent, people):
    agent = make_agent()
    agent.begin()
    image = published(agent, people)
    shared = people.publish("shared", visibility="shared")
    bob = people.project("bob")
    people.client().image_members.create(shared.image_id, bob)
    agent.wait_until(
        lambda: all(
            copy["status"] == "active" and bob in people.members(region, shared.image_id)
            for region, copy in copies(people, shared.image_id).items()
        )
        and len(copies(people, shared.image_id)) == 3,
        "its members",
    )
    admin = people.client(user="admin").images
    admin.update(image.image_id, sync_regions="none", visibility="private", round="2")
    people.client().images.update(shared.image_id, sync_regions="none")
    people.client().image_members.delete(shared.image_id, bob)
    agent.wait_until(lambda: seen(people, image.image_id) == {"private"}, "private copies")
    agent.wait_until(
        lambda: not any(people.members(region, shared.image_id) for region in people.cascaded),
        "copies without members",
    )
    admin.deactivate(image.image_id)
    agent.wait_until(
        lambda: seen(people, image.image_id, "status") == {"deactivated"}, "deactivated copies"
    )
    settled(agent, image)
    assert not any("round" in copy for copy in copies(people, image.image_id).values())
    (reason,) = reasons(agent, image)
    assert reason == (
        "not wanted here: sync_regions of the image is none; the copy stays, and only what "
        "narrows access to its source follows: it is private and deactivated"
    )
    admin.reactivate(image.image_id)
    admin.update(image.image_id, visibility="public")
    time.sleep(1.0)  # what must not come
    settled(agent, image)
    assert seen(people, image.image_id) == {"private"}
    assert seen(people, image.image_id, "status") == {"deactivated"}


@pytest.mark.parametrize("while_it_runs", [True, False], ids=["event", "scan"])
def test_what_is_taken_back_is_so_while_nothing_is_copied_at_all(
    make_agent, people, cloud, while_it_runs
):
    agent = make_agent(options=options(reconcile={"changes_interval": 0}))
    agent.begin()
    image = published(agent, people)
    agent.kill()
    conftest.rewrite(agent, cloud.describe(), {"DEFAULT": {"sync_strategy": "None"}})
    admin = people.client(user="admin").images
    if not while_it_runs:
        admin.update(image.image_id, visibility="private")
        conftest.purge(cloud, "notifications.info")
        with contextlib.suppress(Exception):
            conftest.purge(cloud, "glance-sync-agent")
    agent.begin()
    if while_it_runs:
        admin.update(image.image_id, visibility="private")
    agent.wait_until(lambda: seen(people, image.image_id) == {"private"}, "private copies")


class Watch:
    """Looks at the copies of an image until the agent is done with it."""

    def __init__(self, agent: running.Agent, people: users.People, image_id: str) -> None:
        self._agent = agent
        self._people = people
        self._image_id = image_id

    def sightings(self, since: float) -> list[tuple[float, str]]:
        """Return when, after a change, and where everybody could use a copy."""
        found: list[tuple[float, str]] = []
        quiet_until = time.monotonic() + _WATCHED_SECONDS
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < quiet_until:
            assert time.monotonic() < deadline, self._agent.tail()
            for region in self._people.cascaded:
                asked = time.monotonic()
                copy = self._people.record(region, self._image_id)
                if copy is not None and self._is_open(region, copy):
                    found.append((asked - since, region))
            statuses = self._agent.statuses(self._image_id).values()
            if set(statuses) - {"success"} or not (statuses or self._is_deactivated()):
                quiet_until = time.monotonic() + _WATCHED_SECONDS
        return found

    def _is_deactivated(self) -> bool:
        """Tell whether the source is, so that it has no tasks if nothing was copied before."""
        source = self._people.record(self._people.cascading, self._image_id)
        return source is not None and source["status"] == "deactivated"

    def _is_open(self, region: str, copy: Record) -> bool:
        if copy["status"] != "active":
            return False
        if copy["visibility"] == "shared":
            return bool(self._people.members(region, self._image_id))
        return copy["visibility"] in {"public", "community"}


def make_private(people: users.People, image_id: str) -> None:
    people.client(user="admin").images.update(image_id, visibility="private")


def deactivate(people: users.People, image_id: str) -> None:
    people.client(user="admin").images.deactivate(image_id)


def unshare(people: users.People, image_id: str) -> None:
    people.client(user="admin").image_members.delete(image_id, people.project("bob"))


WAYS: list[tuple[str, Callable[[users.People, str], None]]] = [
    ("public", make_private),
    ("public", deactivate),
    ("shared", unshare),
    ("community", make_private),
]


def upload(people: users.People, visibility: str) -> str:
    """Publish an image that others may use from its first moment; return its id."""
    made = people.create("taken back", user="admin", visibility=visibility)
    if visibility == "shared":
        people.client(user="admin").image_members.create(made.id, people.project("bob"))
    people.upload(made.id, SIZE, user="admin")
    return str(made.id)


@pytest.mark.timeout(3600)
def test_what_is_taken_back_while_it_is_copied_is_seen_for_a_second_at_most(
    make_agent: conftest.MakeAgent, people: users.People
) -> None:
    agent = make_agent()
    agent.begin()
    first = upload(people, "public")
    started = time.monotonic()
    agent.wait_until(
        lambda: seen(people, first) == {"public"}, "its copies", _PATIENCE_SECONDS
    )
    usual = time.monotonic() - started
    people.delete(first, user="admin")
    late: list[tuple[int, str, float, str]] = []
    early = 0
    for number in range(TRIES):
        visibility, take_back = WAYS[number % len(WAYS)]
        image_id = upload(people, visibility)
        # From its first byte to a little after its last copy.
        time.sleep(usual * 1.2 * (number + 0.5) / TRIES)
        take_back(people, image_id)
        changed = time.monotonic()
        found = Watch(agent, people, image_id).sightings(changed)
        early += sum(after <= _GRACE_SECONDS for after, _region in found)
        late += [
            (number, visibility, after, region)
            for after, region in found
            if after > _GRACE_SECONDS
        ]
        people.delete(image_id, user="admin")
    LOG.info(
        "%d tries of %d MiB, each copied in %.1f s: %d sightings later than %g s, %d before",
        TRIES, SIZE // users.MIB, usual, len(late), _GRACE_SECONDS, early,
    )
    assert not late


def glance_sync(agent: running.Agent, *arguments: str) -> str:
    done = subprocess.run(
        agent.command("glance-sync", *arguments),
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def status_of(people: users.People, region: str, image: users.Published) -> str:
    copy = people.record(region, image.image_id)
    assert copy is not None
    return str(copy["status"])


def test_a_copy_that_its_region_deactivated_stays_so_until_an_operator_releases_it(
    make_agent, people
):
    agent = make_agent()
    agent.begin()
    image = published(agent, people)
    people.client(TWO, "admin").images.deactivate(image.image_id)
    admin = people.client(user="admin").images
    admin.update(image.image_id, round="2")
    agent.wait_until(
        lambda: (people.record(TWO, image.image_id) or {}).get("round") == "2", "the change"
    )
    # The source as well, by whoever owns it, and back.
    admin.deactivate(image.image_id)
    agent.wait_until(
        lambda: seen(people, image.image_id, "status") == {"deactivated"}, "deactivated copies"
    )
    admin.reactivate(image.image_id)
    agent.wait_until(
        lambda: all(status_of(people, name, image) == "active" for name in (THREE, FOUR)),
        "active copies elsewhere",
    )
    settled(agent, image)
    assert status_of(people, TWO, image) == "deactivated"
    release = f"glance-sync sync --release {image.image_id} --region {TWO}"
    (told,) = [one for one in agent.status("--image", image.image_id) if one["region"] == TWO]
    assert told["status"] == "success"
    assert f"somebody else deactivated image {image.image_id} of region {TWO}" in told["reason"]
    assert f"stays deactivated until you run '{release}'" in told["reason"]
    # A look at everything leaves it alone.
    looked = json.loads(glance_sync(agent, "reconcile", "--dry-run", "-f", "json"))
    assert image.image_id not in {one["image_id"] for one in looked}
    glance_sync(agent, "sync", "--release", image.image_id, "--region", TWO)
    agent.wait_until(lambda: status_of(people, TWO, image) == "active", "its release")
    settled(agent, image)
    assert reasons(agent, image) == {"in sync"}


def test_a_lost_database_leaves_what_is_deactivated_as_it_is(make_agent, people):
    agent = make_agent()
    agent.begin()
    image = published(agent, people)
    admin = people.client(user="admin").images
    admin.deactivate(image.image_id)
    agent.wait_until(
        lambda: seen(people, image.image_id, "status") == {"deactivated"}, "deactivated copies"
    )
    settled(agent, image)
    assert agent.stop() == 0
    agent.lose_database()
    admin.reactivate(image.image_id)
    agent.begin()
    settled(agent, image)
    assert seen(people, image.image_id, "status") == {"deactivated"}
    assert all("somebody else deactivated" in reason for reason in reasons(agent, image))
    for region in people.cascaded:
        glance_sync(agent, "sync", "--release", image.image_id, "--region", region)
    agent.wait_until(lambda: seen(people, image.image_id, "status") == {"active"}, "its release")


@pytest.fixture
def associations(cloud: clouds.Cloud) -> Iterator[endpoint_filter.EndpointFilter]:
    with contextlib.ExitStack() as stack:
        yield endpoint_filter.EndpointFilter(cloud, stack)


def test_calling_an_image_a_snapshot_leads_to_no_region_that_its_project_may_not_use(
    make_agent, people, associations
):
    project = people.project("alice")
    associations.associate(project, people.cascading)
    associations.associate(project, THREE)
    agent = make_agent(
        options=options(
            DEFAULT={"sync_strategy": "USER", "snapshot_region_names": f"{THREE},{FOUR}"},
            strategy={"keystone_cache_seconds": 0},
        )
    )
    agent.begin()
    made = [people.publish("way past", image_type=kind) for kind in ("snapshot", "backup")]
    other = people.publish("no snapshot")
    for image in [*made, other]:
        agent.wait_until(lambda i=image: people.in_step(i, [THREE]), "its region")
        settled(agent, image, 1)
        assert copies(people, image.image_id).keys() == {THREE}
    explained = glance_sync(agent, "explain", made[0].image_id, "--region", FOUR)
    assert "snapshot_region_names names it, but project" in " ".join(explained.split())
