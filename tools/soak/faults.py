# SPDX-License-Identifier: Apache-2.0
"""Faults of services, hosts and agents, each repaired after a while."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import os
import pathlib
import signal

import sqlalchemy as sa

from tools import agents
from tools.soak import hands
from tools.soak import operations
from tools.soak import plans
from tools.soak import stage as stages

_CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
)
_MIDDLE = (
    "SELECT pid FROM pg_stat_activity"
    " WHERE pid <> pg_backend_pid() AND datname = current_database() LIMIT 1"
)


class Lane:
    """One lane of faults. They do not overlap, except with those of other lanes."""

    def __init__(self, stage: stages.Stage, name: str) -> None:
        self.name = name
        self._stage = stage
        cloud = stage.cloud
        self._breaking: Mapping[str, Callable[[plans.Fault], str | None]] = {
            "broker stopped": lambda one: self._stopped("rabbitmq", one),
            "broker killed": lambda one: self._killed("rabbitmq", one),
            "keystone stopped": lambda one: self._stopped("keystone", one),
            "source glance stopped": lambda one: self._stopped(
                f"glance-{self._stage.described.cascading_region}", one
            ),
            "target glance stopped": self._stop_target,
            "target glance killed": self._kill_target,
            "target glance refuses": self._refusing,
            "target glance frozen": lambda one: self._frozen(f"glance-{one.region}", one),
            "database stopped": self._stop_database,
            "database connections cut": self._cut,
            "database crashed": self._crash,
            "database frozen": self._freeze_database,
            "agent killed": self._kill_agent,
            "agent restarted": self._restart_agent,
            "agent frozen": self._freeze_agent,
            "agent reloads": self._reload_agent,
            "sshd killed": lambda one: self._killed(f"sshd-{one.region}", one),
            "sshd frozen": lambda one: self._frozen(f"sshd-{one.region}", one),
            "sshd restarted": lambda one: cloud.restart_service(f"sshd-{one.region}"),
            **hands.Hands(stage).breaking,
        }

    def work(self, seed: int) -> None:
        """Cause the faults of the plan until the time is over."""
        for one in plans.faults(seed, self.name):
            self._stage.wait(one.pause)
            if self._stage.over.is_set():
                return
            detail = f"{one.region} agent-{one.agent} {one.seconds:.1f} s {one.value}"
            self._stage.events.note(self.name, f"{one.kind} begins: {detail}")
            with self._stage.orders.delayed(one.kind, one.region):
                outcome = self.do(one)
            self._stage.events.count(self.name, one.kind, outcome, detail)

    def do(self, fault: plans.Fault) -> str:
        """Cause one fault and repair it; return the outcome."""
        try:
            return self._breaking[fault.kind](fault) or "done"
        except (*operations.REFUSED, sa.exc.DBAPIError) as exc:
            # Another fault made a service unavailable.
            return f"skipped ({type(exc).__name__}: {str(exc)[:100]!r})"

    # Services.

    def _stopped(self, service: str, one: plans.Fault) -> None:
        self._stage.cloud.stop_service(service)
        try:
            self._stage.wait(one.seconds)
        finally:
            self._stage.cloud.start_service(service)

    def _killed(self, service: str, one: plans.Fault) -> None:
        self._stage.cloud.signal_service(service, signal.SIGKILL)
        self._stopped(service, one)

    def _stop_target(self, one: plans.Fault) -> None:
        service = f"glance-{one.region}"
        self._stage.cloud.stop_service(service)
        self._stage.note_left(one.region)
        self._stopped(service, one)

    def _kill_target(self, one: plans.Fault) -> None:
        self._stage.cloud.signal_service(f"glance-{one.region}", signal.SIGKILL)
        self._stop_target(one)

    def _frozen(self, service: str, one: plans.Fault) -> None:
        self._stage.cloud.signal_service(service, signal.SIGSTOP)
        try:
            self._stage.wait(one.seconds)
        finally:
            self._stage.cloud.signal_service(service, signal.SIGCONT)

    def _refusing(self, one: plans.Fault) -> None:
        path = pathlib.Path(self._stage.described.region(one.region).config_dir, "refuse")
        partial = path.with_name("refuse.partial")
        partial.write_text(one.value)
        partial.replace(path)
        try:
            self._stage.wait(one.seconds)
        finally:
            path.unlink()

    # The database.

    def _stop_database(self, one: plans.Fault) -> None:
        with self._stage.database.stopped():
            self._stage.wait(one.seconds)

    def _cut(self, _one: plans.Fault) -> None:
        with self._database() as connection:
            connection.execute(sa.text(_CUT))

    def _crash(self, _one: plans.Fault) -> str | None:
        """Kill one process of the database, which then drops all clients and recovers."""
        with self._database() as connection:
            pid = connection.scalar(sa.text(_MIDDLE))
        if pid is None:
            return "skipped (there is no connection)"
        _signal([pid], signal.SIGKILL)
        return None

    def _freeze_database(self, one: plans.Fault) -> None:
        with self._database() as connection:
            pid = connection.scalar(sa.text("SELECT pg_backend_pid()"))
            status = pathlib.Path(f"/proc/{pid}/status").read_text()  # while it lives
        leader = int(status.partition("PPid:")[2].split()[0])
        children = pathlib.Path(f"/proc/{leader}/task/{leader}/children").read_text()
        frozen = [leader, *map(int, children.split())]
        _signal(frozen, signal.SIGSTOP)
        try:
            self._stage.wait(one.seconds)
        finally:
            _signal(frozen, signal.SIGCONT)

    @contextlib.contextmanager
    def _database(self) -> Iterator[sa.Connection]:
        engine = sa.create_engine(self._stage.database.url, poolclass=sa.NullPool)
        with engine.connect() as connection:
            yield connection

    # Agents.

    def _kill_agent(self, one: plans.Fault) -> None:
        agent = self._stage.agents[one.agent]
        with agent.lock:
            self._stage.ensure_running(agent)
            agent.kill()
            self._stage.wait(one.seconds)
            agent.start()

    def _restart_agent(self, one: plans.Fault) -> str | None:
        agent = self._stage.agents[one.agent]
        with agent.lock:
            self._stage.ensure_running(agent)
            try:
                status = agent.stop()
            except agents.AgentError as exc:
                self._stage.events.violation(f"{agent.name}: {exc}")
                status = None
            self._stage.wait(one.seconds)
            agent.start()
        return f"done with status {status}" if status else None

    def _freeze_agent(self, one: plans.Fault) -> None:
        agent = self._stage.agents[one.agent]
        with agent.lock:
            self._stage.ensure_running(agent)
            agent.freeze(signal.SIGSTOP)
            try:
                self._stage.wait(one.seconds)
            finally:
                agent.freeze(signal.SIGCONT)

    def _reload_agent(self, one: plans.Fault) -> None:
        agent = self._stage.agents[one.agent]
        with agent.lock:
            self._stage.ensure_running(agent)
            agent.signal(signal.SIGHUP)


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
