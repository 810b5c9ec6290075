# SPDX-License-Identifier: Apache-2.0
"""One agent for one state directory."""

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

#: Seconds that a predecessor gets to finish what it is doing.
_PATIENCE_SECONDS = 60.0


@contextlib.contextmanager
def held(
    directory: pathlib.Path, *, patience_seconds: float = _PATIENCE_SECONDS
) -> Iterator[None]:
    """Hold the lock of a state directory, which is made if need be.

    The leases that an earlier agent of this directory left behind are therefore nobody's. The
    kernel gives the lock back when the last process of the agent is gone, however it ended.

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
        before_sleep=functools.partial(_tell_once, directory, patience_seconds),
        reraise=True,
    )
    try:
        retry(fcntl.flock, descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        raise errors.ConfigurationError(
            f"state_path = {directory}: another glance-sync-agent runs there; "
            "stop it, or give this one a state_path of its own"
        ) from exc


def _tell_once(
    directory: pathlib.Path, patience_seconds: float, state: tenacity.RetryCallState
) -> None:
    if state.attempt_number == 1:
        LOG.warning(
            "state_path = %s: another glance-sync-agent runs there; waiting %g s for its end",
            directory, patience_seconds,
        )
