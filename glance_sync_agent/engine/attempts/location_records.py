# SPDX-License-Identifier: Apache-2.0
"""The locations of copies on their source, for whoever looks for a copy there.

A copy is in sync without its entry, and nothing here makes a task fail.
"""

from collections.abc import Callable
import logging
import threading

from glance_sync_agent import errors
from glance_sync_agent.domain import actions
from glance_sync_agent.domain import images
from glance_sync_agent.domain import locations
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)

_LOCKS = 64


class LocationRecords:
    """Keeps the entries of copies on their sources in the cascading region. Thread safe.

    Each change makes Glance announce a change of the source, so all its tasks run again. They
    find the entry in its place and change nothing. An entry is lost if somebody else changes the
    image at the same moment; those tasks then add it again.
    """

    def __init__(
        self, regions: ports.Regions, cascading: images.RegionId, is_on: Callable[[], bool]
    ) -> None:
        self._regions = regions
        self._cascading = cascading
        self._is_on = is_on
        # Glance reads an image, changes it and writes it back as a whole, so one of two
        # simultaneous additions is lost. These locks keep both from being ours.
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))
        self._refusing: set[images.RegionId] = set()  # the log has a warning about them

    def follow(
        self,
        source: images.Image | None,
        service: ports.ImageService,
        copy: images.Image | None,
        action: actions.Action,
    ) -> None:
        """Add or remove the entry of a copy, as the next action needs it. Idempotent.

        :param service: of the copy's region.
        :param action: comes next.
        """
        has_entry = locations.has_entry(action)
        if source is None or has_entry is None:
            return
        try:
            self._apply(source, service, copy if has_entry else None)
        except errors.SyncError as exc:
            if service.region in self._refusing:
                return
            self._refusing.add(service.region)
            LOG.warning(
                "Could not record copies in region %s as locations of their sources: %s. The "
                "copies are in sync without that. 'glance-sync-manage check' shows what "
                "record_locations needs. This warning appears once",
                service.region, exc,
            )

    def differs(
        self, source: images.Image, service: ports.ImageService, copy: images.Image | None
    ) -> bool:
        """Tell whether an entry is missing or wrong; False if Glance shows no locations.

        :param copy: in sync; None: there should be no entry.
        """
        return source.locations is not None and bool(self._changes(source, service, copy))

    def _changes(
        self, source: images.Image, service: ports.ImageService, copy: images.Image | None
    ) -> locations.Changes:
        is_mapped = source.region == self._cascading and locations.may_change(source)
        if not self._is_on() or not is_mapped:
            return locations.Changes()
        wanted = None
        if copy is not None:
            wanted = locations.entry(service.image_url(copy.image_id), copy)
        return locations.changes(source.locations or (), service.region, wanted)

    def _apply(
        self, source: images.Image, service: ports.ImageService, copy: images.Image | None
    ) -> None:
        changes = self._changes(source, service, copy)
        if not changes:
            return
        if source.locations is None:
            raise errors.Refused(
                f"the Glance of region {source.region} shows no locations of its images"
            )
        cascading = self._regions.image_service(self._cascading)
        lock = self._locks[hash(source.image_id) % _LOCKS]
        with lock:
            for wrong in changes.wrong:
                cascading.remove_location(source.image_id, wrong)
        if copy is None or changes.missing is None:
            LOG.info(
                "Removed the location in region %s from image %s", service.region, source.image_id
            )
            return
        # The agent asks first: the cascading Glance sets no time limit, and a slow region would
        # block the image there.
        service.require_public_size(copy.image_id)
        with lock:
            cascading.add_location(source.image_id, changes.missing)
        self._refusing.discard(service.region)
        LOG.info(
            "Recorded image %s of region %s as a location of image %s",
            copy.image_id, service.region, source.image_id,
        )
