# SPDX-License-Identifier: Apache-2.0
"""Where the bytes of an image are: at its source, and at each copy that was verified."""

from collections.abc import Callable, Iterator, Sequence
import dataclasses
import logging
import threading

import cachetools

from glance_sync_agent import errors
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.codes import Code
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.transfer.downloads import Downloads

LOG = logging.getLogger(__name__)

#: An origin that failed comes last for this long. A shorter time would let the next attempt, or
#: another region's, find the same damage again.
_SHUNNED_SECONDS = 600.0
_MOST_SHUNNED = 1024


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class OriginSettings:
    """Where images may be read."""

    copies_as_sources: bool  # whether copies are origins
    #: Up to this size, a search for a copy costs more than a read of a busy source.
    small_image_bytes: int


class Origins:
    """Chooses the region that an image is read from. Thread safe.

    An origin is the source as one region has it: the same bytes, under the id that they have
    there. A copy as origin has the mark of that copy. The home of a source is the region with
    its data, which may be another one than that of its record.
    """

    def __init__(
        self, outside: ports.Ports, downloads: Downloads, settings: Callable[[], OriginSettings]
    ) -> None:
        self._regions = outside.regions
        self._store = outside.store
        self._downloads = downloads
        self._settings = settings
        self._lock = threading.Lock()
        self._shunned: cachetools.TTLCache[tuple[images.RegionId, images.ImageId], None] = (
            cachetools.TTLCache(_MOST_SHUNNED, _SHUNNED_SECONDS, timer=outside.clock.monotonic)
        )

    def of(self, key: tasks.TaskKey, source: images.Image) -> Iterator[images.Image]:
        """Yield the origins for the copy of a task, the least used first.

        The home is always among them. Copies are searched only if the home is busy, or if the
        caller asks for another origin.
        """
        home, settings = remotes.home(source), self._settings()
        # Without a hash, nothing proves that other bytes are the same.
        if home.multihash is None or not settings.copies_as_sources:
            yield home
            return
        others = [home]
        is_small = (home.size or 0) <= settings.small_image_bytes
        if not self._is_shunned(home) and (is_small or not self._downloads.readers(home.region)):
            yield home
            others = []
        others += self._copies(key, source, home)
        yield from sorted(others, key=lambda origin: self._rank(origin, home))

    def check(self, origin: images.Image) -> None:
        """Make sure that a copy is still the one that was verified.

        :raises OriginFailed: it is not, or its Glance does not say.
        """
        if origin.mark is None or not identity.names_itself(origin):
            return  # the attempt has just read the source
        try:
            self._check_copy(origin, origin.mark.source)
        except errors.SyncError as exc:
            raise errors.OriginFailed(exc, region=origin.region) from exc

    def shun(self, origin: images.Image) -> None:
        """Let an origin that failed come last for a while."""
        with self._lock:
            self._shunned[origin.region, origin.image_id] = None

    def _copies(
        self, key: tasks.TaskKey, source: images.Image, home: images.Image
    ) -> Sequence[images.Image]:
        try:
            found = self._store.find([key.image_id])
        except errors.ServiceUnavailable as exc:
            LOG.debug("%s: cannot search copies to read: %s", key, exc)
            return ()
        return [
            _copy(source, home, task.key.region, task.known_copy)
            for task in found
            if task.known_copy is not None
            and _was_verified(task)
            and task.key.region not in {key.region, home.region}
        ]

    def _check_copy(self, origin: images.Image, source: images.SourceKey) -> None:
        service = self._regions.image_service(origin.region)
        copy = service.get_record(origin.image_id)
        seen = copy and (copy.status, _hash_like(origin, copy))
        is_active = seen == (images.ImageStatus.ACTIVE, origin.multihash)
        if copy is None or not is_active or not _is_still(copy, origin, source):
            raise errors.TransferInterrupted(
                f"image {origin.image_id} of region {origin.region} is no longer an active copy "
                f"of {source}"
            )

    def _is_shunned(self, origin: images.Image) -> bool:
        with self._lock:
            return (origin.region, origin.image_id) in self._shunned

    def _rank(self, origin: images.Image, home: images.Image) -> tuple[bool, int, bool, str]:
        region = origin.region
        readers = self._downloads.readers(region)
        return self._is_shunned(origin), readers, region != home.region, region


def _copy(
    source: images.Image,
    home: images.Image,
    region: images.RegionId,
    known: identity.KnownCopy,
) -> images.Image:
    """Return a source as a copy has it that a row knows."""
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
    """Return the hash of a copy, or that of its origin if the two cannot be compared.

    Such a copy was read back, and its bytes are compared with the hash of the source anyway.
    """
    expected, found = origin.multihash, copy.multihash
    is_alike = expected is not None and found is not None and found.algo == expected.algo
    return found if is_alike else expected


def _was_verified(task: tasks.Task) -> bool:
    """Tell whether the copy of a task was in sync at the last check."""
    if task.status is tasks.TaskStatus.SUCCESS:
        return task.code is Code.IN_SYNC
    # After a change of the image all its copies are checked again. Until then the rows show only
    # that the bytes came, and that nothing has failed since.
    return task.copied_from is not None and task.attempts == 0
