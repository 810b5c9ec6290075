# SPDX-License-Identifier: Apache-2.0
"""The name of an agent, unique among the agents that share a database."""

import os
import pathlib
import socket
import uuid

from glance_sync_agent import errors

_FILE = "agent.id"
_CHARACTERS = 36


def of(directory: pathlib.Path) -> str:
    """Return the name of the agent of a state directory: its host, and an id kept there.

    Containers share host names, so these are not unique. The caller holds the directory's lock.

    :raises ConfigurationError: the id can be neither read nor made.
    """
    path = directory / _FILE
    try:
        if not path.exists():
            _make(path)
        kept = path.read_text()[:_CHARACTERS]
        return f"{socket.gethostname()}:{uuid.UUID(kept)}"
    except OSError as exc:
        raise errors.ConfigurationError(
            f"{path}: cannot read or make the agent's id: {exc.strerror}"
        ) from exc
    except ValueError as exc:
        raise errors.ConfigurationError(
            f"{path} should hold the agent's id, a UUID; remove the file while the agent is "
            "stopped, and the agent makes a new one"
        ) from exc


def _make(path: pathlib.Path) -> None:
    """Make the file atomically."""
    unfinished = path.with_suffix(".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(unfinished, flags, 0o640), "w") as file:
        file.write(str(uuid.uuid4()))
    unfinished.replace(path)
