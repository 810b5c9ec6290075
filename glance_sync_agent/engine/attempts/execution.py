# SPDX-License-Identifier: Apache-2.0
"""Executes the actions of an attempt, one at a time."""

from collections.abc import Callable
import dataclasses
import datetime
import functools
import logging
from typing import assert_never

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import history
from glance_sync_agent.domain import images
from glance_sync_agent.domain import narrowing
from glance_sync_agent.domain import situations
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import copies
from glance_sync_agent.engine.attempts import vanished_copies
from glance_sync_agent.engine.attempts.context import Context
from glance_sync_agent.engine.attempts.copy_changes import CopyChanges
from glance_sync_agent.engine.attempts.large_slots import LargeSlots
from glance_sync_agent.engine.transfer import progress
from glance_sync_agent.engine.transfer.transfers import Transfers

LOG = logging.getLogger(__name__)

#: An operator may want to look at the row of a transfer from this size on while it runs. The row
#: of a smaller one is completed with the outcome, in one write instead of two.
_LONG_TRANSFER_BYTES = 4 * 1024 * 1024


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """An action was executed, and this was seen afterwards."""

    copy: images.Image | None  # None: it does not exist
    sent: images.Multihash | None = None  # of the bytes that were transferred
    misread: situations.Misread | None = None  # a read-back found other bytes
    refusal: str | None = None  # the region's Glance refused the bytes


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Postponed:
    """An action was not executed."""

    code: Code
    reason: str
    until: datetime.datetime | None  # None: as soon as there is room


class Executor:
    """Executes actions. Thread safe."""

    def __init__(
        self,
        outside: ports.Ports,
        limits: Callable[[], progress.Limits],
        runtime: ports.Runtime,
        transfers: Transfers,
        slots: LargeSlots,
    ) -> None:
        self._outside = outside
        self._store = outside.store
        self._clock = outside.clock
        self._limits = limits
        self._changes = CopyChanges(outside, limits)
        self._runtime = runtime
        self._transfers = transfers
        self._slots = slots

    def execute(self, context: Context, action: actions.Executable) -> Done | Postponed:
        """Execute one action.

        :raises SyncError: it failed; what became of the copy, only the next attempt sees.
        """
        match action:
            case actions.CopyData():
                return self._copy_data(context, action)
            case actions.ReadBack():
                return self._read_back(context, action)
            case actions.UpdateMetadata() | actions.SetActive():
                return Done(copy=self._changes.make(context, action))
            case actions.DeleteCopy():
                return self._delete(context, action)
            case _:
                assert_never(action)

    def _copy_data(self, context: Context, action: actions.CopyData) -> Done | Postponed:
        source, into, notes = action.source, action.into, context.notes
        if not self._slots.take(context.key, source.size or 0):
            return self._wait_for_slot(context, source.size or 0)
        if into is None:
            into, is_new = copies.make_record(context, action, self._runtime.new_id)
            if not is_new:
                return Done(copy=into)
            if context.is_first:
                # Only now, because a region that refuses the record makes no copy vanish.
                vanished_copies.note(context.lease, self._clock.now(), self._store)
        else:
            notes.remember(into, on_probation=context.whose(into).on_probation)
        # If the source has no hash, nothing else proves later that the record is ours.
        if (source.size or 0) >= _LONG_TRANSFER_BYTES or source.multihash is None:
            notes.write_empty(source)
        started = self._clock.monotonic()
        try:
            on_progress = self._progress(context, source)
            sent = self._transfers.bring(context.key, source, into, on_progress)
        except errors.FormatRefused as exc:
            return Done(copy=into, refusal=str(exc))
        notes.copied_from = sent.copied_from
        seconds = self._clock.monotonic() - started
        LOG.info("Copied %s: %s bytes in %.1f s", context.key, source.size, seconds)
        self._runtime.meters.copied(context.key.region, sent.way, source.size or 0, seconds)
        context.log.add(
            history.Kind.COPIED,
            copy_id=into.image_id,
            size=source.size,
            seconds=seconds,
            text=f"from region {sent.copied_from}",
        )
        if narrowing.is_seen_later(source):
            # Read the source first, so that the copy is read right before its change.
            context.reader.renew()
        # A new record has no members yet.
        read = context.service.get_record if action.into is None else context.service.get
        return Done(copy=read(into.image_id), sent=sent.multihash)

    def _wait_for_slot(self, context: Context, size: int) -> Postponed:
        """Write the size into the row, so that claims leave the task out until a slot is free."""
        lease, now = context.lease, self._clock.now()
        if lease.task.has_data:
            # The row must not claim a complete copy, or the task would skip the queue for large
            # images. Whatever else it says shows later that the copy vanished.
            self._store.note_without_data(lease)
        until = now + datetime.timedelta(seconds=self._limits().lease)
        self._store.renew(lease, now=now, until=until, bytes_done=0, bytes_total=size)
        return _no_slot(context, size, None)

    def _read_back(self, context: Context, action: actions.ReadBack) -> Done | Postponed:
        """Compare the bytes themselves, once for each copy, and remember that they are right."""
        copy, expected = action.copy, action.expected
        if not self._slots.take(context.key, copy.size or 0):
            # The row names no size: other changes of this copy wait for no slot.
            until = self._slots.next_try(context.key.region, self._clock.now())
            return _no_slot(context, copy.size, until)
        LOG.info("Reading the copy of %s back: %s", context.key, action.reason)
        follow = functools.partial(self._changes.take_back, context, copy.image_id)
        on_progress = self._progress(context, copy, follow)
        found = self._transfers.read_back(copy, expected.algo, on_progress)
        if found != expected:
            misread = situations.Misread(copy_id=copy.image_id, expected=expected, found=found)
            return Done(copy=copy, misread=misread)
        context.notes.write_proven(copy.image_id, expected)
        context.log.add(history.Kind.PROVEN, copy_id=copy.image_id, size=copy.size)
        now = context.service.get(copy.image_id)
        if now is None:
            # Only the first step of an attempt judges what a missing copy means.
            raise errors.TransientError(
                f"image {copy.image_id} of region {copy.region} is gone since it was read back"
            )
        return Done(copy=now)

    def _progress(
        self,
        context: Context,
        image: images.Image,
        on_request: Callable[[], None] | None = None,
    ) -> progress.Progress:
        return progress.Progress(
            context.lease,
            image.size or 0,
            self._outside,
            stop=self._runtime.stop,
            limits=self._limits(),
            on_request=on_request,
        )

    def _delete(self, context: Context, action: actions.DeleteCopy) -> Done:
        if action.first is not None:
            self._changes.hide(context, action.first)
        copy = context.read_again(action.copy)
        if copy is not None:
            proof = context.whose(copy).reason
            context.service.delete(copy)
            LOG.info(
                "Deleted the copy of %s: %s. It was image %s of project %s, with %s bytes and "
                "hash %s; it was ours, because %s",
                context.key, action.reason, copy.image_id, copy.metadata.owner, copy.size,
                copy.multihash, proof,
            )
            context.log.add(
                history.Kind.DELETED,
                text=action.reason,
                copy_id=copy.image_id,
                size=copy.size,
                owner=copy.metadata.owner,
                multihash=None if copy.multihash is None else str(copy.multihash),
                proof=proof,
            )
        context.notes.write_none()
        return Done(copy=context.service.get(action.copy.image_id))


def _no_slot(
    context: Context, size: int | None, until: datetime.datetime | None
) -> Postponed:
    return Postponed(
        code=Code.NO_SLOT,
        reason=f"it has {size} bytes, and other large images use the slots of region "
        f"{context.key.region}",
        until=until,
    )
