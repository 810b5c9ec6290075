# SPDX-License-Identifier: Apache-2.0
"""``sync_strategy = USER``, snapshots and opposite directions, on the real cloud."""

from collections.abc import Iterator
import contextlib
import io
import json
import subprocess
from typing import Any

import pytest

from tests.functional import conftest
from tests.functional import endpoint_filter
from tests.functional import people as users
from tests.functional import running
from tests.unit import strategy_table
from tools import cloud as clouds

ROWS = [row for row in strategy_table.ROWS if row.on_cloud]
TWO, THREE, FOUR = strategy_table.REGIONS
SNAPSHOT: dict[str, Any] = {"image_type": "snapshot"}


class Projects:
    """The projects of the decision table, in the real Keystone."""

    def __init__(self, cloud: clouds.Cloud, stack: contextlib.ExitStack) -> None:
        self._filter = endpoint_filter.EndpointFilter(cloud, stack)
        self.ids: dict[str, str] = {}
        for name, facts in strategy_table.PROJECTS.items():
            wanted = {"name": name, "domain_id": "default"}
            made = self._filter.send("POST", "/projects", project=wanted)
            project = self.ids[name] = made["project"]["id"]
            stack.callback(self._filter.send, "DELETE", f"/projects/{project}")
            assert facts.project is not None
            for tag in facts.project.tags:
                self._filter.send("PUT", f"/projects/{project}/tags/{tag}")
        (role,) = self._filter.send("GET", "/roles?name=member")["roles"]
        (user,) = self._filter.send("GET", "/users?name=alice")["users"]
        alpha = self.ids[strategy_table.ALPHA]
        self._filter.send("PUT", f"/projects/{alpha}/users/{user['id']}/roles/{role['id']}")
        self.associate(strategy_table.ALPHA, TWO)
        self.associate(strategy_table.ALPHA, THREE)

    def associate(self, project: str, region: str, *, method: str = "PUT") -> None:
        """Associate a project with the endpoints of a region, or take that back."""
        self._filter.associate(self.ids[project], region, method=method)


@pytest.fixture(scope="module")
def projects(cloud: clouds.Cloud) -> Iterator[Projects]:
    with contextlib.ExitStack() as stack:
        yield Projects(cloud, stack)


def options(**sections: dict[str, object]) -> dict[str, dict[str, object]]:
    fast = {name: dict(values) for name, values in running.FAST.items()}
    return fast | {"strategy": {"keystone_cache_seconds": 0}} | sections


def write_rules(agent: running.Agent, projects: Projects) -> None:
    text = strategy_table.RULES.replace("ALPHA", projects.ids[strategy_table.ALPHA])
    (agent.directory / "sync_strategy.yaml").write_text(text)


def publish(people: users.People, projects: Projects, row: strategy_table.Row) -> str:
    """Publish the image of a row under its exact name; return its id."""
    client = people.client(user="admin")
    image = client.images.create(
        name=row.image_name, disk_format=row.disk_format, container_format="bare",
        owner=projects.ids[row.project or ""], visibility=row.visibility, tags=list(row.tags),
        **row.properties,
    )
    client.images.upload(image.id, io.BytesIO(b"x" * row.size), image_size=row.size)
    return str(image.id)


def policy_of(row: strategy_table.Row) -> tuple[str, str]:
    return row.sync_strategy.value, ",".join(row.snapshot_regions)


def where(people: users.People, image_id: str) -> set[str]:
    return {name for name in people.cascaded if people.record(name, image_id)}


@pytest.mark.parametrize("policy", sorted({policy_of(row) for row in ROWS}))
def test_the_decision_table_holds_on_the_real_cloud(make_agent, people, projects, policy):
    chosen, snapshot_regions = policy
    default = {"sync_strategy": chosen, "snapshot_region_names": snapshot_regions}
    agent = make_agent(f"table-{chosen}", options=options(DEFAULT=default))
    write_rules(agent, projects)
    agent.begin()
    rows = {
        publish(people, projects, row): row for row in ROWS if policy_of(row) == policy
    }
    try:
        for image_id, row in rows.items():
            agent.wait_until(
                lambda i=image_id, r=row: where(people, i) == set(r.regions), row.name
            )
        agent.wait_until(
            lambda: all(task.status == "success" for task in agent.tasks()), "an end"
        )
        for image_id, row in rows.items():
            assert where(people, image_id) == set(row.regions), row.name
    finally:
        agent.stop()  # else it may replace a copy before it hears that the source is gone
        for image_id in rows:
            for region in (people.cascading, *people.cascaded):
                people.delete(image_id, region, "admin")


def explain(agent: running.Agent, image_id: str) -> tuple[dict[str, dict[str, str]], str]:
    """Return what ``glance-sync explain`` shows of each region, and what it says beside that."""
    done = subprocess.run(
        agent.command("glance-sync", "explain", image_id, "-f", "json"),
        capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL,
    )
    return {one["region"]: one for one in json.loads(done.stdout)}, done.stderr


def test_a_third_of_the_table_runs_here():
    assert len(ROWS) * 3 >= len(strategy_table.ROWS)


def test_when_the_association_changes_the_rest_follows(make_agent, people, projects):
    agent = make_agent(options=options(DEFAULT={"sync_strategy": "USER"}))
    agent.begin()
    row = strategy_table.Row(name="", regions=(), step=strategy_table.FILTER, image_name="moved")
    image_id = publish(people, projects, row)
    try:
        agent.wait_until(lambda: where(people, image_id) == {TWO, THREE}, "its two regions")
        explained, _said = explain(agent, image_id)
        assert {name: one["wanted"] for name, one in explained.items()} == {
            TWO: "yes", THREE: "yes", FOUR: "no"
        }
        assert {one["decided_by"] for one in explained.values()} == {"endpoint filter"}
        projects.associate(strategy_table.ALPHA, FOUR)
        people.client(user="admin").images.update(image_id, round="2")
        agent.wait_until(lambda: where(people, image_id) == {TWO, THREE, FOUR}, "the third")
    finally:
        agent.stop()
        projects.associate(strategy_table.ALPHA, FOUR, method="DELETE")
        for region in (people.cascading, *people.cascaded):
            people.delete(image_id, region, "admin")


def test_a_snapshot_is_waited_for_where_it_is_announced(make_agent, people):
    agent = make_agent(options=options(DEFAULT={"snapshot_sleep_interval": 1}))
    agent.begin()
    client = people.client()
    image = client.images.create(
        name="snapshot", disk_format="raw", container_format="bare", **SNAPSHOT
    )
    try:
        agent.wait_until(
            lambda: {task.reason for task in agent.tasks_of(image.id).values()}
            == {"snapshot is queued"},
            "its waiting",
        )
        client.images.upload(image.id, io.BytesIO(b"x" * 1000))
        agent.wait_until(lambda: where(people, image.id) == set(people.cascaded), "its copies")
    finally:
        agent.stop()
        for region in (people.cascading, *people.cascaded):
            people.delete(image.id, region, "admin")


def test_a_snapshot_made_in_a_cascaded_region_goes_to_the_snapshot_regions(
    make_agent: conftest.MakeAgent, people: users.People, cloud: clouds.Cloud
) -> None:
    bus = cloud.describe().region(TWO).transport_url
    agent = make_agent(
        options=options(
            DEFAULT={"snapshot_region_names": f"{people.cascading},{THREE}"},
            notifications={"region_transport_urls": f"{TWO}:{bus}"},
        )
    )
    agent.begin()
    agent.wait_for_log("in pool glance-sync-agent on ")
    image = people.publish("snapshot", region=TWO, user="alice", **SNAPSHOT)
    agent.wait_until(
        lambda: people.in_step(image, [people.cascading, THREE]), "both snapshot regions"
    )
    people.check_bytes(image, [people.cascading, THREE])
    assert people.record(FOUR, image.image_id) is None
    copy = people.record(people.cascading, image.image_id)
    assert copy is not None
    assert copy["glance_sync_source_region"] == TWO
    explained, said = explain(agent, image.image_id)
    assert {name: one["wanted"] for name, one in explained.items()} == {
        people.cascading: "yes", THREE: "yes", FOUR: "no"
    }
    assert {one["decided_by"] for one in explained.values()} == {"snapshot_region_names"}
    assert "gets no messages about it" not in said
    # What was made here is a copy there, and so nobody's source.
    own = people.publish("other", **SNAPSHOT)
    agent.wait_until(lambda: people.in_step(own, [THREE]), "the snapshot region")
    assert people.record(TWO, own.image_id) is None


def test_a_snapshot_of_a_region_that_nobody_listens_to_is_explained_as_such(make_agent, people):
    agent = make_agent(options=options())
    image = people.publish("snapshot", region=TWO, **SNAPSHOT)
    explained, said = explain(agent, image.image_id)
    assert {name: one["wanted"] for name, one in explained.items()} == {THREE: "yes", FOUR: "yes"}
    assert f"a snapshot in region {TWO}; the agent gets no messages about it" in said
    other = people.publish("no snapshot", region=TWO)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        explain(agent, other.image_id)
    assert "no snapshot with that id in another region" in caught.value.stderr
