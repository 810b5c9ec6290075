# SPDX-License-Identifier: Apache-2.0
"""The lock that keeps a second agent out of a state directory.

The kernel holds a lock of flock(2) until the last process that inherited it has ended. Libraries
such as fasteners use lockf(3), which a forked process does not inherit.
"""

from collections.abc import Iterator
import contextlib
import fcntl
import functools
import logging
import os
import pathlib

import tenacity

from glance_sync_agent import errors

LOG = logging.getLogger(__name__)

#: Seconds that the last agent gets to finish.
_PATIENCE_SECONDS = 60.0


@contextlib.contextmanager
def held(
    directory: pathlib.Path, *, patience_seconds: float = _PATIENCE_SECONDS
) -> Iterator[None]:
    """Hold the lock of a state directory, and make the directory if it is missing.

    The owner of leases that an earlier agent of this directory left has then ended.

    :raises ConfigurationError: the directory cannot be used, or another agent uses it.
    """
    path = directory / "agent.lock"
    try:
        directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    except OSError as exc:
        raise errors.ConfigurationError(
            f"state_path = {directory}: cannot be used by this user: {exc.strerror}"
        ) from exc
    with os.fdopen(descriptor) as file:
        _lock(file.fileno(), directory, patience_seconds)
        yield


def _lock(descriptor: int, directory: pathlib.Path, patience_seconds: float) -> None:
    retry = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(BlockingIOError),
        stop=tenacity.stop_after_delay(patience_seconds),
        wait=tenacity.wait_fixed(0.2),
        before_sleep=functools.partial(_warn_once, directory, patience_seconds),
        reraise=True,
    )
    try:
        retry(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise errors.ConfigurationError(
            f"state_path = {directory}: another glance-sync-agent runs there; "
            "stop it, or give this agent another state_path"
        ) from exc


def _warn_once(
    directory: pathlib.Path, patience_seconds: float, state: tenacity.RetryCallState
) -> None:
    if state.attempt_number == 1:
        LOG.warning(
            "state_path = %s: another glance-sync-agent runs there; waiting up to %g s "
            "until it ends",
            directory, patience_seconds,
        )
