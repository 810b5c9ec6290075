# SPDX-License-Identifier: Apache-2.0
"""The bytes of an image into one record, from the first origin that has them."""

import dataclasses
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import remotes
from glance_sync_agent.domain import tasks
from glance_sync_agent.domain.readiness import IN_UPLOAD
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.transfer import digests
from glance_sync_agent.engine.transfer import origins
from glance_sync_agent.engine.transfer import progress
from glance_sync_agent.engine.transfer import transfers

LOG = logging.getLogger(__name__)

#: A Glance takes a moment to notice that an upload was broken off, and none before that.
_SETTLING_SECONDS = 5.0
_PAUSE_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Transferred:
    """Bytes that a record has now."""

    copied_from: images.RegionId
    multihash: images.Multihash


class Copying:
    """Transfers bytes. Thread safe."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        data_origins: origins.Origins,
        clock: ports.Clock,
        stop: ports.StopFlag,
    ) -> None:
        self._regions = regions
        self._origins = data_origins
        self._clock = clock
        self._stop = stop
        self._digests = digests.SharedDigests(clock)

    def bring(
        self,
        key: tasks.TaskKey,
        source: images.Image,
        into: images.Image,
        signs: progress.Progress,
    ) -> Transferred:
        """Bring the bytes of ``source`` into a queued record.

        An origin that cannot be read, or holds other bytes, makes way for the next one. What
        the target or ``signs`` raises ends it all.

        :raises SyncError: none has them; what is told is the fault of the region that the data
            of the source is in.
        """
        failures: list[errors.OriginFailed] = []
        for origin in self._origins.of(key, source):
            if failures:
                if not self._takes_data(into, signs):
                    break
                LOG.warning("%s: %s; reading region %s", key, failures[-1], origin.region)
            try:
                return self._bring_from(origin, into, signs)
            except errors.OriginFailed as exc:
                failures.append(exc)
        home = remotes.home(source).region
        told = next((one for one in failures if one.region == home), failures[-1])
        if told is not failures[-1]:
            LOG.warning("%s: %s", key, failures[-1])
        raise told.reason

    def read_back(
        self, copy: images.Image, algo: str, signs: progress.Progress
    ) -> images.Multihash:
        """Return the hash of what the users of a region get.

        :raises SyncError: it could not be read to the end, or what ``signs`` raises.
        """
        digest = digests.new(algo)
        with self._regions.served(copy.region).read(copy) as chunks:
            for chunk in transfers.watched(chunks, signs):
                digest.update(chunk)
        return images.Multihash(algo=algo, value=digest.hexdigest())

    def _bring_from(
        self, origin: images.Image, into: images.Image, signs: progress.Progress
    ) -> Transferred:
        size = origin.size or 0
        digest = self._digests.of(origin)
        try:
            with self._origins.reading(origin, digest) as blocks:
                data = transfers.watched(blocks, signs)
                self._regions.store(into.region, size).write(into.image_id, size, data)
        except errors.OriginFailed as exc:
            if isinstance(exc.reason, errors.DigestMismatch):
                self._digests.forget(origin)
            raise
        return Transferred(copied_from=origin.region, multihash=digest.multihash())

    def _takes_data(self, into: images.Image, signs: progress.Progress) -> bool:
        """Wait for a moment until a record is ready for an upload after one that broke off."""
        service = self._regions.image_service(into.region)
        deadline = self._clock.monotonic() + _SETTLING_SECONDS
        signs(0)
        while (record := service.get_record(into.image_id)) and record.status in IN_UPLOAD:
            if self._clock.monotonic() >= deadline:
                return False
            self._stop.wait(_PAUSE_SECONDS)
            signs(0)
        return record is not None and record.status is images.ImageStatus.QUEUED
