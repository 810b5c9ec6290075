# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of an image are: at its source, and at each copy that was verified."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import functools
import logging
import threading

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.transfer import digests
from glance_sync_agent.engine.transfer import shared_reads
from glance_sync_agent.engine.transfer import transfers

LOG = logging.getLogger(__name__)

#: An origin that failed comes last for so long: more than it takes until the next attempt, or
#: until another region's, would find it damaged once more.
_SHUNNED_SECONDS = 600.0


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OriginSettings:
    """Where images may be read."""

    copies_as_sources: bool  # whether copies are origins
    #: Up to this size, a search for a copy costs more than a read of a busy source.
    small_image_bytes: int


class Origins:
    """Chooses where an image is read, and reads it. Thread safe.

    An origin is the source as it is found in one region: the same bytes, under the id that
    they have there. Where they are a copy's, it has the mark of that. The first one is where
    the data of the source itself is, which need not be the region of its record.
    """

    def __init__(
        self,
        *,
        regions: ports.Regions,
        store: ports.TaskStore,
        clock: ports.Clock,
        copies_too: Callable[[], bool],
        small_image_bytes: int,
    ) -> None:
        """Start with nothing being read.

        :param copies_too: whether copies are origins.
        :param small_image_bytes: for an image up to this size, to look for a copy costs more
            than to read a source that is busy.
        """
        self._regions = regions
        self._store = store
        self._clock = clock
        self._copies_too = copies_too
        self._small = small_image_bytes
        self._shared = shared_reads.SharedReads()
        self._lock = threading.Lock()
        self._reads: Counter[images.RegionId] = Counter()  # that run
        self._failed: dict[tuple[images.RegionId, images.ImageId], float] = {}  # monotonic

    def of(self, key: tasks.TaskKey, source: images.Image) -> Iterator[images.Image]:
        """Yield the origins for the copy of a task, the least used first.

        The home of the data is always among them. Copies are looked for only if it is busy, or
        once another origin is asked for.
        """
        home = remotes.home(source)
        if home.multihash is None or not self._copies_too():  # nothing proves other bytes
            yield home
            return
        others = [home]
        if not self._is_shunned(home) and (self._is_small(home) or not self._used(home)):
            yield home
            others = []
        others += self._copies(key, source, home)
        yield from sorted(others, key=lambda origin: self._rank(origin, home))

    @contextlib.contextmanager
    def reading(
        self, origin: images.Image, digest: digests.SharedDigest
    ) -> Iterator[Iterator[bytes]]:
        """Open the data of an origin; what comes is verified, see :func:`transfers.withheld`.

        Who has the same ``digest`` takes part in one read of it.

        :raises OriginFailed: it is not to be had there; the blocks raise it, too.
        """
        with self._counted(origin.region), contextlib.ExitStack() as stack:
            try:
                self._check(origin)
                open_at = functools.partial(self._open_at, origin, digest)
                blocks = stack.enter_context(self._shared.open(digest, open_at))
            except errors.SyncError as exc:
                raise self._shun(origin, exc) from exc
            yield self._verified(origin, blocks, digest)

    @contextlib.contextmanager
    def _open_at(
        self, origin: images.Image, digest: digests.SharedDigest, number: int
    ) -> Iterator[Iterator[bytes]]:
        store = self._regions.source_store(origin.region)
        with store.read(origin, offset=number * digests.BLOCK_BYTES) as chunks:
            yield transfers.hashed(chunks, image=origin, digest=digest, first=number)

    def _verified(
        self, origin: images.Image, blocks: Iterator[bytes], digest: digests.SharedDigest
    ) -> Iterator[bytes]:
        try:
            yield from transfers.withheld(blocks, image=origin, digest=digest)
        except errors.SyncError as exc:
            raise self._shun(origin, exc) from exc

    def _copies(
        self, key: tasks.TaskKey, source: images.Image, home: images.Image
    ) -> Sequence[images.Image]:
        try:
            found = self._store.find([key.image_id])
        except errors.ServiceUnavailable as exc:
            LOG.debug("%s: no copies to read: %s", key, exc)
            return ()
        return [
            _copy(source, home, task.key.region, task.known_copy)
            for task in found
            if task.known_copy is not None
            and _was_verified(task)
            and task.key.region not in {key.region, home.region}
        ]

    def _check(self, origin: images.Image) -> None:
        """Make sure that a copy is still the one that was verified."""
        if origin.mark is None or not identity.names_itself(origin):
            return  # the source, which was looked at
        service = self._regions.image_service(origin.region)
        copy = service.get_record(origin.image_id)
        seen = copy and (copy.status, _hash_like(origin, copy))
        is_active = seen == (images.ImageStatus.ACTIVE, origin.multihash)
        if copy is None or not is_active or not _is_still(copy, origin, origin.mark.source):
            raise errors.TransferInterrupted(
                f"image {origin.image_id} of region {origin.region} is no active copy of "
                f"{origin.mark.source} any more"
            )

    def _is_small(self, source: images.Image) -> bool:
        return (source.size or 0) <= self._small

    def _used(self, origin: images.Image) -> int:
        with self._lock:
            return self._reads[origin.region]

    def _rank(self, origin: images.Image, home: images.Image) -> tuple[bool, int, bool, str]:
        is_elsewhere = origin.region != home.region
        return self._is_shunned(origin), self._used(origin), is_elsewhere, origin.region

    @contextlib.contextmanager
    def _counted(self, region: images.RegionId) -> Iterator[None]:
        with self._lock:
            self._reads[region] += 1
        try:
            yield
        finally:
            with self._lock:
                self._reads[region] -= 1

    def _is_shunned(self, origin: images.Image) -> bool:
        with self._lock:
            since = self._failed.get((origin.region, origin.image_id))
        return since is not None and self._clock.monotonic() - since <= _SHUNNED_SECONDS

    def _shun(self, origin: images.Image, exc: errors.SyncError) -> errors.OriginFailed:
        now = self._clock.monotonic()
        with self._lock:
            kept = {one: at for one, at in self._failed.items() if now - at <= _SHUNNED_SECONDS}
            self._failed = {**kept, (origin.region, origin.image_id): now}
        return errors.OriginFailed(exc, region=origin.region)


def _copy(
    source: images.Image,
    home: images.Image,
    region: images.RegionId,
    known: identity.KnownCopy,
) -> images.Image:
    """Return a source as it is found at a copy that a row knows."""
    mark = images.Mark(
        source=images.key_of(source), copy_id=known.copy_id, copy_region=region
    )
    return dataclasses.replace(
        home, region=region, image_id=known.copy_id, created_at=known.created_at, mark=mark
    )


def _is_still(copy: images.Image, origin: images.Image, key: images.SourceKey) -> bool:
    known = identity.KnownCopy(copy_id=origin.image_id, created_at=origin.created_at)
    evidence = identity.Evidence(key=key, source=origin, known=known)
    found = identity.whose(copy, evidence)
    return found.is_ours and found.is_known


def _hash_like(origin: images.Image, copy: images.Image) -> images.Multihash | None:
    """Return the hash of a copy; that of its origin where another kind tells nothing.

    Such a copy was read back, and what it gives now is held to the hash of the source.
    """
    expected, found = origin.multihash, copy.multihash
    is_alike = expected is not None and found is not None and found.algo == expected.algo
    return found if is_alike else expected


def _was_verified(task: tasks.Task) -> bool:
    """Tell whether the copy of a task was in step when it was last looked at."""
    if task.status is tasks.TaskStatus.SUCCESS:
        return task.code is Code.IN_SYNC
    # A change of the image has all its copies looked at anew, and until then the rows say no
    # more than this: that the bytes came, and that nothing has failed since.
    return task.copied_from is not None and task.attempts == 0
