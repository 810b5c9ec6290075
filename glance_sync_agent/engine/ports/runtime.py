# SPDX-License-Identifier: Apache-2.0
"""What the engine needs of its process, and all that it needs in one place."""

from collections.abc import Callable
import dataclasses
import datetime
import random
import threading
from typing import Protocol

from glance_sync_agent.domain import images
from glance_sync_agent.engine.ports.agents import BreakerStore
from glance_sync_agent.engine.ports.agents import FactStore
from glance_sync_agent.engine.ports.agents import LeaderLeases
from glance_sync_agent.engine.ports.glance import Regions
from glance_sync_agent.engine.ports.keystone import Catalogue
from glance_sync_agent.engine.ports.keystone import ProjectDirectory
from glance_sync_agent.engine.ports.tasks import TaskStore


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime.datetime:
        """Return the time of day, aware, UTC."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class StopFlag(Protocol):
    """Set once, when the agent has to let go of what it is doing."""

    def is_set(self) -> bool:
        """Tell whether to stop."""

    def wait(self, timeout: float) -> bool:
        """Wait until it is set, for so many seconds at most; tell whether it is."""


Wake = Callable[[], None]  # tells the worker that there may be something due


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Ports:
    """The world around the engine."""

    regions: Regions
    catalogue: Catalogue
    projects: ProjectDirectory
    store: TaskStore
    leader_leases: LeaderLeases
    breakers: BreakerStore
    facts: FactStore
    clock: Clock


def _nothing() -> None:
    """Wake nobody: the agent that runs elsewhere finds what is due by itself."""


def _at_once(function: Callable[[], None]) -> None:
    function()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """The process around the engine; the defaults are those of a command."""

    owner: str = "command"  # of leases
    submit: Callable[[Callable[[], None]], object] = _at_once  # runs in another thread
    wake: Wake = _nothing  # called when there may be something due
    #: Set when running transfers are to be called off.
    stop: StopFlag = dataclasses.field(default_factory=threading.Event)
    #: Set when nothing new is to be begun.
    ending: StopFlag = dataclasses.field(default_factory=threading.Event)
    is_keystone_away: Callable[[], bool] = lambda: False
    chance: Callable[[], float] = random.SystemRandom().random
    new_id: Callable[[], images.ImageId] = images.new_id
