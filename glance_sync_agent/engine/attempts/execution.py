# SPDX-License-Identifier: Apache-2.0
"""What can be done to a copy, one deed at a time."""

from collections.abc import Callable
import dataclasses
import datetime
import logging
from typing import assert_never

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import narrowing
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.attempts import copies
from glance_sync_agent.engine.attempts import copy_notes
from glance_sync_agent.engine.attempts import large_slots
from glance_sync_agent.engine.attempts import sources
from glance_sync_agent.engine.transfer import copying
from glance_sync_agent.engine.transfer import origins
from glance_sync_agent.engine.transfer import progress

LOG = logging.getLogger(__name__)

#: A transfer from this size on lasts long enough for an operator to look at its row meanwhile;
#: that of a smaller one is filled in with the outcome, at the cost of one write instead of two.
_LONG_TRANSFER_BYTES = 4 * 1024 * 1024
#: After so long a copy that found no place to be read back looks for one again.
_PLACE_SECONDS = 30.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """What the deeds of one attempt have in common."""

    lease: tasks.Lease
    service: ports.ImageService  # of the region of the copy
    evidence: identity.Evidence  # but for what is known of the copy
    notes: copy_notes.CopyNotes
    look: sources.SourceReader
    #: The copy, if it was read after all else that this attempt has looked at.
    just_read: images.Image | None = None

    def whose(self, copy: images.Image) -> identity.Identity:
        """Return whose an image is, by all that is known now."""
        return identity.whose(copy, dataclasses.replace(self.evidence, known=self.notes.known))


class Executor:
    """Does them, and returns only what was seen afterwards. Thread safe."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        data_origins: origins.Origins,
        store: ports.TaskStore,
        in_regions: large_slots.LargeSlots,
        clock: ports.Clock,
        stop: ports.StopFlag,
        limits: Callable[[], progress.Limits],
        new_id: Callable[[], images.ImageId],
    ) -> None:
        self._store = store
        self._new_id = new_id
        self._places = in_regions
        self._clock = clock
        self._stop = stop
        self._limits = limits
        self._copying = copying.Copying(
            regions=regions, data_origins=data_origins, clock=clock, stop=stop
        )

    def origin_of(self, copy: images.Image) -> images.RegionId | None:
        """Return where the bytes of a copy came from; None: not brought here, or long ago."""
        return self._copying.origin_of(copy)

    def do(self, attempt: Attempt, action: plans.Executable) -> images.Image | None:
        """Do one thing; return the copy as it is then."""
        match action:
            case plans.CopyData():
                return self._copy_data(attempt, action)
            case plans.ReadBack():
                return self._read_back(attempt, action)
            case plans.UpdateMetadata() | plans.SetActive():
                return self._change(attempt, action)
            case plans.DeleteCopy():
                return self._delete(attempt, action)
            case plans.Conflict(reason=reason):
                raise errors.ImageConflict(reason)
            case _:
                assert_never(action)

    def _copy_data(self, attempt: Attempt, action: plans.CopyData) -> images.Image | None:
        source, into, lease = action.source, action.into, attempt.lease
        self._take_place(attempt, source.size or 0)
        if into is None:
            into, is_new = self._record(attempt, action)
            if not is_new:
                return into
        else:
            attempt.notes.found(into, on_probation=attempt.whose(into).on_probation)
        # Of a source without a hash, nothing else proves later that the record is ours.
        if (source.size or 0) >= _LONG_TRANSFER_BYTES or source.multihash is None:
            attempt.notes.write(source)
        started = self._clock.monotonic()
        try:
            sent = self._transfer(lease, source, into)
        except errors.FormatRefused as exc:
            # Nothing else is cleared away: a deleted record spends the id in that region, and
            # after all other refusals the image may come yet.
            if attempt.whose(into).may_be_replaced:
                self._delete(attempt, plans.DeleteCopy(copy=into, reason=str(exc)))
            raise
        seconds = self._clock.monotonic() - started
        LOG.info("Copied %s: %s bytes in %.1f s", lease.task.key, source.size, seconds)
        if narrowing.is_seen_later(source):
            # Before the copy, which is then read right before it is changed.
            attempt.look.renew()
        # A record made just now has no members yet.
        look = attempt.service.get_record if action.into is None else attempt.service.get
        copy = look(into.image_id)
        if source.multihash is not None:
            return copy
        # The source cannot tell whether these are its bytes; what was sent can.
        return self._prove(attempt, dataclasses.replace(source, multihash=sent), copy)

    def _record(
        self, attempt: Attempt, action: plans.CopyData
    ) -> tuple[images.Image, bool]:
        """Make the record of a copy, or else return the image that has its place, and False."""
        source, service, notes = action.source, attempt.service, attempt.notes
        image_id = notes.chosen_id or (None if action.under_own_id else source.image_id)
        notes.known = None
        if image_id is not None:
            try:
                notes.found(made := service.create(image_id, source))
            except errors.ImageIdTaken:
                LOG.debug("%s: id %s is taken", attempt.lease.task.key, image_id)
            else:
                return made, True
        occupant = None if notes.has_lost else copies.find(service, attempt.evidence)
        if occupant is not None:
            return occupant, False
        return self._create_anew(attempt, source), True

    def _create_anew(self, attempt: Attempt, source: images.Image) -> images.Image:
        """Make a record with an id of its own, which the row knows before it can be there."""
        chosen = self._new_id()
        attempt.notes.choose(chosen, source)
        made = attempt.service.create(chosen, source)
        attempt.notes.found(made)
        return made

    def _prove(
        self, attempt: Attempt, source: images.Image, copy: images.Image | None
    ) -> images.Image | None:
        """Look at the bytes of a copy and at nothing else; return the copy as it is then."""
        action = plans.proof(source, copy)
        return copy if action is None else self.do(attempt, action)

    def _read_back(self, attempt: Attempt, action: plans.ReadBack) -> images.Image | None:
        """Compare the bytes themselves, once for each copy, and remember that they are right."""
        copy, expected, lease = action.copy, action.expected, attempt.lease
        if not self._places.take(lease.task.key, copy.size or 0):
            # Its row tells no size: whatever else is asked of this copy waits for no place.
            raise errors.NoSlot(_no_place(lease, copy.size), retry_after=_PLACE_SECONDS)
        LOG.info("Reading the copy of %s back: %s", lease.task.key, action.reason)
        signs = self._signs(lease, copy)
        found = self._copying.read_back(copy, expected.algo, signs)
        if found == expected:
            attempt.notes.prove(copy.image_id)
            return copy
        if not attempt.whose(copy).may_be_replaced:
            raise errors.ImageConflict(
                f"image {copy.image_id} of region {copy.region} says that it is our copy, but "
                f"holds other data than its source: expected {expected}, got {found}. It is left "
                f"alone; run 'glance-sync disown {copy.image_id} --region {copy.region}'"
            )
        removal = plans.DeleteCopy(
            copy=copy, reason="copy holds other bytes", mismatch=(str(expected), str(found))
        )
        return self._delete(attempt, removal)

    def _take_place(self, attempt: Attempt, size: int) -> None:
        """Make sure that an image may be brought now; else its row tells how large it is."""
        lease = attempt.lease
        key, now = lease.task.key, self._clock.now()
        if self._places.take(key, size):
            return
        if lease.task.has_data:
            # The row must not claim a complete copy, or the task would skip the queue for large
            # images.
            self._store.note_copy(lease, attempt.notes.known, lease.task.image_name)
        until = now + datetime.timedelta(seconds=self._limits().lease)
        self._store.renew(lease, now=now, until=until, bytes_done=0, bytes_total=size)
        raise errors.NoSlot(_no_place(lease, size))

    def _transfer(
        self, lease: tasks.Lease, source: images.Image, into: images.Image
    ) -> images.Multihash:
        """Bring the bytes; return their hash."""
        return self._copying.bring(lease.task.key, source, into, self._signs(lease, source))

    def _signs(self, lease: tasks.Lease, image: images.Image) -> progress.Progress:
        return progress.Progress(
            lease,
            image.size or 0,
            store=self._store,
            clock=self._clock,
            stop=self._stop,
            limits=self._limits(),
        )

    def _change(
        self, attempt: Attempt, action: plans.UpdateMetadata | plans.SetActive
    ) -> images.Image | None:
        """Change the record of a copy; return it as it is then.

        :raises LeaseLost: somebody else works on the task; nothing was given to anybody.
        """
        service, key, copy_id = attempt.service, attempt.lease.task.key, action.copy.image_id
        if action.copy is not attempt.just_read and _as_it_is_now(attempt, action.copy) is None:
            return None
        if narrowing.widens(action):
            on_probation = attempt.whose(action.copy).on_probation
            attempt.notes.found(action.copy, on_probation=on_probation)
            attempt.notes.secure()
            # An agent that stood still for longer than its lease would widen on an old look.
            progress.renew(
                attempt.lease, store=self._store, clock=self._clock, limits=self._limits()
            )
        if isinstance(action, plans.UpdateMetadata):
            changed = service.update(action)
            LOG.info("Updated the metadata of %s", key)
            return changed if changed is not None else service.get(copy_id)
        if not action.active:
            attempt.notes.deactivate(copy_id)
        service.set_active(copy_id, active=action.active)
        LOG.info("%s %s", "Reactivated" if action.active else "Deactivated", key)
        return service.get(copy_id)

    def _delete(self, attempt: Attempt, action: plans.DeleteCopy) -> images.Image | None:
        key = attempt.lease.task.key
        copy = _as_it_is_now(attempt, action.copy)
        if copy is not None:
            proof = attempt.whose(copy).reason
            attempt.service.delete(copy)
            LOG.info(
                "Deleted the copy of %s: %s. It was image %s of project %s, with %s bytes and "
                "hash %s; it was ours, because %s",
                key, action.reason, copy.image_id, copy.metadata.owner, copy.size, copy.multihash,
                proof,
            )
        attempt.notes.forget()
        if action.mismatch is not None:
            expected, actual = action.mismatch
            what = f"copy {action.copy.image_id} of {key}, now removed"
            raise errors.DigestMismatch(what=what, expected=expected, actual=actual)
        return attempt.service.get(action.copy.image_id)


def _no_place(lease: tasks.Lease, size: int | None) -> str:
    return (
        f"it has {size} bytes, and other large images are on their way to region "
        f"{lease.task.key.region}, or are read back there"
    )


def _as_it_is_now(attempt: Attempt, copy: images.Image) -> images.Image | None:
    """Look at a copy once more before it is changed, because Glance has no If-Match.

    :returns: None if it is gone.
    :raises TransientError: it is not ours any more.
    """
    now = attempt.service.get_record(copy.image_id)
    if now is None:
        return None
    found = attempt.whose(now)
    if not found.is_ours:
        raise errors.TransientError(
            f"image {copy.image_id} of region {copy.region} was left alone, because it changed "
            f"while it was looked at: {found.reason}"
        )
    return now
