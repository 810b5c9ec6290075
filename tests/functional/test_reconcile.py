# SPDX-License-Identifier: Apache-2.0
"""What no message told of is found all the same."""

import json
import subprocess
from typing import Any

from tests.functional import conftest
from tests.functional import people as users
from tests.functional import running

#: An agent that hears nothing and looks at nothing by itself but at start.
DEAF = {"notifications": {"exchange": "nobody", "pool": "deaf"}}
NEVER: dict[str, Any] = {"interval": 0, "changes_interval": 0, "gone_grace": 0}


def deaf(make_agent: conftest.MakeAgent, name: str = "deaf", **reconcile: Any) -> running.Agent:
    options = {**running.FAST, **DEAF, "reconcile": {**NEVER, **reconcile}}
    agent = make_agent(name, options=options)
    agent.begin()
    return agent


def say(agent: running.Agent, *arguments: str) -> tuple[int, str]:
    """Run ``glance-sync reconcile``; return its exit status and what it says."""
    done = subprocess.run(
        agent.command("glance-sync", "reconcile", *arguments),
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )
    return done.returncode, done.stderr


def reconcile(agent: running.Agent, *arguments: str, status: int = 0) -> list[dict[str, Any]]:
    """Run ``glance-sync reconcile``; return its rows."""
    done = subprocess.run(
        agent.command("glance-sync", "reconcile", "-f", "json", *arguments),
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )
    assert done.returncode == status, done.stderr
    return list(json.loads(done.stdout))


def everything(people: users.People, agent: running.Agent) -> Any:
    """Return all there is to write to: the records of every Glance, and the tasks."""
    records = {
        region: {one["id"]: dict(one) for one in people.client(region, "admin").images.list()}
        for region in (people.cascading, *people.cascaded)
    }
    return records, sorted(map(repr, agent.tasks()))


def test_a_dry_run_tells_what_differs_and_writes_nothing(make_agent, people):
    agent = deaf(make_agent)
    deleted, changed, damaged = (people.publish(name) for name in ("gone", "new name", "lost"))
    reconcile(agent)
    agent.wait_until(
        lambda: all(people.in_step(image) for image in (deleted, changed, damaged)), "the copies"
    )
    agent.wait_until(lambda: {str(t.status) for t in agent.tasks()} == {"success"}, "the end")
    assert agent.stop() == 0
    two, three, four = people.cascaded
    people.delete(deleted.image_id)
    people.client().images.update(changed.image_id, name=f"{changed.name}-new", tags=["t"])
    people.delete(damaged.image_id, two, user="admin")
    before = everything(people, agent)

    found = {
        (row["image_id"], row["region"]): (row["what"], row["why"])
        for row in reconcile(agent, "--dry-run")
    }

    assert found == {
        **{(deleted.image_id, r): ("delete", "source was deleted") for r in people.cascaded},
        **{(changed.image_id, r): ("update", "name, tags") for r in people.cascaded},
        (damaged.image_id, two): ("copy", "there is no copy"),
    }
    only = reconcile(agent, "--dry-run", "--region", three)
    assert {(row["image_id"], row["region"]) for row in only} == {
        (deleted.image_id, three), (changed.image_id, three),
    }
    assert everything(people, agent) == before

    agent.begin()
    agent.wait_until(lambda: reconcile(agent, "--dry-run") == [], "nothing that differs")
    (copy,) = people.copies(two, damaged.image_id)  # its first id is spent
    assert copy["status"] == "active"
    assert people.sha512(two, copy["id"]) == damaged.sha512
    assert not any(people.record(region, deleted.image_id) for region in people.cascaded)
    assert people.record(four, changed.image_id)["name"] == f"{changed.name}-new"


def test_what_changed_is_found_by_a_look_at_changes_and_what_is_gone_by_one_at_everything(
    make_agent, people
):
    agent = deaf(make_agent, "quick", changes_interval=1)
    image = people.publish("unheard")
    agent.wait_until(lambda: people.in_step(image), "the copies")
    people.client().images.update(image.image_id, round="2")
    agent.wait_until(
        lambda: all(
            people.record(region, image.image_id).get("round") == "2"
            for region in people.cascaded
        ),
        "the change",
    )
    assert "(changes since" in agent.said()
    assert agent.stop() == 0
    # The newest image stays: without it, a Glance looks as if it was restored from a backup.
    newest = people.publish("newest")
    agent = deaf(make_agent, "thorough", interval=1)
    agent.wait_until(lambda: people.in_step(newest), "the newest copies")
    people.delete(image.image_id)
    agent.wait_until(
        lambda: not any(people.record(region, image.image_id) for region in people.cascaded),
        "the end of the copies",
    )


def test_a_region_that_does_not_exist_is_told_with_those_that_do(make_agent, people):
    agent = deaf(make_agent)
    done = subprocess.run(
        agent.command("glance-sync", "reconcile", "--region", "Atlantis"),
        capture_output=True, text=True, check=False,
    )
    assert done.returncode == 2
    assert "there is no region Atlantis in Keystone's catalogue; the regions" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_operator_lets_the_brake_go_once_for_as_many_as_were_shown(make_agent, people):
    agent = deaf(make_agent, max_deletes=1)
    images = [people.publish(f"gone {number}") for number in range(3)]
    kept = people.publish("kept")
    reconcile(agent)
    agent.wait_until(lambda: all(people.in_step(one) for one in (*images, kept)), "the copies")
    agent.wait_until(lambda: {str(t.status) for t in agent.tasks()} == {"success"}, "the end")
    assert agent.stop() == 0
    for image in images[:2]:
        people.delete(image.image_id)

    dry = say(agent, "--dry-run")
    plain = say(agent)
    people.delete(images[2].image_id)  # after the operator has looked
    too_few = say(agent, "--allow-deletes", "2")

    held = "2 sources are gone or out of strategy, more than the limit of 1"
    assert dry[0] == plain[0] == too_few[0] == 1
    assert held in dry[1]
    assert held in plain[1]
    assert "run 'glance-sync reconcile --allow-deletes 2'" in dry[1]
    assert "3 sources are gone or out of strategy, more than the limit of 2" in too_few[1]
    assert "none of their copies is deleted" in too_few[1]
    assert {str(task.status) for task in agent.tasks()} == {"success"}

    assert say(agent, "--allow-deletes", "3")[0] == 0
    agent.begin()
    agent.wait_until(
        lambda: not any(
            people.record(region, one.image_id) for region in people.cascaded for one in images
        ),
        "the end of the copies",
    )
    assert people.in_step(kept)
    assert say(agent)[0] == 0
