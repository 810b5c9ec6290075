# SPDX-License-Identifier: Apache-2.0
"""Clouds that are broken in one way each, and what ``check`` and ``summary`` have to say.

A function with the mark ``breaks`` breaks something, yields the agent whose files the commands
read, and repairs it. Its docstring is the breakage as an operator would put it.
"""

from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import datetime
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import threading

import yaml

from glance_sync_agent.domain import fleet
from glance_sync_agent.drivers.sql import task_store
from glance_sync_agent.engine.reports import task_counts
from tests.fakes import certificates
from tests.functional import clocks
from tests.functional import databases
from tests.functional import people as users
from tests.functional import running
from tools import agents
from tools import cloud as clouds
from tools import databases as servers
from tools.cloud import identity
from tools.cloud import planning

ONE, TWO, THREE, FOUR = "RegionOne", "RegionTwo", "RegionThree", "RegionFour"
TARGET_SECONDS = 2.0
_HOUR = datetime.timedelta(hours=1)


@dataclasses.dataclass(kw_only=True)
class Stage:
    """The cloud, an agent that works, one that is frozen, and room for the files of others."""

    cloud: clouds.Cloud
    people: users.People
    agent: running.Agent  # it works
    frozen: running.Agent  # somebody stopped it with SIGSTOP
    directory: pathlib.Path  # changes with each breakage
    database: servers.Server  # of PostgreSQL, and empty

    def files(self, options: agents.Options | None = None) -> running.Agent:
        """Return an agent that stopped an hour ago, with these options."""
        made = running.Agent(self.cloud.describe(), self.directory, options=options)
        databases.make(self.directory)
        store = databases.opened(self.directory)
        now = datetime.datetime.now(datetime.UTC)
        store.agents().report(
            fleet.Agent(
                agent_id="host-1:1", host="host-1", version="1", started_at=now - _HOUR,
                seen_at=now - _HOUR, stopped_at=now - _HOUR,
            )
        )
        store.close()
        return made

    def change_store(self, agent: running.Agent, **parameters: object) -> running.Agent:
        """Change parameters of RegionTwo in an agent's ``glance_store.yaml``."""
        file = agent.directory / "glance_store.yaml"
        content = yaml.safe_load(file.read_text())
        (entry,) = [one for one in content["glances"] if one["name"] == TWO]
        entry["schemes"][0]["parameters"].update(parameters)
        file.write_text(yaml.safe_dump(content))
        return agent

    @contextlib.contextmanager
    def stopped(self, service: str) -> Iterator[None]:
        """Stop a service."""
        self.cloud.stop_service(service)
        try:
            yield
        finally:
            self.cloud.start_service(service)

    @contextlib.contextmanager
    def refusing(self, region: str, answer: str) -> Iterator[None]:
        """Let a Glance answer all requests of a method alike."""
        file = pathlib.Path(self.cloud.describe().region(region).config_dir, "refuse")
        file.write_text(answer)
        try:
            yield
        finally:
            file.unlink()

    def wait_for_count(
        self, region: str, condition: Callable[[fleet.Counts], bool], what: str
    ) -> None:
        """Wait until the agent has counted the tasks of a region so."""

        def is_so() -> bool:
            found = task_counts.current(self.store, self.store.facts(), _Clock(), TARGET_SECONDS)
            return any(str(one) == region and condition(counts)
                       for one, counts in found.regions.items())

        self.agent.wait_until(is_so, what)

    def wait_for_breaker(self, region: str) -> None:
        """Wait until the agent leaves a region alone."""

        def is_open() -> bool:
            found = self.store.breakers().all()
            return any(str(one) == region and breaker.retry_at is not None
                       for one, breaker in found.items())

        self.agent.wait_until(is_open, "an open breaker")

    @property
    def store(self) -> task_store.SqlTaskStore:
        """The database of the agent that works."""
        return self.agent._store


class _Clock:
    def now(self) -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC)

    def monotonic(self) -> float:
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Breakage:
    """A way to break a cloud, and what has to be said of it."""

    name: str
    run: Callable[[Stage], contextlib.AbstractContextManager[running.Agent]]
    check: tuple[str, ...]  # cause and remedy
    summary: tuple[str, ...]

    @property
    def title(self) -> str:
        """The breakage in words."""
        return str(self.run.__doc__).strip().rstrip(".")


ALL: list[Breakage] = []
NO_AGENT = ("no agent is alive", "systemctl start glance-sync-agent", "glance-sync-manage check")


def breaks(
    *check: str, summary: tuple[str, ...] = NO_AGENT
) -> Callable[[Callable[[Stage], Iterator[running.Agent]]], None]:
    """Add a breakage to the table.

    :param check: what the first screen has to have: the cause, and the remedy.
    :param summary: the same of ``glance-sync summary``.
    """

    def add(function: Callable[[Stage], Iterator[running.Agent]]) -> None:
        run = contextlib.contextmanager(function)
        ALL.append(Breakage(name=function.__name__, run=run, check=check, summary=summary))

    return add


# Credentials


@breaks("401", "correct [service_credentials]")
def wrong_password(stage: Stage) -> Iterator[running.Agent]:
    """The agent's password is wrong."""
    yield stage.files({"service_credentials": {"password": "wrong"}})


@breaks("not admin", "openstack role add --user alice")
def no_role(stage: Stage) -> Iterator[running.Agent]:
    """The agent's user lacks the role admin."""
    alice = stage.cloud.describe().user("alice")
    yield stage.files({
        "service_credentials": {
            "username": alice.name, "password": alice.password, "project_name": alice.project,
        }
    })


@breaks("refused", "start Keystone", summary=())
def keystone_down(stage: Stage) -> Iterator[running.Agent]:
    """Keystone is down."""
    with stage.stopped("keystone"):
        yield stage.agent


@breaks("certificate", "cafile")
def unknown_certificate(stage: Stage) -> Iterator[running.Agent]:
    """Keystone shows a TLS certificate of an unknown CA."""
    certificates.write(stage.directory.parent)
    context = certificates.server_context(stage.directory.parent)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _address = server.accept()
                    with contextlib.suppress(OSError):
                        context.wrap_socket(connection, server_side=True).close()

        threading.Thread(target=answer, daemon=True).start()
        url = f"https://127.0.0.1:{server.getsockname()[1]}/v3"
        yield stage.files({"service_credentials": {"auth_url": url}})


# The catalogue


@breaks("9/", "use one of these endpoints as cascading_endpoint_url")
def wrong_cascading_url(stage: Stage) -> Iterator[running.Agent]:
    """cascading_endpoint_url is no endpoint of the catalogue."""
    yield stage.files({"DEFAULT": {"cascading_endpoint_url": "http://127.0.0.1:9/"}})


@contextlib.contextmanager
def _without_endpoint(stage: Stage, query: str) -> Iterator[None]:
    described = stage.cloud.describe()
    admin = identity.Identity(described.keystone_port, described.user("admin"))
    (service,) = admin.find("services", "type=image")
    found = admin.find("endpoints", f"service_id={service['id']}&region_id={TWO}{query}")
    # The agent that works must not see it: it keeps a catalogue for a minute.
    os.killpg(stage.agent.pid, signal.SIGSTOP)
    for endpoint in found:
        admin.change("endpoints", endpoint["id"], {"enabled": False})
    try:
        yield
    finally:
        for endpoint in found:
            admin.change("endpoints", endpoint["id"], {"enabled": True})
        os.killpg(stage.agent.pid, signal.SIGCONT)


@breaks("RegionTwo", "openstack endpoint create")
def no_endpoint(stage: Stage) -> Iterator[running.Agent]:
    """A region has left the catalogue."""
    with _without_endpoint(stage, ""):
        yield stage.files()


@breaks("RegionTwo", "internal", "openstack endpoint create")
def wrong_interface(stage: Stage) -> Iterator[running.Agent]:
    """A region has no endpoint of the agent's interface."""
    with _without_endpoint(stage, "&interface=internal"):
        yield stage.files({"service_credentials": {"interface": "internal"}})


# The message bus


def _bus(stage: Stage, old: str, new: str) -> running.Agent:
    described = stage.cloud.describe()
    url = described.region(described.cascading_region).transport_url
    assert old in url
    return stage.files({"DEFAULT": {"transport_url": url.replace(old, new)}})


@breaks("refused", "rabbitmqctl status")
def broker_gone(stage: Stage) -> Iterator[running.Agent]:
    """The broker does not run."""
    port = planning.free_port("127.0.0.1")
    yield _bus(stage, f":{stage.cloud.describe().rabbitmq.port}/", f":{port}/")


@breaks("ACCESS_REFUSED", "set transport_url in sync.conf")
def broker_password(stage: Stage) -> Iterator[running.Agent]:
    """The broker's password is wrong."""
    yield _bus(stage, stage.cloud.describe().rabbitmq.password, "wrong")


@breaks("nowhere", "rabbitmqctl list_vhosts")
def broker_vhost(stage: Stage) -> Iterator[running.Agent]:
    """The virtual host of the bus is wrong."""
    yield _bus(stage, "/RegionOne", "/nowhere")


@breaks("glance_info", "[notifications] topics", "[oslo_messaging_notifications]")
def wrong_topic(stage: Stage) -> Iterator[running.Agent]:
    """Glance sends its notifications to another topic, or none."""
    yield stage.files({"notifications": {"topics": "glance_info"}})


# The database


@breaks("no tables", "glance-sync-manage db upgrade", summary=("unknown", "unable to open"))
def database_gone(stage: Stage) -> Iterator[running.Agent]:
    """The database is lost."""
    url = f"sqlite:///{stage.directory}/elsewhere/sync.sqlite"
    yield stage.files({"database": {"connection": url}})


@breaks("no tables", "glance-sync-manage db upgrade", summary=("unknown", "db upgrade"))
def no_migration(stage: Stage) -> Iterator[running.Agent]:
    """The database was never made."""
    file = stage.directory.parent / f"{stage.directory.name}.sqlite"
    file.touch()
    yield stage.files({"database": {"connection": f"sqlite:///{file}"}})


def _execute(agent: running.Agent, statement: str) -> None:
    path = agent.directory / "state" / "sync.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@breaks("of another version", "glance-sync-manage db upgrade")
def missing_migration(stage: Stage) -> Iterator[running.Agent]:
    """The database is of another version of the agent."""
    agent = stage.files()
    _execute(agent, "UPDATE alembic_version SET version_num = '0001'")
    yield agent


@breaks("read only", "grant the user")
def database_read_only(stage: Stage) -> Iterator[running.Agent]:
    """The database cannot be written."""
    agent = stage.files()
    _execute(
        agent,
        "CREATE TRIGGER no BEFORE INSERT ON tasks BEGIN SELECT RAISE(ABORT, 'read only'); END",
    )
    yield agent


# Files of this machine


@breaks("regoins", "sync_strategy.yaml", summary=("unknown", "regoins"))
def strategy_typo(stage: Stage) -> Iterator[running.Agent]:
    """sync_strategy.yaml has a typing error."""
    agent = stage.files({"DEFAULT": {"sync_strategy": "USER"}})
    (agent.directory / "sync_strategy.yaml").write_text("rules:\n  - regoins: '*'\n")
    yield agent


@breaks("task_retry_times", "many", "edit it", summary=("unknown", "task_retry_times"))
def wrong_option(stage: Stage) -> Iterator[running.Agent]:
    """sync.conf has a word where a number belongs."""
    yield stage.files({"DEFAULT": {"task_retry_times": "many"}})


@breaks("sync_enabled is false", "sync_enabled = true")
def not_enabled(stage: Stage) -> Iterator[running.Agent]:
    """sync_enabled is false."""
    yield stage.files({"DEFAULT": {"sync_enabled": "false"}})


@breaks("every user of this machine can read the password", "chmod o-rwx")
def readable_password(stage: Stage) -> Iterator[running.Agent]:
    """Everybody can read sync.conf."""
    agent = stage.files()
    agent.config_file.chmod(0o644)
    yield agent


@breaks("is not a directory", "set state_path")
def wrong_state_path(stage: Stage) -> Iterator[running.Agent]:
    """state_path is a file."""
    file = stage.directory.parent / f"{stage.directory.name}.file"
    file.touch()
    database = f"sqlite:///{stage.directory}/state/sync.sqlite"
    yield stage.files(
        {"DEFAULT": {"state_path": file}, "database": {"connection": database}}
    )


@breaks("another program", "sync_server_port")
def port_taken(stage: Stage) -> Iterator[running.Agent]:
    """Another program has the port of the API."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield stage.files({
            "DEFAULT": {"sync_server_port": server.getsockname()[1]}, "api": {"enabled": "true"},
        })


# Stores


@breaks("RegionNine", "correct name or service_ip")
def unknown_entry(stage: Stage) -> Iterator[running.Agent]:
    """glance_store.yaml names a region that does not exist."""
    agent = stage.files()
    file = agent.directory / "glance_store.yaml"
    content = yaml.safe_load(file.read_text())
    content["glances"].append({"name": "RegionNine", "schemes": [{"name": "filesystem"}]})
    file.write_text(yaml.safe_dump(content))
    yield agent


@breaks("login_name", "edit the entry of RegionTwo")
def unknown_parameter(stage: Stage) -> Iterator[running.Agent]:
    """glance_store.yaml has an unknown parameter."""
    yield stage.change_store(stage.files(), login_name="glance")


def _known_hosts(stage: Stage, key: str | None) -> running.Agent:
    described = stage.cloud.describe()
    two = described.region(TWO)
    assert two.ssh_host_key
    text = pathlib.Path(described.ssh.known_hosts).read_text()
    lines = text.splitlines()
    changed = [line.replace(two.ssh_host_key, key or "") for line in lines
               if key is not None or two.ssh_host_key not in line]
    file = stage.directory.parent / f"{stage.directory.name}.known_hosts"
    file.write_text("\n".join(changed) + "\n")
    return stage.files({"ssh": {"known_hosts": file}})


@breaks("shows the host key", "compare the fingerprint")
def host_key_changed(stage: Stage) -> Iterator[running.Agent]:
    """The SSH host of a region shows another host key."""
    yield _known_hosts(stage, stage.cloud.describe().region(THREE).ssh_host_key)


@breaks("has no host key", "ssh-keyscan")
def host_key_unknown(stage: Stage) -> Iterator[running.Agent]:
    """known_hosts lacks the SSH host of a region."""
    yield _known_hosts(stage, None)


@breaks("not accepted; tried the key", "authorized_keys")
def strange_key(stage: Stage) -> Iterator[running.Agent]:
    """The SSH host of a region does not know the agent's key."""
    key = stage.directory.parent / f"{stage.directory.name}.key"
    keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
    subprocess.run(keygen, check=True)
    yield stage.change_store(stage.files(), key_filename=str(key))


@breaks("No such file", "key_filename")
def no_key(stage: Stage) -> Iterator[running.Agent]:
    """The agent's key file is gone."""
    yield stage.change_store(stage.files(), key_filename="/nonexistent/key")


@breaks("every user of this machine can read", "chmod 0600")
def readable_key(stage: Stage) -> Iterator[running.Agent]:
    """Everybody can read the agent's key file."""
    key = stage.directory.parent / f"{stage.directory.name}.key"
    key.write_bytes(pathlib.Path(stage.cloud.describe().ssh.private_key).read_bytes())
    key.chmod(0o644)
    yield stage.change_store(stage.files(), key_filename=str(key))


@breaks("permitopen", "restrict,port-forwarding")
def forwarding_refused(stage: Stage) -> Iterator[running.Agent]:
    """The SSH host does not let the agent reach its Glance."""
    elsewhere = stage.cloud.describe().region(THREE).glance_url
    yield stage.change_store(stage.files(), image_endpoint=elsewhere)


@breaks("refused", "start sshd", summary=("RegionFour is unavailable", "glance-sync-manage check"))
def sshd_down(stage: Stage) -> Iterator[running.Agent]:
    """sshd of a region is down."""
    with stage.stopped(f"sshd-{FOUR}"):
        _publish(stage, 2)
        stage.wait_for_breaker(FOUR)
        yield stage.agent


# Glances


def _publish(stage: Stage, count: int = 1) -> list[users.Published]:
    return [stage.people.publish("broken") for _number in range(count)]


@breaks(
    "refused", "start that Glance",
    summary=("RegionFour is unavailable", "glance-sync-manage check --region RegionFour"),
)
def glance_down(stage: Stage) -> Iterator[running.Agent]:
    """The Glance of a region is down."""
    with stage.stopped(f"glance-{FOUR}"):
        _publish(stage, 2)
        stage.wait_for_breaker(FOUR)
        yield stage.agent


@breaks(
    "RegionFour", "timed out", "curl http",
    summary=("RegionFour are late", "glance-sync status --region RegionFour"),
)
def glance_hangs(stage: Stage) -> Iterator[running.Agent]:
    """The Glance of a region accepts connections, and does not answer."""
    stage.cloud.signal_service(f"glance-{FOUR}", signal.SIGSTOP)
    try:
        _publish(stage, 2)
        stage.wait_for_count(FOUR, lambda counts: counts.late > 1, "late tasks")
        yield stage.agent
    finally:
        stage.cloud.signal_service(f"glance-{FOUR}", signal.SIGCONT)


@breaks(
    "500", "start that Glance",
    summary=("RegionTwo are late", "glance-sync status --region RegionTwo"),
)
def glance_fails(stage: Stage) -> Iterator[running.Agent]:
    """The Glance of a region answers 500 to everything."""
    with stage.refusing(TWO, "GET 500"):
        _publish(stage, 2)
        stage.wait_for_count(TWO, lambda counts: counts.late > 1, "late tasks")
        yield stage.agent


@breaks(
    "401", "[keystone_authtoken]",
    summary=("RegionTwo are late", "glance-sync status --region RegionTwo"),
)
def glance_without_keystone(stage: Stage) -> Iterator[running.Agent]:
    """The Glance of a region knows nobody's token."""
    with stage.refusing(TWO, "GET 401"):
        _publish(stage, 2)
        stage.wait_for_count(TWO, lambda counts: counts.late > 1, "late tasks")
        yield stage.agent


def _waits(code: str) -> Callable[[fleet.Counts], bool]:
    return lambda counts: counts.tasks.get(("pending", code), 0) > 0


@breaks(
    "does not let the agent's user upload", "upload_image in policy.yaml",
    summary=("RegionThree", "policy or a quota", "--status pending"),
)
def upload_forbidden(stage: Stage) -> Iterator[running.Agent]:
    """The policy of a Glance forbids uploads."""
    with stage.refusing(THREE, "PUT 403 Forbidden"):
        _publish(stage)
        stage.wait_for_count(THREE, _waits("upload_refused"), "a refused upload")
        yield stage.agent


@breaks(
    "policy or a quota", "glance-sync status --region RegionThree --status pending",
    summary=("RegionThree", "policy or a quota", "--status pending"),
)
def quota_used_up(stage: Stage) -> Iterator[running.Agent]:
    """The quota of the agent's project is used up in a region."""
    answer = "PUT 413 The size of the data will exceed the limit. 5 bytes remaining."
    with stage.refusing(THREE, answer):
        _publish(stage)
        stage.wait_for_count(THREE, _waits("upload_refused"), "a refused upload")
        yield stage.agent


@breaks("has no room", "make room", summary=("RegionTwo has no room", "make room"))
def disk_full(stage: Stage) -> Iterator[running.Agent]:
    """The disk of a region's Glance is full."""
    with stage.refusing(TWO, "PUT 413 Image storage media is full"):
        _publish(stage)
        stage.wait_for_count(TWO, _waits("storage_full"), "a full store")
        yield stage.agent


# The agents, and what people did


@breaks("no agent is alive", "systemctl start glance-sync-agent")
def no_agent(stage: Stage) -> Iterator[running.Agent]:
    """No agent runs."""
    yield stage.files()


@breaks(
    "ended without a word", "its log on",
    summary=("no agent is alive", "ended without a word", "its log on"),
)
def agent_stuck(stage: Stage) -> Iterator[running.Agent]:
    """The agent is stuck."""
    store = stage.frozen._store

    def is_gone() -> bool:
        now = datetime.datetime.now(datetime.UTC)
        return not any(one.is_alive(now) for one in store.agents().all())

    stage.agent.wait_until(is_gone, "the end of the frozen agent")
    yield stage.frozen


@breaks("3600 s behind this machine's", "run an NTP client on both")
def fast_clock(stage: Stage) -> Iterator[running.Agent]:
    """The clock of the agent's host is wrong."""
    agent = stage.files({"database": {"connection": stage.database.url}})
    agent.environment |= clocks.an_hour_fast(stage.directory)
    agent._store.upgrade()
    yield agent
    agent._store.close()


@breaks(
    "is paused", "forgotten", "glance-sync resume RegionThree",
    summary=("is paused", "forgotten", "glance-sync resume RegionThree"),
)
def forgotten_pause(stage: Stage) -> Iterator[running.Agent]:
    """Somebody paused a region, and forgot it."""
    _run(stage, "pause", THREE, "--reason", "forgotten")
    try:
        yield stage.agent
    finally:
        _run(stage, "resume", THREE)


def _run(stage: Stage, *arguments: str) -> None:
    command = stage.agent.command("glance-sync", *arguments)
    subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)


@breaks(
    "tasks of region RegionThree are late", "glance-sync status --region RegionThree",
    summary=("RegionThree are late", "glance-sync status --region RegionThree"),
)
def late(stage: Stage) -> Iterator[running.Agent]:
    """Images wait for longer than the target."""
    with stage.refusing(THREE, "PUT 503"):
        _publish(stage, 2)
        stage.wait_for_count(THREE, lambda counts: counts.late > 1, "late tasks")
        yield stage.agent


@breaks(
    "tasks of region RegionFour failed", "--status failure",
    summary=("tasks of region RegionFour failed", "--status failure"),
)
def place_taken(stage: Stage) -> Iterator[running.Agent]:
    """Users have made images with the ids of copies."""
    people = stage.people
    taken = [people.create("taken") for _number in range(2)]
    for source in taken:
        people.create("taken", region=FOUR, user="bob", id=source.id)
        people.upload(source.id, 1000)
    stage.wait_for_count(FOUR, lambda counts: counts.with_status("failure") > 1, "failures")
    yield stage.agent
    for source in taken:
        people.delete(source.id, region=FOUR, user="bob")
        _run(stage, "retry", source.id)
    stage.wait_for_count(FOUR, lambda counts: not counts.with_status("failure"), "copies")
