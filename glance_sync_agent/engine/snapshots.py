# SPDX-License-Identifier: Apache-2.0
"""Waits for snapshots that were announced before their data was there.

Their tasks are due when the waiting has to end. What ends it sooner is seen here, for a hundred
snapshots with one question to each region that tells of them, so that those who wait cost
neither threads nor writes.
"""

from collections.abc import Sequence
import logging

from glance_sync_agent import errors
from glance_sync_agent.domain import images
from glance_sync_agent.domain import readiness
from glance_sync_agent.domain import tasks
from glance_sync_agent.engine import batches
from glance_sync_agent.engine import ports
from glance_sync_agent.engine import requests
from glance_sync_agent.engine.attempts import remote_sources
from glance_sync_agent.engine.attempts import sources

LOG = logging.getLogger(__name__)

_BATCH = 100  # ids in one question


class SnapshotWatch:
    """Looks at the snapshots that tasks wait for."""

    def __init__(
        self,
        *,
        regions: ports.Regions,
        store: ports.TaskStore,
        requests: requests.TaskRequests,
        source_views: sources.SourceViews,
        joined: remote_sources.RemoteSources,
    ) -> None:
        self._regions = regions
        self._store = store
        self._requests = requests
        self._sources = source_views
        self._joining = joined

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
            joined = self._joining.join_all(found.values())
        except errors.SyncError as exc:
            failures = {region: exc}
            over: Sequence[tasks.Task] = ()
        else:
            failures = dict(joined.failures)
            # What is not listed was deleted, or killed: the task itself will see.
            awaited = {
                one
                for one in found
                if one not in joined.sources or readiness.is_awaited(joined.sources[one])
            }
            over = [task for task in batch if task.key.image_id not in awaited]
        for task in over:
            self._requests.request(
                task.key.image_id, source_region=task.source_region, of_source_only=True
            )
        for silent, failure in failures.items():
            LOG.warning("Could not look at the snapshots of region %s: %s", silent, failure)
        return len(over)
