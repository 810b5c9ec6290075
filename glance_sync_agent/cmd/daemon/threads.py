# SPDX-License-Identifier: Apache-2.0
"""The threads of the agent, and what they wait for."""

from collections.abc import Callable
import dataclasses
import logging
import os
import threading

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Signals:
    """What the threads of one agent wait for."""

    #: Set when nothing new is to start.
    stopping: threading.Event = dataclasses.field(default_factory=threading.Event)
    #: Set when running transfers are to be called off.
    cancelled: threading.Event = dataclasses.field(default_factory=threading.Event)
    #: Set when a task may be due.
    wake: threading.Event = dataclasses.field(default_factory=threading.Event)
    #: Set when a full scan is requested.
    scan: threading.Event = dataclasses.field(default_factory=threading.Event)


def spawn(name: str, target: Callable[[], None]) -> threading.Thread:
    """Run a function in a thread; if it crashes, the process ends and is started again."""

    def guarded() -> None:
        try:
            target()
        except Exception:
            LOG.exception("Thread %s crashed; the agent starts again", name)
            # Without this thread the agent would look alive and do nothing.
            os._exit(1)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread
