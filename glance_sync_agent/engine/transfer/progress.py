# SPDX-License-Identifier: Apache-2.0
"""The signs of life of a transfer, and the reasons to end it."""

from collections.abc import Callable, Iterable, Iterator
import dataclasses
import datetime
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How long things may take, in seconds."""

    transfer: float  # one transfer; 0: no limit
    lease: float  # how long a task stays ours after the last sign of life
    snapshot: float = 300.0  # until a snapshot is active
    progress: float = 1.0  # between two signs of life
    vanished: float = 600.0  # first pause before a copy that vanished twice is made again


def renew(
    lease: tasks.Lease, *, store: ports.TaskStore, clock: ports.Clock, limits: Limits
) -> None:
    """Show a sign of life without progress.

    :raises LeaseLost: another agent works on the task.
    :raises ServiceUnavailable: the database is unreachable.
    """
    now = clock.now()
    store.renew(
        lease,
        now=now,
        until=now + datetime.timedelta(seconds=limits.lease),
        bytes_done=lease.task.bytes_done,
        bytes_total=lease.task.bytes_total,
    )


def watched(blocks: Iterable[bytes], on_progress: Callable[[int], None]) -> Iterator[bytes]:
    """Pass ``blocks`` on, and note how many bytes were passed on.

    :param on_progress: called before the first block and after each. What it raises ends the
        transfer.
    """
    done = 0
    on_progress(done)
    for block in blocks:
        yield block
        done += len(block)
        on_progress(done)


class Progress:
    """Notes the bytes of one transfer, and keeps the lease."""

    def __init__(
        self,
        lease: tasks.Lease,
        size: int,
        outside: ports.Ports,
        *,
        stop: ports.StopFlag,
        limits: Limits,
        on_request: Callable[[], None] | None = None,
    ) -> None:
        """Begin now.

        :param on_request: called after each new request for the task. If a service is
            unavailable, it is called again; what else it raises ends the transfer.
        """
        self._on_request = on_request
        self._generation = lease.task.generation
        self._lease = lease
        self._size = size
        self._store = outside.store
        self._clock = outside.clock
        self._stop = stop
        self._limits = limits
        self._started = outside.clock.monotonic()
        self._reported = self._renewed = self._started

    def __call__(self, done: int) -> None:
        """Note that ``done`` bytes were passed on.

        :raises Cancelled: the agent is stopping.
        :raises TransferTimedOut: the transfer takes longer than allowed.
        :raises LeaseLost: another agent works on the task.
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
            if self._on_request is not None:
                self._follow_requests(self._on_request)

    def _follow_requests(self, follow: Callable[[], None]) -> None:
        try:
            now = self._store.get(self._lease.task.key)
            if now is None or now.generation == self._generation:
                return
            follow()
        except errors.ServiceUnavailable as exc:
            LOG.debug("%s was requested again: %s", self._lease.task.key, exc)
            return
        self._generation = now.generation

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
            # A database that restarts is no reason to discard what was sent. After the lease has
            # expired, another agent may work on the task.
            if monotonic - self._renewed > self._limits.lease:
                raise
            LOG.warning(
                "Could not report the progress of %s: %s. The transfer continues until its lease "
                "expires", self._lease.task.key, exc,
            )
        else:
            self._renewed = monotonic
