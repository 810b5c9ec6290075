# SPDX-License-Identifier: Apache-2.0
"""Waits for snapshots that were announced before their data.

Their tasks are due when the waiting has to end. What ends it sooner is seen here, for a hundred
snapshots with one question, so that those who wait cost neither threads nor writes.
"""

from collections.abc import Sequence
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import plans
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import intake
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import sources

LOG = logging.getLogger(__name__)

_BATCH = 100  # ids in one question


class SnapshotWatch:
    """Looks at the snapshots that tasks wait for."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        store: ports.TaskStore,
        requests: intake.Intake,
        source_views: sources.SourceViews,
    ) -> None:
        self._regions = regions
        self._store = store
        self._requests = requests
        self._sources = source_views

    def look(self) -> int:
        """Request every snapshot that is not waited for in vain any more; return how many.

        A region that does not answer is asked again the next time.

        :raises ServiceUnavailable: the database or Keystone does not answer.
        """
        requested = 0
        waiting: dict[images.RegionId, dict[images.ImageId, tasks.Task]] = {}
        for task in self._store.waiting():
            waiting.setdefault(self._sources.region(task), {})[task.key.image_id] = task
        for region, by_id in waiting.items():
            for batch in batches.of(by_id.values(), _BATCH):
                requested += self._look_at(region, batch)
        return requested

    def _look_at(self, region: images.RegionId, batch: Sequence[tasks.Task]) -> int:
        try:
            service = self._regions.image_service(region)
            found = service.find([task.key.image_id for task in batch])
        except errors.SyncError as exc:
            failure = exc
        else:
            # What is not listed was deleted, or killed: the task itself will see.
            over = [
                task
                for task in batch
                if (image := found.get(task.key.image_id)) is None
                or not plans.is_awaited(image)
            ]
            for task in over:
                self._requests.request(task.key.image_id, source_region=task.source_region)
            return len(over)
        LOG.warning("Could not look at the snapshots of region %s: %s", region, failure)
        return 0
