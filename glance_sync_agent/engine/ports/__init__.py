# SPDX-License-Identifier: Apache-2.0
"""The engine's ports, by service.

Each port has a real driver and an in-memory one, and both pass the same contract tests
(``tests/contract``). A driver raises only :mod:`glance_sync_agent.errors`.
"""

from glance_sync_agent.engine.ports.agents import AgentStore as AgentStore
from glance_sync_agent.engine.ports.agents import BreakerStore as BreakerStore
from glance_sync_agent.engine.ports.agents import EventStore as EventStore
from glance_sync_agent.engine.ports.agents import FactStore as FactStore
from glance_sync_agent.engine.ports.agents import LeaderLeases as LeaderLeases
from glance_sync_agent.engine.ports.agents import NEWEST_SOURCES as NEWEST_SOURCES
from glance_sync_agent.engine.ports.agents import PauseStore as PauseStore
from glance_sync_agent.engine.ports.glance import ImageService as ImageService
from glance_sync_agent.engine.ports.glance import ImageStore as ImageStore
from glance_sync_agent.engine.ports.glance import MarkedRecords as MarkedRecords
from glance_sync_agent.engine.ports.glance import Regions as Regions
from glance_sync_agent.engine.ports.jobs import JobStore as JobStore
from glance_sync_agent.engine.ports.keystone import Catalogue as Catalogue
from glance_sync_agent.engine.ports.keystone import ProjectDirectory as ProjectDirectory
from glance_sync_agent.engine.ports.meters import Meters as Meters
from glance_sync_agent.engine.ports.meters import NoMeters as NoMeters
from glance_sync_agent.engine.ports.runtime import Clock as Clock
from glance_sync_agent.engine.ports.runtime import Ports as Ports
from glance_sync_agent.engine.ports.runtime import Runtime as Runtime
from glance_sync_agent.engine.ports.runtime import StopFlag as StopFlag
from glance_sync_agent.engine.ports.runtime import Wake as Wake
from glance_sync_agent.engine.ports.task_filters import ALL_TASKS as ALL_TASKS
from glance_sync_agent.engine.ports.task_filters import Page as Page
from glance_sync_agent.engine.ports.task_filters import TaskFilter as TaskFilter
from glance_sync_agent.engine.ports.task_queue import ANY_TASK as ANY_TASK
from glance_sync_agent.engine.ports.task_queue import ClaimFilter as ClaimFilter
from glance_sync_agent.engine.ports.task_queue import Request as Request
from glance_sync_agent.engine.ports.task_queue import TaskQueue as TaskQueue
from glance_sync_agent.engine.ports.tasks import TaskNotes as TaskNotes
from glance_sync_agent.engine.ports.tasks import TaskQueries as TaskQueries
from glance_sync_agent.engine.ports.tasks import TaskStore as TaskStore
