# SPDX-License-Identifier: Apache-2.0
"""Turns events into requested tasks, in one commit."""

from collections.abc import Callable, Iterable, Mapping, Set
import datetime
import logging

from glance_sync_agent import request_ids
from glance_sync_agent.domain import events
from glance_sync_agent.domain import identity
from glance_sync_agent.domain import images
from glance_sync_agent.engine import ports
from glance_sync_agent.engine.placement.targets import Targets
from glance_sync_agent.engine.vital_signs import VitalSigns

LOG = logging.getLogger(__name__)

#: Seconds from an event to the attempt. An upload ends with an ``activate`` and an ``update``
#: within milliseconds; with this pause they cost one attempt instead of two.
QUIET_SECONDS = 0.05


class TaskRequests:
    """Requests tasks, and notes which deletions of sources were announced.

    All methods raise ServiceUnavailable if the database does not answer.
    """

    def __init__(
        self,
        *,
        store: ports.TaskStore,
        targets: Targets,
        clock: ports.Clock,
        wake: ports.Wake,
        note_deletion: Callable[[images.RegionId, images.ImageId], None],
        signs: VitalSigns,
    ) -> None:
        self._store = store
        self._targets = targets
        self._clock = clock
        self._wake = wake
        self._note_deletion = note_deletion
        self._signs = signs

    def handle(
        self, event: events.ImageEvent, source_region: images.RegionId | None = None
    ) -> None:
        """Request the image of an event in every region that has or should have a copy.

        In a cascaded region, only snapshots and sources of known copies count. An event about a
        copy requests nothing. An owner may write the mark of a copy on a source; its copies still
        follow it. Acknowledge the event after this returns; bring it again if this
        fails.

        :param source_region: where it happened; None: in the cascading region.
        """
        self._signs.heard_at = self._clock.now()
        home = source_region or self._targets.cascading
        is_marked = identity.is_named(event.mark, event.image_id, home)
        if is_marked and not self._is_source(event.image_id, source_region):
            return
        is_deletion = event.kind is events.EventKind.DELETED
        if is_deletion:
            self._note_deletion(home, event.image_id)
        if source_region is not None and not self._is_of_interest(event, source_region):
            return
        if source_region is None and not is_deletion and self._is_copy(event.image_id):
            return
        count = self.request_source(
            event.image_id,
            source_region,
            may_delete=is_deletion,
            quiet_seconds=QUIET_SECONDS,
            project=event.project,
        )
        LOG.debug("Image %s %s: %d tasks requested", event.image_id, event.kind.name, count)

    def _is_of_interest(
        self, event: events.ImageEvent, source_region: images.RegionId
    ) -> bool:
        if event.is_snapshot:
            return True
        return self._is_source(event.image_id, source_region)

    def _is_source(
        self, image_id: images.ImageId, source_region: images.RegionId | None
    ) -> bool:
        """Tell whether a task knows an image of a region as its source."""
        known = self._store.find([image_id])
        return any(task.source_region == source_region for task in known)

    def _is_copy(self, image_id: images.ImageId) -> bool:
        """Tell whether a task knows an image of the cascading region as its copy.

        An event about members does not show the mark of a copy.
        """
        return any(
            task.key.region == self._targets.cascading and task.copy_id == image_id
            for task in self._store.find([image_id])
        )

    def targets(self) -> Set[images.RegionId]:
        """Return the regions that should have a copy of some image."""
        return self._targets.regions()

    def request(
        self,
        image_id: images.ImageId,
        region: images.RegionId | None = None,
        *,
        may_delete: bool = False,
        project: str | None = None,
    ) -> int:
        """Request an image for an operator; return the number of tasks.

        :param region: None: all regions that have or should have a copy.
        """
        regions = self._targets.regions() if region is None else {region}
        request = self._request(may_delete=may_delete, by_person=True)
        count = self._store.request(
            image_id, regions, request, elsewhere=region is None, project=project
        )
        self._wake()
        return count

    def request_source(
        self,
        image_id: images.ImageId,
        source_region: images.RegionId | None,
        *,
        may_delete: bool = False,
        quiet_seconds: float = 0.0,
        project: str | None = None,
    ) -> int:
        """Request a source in all regions that have or should have a copy; return the number.

        Tasks of another region's image with the same id stay as they are.
        """
        request = self._request(quiet_seconds, may_delete=may_delete, source_region=source_region)
        regions = self._targets.regions(source_region)
        count = self._store.request(
            image_id, regions, request, of_source_only=True, project=project
        )
        self._wake()
        return count

    def request_in(
        self,
        region: images.RegionId,
        image_ids: Iterable[images.ImageId],
        *,
        may_delete: bool = False,
        may_delete_unwanted: bool = False,
        source_region: images.RegionId | None = None,
        projects: Mapping[images.ImageId, str] | None = None,
    ) -> int:
        """Request images in one region, in one commit; return the number of tasks."""
        request = self._request(
            may_delete=may_delete,
            may_delete_unwanted=may_delete_unwanted,
            source_region=source_region,
        )
        count = self._store.request_in(region, image_ids, request, projects=projects)
        self._wake()
        return count

    def request_again(
        self, region: images.RegionId, image_ids: Iterable[images.ImageId]
    ) -> int:
        """Request images in one region for an operator, in one commit; return the number."""
        request = self._request(may_delete=False, by_person=True)
        count = self._store.request_in(region, image_ids, request)
        self._wake()
        return count

    def _request(
        self,
        quiet_seconds: float = 0.0,
        *,
        may_delete: bool,
        may_delete_unwanted: bool = False,
        source_region: images.RegionId | None = None,
        by_person: bool = False,
    ) -> ports.Request:
        now = self._clock.now()
        return ports.Request(
            # The log lines of the attempts then have the id of the person's call.
            request_id=request_ids.of_call() if by_person else request_ids.new(),
            now=now,
            not_before=now + datetime.timedelta(seconds=quiet_seconds),
            may_delete=may_delete,
            may_delete_unwanted=may_delete_unwanted,
            source_region=source_region,
            by_person=by_person,
        )
