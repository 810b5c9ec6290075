# SPDX-License-Identifier: Apache-2.0
"""The fault table: whatever fails, nothing is lost, nothing wrong and nothing left over.

Each row breaks something on the real cloud, mends it, and ends in one look at every Glance, every
directory of data and the database. ``GLANCE_SYNC_TEST_FAULT_RUNS`` is how often each row runs (1),
``GLANCE_SYNC_TEST_FAULT_SECONDS`` for how long what is away stays away (3). Those of several
agents are in test_fleet_faults.py. Other rows are tests of their own: agents killed at any moment
in test_kill9.py, regions that do not answer in test_broken_regions.py.
"""

from collections.abc import Callable, Iterator
from concurrent import futures
import dataclasses
import functools
import json
import pathlib
import resource
import signal
import time
from typing import Any
import uuid

import pytest

from tests import marks
from tests.functional import conftest
from tests.functional import faults
from tests.functional import people as users
from tests.functional.faults import REGION
from tools import cloud as clouds
from tools.cloud import identity
from tools.cloud import processes

OTHER = "RegionThree"
QUEUE = "glance-sync-agent"
#: Where an agent is killed, in the order in which an image passes; see mortal.py. In the middle
#: of a transfer it is in a row of its own.
STEPS = (
    "before TaskStore.request", "after TaskStore.request", "after TaskStore.claim",
    "after Glance.create", "after Store.write", "before TaskStore.finish",
    "after TaskStore.finish", "after Glance.update", "after Glance.delete",
)

Fault = Callable[[faults.World], None]
ROWS: dict[str, Fault] = {}


def row(fault: Fault) -> Fault:
    """Add a row to the table."""
    ROWS[fault.__name__.replace("_", " ")] = fault
    return fault


@pytest.fixture(scope="module")
def shared_world(
    cloud: clouds.Cloud, people: users.People, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[faults.World]:
    world = faults.World(cloud, people, tmp_path_factory.mktemp("world"))
    yield world
    world.close()
    print(world.table())  # noqa: T201 - shown by -s


@pytest.fixture
def world(shared_world: faults.World) -> faults.World:
    """Give the world as it should be."""
    shared_world.begin()
    return shared_world


# The broker.


@row
def broker_restarted_idle(world: faults.World) -> None:
    world.cloud.restart_service("rabbitmq")
    world.publish()


@row
def broker_restarted_in_a_handler(world: faults.World) -> None:
    with world.database_locked():
        images = [world.publish("in a handler") for _ in range(2)]
        # Nobody has what is not in the queue any more but the handlers, which wait for the lock.
        users.eventually(lambda: not conftest.ready(world.cloud, QUEUE), "an empty queue")
        world.cloud.restart_service("rabbitmq")
    for image in images:
        world.here(image)
    world.publish()


@row
def broker_restarted_under_load(world: faults.World) -> None:
    with futures.ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(lambda: [world.publish("load") for _ in range(6)])
        world.wait_until(lambda: "Copied image" in world.said(), "a first copy")
        world.cloud.restart_service("rabbitmq")
        publishing.result()


@row
def broker_away_while_images_are_made_changed_and_deleted(world: faults.World) -> None:
    changed, deleted = world.publish("changed"), world.publish("deleted")
    world.here(changed)
    world.here(deleted)
    client = world.people.client()
    with futures.ThreadPoolExecutor(3) as pool:
        with world.stopped("rabbitmq"):
            doing = [
                pool.submit(client.images.update, changed.image_id, name=f"{changed.name} now"),
                pool.submit(world.people.delete, deleted.image_id),
                pool.submit(world.publish, "made"),
            ]
            time.sleep(faults.SECONDS)
        for one in doing:
            one.result()


@row
def messages_that_lie(world: faults.World) -> None:
    living, deleted = world.publish("living"), world.publish("deleted")
    world.here(living)
    world.here(deleted)
    world.people.delete(deleted.image_id)
    payload = {"id": living.image_id, "status": "active", "properties": {}}
    gone = {**payload, "id": deleted.image_id}
    unknown = {**payload, "id": str(uuid.uuid4())}
    with conftest.bus(world.cloud) as channel:
        for event, told in [
            ("image.delete", payload), ("image.create", gone), ("image.update", gone),
            ("image.delete", unknown), ("image.activate", unknown), ("image.delete", payload),
            ("image.delete", gone), ("image.delete", gone), ("image.update", payload),
        ]:
            inner = {
                "event_type": event, "payload": told, "publisher_id": "image.lies",
                "priority": "INFO", "message_id": str(uuid.uuid4()), "timestamp": "2026-01-01",
            }
            body = json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(inner)})
            message = channel.prepare_message(
                body, content_type="application/json", content_encoding="utf-8"
            )
            channel.basic_publish(message, exchange="", routing_key=QUEUE)
    world.publish("after the lies")


# Keystone.


@row
def keystone_restarted_in_a_transfer(world: faults.World) -> None:
    with world.in_transfer():
        world.cloud.restart_service("keystone")
    world.publish()


@row
def keystone_away_at_the_end_of_a_transfer(world: faults.World) -> None:
    with world.in_transfer() as image, world.stopped("keystone"):
        world.valve.open()
        world.wait_until(lambda: not world.is_at(image), "an end of the attempt")
    world.publish()


@row
def token_revoked_in_a_transfer(world: faults.World) -> None:
    described = world.cloud.describe()
    user = described.user("glance-sync")
    with world.in_transfer() as image:
        world.wait_until(lambda: world.people.in_step(image, [OTHER]), "the other copy")
        # Keystone revokes all tokens of a user whose password is set.
        admin = identity.Identity(described.keystone_port, described.user("admin"))
        found = admin.find("users", f"name={user.name}")[0]["id"]
        admin.change("users", found, {"password": user.password})
        world.cloud.restart_service(f"glance-{OTHER}")  # which knows no token any more
    world.publish()


@row
def region_removed_and_added(world: faults.World) -> None:
    changed, deleted = world.publish("changed"), world.publish("deleted")
    world.here(changed)
    world.here(deleted)
    # An agent that has just begun asks Keystone, and does not go by what it said a minute ago.
    with world.out_of_catalogue():
        world.restart()
        made = world.publish("not for all")
        world.people.client().images.update(changed.image_id, name=f"{changed.name} now")
        world.people.delete(deleted.image_id)
        world.wait_until(lambda: world.people.in_step(made, [OTHER]), "the other copies")
        assert world.people.record(REGION, made.image_id) is None
    world.restart()


# The Glance of the region.


@row
def glance_killed_before_an_upload(world: faults.World) -> None:
    with world.killed(f"glance-{REGION}"):
        world.failed(world.publish(size=faults.SIZE))


@row
def glance_killed_in_an_upload(world: faults.World) -> None:
    with world.in_transfer() as image, world.killed(f"glance-{REGION}"):
        world.valve.open()
        world.failed(image)


@row
def glance_answers_nothing(world: faults.World) -> None:
    with world.in_transfer() as image, world.frozen(f"glance-{REGION}"):
        world.valve.open()
        other = world.publish()
        world.failed(image)
        world.failed(other)


@row
def glance_killed_after_an_upload(world: faults.World) -> None:
    # Not a moment sooner: of an upload whose record does not say yet that it ended, a Glance that
    # is killed leaves a file that no record leads to, and no request removes.
    image = world.publish(size=faults.SIZE)
    world.wait_until(lambda: world.people.in_step(image, [REGION]), "the copy")
    with world.killed(f"glance-{REGION}"):
        pass


def refused(method: str, status: int, *, for_good: bool) -> None:
    def refuse(world: faults.World) -> None:
        with world.refusing(method, status):
            image = world.publish()
            (world.gave_up if for_good else world.failed)(image)
        if for_good:
            world.retry(image)

    refuse.__name__ = f"glance_answers_{method}_{status}"
    row(refuse)


for _method, _status, _for_good in [
    ("PUT", 401, False), ("PUT", 403, False), ("PUT", 413, False), ("PUT", 415, True),
    ("PUT", 500, False), ("PUT", 503, False), ("POST", 413, False), ("POST", 500, False),
    ("GET", 503, False), ("GET", 401, False),
]:
    refused(_method, _status, for_good=_for_good)


@row
def disk_full(world: faults.World) -> None:
    pid_file = pathlib.Path(world.cloud.describe().state_dir, "run", f"glance-{REGION}.json")
    leader = processes.load(pid_file)
    assert leader is not None
    workers = processes.tree(leader)
    for worker in workers:
        resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (2 * faults.MIB, -1))
    try:
        world.failed(world.publish(size=faults.SIZE))
    finally:
        for worker in workers:
            resource.prlimit(worker.pid, resource.RLIMIT_FSIZE, (-1, -1))


# SSH.


@row
def sshd_killed_in_a_transfer(world: faults.World) -> None:
    with world.in_transfer() as image, world.killed(f"sshd-{REGION}"):
        world.valve.open()
        world.failed(image)


@row
def sshd_frozen_in_a_transfer(world: faults.World) -> None:
    with world.in_transfer() as image, world.frozen(f"sshd-{REGION}"):
        world.failed(image)


@row
def host_key_changed(world: faults.World) -> None:
    world.trust(world.agent, world.cloud.describe().region(OTHER).ssh_host_key)
    world.valve.cut()
    image = world.publish()
    try:
        world.gave_up(image)
    finally:
        world.trust(world.agent)
    world.retry(image)


@row
def log_in_refused(world: faults.World) -> None:
    with world.written(authorized_keys(world), ""):
        world.valve.cut()
        image = world.publish()
        world.gave_up(image)
    world.retry(image)


@row
def forwarding_refused(world: faults.World) -> None:
    path = authorized_keys(world)
    text = path.read_text().replace(f":{world.region.glance_port}", ":1")
    with world.written(path, text):
        world.valve.cut()
        image = world.publish()
        world.gave_up(image)
    world.retry(image)


def authorized_keys(world: faults.World) -> pathlib.Path:
    return pathlib.Path(world.cloud.describe().state_dir, "ssh", REGION, "authorized_keys")


# The source, in the middle of a copy.


@row
def source_deleted_in_a_transfer(world: faults.World) -> None:
    with world.in_transfer() as image:
        world.people.delete(image.image_id)


@row
def source_changed_in_a_transfer(world: faults.World) -> None:
    with world.in_transfer(hw_disk_bus="virtio") as image:
        client = world.people.client()
        client.images.update(
            image.image_id, remove_props=["hw_disk_bus"], name=f"{image.name} now",
            tags=["new"], min_ram=7, hw_rng="yes",
        )
        client.image_members.create(image.image_id, world.people.project("bob"))
        world.shared.add(image.image_id)


@row
def source_deactivated_in_a_transfer(world: faults.World) -> None:
    with world.in_transfer() as image:
        world.people.client(user="admin").images.deactivate(image.image_id)


@row
def source_deactivated_and_the_transfer_broken(world: faults.World) -> None:
    with world.in_transfer() as image:
        world.people.client(user="admin").images.deactivate(image.image_id)
        world.valve.cut()


@row
def source_replaced_in_a_transfer(world: faults.World) -> None:
    with world.in_transfer() as image:
        world.people.delete(image.image_id)
        other = world.publish(size=faults.SIZE)
        world.people.client().images.update(other.image_id, name=image.name)


# What is in the way.


@row
def id_taken_by_somebody_else(world: faults.World) -> None:
    image_id = str(uuid.uuid4())
    world.people.publish("theirs", region=REGION, user="bob", id=image_id)
    world.foreign(REGION, world.people.record(REGION, image_id) or {})
    world.refused.add((REGION, image_id))
    world.failed(world.publish(id=image_id))


@row
def id_spent(world: faults.World) -> None:
    image_id = str(uuid.uuid4())
    world.people.publish("theirs", region=REGION, user="bob", id=image_id)
    world.people.delete(image_id, REGION, user="bob")
    world.publish(id=image_id)


@row
def copy_deleted_by_hand(world: faults.World) -> None:
    image = world.publish()
    world.here(image)
    world.people.delete(image.image_id, REGION, user="admin")


@row
def copy_changed_by_hand(world: faults.World) -> None:
    image = world.publish(hw_disk_bus="virtio")
    world.here(image)
    client = world.people.client(REGION, "admin")
    client.images.update(
        image.image_id, remove_props=["hw_disk_bus"], name="another", tags=["another"],
        visibility="public", min_disk=9,
    )


@row
def copy_deactivated_by_hand_and_released(world: faults.World) -> None:
    image = world.publish()
    world.here(image)
    world.people.client(REGION, "admin").images.deactivate(image.image_id)
    world.ctl("sync", image.image_id)
    world.wait_until(
        lambda: "somebody else" in world.agent.tasks_of(image.image_id)[REGION].reason, "a word"
    )
    copy = world.people.record(REGION, image.image_id)
    assert copy is not None
    assert copy["status"] == "deactivated"
    world.ctl("sync", "--release", image.image_id, "--region", REGION)


@row
def copies_damaged_at_rest_and_verified(world: faults.World) -> None:
    damaged, emptied = world.publish("damaged"), world.publish("emptied")
    for image in (damaged, emptied):
        world.here(image)
    world.wait_until(lambda: bool(world.look()), "rest")
    file = pathlib.Path(world.region.datadir, damaged.image_id)
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    pathlib.Path(world.region.datadir, emptied.image_id).write_bytes(b"")
    world.ctl("verify", "--region", REGION, status=1)
    for image in (damaged, emptied):
        world.wait_until(functools.partial(world.is_replaced, image), "another copy")


@row
def copies_deleted_by_hand_of_which_users_have_images(world: faults.World) -> None:
    images = [world.publish("golden") for _ in range(2)]
    for image in images:
        world.here(image)
        for _ in range(3):
            world.make_images_of_copies(image)
    world.people.delete(images[0].image_id)
    world.people.delete(images[1].image_id, REGION, user="admin")


@row
def database_lost_while_users_have_images_of_copies(world: faults.World) -> None:
    image = world.publish("golden")
    world.here(image)
    world.wait_until(lambda: bool(world.look()), "rest")
    for _ in range(6):
        world.make_images_of_copies(image)
    world.agent.kill()
    world.agent.lose_database()
    world.agent.begin()
    world.wait_until(lambda: bool(world.look()), "rest")
    world.people.delete(image.image_id)


@row
def snapshot_that_its_owner_fills_in_a_transfer(world: faults.World) -> None:
    golden = world.publish("golden")
    world.here(golden)
    made = world.servers.snapshot(REGION, golden.image_id, has_data=False)
    world.theirs(REGION, made)
    with world.in_transfer():
        world.people.delete(golden.image_id)
        world.servers.fill(REGION, made)
        world.theirs(REGION, made)


@row
def source_with_the_properties_of_a_copy(world: faults.World) -> None:
    golden = world.publish("golden")
    world.here(golden)
    made = world.servers.script(
        REGION, golden.image_id, user="alice", into=world.people.cascading
    )
    record = world.people.record(world.people.cascading, made)
    assert record is not None
    world.published[made] = users.Published(
        image_id=made, name=record["name"], size=record["size"], sha512=record["os_hash_value"]
    )
    world.here(world.published[made])


@row
def copy_without_its_mark(world: faults.World) -> None:
    image = world.publish()
    world.here(image)
    client = world.people.client(REGION, "admin")
    client.images.update(image.image_id, remove_props=["glance_sync_source_id"])
    # What a task knows and has no mark is reported, until an operator says whose it is.
    world.disown(image, REGION)
    world.foreign(REGION, world.people.record(REGION, image.image_id) or {})
    world.refused.add((REGION, image.image_id))


# The agent.


@row
def agent_killed_at_each_step(world: faults.World) -> None:
    changed, deleted = world.publish("changed"), world.publish("deleted")
    for image in (changed, deleted):
        world.here(image)
    with world.mortal() as order:
        for number, step in enumerate(STEPS):
            order.write_text(step)
            world.publish(step.rpartition(".")[2])
            world.people.client().images.update(changed.image_id, name=f"{changed.name} {number}")
            if step.endswith("delete"):
                world.people.delete(deleted.image_id)
            world.wait_until(lambda: not order.exists(), f"an end {step}")
    world.agent.begin()


@row
def agent_killed_in_a_transfer(world: faults.World) -> None:
    with world.in_transfer():
        world.agent.kill()
        world.valve.cut()
    world.agent.begin()


@row
def agent_killed_and_its_database_lost(world: faults.World) -> None:
    # Nothing but the database proves that a source was there.
    world.wait_until(lambda: bool(world.look()), "rest")
    with world.in_transfer():
        world.agent.kill()
        world.valve.cut()
        world.agent.lose_database()
    world.agent.begin()


@row
def reload_of_a_broken_file_in_a_transfer(world: faults.World) -> None:
    good = world.agent.config_file.read_text()
    with world.in_transfer(), world.written(world.agent.config_file, f"{good}no option\n"):
        world.agent.signal(signal.SIGHUP)
        world.wait_for_log("Kept the old configuration")


@pytest.mark.parametrize("run", range(faults.RUNS))
@pytest.mark.parametrize("name", ROWS)
def test_nothing_is_lost_or_wrong_or_left_over(
    world: faults.World, name: str, run: int, record_property: Any
):
    ROWS[name](world)
    record_property("seconds_to_converge", round(world.converge(name), 1))


@pytest.mark.parametrize(
    ("break_it", "kind"),
    [
        (lambda copy: copy.write_bytes(b"other"), "wrong"),
        (lambda copy: copy.unlink(), "lost"),
        (lambda copy: copy.with_name("stray").touch(), "orphaned"),
    ],
    ids=["other bytes", "no bytes", "a file that is nobody's"],
)
def test_the_look_at_everything_is_a_sharp_one(
    world: faults.World, break_it: Callable[[pathlib.Path], object], kind: str
):
    image = world.publish()
    world.converge("sharp")
    copy = pathlib.Path(world.region.datadir, image.image_id)
    data = copy.read_bytes()
    break_it(copy)
    try:
        verdict = dataclasses.asdict(world.look())
        assert [name for name, found in verdict.items() if found] == [kind], verdict
    finally:
        copy.write_bytes(data)
        copy.with_name("stray").unlink(missing_ok=True)


def test_the_look_at_everything_sees_every_record(world: faults.World):
    changed, lost = world.publish("changed"), world.publish("lost")
    foreign = world.people.publish("foreign", region=REGION, user="bob")
    world.foreign(REGION, world.people.record(REGION, foreign.image_id) or {})
    world.converge("sharp")
    world.agent.kill()
    client = world.people.client(REGION, "admin")
    client.images.update(changed.image_id, name="another", tags=["another"])
    client.images.delete(lost.image_id)
    client.images.update(foreign.image_id, min_ram=1)
    gone, stray_id = str(uuid.uuid4()), str(uuid.uuid4())
    stray = world.people.create(
        "stray", region=REGION, user="admin", id=stray_id,
        **{
            marks.SOURCE_ID: gone,
            marks.SOURCE_REGION: world.people.cascading,
            marks.COPY_ID: stray_id,
            marks.COPY_REGION: REGION,
        },
    )
    try:
        verdict = world.look()
        told = dataclasses.asdict(verdict)
        for kind, image_ids in {
            "lost": {lost.image_id},
            "wrong": {changed.image_id},
            "touched": {foreign.image_id},
            "orphaned": {stray.id},
            "unfinished": set(),
        }.items():
            assert {one[:36] for one in told[kind]} == image_ids, told[kind]
    finally:
        world.people.delete(stray.id, REGION, user="admin")
        client.images.update(foreign.image_id, min_ram=0)
        world.foreign(REGION, world.people.record(REGION, foreign.image_id) or {})
        world.agent.begin()
    world.converge("sharp")
