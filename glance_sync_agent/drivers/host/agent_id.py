# SPDX-License-Identifier: Apache-2.0
"""Who an agent is among those that share a database."""

import os
import pathlib
import socket
import uuid

from glance_sync_agent import errors

_FILE = "agent.id"
_CHARACTERS = 36


def of(directory: pathlib.Path) -> str:
    """Return the name of the agent of a state directory: its host, and an id that it keeps there.

    Names of hosts alone are not unique: containers share them. The caller holds the lock of the
    directory.

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
            f"{path}: the agent's id cannot be read or made there: {exc.strerror}"
        ) from exc
    except ValueError as exc:
        raise errors.ConfigurationError(
            f"{path} should hold the agent's id, a UUID; remove it while the agent does not run, "
            "and a new one is made"
        ) from exc


def _make(path: pathlib.Path) -> None:
    """Make the file, whole or not at all."""
    unfinished = path.with_suffix(".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(unfinished, flags, 0o640), "w") as file:
        file.write(str(uuid.uuid4()))
    unfinished.replace(path)
