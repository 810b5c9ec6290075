# SPDX-License-Identifier: Apache-2.0
"""The rows of the fault table that are about several agents and the database that they share.

See test_faults.py; each row says on which databases it runs.
"""

from collections.abc import Callable, Iterator
from concurrent import futures
import random
import time
from typing import Any

import pytest
import sqlalchemy as sa

from tests.contract import databases
from tests.functional import clocks
from tests.functional import faults
from tests.functional import people as users
from tests.functional import running
from tests.functional.faults import REGION
from tools import cloud as clouds
from tools import databases as servers

NAMES = ("first", "second", "third")
_CUT_OFF = {
    "postgresql": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND datname = current_database()",
    "mariadb": "SELECT id FROM information_schema.processlist WHERE id <> connection_id()",
}


class Fleet:
    """Agents that share a database, in their world."""

    def __init__(self, world: faults.World, server: servers.Server, kind: str) -> None:
        self.world = world
        self.server = server
        self.kind = kind
        self.engine = sa.create_engine(server.url, poolclass=sa.NullPool)

    def owners(self, image: users.Published) -> list[running.Agent]:
        """Return the agent that is at bringing an image to the region."""
        statement = "SELECT lease_owner FROM tasks WHERE image_id = :image_id AND region = :region"
        values = {"image_id": image.image_id, "region": REGION}
        with self.engine.connect() as connection:
            owner = str(connection.scalar(sa.text(statement), values))
        return [
            agent
            for agent in self.world.agents
            if owner.endswith((agent.directory / "state" / "agent.id").read_text())
        ]

    def cut_off(self) -> None:
        """Have the database end all of its connections."""
        with self.engine.connect() as connection:
            found = connection.execute(sa.text(_CUT_OFF[self.kind])).scalars().all()
            if self.kind == "mariadb":
                for number in found:
                    connection.execute(sa.text(f"KILL {int(number)}"))


Fault = Callable[[Fleet], None]
ROWS: dict[tuple[str, str], Fault] = {}  # by database and name


def row(*kinds: str) -> Callable[[Fault], Fault]:
    """Add a row to the table, for these databases."""

    def add(fault: Fault) -> Fault:
        for kind in kinds:
            ROWS[kind, fault.__name__.replace("_", " ")] = fault
        return fault

    return add


@pytest.fixture(scope="module")
def shared_fleet(
    request: pytest.FixtureRequest,
    cloud: clouds.Cloud,
    people: users.People,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Fleet]:
    kind = request.param
    server: servers.Server = request.getfixturevalue(f"{kind}_server")
    databases.empty(server.url)
    world = faults.World(
        cloud, people, tmp_path_factory.mktemp(kind),
        names=NAMES, options={"database": {"connection": server.url}},
    )
    yield Fleet(world, server, kind)
    world.close()
    databases.empty(server.url)
    print(world.table())  # noqa: T201 - shown by -s


@pytest.fixture
def fleet(shared_fleet: Fleet) -> Fleet:
    """Give three agents that are at work."""
    shared_fleet.world.begin()
    return shared_fleet


@row("postgresql", "mariadb")
def three_agents_one_killed_every_few_seconds(fleet: Fleet) -> None:
    world = fleet.world
    chance = random.Random(len(world.published))
    with futures.ThreadPoolExecutor(1) as pool:
        publishing = pool.submit(
            lambda: [world.publish("fleet", size=faults.SIZE) for _ in range(8)]
        )
        end = time.monotonic() + faults.SECONDS
        while time.monotonic() < end or not publishing.done():
            agent = chance.choice(world.agents)
            agent.kill()
            agent.start()
            time.sleep(chance.uniform(0.5, 2))
        publishing.result()


@row("postgresql")
def one_of_three_agents_dies_in_a_transfer_for_good(fleet: Fleet) -> None:
    world = fleet.world
    with world.in_transfer() as image:
        (owner,) = fleet.owners(image)
        owner.kill()
        world.valve.cut()


@row("postgresql", "mariadb")
def the_database_cuts_everybody_off_in_a_transfer(fleet: Fleet) -> None:
    with fleet.world.in_transfer():
        fleet.cut_off()
    fleet.world.publish()


@row("postgresql", "mariadb")
def the_database_is_restarted_under_load(fleet: Fleet) -> None:
    world = fleet.world
    with futures.ThreadPoolExecutor(1) as pool, world.in_transfer():
        publishing = pool.submit(lambda: [world.publish("load") for _ in range(6)])
        world.wait_until(lambda: "Copied image" in world.said(), "a first copy")
        with fleet.server.stopped():
            late = world.agents[-1]
            late.kill()
            late.start()
            world.publish("while it is away")
            world.valve.open()
            world.wait_until(lambda: "in the database" in world.said(), "a word about it")
            late.wait_for_log("cannot upgrade the schema")
        publishing.result()
        assert late.is_running()  # it waits, as it does for all else


@row("postgresql")
def the_clock_of_one_of_three_agents_is_an_hour_fast(fleet: Fleet) -> None:
    world = fleet.world
    fast = world.agents[0]
    fast.kill()
    fast.environment |= clocks.an_hour_fast(world.directory)
    fast.start()
    fast.wait_for_log("behind this machine")
    fast.wait_for_log("Listening on topics")
    with world.in_transfer():
        for _ in range(4):
            world.publish()
        world.valve.cut()


def names(kind: str) -> list[str]:
    """Return the rows of a database."""
    return [name for found, name in ROWS if found == kind]


def show(fleet: Fleet, name: str, record_property: Any) -> None:
    """Run a row, and look at everything."""
    ROWS[fleet.kind, name](fleet)
    record_property("seconds_to_converge", round(fleet.world.converge(name), 1))


@pytest.mark.parametrize("run", range(faults.RUNS))
@pytest.mark.parametrize("name", names("postgresql"))
@pytest.mark.parametrize("shared_fleet", ["postgresql"], indirect=True)
def test_several_agents_on_postgresql_lose_nothing_and_leave_nothing_over(
    fleet: Fleet, name: str, run: int, record_property: Any
):
    show(fleet, name, record_property)


@pytest.mark.parametrize("run", range(faults.RUNS))
@pytest.mark.parametrize("name", names("mariadb"))
@pytest.mark.parametrize("shared_fleet", ["mariadb"], indirect=True)
def test_several_agents_on_mariadb_lose_nothing_and_leave_nothing_over(
    fleet: Fleet, name: str, run: int, record_property: Any
):
    show(fleet, name, record_property)
