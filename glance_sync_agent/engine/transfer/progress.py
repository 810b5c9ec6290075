# SPDX-License-Identifier: Apache-2.0
"""The signs of life of a transfer, and the reasons to end it."""

import dataclasses
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Times that things may take, in seconds."""

    transfer: float  # one transfer may take; 0: no limit
    lease: float  # a task stays ours after the last sign of life
    snapshot: float = 300.0  # a snapshot may take to become active
    progress: float = 1.0  # between two signs of life
    vanished: float = 600.0  # until a copy that vanished twice is made anew, at first


def renew(
    lease: tasks.Lease, *, store: ports.TaskStore, clock: ports.Clock, limits: Limits
) -> None:
    """Show a sign of life without progress.

    :raises LeaseLost: somebody else works on the task.
    :raises ServiceUnavailable: the database does not answer.
    """
    now = clock.now()
    store.renew(
        lease,
        now=now,
        until=now + datetime.timedelta(seconds=limits.lease),
        bytes_done=lease.task.bytes_done,
        bytes_total=lease.task.bytes_total,
    )


class Progress:
    """Takes note of the bytes of one transfer."""

    def __init__(
        self,
        lease: tasks.Lease,
        size: int,
        *,
        store: ports.TaskStore,
        clock: ports.Clock,
        stop: ports.StopFlag,
        limits: Limits,
        ends_on_request: bool = False,
    ) -> None:
        """Begin now.

        :param ends_on_request: whether a new request for the task ends the transfer.
        """
        self._ends_on_request = ends_on_request
        self._lease = lease
        self._size = size
        self._store = store
        self._clock = clock
        self._stop = stop
        self._limits = limits
        self._started = clock.monotonic()
        self._reported = self._renewed = self._started

    def __call__(self, done: int) -> None:
        """Take note of ``done`` bytes.

        :raises Cancelled: the agent is stopping, or the task was requested again.
        :raises TransferTimedOut: the transfer takes longer than allowed.
        :raises LeaseLost: somebody else works on the task.
        :raises ServiceUnavailable: the lease could not be renewed until it ran out.
        """
        if self._stop.is_set():
            raise errors.Cancelled(f"{self._lease.task.key}: the agent is stopping")
        now = self._clock.monotonic()
        taken = now - self._started
        if self._limits.transfer and taken > self._limits.transfer and done < self._size:
            raise errors.TransferTimedOut(
                f"{self._lease.task.key}: {done} of {self._size} bytes in {taken:.0f} s, "
                f"more than scp_copy_timeout = {self._limits.transfer:.0f} s",
                retry_after=taken,
            )
        if now - self._reported >= self._limits.progress:
            self._reported = now
            self._report(done, now)
            if self._ends_on_request and self._was_requested():
                raise errors.Cancelled(f"{self._lease.task.key} was requested again")

    def _was_requested(self) -> bool:
        """Tell whether the source may have changed, so the copy may have to lose access."""
        task = self._lease.task
        try:
            now = self._store.get(task.key)
        except errors.ServiceUnavailable:
            return False
        return now is not None and now.generation != task.generation

    def _report(self, done: int, monotonic: float) -> None:
        now = self._clock.now()
        try:
            self._store.renew(
                self._lease,
                now=now,
                until=now + datetime.timedelta(seconds=self._limits.lease),
                bytes_done=done,
                bytes_total=self._size,
            )
        except errors.ServiceUnavailable as exc:
            # A database that restarts is no reason to throw away what was sent. Once the lease
            # has run out, somebody else may work on the task.
            if monotonic - self._renewed > self._limits.lease:
                raise
            LOG.warning("Could not report the progress of %s: %s", self._lease.task.key, exc)
        else:
            self._renewed = monotonic
