# SPDX-License-Identifier: Apache-2.0
"""The map on the source, for those who look for a copy there: a location for each copy.

It is a favour: a copy is in sync without its entry, and nothing here makes a task fail.
"""

from collections.abc import Callable
import logging
import threading

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import locations
from glance_sync_agent.domain import plans
from glance_sync_agent.engine import ports

LOG = logging.getLogger(__name__)

_LOCKS = 64


class LocationRecords:
    """Keeps the entries of copies on their sources in the cascading region. Thread safe.

    A change here makes Glance announce a change of the source, so every region is looked at
    again. That look finds the entry in its place and changes nothing, and there it ends; an
    entry that was lost, because somebody else changed the image in the same moment, is found
    missing and put there again.
    """

    def __init__(
        self, regions: ports.Regions, cascading: images.RegionId, is_on: Callable[[], bool]
    ) -> None:
        self._regions = regions
        self._cascading = cascading
        self._is_on = is_on
        # Glance reads an image, changes it and writes it back as a whole: of two who add a
        # location at once one is lost. These keep us from being both.
        self._locks = tuple(threading.Lock() for _ in range(_LOCKS))
        self._refusing: set[images.RegionId] = set()  # those that were warned about

    def follow(
        self,
        source: images.Image | None,
        service: ports.ImageService,
        copy: images.Image | None,
        action: plans.Action,
    ) -> None:
        """Bring the entry of a copy in step with what is to be done about the copy. Idempotent.

        :param service: of the copy's region.
        :param action: comes next.
        """
        has_entry = locations.has_entry(action)
        if source is None or has_entry is None:
            return
        failure = None
        try:
            self._bring(source, service, copy if has_entry else None)
        except errors.SyncError as exc:
            failure = exc
        # Out here, because oslo.log repeats the error in hand behind every line.
        if failure is not None and service.region not in self._refusing:
            self._refusing.add(service.region)
            LOG.warning(
                "Copies in region %s are not recorded as locations of their sources, or not all "
                "of them: %s. They are in sync all the same; 'glance-sync-manage check' tells "
                "what record_locations needs. This is said once",
                service.region, failure,
            )

    def differs(
        self, source: images.Image, service: ports.ImageService, copy: images.Image | None
    ) -> bool:
        """Tell whether there is something to change; no, where Glance shows no locations.

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

    def _bring(
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
                "Took the location in region %s off image %s", service.region, source.image_id
            )
            return
        # By us first: a region that keeps its callers waiting must not do so to the cascading
        # Glance, which sets no time limit and has the image in hand meanwhile.
        service.require_public_size(copy.image_id)
        with lock:
            cascading.add_location(source.image_id, changes.missing)
        self._refusing.discard(service.region)
        LOG.info(
            "Recorded image %s of region %s as a location of image %s",
            copy.image_id, service.region, source.image_id,
        )
