# SPDX-License-Identifier: Apache-2.0
"""The engine's ports to its process, and all ports together."""

from collections.abc import Callable
import dataclasses
import datetime
import random
import threading
from typing import Protocol

from glance_sync_agent.domain import images
from glance_sync_agent.engine.ports.agents import AgentStore
from glance_sync_agent.engine.ports.agents import BreakerStore
from glance_sync_agent.engine.ports.agents import EventStore
from glance_sync_agent.engine.ports.agents import FactStore
from glance_sync_agent.engine.ports.agents import LeaderLeases
from glance_sync_agent.engine.ports.agents import PauseStore
from glance_sync_agent.engine.ports.glance import Regions
from glance_sync_agent.engine.ports.jobs import JobStore
from glance_sync_agent.engine.ports.keystone import Catalogue
from glance_sync_agent.engine.ports.keystone import ProjectDirectory
from glance_sync_agent.engine.ports.meters import Meters
from glance_sync_agent.engine.ports.meters import NoMeters
from glance_sync_agent.engine.ports.tasks import TaskStore


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime.datetime:
        """Return the time of day, aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class StopFlag(Protocol):
    """An event that is set once, when the agent stops."""

    def is_set(self) -> bool:
        """Return whether to stop."""

    def wait(self, timeout: float) -> bool:
        """Wait until it is set, or for ``timeout`` seconds; return whether it is set."""


Wake = Callable[[], None]  # makes the worker look for due tasks


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """All services that the engine uses."""

    regions: Regions
    catalogue: Catalogue
    projects: ProjectDirectory
    store: TaskStore
    leader_leases: LeaderLeases
    breakers: BreakerStore
    facts: FactStore
    pauses: PauseStore
    history: EventStore
    agents: AgentStore
    jobs: JobStore
    clock: Clock


def _nothing() -> None:
    """Wake no worker, because the agent in another process finds due tasks by itself."""


def _at_once(function: Callable[[], None]) -> None:
    function()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """The process that runs the engine; the defaults are those of a command."""

    owner: str = "command"  # of leases
    version: str = ""  # of the agent
    submit: Callable[[Callable[[], None]], object] = _at_once  # runs in another thread
    wake: Wake = _nothing  # called when tasks may be due
    #: Set when running transfers must stop.
    stop: StopFlag = dataclasses.field(default_factory=threading.Event)
    #: Set when no new work may begin.
    ending: StopFlag = dataclasses.field(default_factory=threading.Event)
    is_keystone_away: Callable[[], bool] = lambda: False
    meters: Meters = NoMeters()  # noqa: RUF009 - it has no state
    chance: Callable[[], float] = random.SystemRandom().random
    new_id: Callable[[], images.ImageId] = images.new_id
