# SPDX-License-Identifier: Apache-2.0
"""What can be done to a copy, one deed at a time."""

from collections.abc import Callable
import dataclasses
import datetime
import logging
from typing import assert_never

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import copying
from glance_sync_agent.engine import origins
from glance_sync_agent.engine import places
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import progress

LOG = logging.getLogger(__name__)

#: A transfer from this size on lasts long enough for an operator to look at its row meanwhile;
#: that of a smaller one is filled in with the outcome, at the cost of one write instead of two.
_LONG_TRANSFER_BYTES = 4 * 1024 * 1024
#: After so long a copy that found no place to be read back looks for one again.
_PLACE_SECONDS = 30.0


class Deeds:
    """Does them, and returns only what was seen afterwards. Thread safe."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        data_origins: origins.Origins,
        store: ports.TaskStore,
        in_regions: places.Places,
        clock: ports.Clock,
        stop: ports.StopFlag,
        limits: Callable[[], progress.Limits],
    ) -> None:
        self._store = store
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

    def do(
        self,
        lease: tasks.Lease,
        service: ports.ImageService,
        action: plans.Deed,
    ) -> images.Image | None:
        """Do one thing; return the copy as it is then."""
        match action:
            case plans.CopyData():
                return self._copy_data(lease, service, action)
            case plans.ReadBack():
                return self._read_back(lease, service, action)
            case plans.UpdateMetadata():
                service.update(action)
                LOG.info("Updated the metadata of %s", lease.task.key)
                return service.get(action.copy.image_id)
            case plans.SetActive(active=active):
                service.set_active(action.copy.image_id, active=active)
                LOG.info("%s %s", "Reactivated" if active else "Deactivated", lease.task.key)
                return service.get(action.copy.image_id)
            case plans.DeleteCopy():
                return self._delete(lease, service, action)
            case plans.Conflict(reason=reason):
                raise errors.ImageConflict(reason)
            case _:
                assert_never(action)

    def _copy_data(
        self, lease: tasks.Lease, service: ports.ImageService, action: plans.CopyData
    ) -> images.Image | None:
        source, into = action.source, action.into
        self._take_place(lease, source.size or 0)
        if into is None:
            try:
                into = service.create(source.image_id, source)
            except errors.ImageIdTaken:
                occupant = _occupant(service, source)
                if occupant is not None:
                    return occupant
                into = self._create_anew(lease, service, source)
        if (source.size or 0) >= _LONG_TRANSFER_BYTES:
            self._store.note_copy(lease, into.image_id, source.metadata.name)
        started = self._clock.monotonic()
        try:
            sent = self._transfer(lease, source, into)
        except errors.FormatRefused as exc:
            # Nothing else is cleared away: a deleted record spends the id in that region, and
            # after all other refusals the image may come yet.
            self._delete(lease, service, plans.DeleteCopy(copy=into, reason=str(exc)))
            raise
        seconds = self._clock.monotonic() - started
        LOG.info("Copied %s: %s bytes in %.1f s", lease.task.key, source.size, seconds)
        # A record made just now has no members yet.
        look = service.get_record if action.into is None else service.get
        copy = look(into.image_id)
        if source.multihash is not None:
            return copy
        # The source cannot tell whether these are its bytes; what was sent can.
        return self._prove(lease, service, dataclasses.replace(source, multihash=sent), copy)

    def _prove(
        self,
        lease: tasks.Lease,
        service: ports.ImageService,
        source: images.Image,
        copy: images.Image | None,
    ) -> images.Image | None:
        """Look at the bytes of a copy and at nothing else; return the copy as it is then."""
        action = plans.proof(source, copy, mark=images.mark_of(source))
        return copy if action is None else self.do(lease, service, action)

    def _read_back(
        self, lease: tasks.Lease, service: ports.ImageService, action: plans.ReadBack
    ) -> images.Image | None:
        """Compare the bytes themselves, once for each copy, and remember that they are right."""
        copy, expected = action.copy, action.expected
        if not self._places.take(lease.task.key, copy.size or 0):
            # Its row tells no size: whatever else is asked of this copy waits for no place.
            raise errors.NoPlace(_no_place(lease, copy.size), retry_after=_PLACE_SECONDS)
        LOG.info("Reading the copy of %s back: %s", lease.task.key, action.reason)
        signs = self._signs(lease, copy)
        found = self._copying.read_back(copy, expected.algo, signs)
        if found == expected:
            self._store.note_proven(lease, copy.image_id)
            return copy
        removal = plans.DeleteCopy(
            copy=copy, reason="copy holds other bytes", mismatch=(str(expected), str(found))
        )
        return self._delete(lease, service, removal)

    def _take_place(self, lease: tasks.Lease, size: int) -> None:
        """Make sure that an image may be brought now; else its row tells how large it is."""
        key, now = lease.task.key, self._clock.now()
        if self._places.take(key, size):
            return
        if lease.task.copied_from is not None:
            # By that the row still tells of a copy with its bytes, and for such a one nobody
            # waits for a place: it would be claimed again and again, before all others.
            self._store.note_copy(lease, lease.task.copy_id, lease.task.image_name)
        until = now + datetime.timedelta(seconds=self._limits().lease)
        self._store.renew(lease, now=now, until=until, bytes_done=0, bytes_total=size)
        raise errors.NoPlace(_no_place(lease, size))

    def _create_anew(
        self, lease: tasks.Lease, service: ports.ImageService, source: images.Image
    ) -> images.Image:
        """Make a record with an id of its own, so that nothing keeps two from being made."""
        made = service.create(None, source)
        try:
            self._store.note_copy(lease, made.image_id, source.metadata.name)
        except errors.LeaseLost:
            service.delete(made)  # who has the lease now has made one, too, or will
            raise
        return made

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

    def _delete(
        self, lease: tasks.Lease, service: ports.ImageService, action: plans.DeleteCopy
    ) -> images.Image | None:
        service.delete(action.copy)
        self._store.note_copy(lease, None, lease.task.image_name)
        LOG.info("Deleted the copy of %s: %s", lease.task.key, action.reason)
        if action.mismatch is not None:
            expected, actual = action.mismatch
            what = f"copy {action.copy.image_id} of {lease.task.key}, now removed"
            raise errors.DigestMismatch(what=what, expected=expected, actual=actual)
        return service.get(action.copy.image_id)


def _no_place(lease: tasks.Lease, size: int | None) -> str:
    return (
        f"it has {size} bytes, and other large images are on their way to region "
        f"{lease.task.key.region}, or are read back there"
    )


def _occupant(service: ports.ImageService, source: images.Image) -> images.Image | None:
    """Find what keeps an id from being used; None if the id was spent by a deleted image."""
    return service.get(source.image_id) or marked_copy(service, images.mark_of(source))


def marked_copy(service: ports.ImageService, mark: images.Mark) -> images.Image | None:
    """Find the copy that a lost row knew: one that has an id of its own."""
    found = next(iter(service.copies_of(mark)), None)
    return found and service.get(found.image_id)  # with its members
