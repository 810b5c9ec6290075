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

_FOLLOW_AGAIN_SECONDS = 1.0  # the first pause; it doubles


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


class _Follower:
    """Follows new requests for a task while a transfer goes on."""

    def __init__(
        self,
        lease: tasks.Lease,
        outside: ports.Ports,
        on_request: Callable[[], None],
        limits: Limits,
    ) -> None:
        self._key = lease.task.key
        self._generation = lease.task.generation
        self._store = outside.store
        self._clock = outside.clock
        self._on_request = on_request
        self._most = limits.lease / 3
        self._pause = 0.0  # since the last error
        self._next = outside.clock.monotonic()

    def follow(self) -> float:
        """Follow a new request, if there is one; return how many seconds that took.

        :raises SyncError: what ends the transfer.
        """
        began = self._clock.monotonic()
        if began < self._next:
            return 0.0
        try:
            self._follow()
        except errors.Cancelled:
            raise
        except (errors.TransientError, errors.Refused) as exc:
            # A service that hangs must not be asked between any two blocks.
            self._pause = min(max(2 * self._pause, _FOLLOW_AGAIN_SECONDS), self._most)
            self._next = self._clock.monotonic() + self._pause
            LOG.warning(
                "%s was requested again, and its copy cannot follow during the read-back: %s. "
                "The next try is in %.0f s", self._key, exc, self._pause,
            )
        return self._clock.monotonic() - began

    def _follow(self) -> None:
        now = self._store.get(self._key)
        if now is None or now.generation == self._generation:
            return
        self._on_request()
        self._generation, self._pause = now.generation, 0.0


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

        :param on_request: called after each new request for the task, and again after errors that
            may pass. Others end the transfer.
        """
        self._follower = on_request and _Follower(lease, outside, on_request, limits)
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
            if self._follower is not None:
                # What takes so long is no transfer.
                self._started += self._follower.follow()

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
