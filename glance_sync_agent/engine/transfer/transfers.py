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
from glance_sync_agent.engine.transfer import blocks
from glance_sync_agent.engine.transfer import progress
from glance_sync_agent.engine.transfer.downloads import Downloads
from glance_sync_agent.engine.transfer.origins import Origins

LOG = logging.getLogger(__name__)

#: Glance needs a moment to notice that an upload broke off; it takes no other one before.
_SETTLING_SECONDS = 5.0
_PAUSE_SECONDS = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Transferred:
    """What a transfer brought."""

    copied_from: images.RegionId
    multihash: images.Multihash  # of the bytes that were sent
    way: str  # of the store that took them


class Transfers:
    """Moves the data of images. Thread safe."""

    def __init__(
        self,
        outside: ports.Ports,
        stop: ports.StopFlag,
        origins: Origins,
        downloads: Downloads,
    ) -> None:
        self._regions = outside.regions
        self._clock = outside.clock
        self._stop = stop
        self._origins = origins
        self._downloads = downloads

    def bring(
        self,
        key: tasks.TaskKey,
        source: images.Image,
        into: images.Image,
        on_progress: progress.Progress,
    ) -> Transferred:
        """Bring the bytes of ``source`` into a queued record.

        After an origin that cannot be read, or holds other bytes, it tries the next one. An
        error of the target or of ``on_progress`` ends the transfer.

        :raises SyncError: no origin has the bytes. It names the failure of the home of the data.
        """
        failures: list[errors.OriginFailed] = []
        for origin in self._origins.of(key, source):
            if failures:
                if not self._takes_data(into, on_progress):
                    break
                LOG.warning("%s: %s; reading region %s", key, failures[-1], origin.region)
            try:
                return self._bring_from(origin, into, on_progress)
            except errors.OriginFailed as exc:
                self._origins.shun(origin)
                failures.append(exc)
        home = remotes.home(source).region
        raised = next((one for one in failures if one.region == home), failures[-1])
        if raised is not failures[-1]:
            LOG.warning("%s: %s", key, failures[-1])
        raise raised.reason

    def read_back(
        self, copy: images.Image, algo: str, on_progress: progress.Progress
    ) -> images.Multihash:
        """Return the hash of the bytes that users of a region get.

        :raises SyncError: a read failed, or what ``on_progress`` raises.
        """
        prefix = blocks.empty_prefix(algo)
        with self._regions.served(copy.region).read(copy) as chunks:
            for chunk in progress.watched(chunks, on_progress):
                prefix = prefix.plus(chunk)
        return prefix.multihash

    def _bring_from(
        self, origin: images.Image, into: images.Image, on_progress: progress.Progress
    ) -> Transferred:
        size = origin.size or 0
        self._origins.check(origin)
        with self._downloads.open(origin) as reader:
            data = progress.watched(reader.blocks(), on_progress)
            store = self._regions.store(into.region, size)
            store.write(into.image_id, size, data)
            sent = reader.prefix.multihash
            return Transferred(copied_from=origin.region, multihash=sent, way=store.way)

    def _takes_data(self, into: images.Image, on_progress: progress.Progress) -> bool:
        """Wait a moment until a record is ready for an upload after one that broke off."""
        service = self._regions.image_service(into.region)
        deadline = self._clock.monotonic() + _SETTLING_SECONDS
        on_progress(0)
        while (record := service.get_record(into.image_id)) and record.status in IN_UPLOAD:
            if self._clock.monotonic() >= deadline:
                return False
            self._stop.wait(_PAUSE_SECONDS)
            on_progress(0)
        return record is not None and record.status is images.ImageStatus.QUEUED
