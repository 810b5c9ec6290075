# SPDX-License-Identifier: Apache-2.0
"""The whole agent on the real cloud."""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import functools
import pathlib
import shutil
from typing import Any, NoReturn

from kombu import connection as kombu_connection
import pytest

from tests.functional import people as users
from tests.functional import prometheus
from tests.functional import running
from tests.functional import valves
from tools import agents
from tools import cloud as clouds
from tools import locations

MakeAgent = Callable[..., running.Agent]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs the cloud."""
    for item in items:
        if "cloud" in getattr(item, "fixturenames", ()):
            item.add_marker("cloud")


@pytest.fixture(scope="session")
def keepers(cloud: clouds.Cloud) -> Iterator[None]:
    """Keep every region from being empty, which an agent does not believe.

    They never get data, so no agent does anything with them.
    """
    keeping = users.People(cloud)
    for region in (keeping.cascading, *keeping.cascaded):
        keeping.create("keeper", region=region)
    yield
    keeping.clean()


@pytest.fixture(scope="module")
def people(cloud: clouds.Cloud, keepers: None) -> Iterator[users.People]:
    """Give those who use the cloud; what they made is removed at the end."""
    del keepers
    found = users.People(cloud)
    yield found
    found.clean()


@pytest.fixture(scope="module")
def mapped(cloud: clouds.Cloud, people: users.People) -> Iterator[clouds.Cloud]:
    """Give the cloud while RegionOne shows locations and RegionTwo tells sizes."""
    with locations.shown(cloud):
        yield cloud
        people.clean()  # while RegionOne knows the stores that its images name


@pytest.fixture
def make_agent(
    cloud: clouds.Cloud, people: users.People, tmp_path: pathlib.Path
) -> Iterator[MakeAgent]:
    """Give a way to make agents that end with the test."""
    published = people.count
    with contextlib.ExitStack() as stack:

        def make(
            name: str = "agent", cascading: str | None = None, **options: Any
        ) -> running.Agent:
            options.setdefault("options", running.FAST)
            described = cloud.describe()
            if cascading is not None:
                described = dataclasses.replace(described, cascading_region=cascading)
            agent = running.Agent(described, tmp_path / name, **options)
            stack.callback(agent.kill)
            return agent

        yield make
    people.clean(since=published)


@pytest.fixture(scope="module")
def watched_by(
    tmp_path_factory: pytest.TempPathFactory, missing_service: Callable[[str], NoReturn]
) -> Iterator[Callable[..., prometheus.Prometheus]]:
    """Give a way to start a Prometheus that reads the API on a port."""
    if shutil.which("prometheus") is None:
        missing_service("prometheus is not installed")
    with contextlib.ExitStack() as stack:

        def start(port: int, rules: str | None = None) -> prometheus.Prometheus:
            directory = tmp_path_factory.mktemp("prometheus")
            made = prometheus.Prometheus(directory, port, rules)
            stack.callback(made.close)
            return made

        yield start


@pytest.fixture
def valve(cloud: clouds.Cloud) -> Iterator[valves.Valve]:
    """Give a way to RegionTwo's sshd that can be shut; see :func:`through`."""
    region = cloud.describe().region("RegionTwo")
    assert region.ssh_host is not None
    assert region.ssh_port is not None
    made = valves.Valve(region.ssh_host, region.ssh_port)
    yield made
    made.close()


@pytest.fixture
def through(cloud: clouds.Cloud) -> Callable[..., None]:
    """Give a way to lead an agent's connections to RegionTwo through a valve."""

    return functools.partial(lead_through, cloud.describe())


def lead_through(
    cloud: clouds.Description,
    agent: running.Agent,
    valve: valves.Valve,
    options: agents.Options | None = None,
) -> None:
    """Lead an agent's connections to RegionTwo through a valve."""
    region = cloud.region("RegionTwo")
    store_file = agent.directory / "glance_store.yaml"
    text = store_file.read_text()
    assert f"'{region.ssh_port}'" in text
    store_file.write_text(text.replace(f"'{region.ssh_port}'", f"'{valve.port}'"))
    known_hosts = agent.directory / "known_hosts"
    known = pathlib.Path(cloud.ssh.known_hosts).read_text()
    line = f"[{region.ssh_host}]:{valve.port} {region.ssh_host_key}\n"
    known_hosts.write_text(known + line)
    rewrite(agent, cloud, {**(options or {}), "ssh": {"known_hosts": known_hosts}})


def rewrite(
    agent: running.Agent, cloud: clouds.Description, options: agents.Options
) -> None:
    """Write an agent's ``sync.conf`` anew, with these options beside the fast ones."""
    merged: dict[str, dict[str, object]] = {
        section: dict(values) for section, values in running.FAST.items()
    }
    for section, values in options.items():
        merged.setdefault(section, {}).update(values)
    agents.write_sync_conf(cloud, agent.config_file, merged)


def purge(cloud: clouds.Cloud, queue: str) -> None:
    """Lose what waits in a queue of the cascading region's bus."""
    with bus(cloud) as channel:
        channel.queue_purge(queue)


def ready(cloud: clouds.Cloud, queue: str) -> int:
    """Return how many messages wait in a queue of the cascading region's bus."""
    with bus(cloud) as channel:
        return int(channel.queue_declare(queue, passive=True).message_count)


@contextlib.contextmanager
def bus(cloud: clouds.Cloud) -> Iterator[Any]:
    """Open a channel on the cascading region's bus."""
    described = cloud.describe()
    broker = described.rabbitmq
    make: Any = kombu_connection.Connection  # has no types
    with make(
        hostname=broker.host,
        port=broker.port,
        userid=broker.user,
        password=broker.password,
        virtual_host=described.region(described.cascading_region).vhost,
    ) as connection:
        yield connection.channel()
