# SPDX-License-Identifier: Apache-2.0
"""From an event to requested tasks, in one commit."""

from collections.abc import Callable, Iterable, Mapping
import datetime
import logging
import uuid

from glance_sync_agent.domain import events
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.placement import targets

LOG = logging.getLogger(__name__)

#: Seconds between an event and the look at its image. An upload ends in an ``activate`` and an
#: ``update`` a few milliseconds apart; with this pause they are one look instead of two.
QUIET_SECONDS = 0.05


class TaskRequests:
    """Turns events into rows. When :meth:`handle` returns, the event may be forgotten."""

    def __init__(
        self,
        *,
        store: ports.TaskStore,
        wanted: targets.Targets,
        clock: ports.Clock,
        wake: ports.Wake,
        deletion_announced: Callable[[images.RegionId, images.ImageId], None],
    ) -> None:
        self._store = store
        self._deletion_announced = deletion_announced
        self._targets = wanted
        self._clock = clock
        self._wake = wake

    def handle(
        self, event: events.ImageEvent, source_region: images.RegionId | None = None
    ) -> None:
        """Request the image of an event in every region that has or should have a copy.

        Of a region other than the cascading one only snapshots are of interest, and what was
        copied from there before. Copies are nobody's source.

        :param source_region: where it happened; None: in the cascading region.
        :raises ServiceUnavailable: the event could not be stored; bring it again.
        """
        home = source_region or self._targets.cascading
        if identity.is_named(event.mark, event.image_id, home):
            return
        is_deletion = event.kind is events.EventKind.DELETED
        if is_deletion:
            self._deletion_announced(home, event.image_id)
        if source_region is not None and not self._is_of_interest(event, source_region):
            return
        if source_region is None and not is_deletion and self._is_copy(event.image_id):
            return
        count = self.request(
            event.image_id,
            may_delete=is_deletion,
            quiet_seconds=QUIET_SECONDS,
            source_region=source_region,
            of_source_only=True,
            project=event.project,
        )
        LOG.debug("Image %s %s: %d tasks requested", event.image_id, event.kind.name, count)

    def _is_of_interest(
        self, event: events.ImageEvent, source_region: images.RegionId
    ) -> bool:
        if event.is_snapshot:
            return True
        known = self._store.find([event.image_id])
        return any(task.source_region == source_region for task in known)

    def _is_copy(self, image_id: images.ImageId) -> bool:
        """Tell whether an image of the cascading region is known as a copy.

        An event of its members does not bear its mark.
        """
        return any(
            task.key.region == self._targets.cascading and task.copy_id == image_id
            for task in self._store.find([image_id])
        )

    def request(
        self,
        image_id: images.ImageId,
        region: images.RegionId | None = None,
        *,
        may_delete: bool = False,
        quiet_seconds: float = 0.0,
        source_region: images.RegionId | None = None,
        of_source_only: bool = False,
        project: str | None = None,
    ) -> int:
        """Request an image, in one region or in all that it concerns; return how many tasks.

        :param of_source_only: tasks of an image of another region with the same id are left
            alone.
        """
        now = self._clock.now()
        regions = self._targets.regions(source_region) if region is None else {region}
        count = self._store.request(
            image_id,
            regions,
            ports.Request(
                request_id=uuid.uuid4().hex,
                now=now,
                not_before=now + datetime.timedelta(seconds=quiet_seconds),
                may_delete=may_delete,
                source_region=source_region,
            ),
            elsewhere=region is None,
            of_source_only=of_source_only,
            project=project,
        )
        self._wake()
        return count

    def request_in(
        self,
        region: images.RegionId,
        image_ids: Iterable[images.ImageId],
        *,
        may_delete: bool = False,
        source_region: images.RegionId | None = None,
        projects: Mapping[images.ImageId, str] | None = None,
    ) -> int:
        """Request images in one region, in one commit; return how many tasks."""
        now = self._clock.now()
        count = self._store.request_in(
            region,
            image_ids,
            ports.Request(
                request_id=uuid.uuid4().hex,
                now=now,
                not_before=now,
                may_delete=may_delete,
                source_region=source_region,
            ),
            projects=projects,
        )
        self._wake()
        return count
