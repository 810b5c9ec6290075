# SPDX-License-Identifier: Apache-2.0
"""An agent whose worker is dead in the moment that a file names, and has another one after it.

The file says ``before TaskStore.claim``, or ``after``; it is gone once the worker is. A signal
that a test sends comes when it comes.
"""

from collections.abc import Callable
import contextlib
import os
import pathlib
import signal
import sys
from typing import Any

from oslo_service import backend

backend.init_backend(backend.BackendType.THREADING)  # before what imports oslo.messaging

from glance_sync_agent.cmd.daemon import command  # noqa: E402
from glance_sync_agent.drivers.glance.record_changes import RecordChanges  # noqa: E402
from glance_sync_agent.drivers.sql import task_queue  # noqa: E402
from glance_sync_agent.drivers.stores import filesystem  # noqa: E402

#: Where one step of the straight line ends and the next begins.
CALLS = {
    "TaskStore": (task_queue.SqlTaskQueue, ("request", "claim", "finish")),
    "Glance": (RecordChanges, ("create", "update", "delete")),
    "Store": (filesystem.FilesystemStore, ("write",)),
}


def main() -> int:
    """Run the agent; the first argument is the file, the others are the agent's."""
    order = pathlib.Path(sys.argv.pop(1))
    for port, (kind, names) in CALLS.items():
        for name in names:
            setattr(kind, name, _mortal(getattr(kind, name), f"{port}.{name}", order))
    return command.main()


def _mortal(
    original: Callable[..., Any], name: str, order: pathlib.Path
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        _obey(order, f"before {name}")
        answer = original(*args, **kwargs)
        _obey(order, f"after {name}")
        return answer

    return call


def _obey(order: pathlib.Path, moment: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if order.read_text() == moment:
            order.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
